// SPDX-License-Identifier: BSD-2-Clause
//
// A set of blocks in memory: bitmaps of those groups that have any. The allocator keeps the blocks
// in it that must not be handed out although the persistent bitmaps call them free.
//
// Thread rules: none of its own; the owner's lock.
#pragma once

#include <memory>
#include <unordered_map>

#include "fs/bit_runs.h"

namespace rvmfs {

class BusyBlocks {
 public:
  // Blocks that are in the set already are not counted twice.
  void add(uint64_t block, uint64_t count);
  // Blocks that are not in the set do not matter.
  void remove(uint64_t block, uint64_t count);
  void clear() { groups_.clear(), count_ = 0; }

  uint64_t count() const { return count_; }
  uint32_t count_in(uint64_t group) const;
  // The group's bitmap; nullptr if none of its blocks is in the set.
  const uint64_t* words(uint64_t group) const;

 private:
  struct Group {
    uint32_t count = 0;
    uint64_t words[kGroupWords] = {};
  };
  std::unordered_map<uint64_t, std::unique_ptr<Group>> groups_;
  uint64_t count_ = 0;
};

}  // namespace rvmfs
