// SPDX-License-Identifier: BSD-2-Clause
//
// Pass 4: blocks. Owners against each other, and against the bitmaps of the block groups.
#pragma once

#include "fsck/check_state.h"

namespace rvmfs::fsck {

// Claims the pages of the group table, the descriptors and the bitmaps. Sets references_whole to
// false if some of them cannot be read (reported).
void claim_group_pages(CheckState& state);

// Sorts state.blocks by block and reports what has two owners.
void check_owners(CheckState& state);

// Compares the bitmaps with the owners. Needs everything read whole.
void check_groups(CheckState& state);

// The bits of group `group` as the owners (sorted) have them.
struct GroupTruth {
  std::vector<std::byte> bits;  // kGroupBlocks / 8
  uint32_t used = 0;
};

// Hands out the truth of one group after another; groups are asked for in rising order.
class TruthReader {
 public:
  explicit TruthReader(const std::vector<OwnedBlocks>& sorted);
  void read(uint64_t group, GroupTruth& truth);
  // The first group from `group` on in which somebody owns blocks; UINT64_MAX if there is none.
  uint64_t next_owned(uint64_t group);

 private:
  const std::vector<OwnedBlocks>& owned_;
  size_t at_ = 0;
};

}  // namespace rvmfs::fsck
