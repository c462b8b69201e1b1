// SPDX-License-Identifier: BSD-2-Clause
//
// Reserving, committing and freeing blocks (fs/block_allocator.h). What happens to freed blocks
// until they can be used again is in block_settle.cc.
//
// Search: at the goal; then in the goal's group; then through the groups from the lowest on for a
// run of the wanted length, looking into a bounded number of them; then for anything. The bound on
// the longest run of a group, learned by a search that failed, keeps a fragmented or full volume
// from being searched again and again.
#include "fs/block_allocator.h"
#include "seeded_bug.h"

namespace rvmfs {

namespace {

constexpr uint32_t kChunkBlocks =
    static_cast<uint32_t>(rvm::format::kChunkBytes / format::kBlockBytes);
constexpr uint32_t kGoalRunMin = 8;  // shorter runs at the goal are taken only if enough
constexpr uint32_t kGroupsSearchedMax = 32;
constexpr uint64_t kKeptChunksMax = 4;

uint64_t chunks_to_keep(uint64_t blocks_total) {
  return std::clamp<uint64_t>(blocks_total / 100 / kChunkBlocks, 1, kKeptChunksMax);
}

}  // namespace

uint32_t BlockAllocator::longest_run_in(uint64_t group) const {
  const auto known = longest_.find(group);
  return known == longest_.end() ? kGroupBits : known->second;
}

void BlockAllocator::forget_hints(uint64_t block, uint64_t count) {
  const uint64_t first = block / kGroupBits;
  for (uint64_t group = first; group <= (block + count - 1) / kGroupBits; ++group) {
    longest_.erase(group);
  }
  low_group_ = std::min(low_group_, first);
  chunks_exhausted_ = false;
}

// The volume as it is now; forgets hints that growing made stale.
Result<BlockGroups::Totals> BlockAllocator::look_around(BlockGroups& groups) {
  RVM_ASSIGN(const BlockGroups::Totals totals, groups.totals());
  if (totals.blocks != blocks_total_) {
    if (blocks_total_ != 0 && totals.blocks > blocks_total_) {
      forget_hints(blocks_total_, totals.blocks - blocks_total_);
    }
    blocks_total_ = totals.blocks;
  }
  return totals;
}

Result<BlockRun> BlockAllocator::reserve(uint64_t goal, uint32_t wanted) {
  std::lock_guard lock(mutex_);
  BlockGroups groups(*core_.space, *core_.pool);
  RVM_ASSIGN(const BlockGroups::Totals totals, look_around(groups));
  RVM_TRY(keep_chunks(groups, totals));
  wanted = std::clamp<uint32_t>(wanted, 1, kGroupBits);
  if (goal >= totals.blocks) goal = 0;
  std::optional<BlockRun> found;
  if (goal != 0) {
    RVM_ASSIGN(found, search_at(groups, totals, goal, wanted));
  }
  if (!found) {
    RVM_ASSIGN(found, search_everywhere(groups, totals, goal, wanted));
  }
  if (!found) return fs_error(FsErrc::volume_full, "no free block");
  busy_.add(found->block, found->count);
  return *found;
}

Result<std::optional<BlockRun>> BlockAllocator::search_at(BlockGroups& groups,
                                                          const BlockGroups::Totals& totals,
                                                          uint64_t goal, uint32_t wanted) {
  const uint64_t group = goal / kGroupBits;
  const auto bit = static_cast<uint32_t>(goal % kGroupBits);
  RVM_ASSIGN(const BlockGroups::View view, groups.view(group));
  const TakenBits taken{{view.words, busy_.words(group)}, totals.in_group(group)};
  if (taken.next_free(bit) != bit || bit >= taken.limit) return std::optional<BlockRun>();
  const uint32_t count = taken.next_taken(bit, bit + wanted) - bit;
  if (count < std::min(wanted, kGoalRunMin)) return std::optional<BlockRun>();
  return std::optional<BlockRun>({goal, count});
}

Result<BitRun> BlockAllocator::search_group(BlockGroups& groups, const BlockGroups::Totals& totals,
                                            uint64_t group, uint32_t from, uint32_t wanted) {
  const uint32_t target = std::min(wanted, longest_run_in(group));
  if (target == 0) return BitRun{};
  RVM_ASSIGN(const BlockGroups::View view, groups.view(group));
  const TakenBits taken{{view.words, busy_.words(group)}, totals.in_group(group)};
  const BitRun run = find_free_run(taken, from, target);
  if (run.count < target) longest_[group] = run.count;
  return run;
}

Result<std::optional<BlockRun>> BlockAllocator::search_everywhere(BlockGroups& groups,
                                                                  const BlockGroups::Totals& totals,
                                                                  uint64_t goal, uint32_t wanted) {
  const auto run_in = [](uint64_t group, BitRun run) {
    return std::optional<BlockRun>({group * kGroupBits + run.first, run.count});
  };
  if (goal != 0) {
    const uint64_t group = goal / kGroupBits;
    const auto from = static_cast<uint32_t>(goal % kGroupBits);
    RVM_ASSIGN(const BitRun run, search_group(groups, totals, group, from, wanted));
    if (run.count == wanted) return run_in(group, run);
  }
  uint32_t searched = 0;
  for (uint64_t group = low_group_; group < totals.groups() && searched < kGroupsSearchedMax;
       ++group) {
    if (longest_run_in(group) < wanted) continue;
    ++searched;
    RVM_ASSIGN(const BitRun run, search_group(groups, totals, group, 0, wanted));
    if (run.count == wanted) return run_in(group, run);
  }
  for (uint64_t group = low_group_; group < totals.groups(); ++group) {
    RVM_ASSIGN(const BitRun run, search_group(groups, totals, group, 0, wanted));
    if (run.count > 0) return run_in(group, run);
    if (group == low_group_) ++low_group_;
  }
  return std::optional<BlockRun>();
}

void BlockAllocator::release(BlockRun run) {
  std::lock_guard lock(mutex_);
  busy_.remove(run.block, run.count);
  forget_hints(run.block, run.count);
}

Result<void> BlockAllocator::commit_reserved(Operation& op, BlockRun run) {
  RVM_TRY(BlockGroups(*core_.space, *core_.pool).mark(op.tx, run.block, run.count, true));
  op.on_success.emplace_back([this, run](rvm::CommitTicket) {
    std::lock_guard lock(mutex_);
    busy_.remove(run.block, run.count);
  });
  return {};
}

// -- chunks for metadata -----------------------------------------------------------------------

Result<void> BlockAllocator::keep_chunks(BlockGroups& groups, const BlockGroups::Totals& totals) {
  if (kept_taken_) {
    std::vector<uint64_t> still_kept;
    for (const uint64_t block : kept_) {
      RVM_ASSIGN(const BlockGroups::View view, groups.view(block / kGroupBits));
      const auto bit = static_cast<uint32_t>(block % kGroupBits);
      if (view.words == nullptr || !any_set(view.words, bit, kChunkBlocks)) {
        still_kept.push_back(block);
      }
    }
    for (const uint64_t block : kept_) busy_.remove(block, kChunkBlocks);
    for (const uint64_t block : still_kept) busy_.add(block, kChunkBlocks);
    // The transaction that took one may still abort: then it is to be found again.
    if (still_kept.size() < kept_.size()) chunks_exhausted_ = false;
    kept_ = std::move(still_kept);
    kept_taken_ = false;
  }
  while (kept_.size() < chunks_to_keep(totals.blocks) && !chunks_exhausted_) {
    RVM_ASSIGN(const std::optional<uint64_t> found, find_chunk(groups, totals));
    if (!found) break;
    busy_.add(*found, kChunkBlocks);
    kept_.push_back(*found);
  }
  return {};
}

uint64_t BlockAllocator::kept_blocks(uint64_t blocks_total) {
  std::lock_guard lock(mutex_);
  const bool looked = !kept_.empty() || chunks_exhausted_;
  return (looked ? kept_.size() : chunks_to_keep(blocks_total)) * kChunkBlocks;
}

// A chunk's worth of aligned blocks that are free and not freed by the open transaction.
Result<std::optional<uint64_t>> BlockAllocator::find_chunk(BlockGroups& groups,
                                                           const BlockGroups::Totals& totals) {
  if (chunks_exhausted_) return std::optional<uint64_t>();
  for (uint64_t group = low_group_; group < totals.groups(); ++group) {
    if (longest_run_in(group) < kChunkBlocks) continue;
    RVM_ASSIGN(const BlockGroups::View view, groups.view(group));
    const TakenBits taken{{view.words, busy_.words(group), freed_now_.words(group)},
                          totals.in_group(group)};
    for (uint32_t bit = 0; bit + kChunkBlocks <= taken.limit; bit += kChunkBlocks) {
      if (taken.next_taken(bit, bit + kChunkBlocks) == bit + kChunkBlocks) {
        return std::optional<uint64_t>(group * kGroupBits + bit);
      }
    }
  }
  chunks_exhausted_ = freed_now_.count() == 0;
  return std::optional<uint64_t>();
}

Result<std::optional<uint64_t>> BlockAllocator::find_kept_chunk(BlockGroups& groups) {
  std::optional<uint64_t> found;
  uint32_t usable = 0;
  for (const uint64_t block : kept_) {
    RVM_ASSIGN(const BlockGroups::View view, groups.view(block / kGroupBits));
    const auto bit = static_cast<uint32_t>(block % kGroupBits);
    if (view.words != nullptr && any_set(view.words, bit, kChunkBlocks)) continue;
    if (++usable == 1) found = block;
  }
  if (usable == 1 && last_resorts_ == 0) found.reset();
  return found;
}

Result<uint64_t> BlockAllocator::allocate_chunk(rvm::Transaction& tx) {
  BlockGroups groups(*core_.space, *core_.pool);
  std::optional<uint64_t> found;
  {
    std::lock_guard lock(mutex_);
    RVM_ASSIGN(const BlockGroups::Totals totals, look_around(groups));
    RVM_TRY(keep_chunks(groups, totals));
    RVM_ASSIGN(found, find_chunk(groups, totals));
    if (!found) {
      RVM_ASSIGN(found, find_kept_chunk(groups));
      kept_taken_ |= found.has_value();
    }
  }
  if (!found) return Error{rvm::Errc::no_space, 0, 0, "no free room for a metadata chunk"};
  const uint64_t offset = *found * format::kBlockBytes;
  RVM_TRY(core_.device->allocate(offset, rvm::format::kChunkBytes));
  core_.rvm->note_reuse(offset, rvm::format::kChunkBytes);
  if (!RVM_SEEDED_BUG("chunk_not_marked")) RVM_TRY(groups.mark(tx, *found, kChunkBlocks, true));
  return offset;
}

}  // namespace rvmfs
