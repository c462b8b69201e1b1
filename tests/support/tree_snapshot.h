// SPDX-License-Identifier: BSD-2-Clause
//
// A whole filesystem tree as a value: every path with its attributes, extended attributes, link
// target and contents. Taken from the reference model or by walking a volume through its API, and
// compared as text (metadata) and as bytes (contents).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/support/volume_answers.h"

namespace rvmfs::test {

struct TreeEntry {
  Attributes attributes;
  std::string target;
  std::map<std::string, std::string> xattrs;
  SparseImage content;  // regular files, if asked for
};

struct TreeSnapshot {
  std::map<std::string, TreeEntry> paths;  // "/" is the root
  std::string error;                       // what made the walk stop; empty if it was complete
};

TreeSnapshot snapshot(const ReferenceModel& model, bool with_content = true);
// Reads contents by SEEK_DATA and SEEK_HOLE, so that huge sparse files cost what they hold.
TreeSnapshot snapshot(VolumeAnswers& volume, bool with_content = true);

struct TextOptions {
  bool times = true;
  bool atime = false;
};
inline constexpr TextOptions kWithAllTimes{.times = true, .atime = true};
// One line a path: everything but contents.
std::string metadata_text(const TreeSnapshot& tree, const TextOptions& options = {});

// The text that `fsck.rvmfs --dump-tree` prints without times. Hashes contents whole: not for huge
// sparse files.
std::string canonical_text(const TreeSnapshot& tree);

// The first difference as a sentence, contents included; empty if equal.
std::string difference(const TreeSnapshot& expected, const TreeSnapshot& actual,
                       const TextOptions& options = {});

}  // namespace rvmfs::test
