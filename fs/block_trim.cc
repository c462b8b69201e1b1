// SPDX-License-Identifier: BSD-2-Clause
//
// Giving free blocks back to the host (FITRIM): for volumes that are mounted without discard, and
// after the host could not take a discard.
#include <algorithm>

#include "fs/block_allocator.h"

namespace rvmfs {

namespace {

constexpr uint64_t kRunBlocksMax = 2048;  // reserved at a time
constexpr uint64_t kShareOfFree = 16;     // at most this part of what is free

}  // namespace

// The first run of [first, end) in the first group that has one. Groups that were never used have
// nothing to give back. Blocks that were freed just now are discarded when they are settled.
Result<std::optional<BlockRun>> BlockAllocator::reserve_to_trim(uint64_t first, uint64_t end,
                                                                uint64_t run_min) {
  std::lock_guard lock(mutex_);
  BlockGroups groups(*core_.space, *core_.pool);
  RVM_ASSIGN(const BlockGroups::Totals totals, look_around(groups));
  end = std::min(end, totals.blocks);
  const uint64_t share = (totals.blocks - totals.used) / kShareOfFree;
  const uint64_t run_max = std::clamp<uint64_t>(share, 1, kRunBlocksMax);
  for (; first < end; first = (first / kGroupBits + 1) * kGroupBits) {
    const uint64_t group = first / kGroupBits;
    RVM_ASSIGN(const BlockGroups::View view, groups.view(group));
    if (view.words == nullptr) continue;
    const auto limit =
        static_cast<uint32_t>(std::min<uint64_t>(totals.in_group(group), end - group * kGroupBits));
    const TakenBits taken{{view.words, busy_.words(group)}, limit};
    for (auto bit = static_cast<uint32_t>(first % kGroupBits); bit < limit;) {
      bit = taken.next_free(bit);
      const uint32_t stop = taken.next_taken(bit, limit);
      if (bit < stop && stop - bit >= run_min) {
        const auto count = static_cast<uint32_t>(std::min<uint64_t>(stop - bit, run_max));
        busy_.add(group * kGroupBits + bit, count);
        return std::optional<BlockRun>({group * kGroupBits + bit, count});
      }
      bit = stop;
    }
  }
  return std::optional<BlockRun>();
}

Result<uint64_t> BlockAllocator::trim(uint64_t first, uint64_t end, uint64_t run_min) {
  uint64_t trimmed = 0;
  for (;;) {
    RVM_ASSIGN(const auto run, core_.run_read<std::optional<BlockRun>>(
                                   [&] { return reserve_to_trim(first, end, run_min); }));
    if (!run) return trimmed;
    const Result<void> discarded =
        core_.device->discard(run->block * format::kBlockBytes, run->count * format::kBlockBytes);
    release(*run);
    if (!discarded) return discarded.error();
    trimmed += run->count;
    // What follows in the same free run counts as long enough, too.
    first = run->block + run->count;
  }
}

Result<uint64_t> Volume::trim(uint64_t offset, uint64_t length, uint64_t run_bytes_min) {
  RVM_TRY(core_->check_writable());
  RVM_TRY(core_->rvm->flush(true));  // what was freed before this call is free
  RVM_TRY(core_->blocks->settle_freed());
  constexpr uint64_t kBlock = format::kBlockBytes;
  const uint64_t first = offset / kBlock + (offset % kBlock != 0 ? 1 : 0);
  const uint64_t end = (length > UINT64_MAX - offset ? UINT64_MAX : offset + length) / kBlock;
  RVM_ASSIGN(const uint64_t blocks,
             core_->blocks->trim(first, end, (run_bytes_min + kBlock - 1) / kBlock));
  return blocks * kBlock;
}

}  // namespace rvmfs
