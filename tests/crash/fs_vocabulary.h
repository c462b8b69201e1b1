// SPDX-License-Identifier: BSD-2-Clause
//
// The words of which short workloads are made: concrete operations in a small tree that is prepared
// beforehand, each followed by fsync of the file, of the directory that it changed, or by nothing.
//
//   /a     10,000 bytes, an attribute; also /d/h    /d    directory: f (6,000 bytes), h, s (empty)
//   /b     300 bytes, inside the metadata             /e    empty directory
//   /g     16 KiB of data, then blocks without data   /l    symbolic link
//   /x     empty, with an attribute of three pieces
//
// Thread rules: as an int.
#pragma once

#include <string>
#include <vector>

#include "tests/crash/fs_rig.h"

namespace rvmfs::test {

struct Word {
  std::string name;  // of letters, digits and '_'
  Op op;
  std::string file;       // what is left of it when it is done; empty if nothing is
  std::string directory;  // whose entries it changes, or that holds the file
};

const std::vector<Word>& vocabulary();

enum class Sync : uint8_t { none, file, directory };

// A word and what follows it.
struct Step {
  size_t word = 0;
  Sync sync = Sync::none;
};
// All steps there are: 'file' only where a file is left.
const std::vector<Step>& all_steps();

// How a sequence ends, and how often commits are forced. Every sequence ends with a sync.
enum class Style : uint8_t {
  lazy,         // one force for all that was not synced
  eager,        // every transaction is forced before the next one
  incremental,  // and is then moved home, by pages
  epoch,        // and is then moved home, by reading the log
  unlogged,     // as eager, and no data travel in the log: in place, they are durable at a flush
};
inline constexpr size_t kStyles = 5;

struct Sequence {
  std::vector<Step> steps;
  Style style = Style::lazy;
};

// "seq.write_a.f-unlink_b.n-eager": names one sequence, for failures and for RVMFS_CRASH_ONLY.
std::string name_of(const Sequence& sequence);
// What the name says; no steps if it is no such name.
Sequence sequence_named(const std::string& name);

// The prepared volume.
FsStart prepared_volume();

struct Played {
  std::string failure;
  FsAccount account;
  // Where the last fsync before the last step ended: the crash states before it are those of a
  // shorter sequence. 0 if there was none.
  size_t first_new_event = 0;
};
Played play(const FsStart& start, const Sequence& sequence);

}  // namespace rvmfs::test
