// SPDX-License-Identifier: BSD-2-Clause
//
// Small sound images that hold every structure of the format, with what must be read from them:
// what tests of damaged and of hostile images begin with.
//
//   clean      unmounted
//   logged     killed: three units in the log, none of them at home, and a file without a name
//   journaled  killed while a batch of pages was going home
//   chunks     several chunks of metadata, a tree of three levels
//
// Thread rules: made once, then constant.
#pragma once

#include <string>
#include <vector>

#include "tests/support/sealer.h"
#include "tests/support/tree_snapshot.h"

namespace rvmfs::test {

struct SampleImage {
  std::string name;
  SparseImage image;
  std::vector<ImagePart> parts;
  TreeSnapshot tree;
  // What it holds without the last unit of the log: damage to that unit cannot be told from a write
  // that was cut. (Of `journaled` it can: the journal says that the unit was durable.)
  TreeSnapshot before_last_unit;
  bool has_units = false;
  std::string dump, dump_before_last_unit;  // both as `fsck.rvmfs --dump-tree --no-times` has them
};

const std::vector<SampleImage>& sample_images();

// The parts of this kind.
std::vector<ImagePart> parts_of(const SampleImage& sample, PartKind kind);

}  // namespace rvmfs::test
