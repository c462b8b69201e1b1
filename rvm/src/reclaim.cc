// SPDX-License-Identifier: BSD-2-Clause
//
// Dropping clean pages: a clock hand goes round all regions; a page that was accessed since the
// hand last came by gets a second chance.

#include <sys/mman.h>

#include "instance.h"

namespace rvm {

bool Rvm::wants_reclaim() const {
  return impl_->resident_pages.load(std::memory_order_relaxed) * kPageBytes >
         impl_->resident_bytes_max.load(std::memory_order_relaxed);
}

uint64_t Rvm::reclaim(uint64_t resident_bytes) {
  Impl& impl = *impl_;
  const std::lock_guard lock(impl.mutex);
  if (impl.regions.empty()) return 0;
  uint64_t pages_seen = 0;
  uint64_t pages_total = 0;
  for (const auto& region : impl.regions) pages_total += region->state_->page_count;
  uint64_t dropped = 0;
  // Two rounds: the first may only clear the marks.
  while (impl.resident_pages.load() * kPageBytes > resident_bytes &&
         pages_seen < 2 * pages_total + 1) {
    if (impl.clock_region >= impl.regions.size()) impl.clock_region = 0;
    RegionState& region = *impl.regions[impl.clock_region]->state_;
    if (impl.clock_page >= region.page_count || !region.droppable) {
      pages_seen += region.droppable ? 0 : region.page_count;
      ++impl.clock_region;
      impl.clock_page = 0;
      continue;
    }
    const uint64_t page = impl.clock_page++;
    ++pages_seen;
    PageState& state = region.pages[page];
    const uint8_t flags = state.flags.load(std::memory_order_relaxed);
    if ((flags & PageState::kResident) == 0 || !state.quiescent() || state.first_lsn != kNoLsn) {
      continue;
    }
    if ((flags & PageState::kAccessed) != 0) {
      state.flags.store(PageState::kResident, std::memory_order_relaxed);
      continue;
    }
    state.flags.store(0, std::memory_order_release);
    (void)madvise(region.page_bytes(page), kPageBytes, MADV_DONTNEED);
    if (region.shadow != nullptr) {
      (void)madvise(region.shadow + page * kPageBytes, kPageBytes, MADV_DONTNEED);
    }
    impl.resident_pages.fetch_sub(1);
    ++dropped;
  }
  if (dropped != 0) impl.drop_epoch.fetch_add(1);
  impl.stats.pages_dropped += dropped;
  return dropped * kPageBytes;
}

}  // namespace rvm
