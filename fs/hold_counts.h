// SPDX-License-Identifier: BSD-2-Clause
//
// How often each inode is held outside. The kernel may hold many millions at once (a walk over a
// large volume), so a count takes 4 bytes where its neighbours are held too: counts stand in chunks
// of 64 neighbouring inode numbers, and a chunk is there while one of its counts is not zero.
//
// A count that 32 bits cannot hold stays where it is: the inode counts as held until clear(), which
// is safe (the next open deletes it, if it has no name).
//
// Thread rules: none; the owner locks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace rvmfs {

class HoldCounts {
 public:
  void add(uint64_t inode, uint64_t count);
  // Takes off `count`, or as much as there is. True if the inode was held and is no more.
  bool release(uint64_t inode, uint64_t count);
  bool contains(uint64_t inode) const;
  void clear() { chunks_.clear(); }
  size_t chunks() const { return chunks_.size(); }  // for tests

 private:
  static constexpr uint64_t kCounts = 64;
  static constexpr uint32_t kTooMany = UINT32_MAX;
  struct Chunk {
    uint32_t used = 0;  // counts that are not zero
    std::array<uint32_t, kCounts> counts{};
  };
  std::unordered_map<uint64_t, Chunk> chunks_;  // by inode / kCounts
};

}  // namespace rvmfs
