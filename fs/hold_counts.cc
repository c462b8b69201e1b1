// SPDX-License-Identifier: BSD-2-Clause
//
// How often each inode is held outside.
#include "fs/hold_counts.h"

namespace rvmfs {

void HoldCounts::add(uint64_t inode, uint64_t count) {
  if (count == 0) return;
  Chunk& chunk = chunks_[inode / kCounts];
  uint32_t& held = chunk.counts[inode % kCounts];
  if (held == 0) ++chunk.used;
  held = count < kTooMany - held ? held + static_cast<uint32_t>(count) : kTooMany;
}

bool HoldCounts::release(uint64_t inode, uint64_t count) {
  const auto found = chunks_.find(inode / kCounts);
  if (found == chunks_.end()) return false;
  uint32_t& held = found->second.counts[inode % kCounts];
  if (held == 0 || held == kTooMany) return false;
  if (count < held) {
    held -= static_cast<uint32_t>(count);
    return false;
  }
  held = 0;
  if (--found->second.used == 0) chunks_.erase(found);
  return true;
}

bool HoldCounts::contains(uint64_t inode) const {
  const auto found = chunks_.find(inode / kCounts);
  return found != chunks_.end() && found->second.counts[inode % kCounts] != 0;
}

}  // namespace rvmfs
