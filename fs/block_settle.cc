// SPDX-License-Identifier: BSD-2-Clause
//
// Freed blocks until they can be used again (fs/block_allocator.h), and the numbers for statfs.
//
// A freed block stays in busy_ from the commit that freed it until that commit is durable and the
// block was discarded: until then a crash may bring back the file that it belonged to. A block may
// be in freed_now_ although its transaction aborted; that only makes the search for chunks careful.
#include <algorithm>

#include "fs/block_allocator.h"
#include "seeded_bug.h"

namespace rvmfs {

Result<void> BlockAllocator::free(Operation& op, BlockRun run) {
  RVM_TRY(BlockGroups(*core_.space, *core_.pool).mark(op.tx, run.block, run.count, false));
  {
    std::lock_guard lock(mutex_);
    freed_now_.add(run.block, run.count);
  }
  op.on_success.emplace_back([this, run](rvm::CommitTicket ticket) {
    std::lock_guard lock(mutex_);
    freed_now_.clear();
    if (!RVM_SEEDED_BUG("freed_block_reused_early")) busy_.add(run.block, run.count);
    add_pending(ticket, run);
  });
  return {};
}

void BlockAllocator::add_pending(rvm::CommitTicket ticket, BlockRun run) {
  if (!pending_.empty() && pending_.back().ticket == ticket) {
    Pending& last = pending_.back();
    if (run.block + run.count == last.block) {
      last.block = run.block;
      last.count += run.count;
      return;
    }
    if (last.block + last.count == run.block) {
      last.count += run.count;
      return;
    }
  }
  pending_.push_back({ticket, run.block, run.count});
}

// Takes what is durable out of pending_ (not out of busy_), in as few pieces as possible.
std::vector<BlockAllocator::Span> BlockAllocator::take_durable() {
  std::vector<Span> spans;
  while (!pending_.empty() && core_.rvm->is_durable(pending_.front().ticket)) {
    spans.push_back({pending_.front().block, pending_.front().count});
    pending_.pop_front();
  }
  std::sort(spans.begin(), spans.end(),
            [](const Span& a, const Span& b) { return a.block < b.block; });
  std::vector<Span> merged;
  for (const Span& span : spans) {
    if (!merged.empty() && merged.back().block + merged.back().count == span.block) {
      merged.back().count += span.count;
    } else {
      merged.push_back(span);
    }
  }
  return merged;
}

Result<void> BlockAllocator::settle_freed() {
  std::lock_guard one_at_a_time(settle_mutex_);
  std::vector<Span> spans;
  {
    std::lock_guard lock(mutex_);
    spans = take_durable();
    settling_ = !spans.empty();
  }
  Result<void> outcome;
  for (const Span& span : spans) {
    if (core_.options.discard) {
      Result<void> discarded =
          core_.device->discard(span.block * format::kBlockBytes, span.count * format::kBlockBytes);
      if (!discarded && outcome) outcome = discarded;
    }
    std::lock_guard lock(mutex_);
    busy_.remove(span.block, span.count);
    forget_hints(span.block, span.count);
  }
  std::lock_guard lock(mutex_);
  settling_ = false;
  if (!spans.empty()) ++settled_;
  return outcome;
}

Result<bool> BlockAllocator::make_room(uint64_t since) {
  {
    std::lock_guard lock(mutex_);
    if (pending_.empty() && !settling_) return settled_ != since;
  }
  RVM_TRY(core_.rvm->flush());
  RVM_TRY(settle_freed());
  return true;
}

Result<VolumeStatus> BlockAllocator::status() {
  RVM_ASSIGN(const BlockGroups::Totals totals, BlockGroups(*core_.space, *core_.pool).totals());
  VolumeStatus status;
  status.blocks_total = totals.blocks;
  status.blocks_free = totals.blocks - totals.used;
  status.blocks_available =
      status.blocks_free - std::min(status.blocks_free, kept_blocks(totals.blocks));
  if (core_.device->can_grow()) {
    const uint64_t host_blocks = core_.device->host_bytes_free() / format::kBlockBytes;
    status.blocks_available = std::min(status.blocks_available, host_blocks);
  }
  return status;
}

}  // namespace rvmfs
