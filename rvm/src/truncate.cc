// SPDX-License-Identifier: BSD-2-Clause
//
// Truncation: moving committed bytes home so that the head of the log can advance.
//
// Incremental: copies dirty pages straight from memory, oldest first. Only quiescent pages (every
// committed byte in the log, no other byte in memory) are taken, so what goes home is never ahead
// of the log. A page that is busy all the time holds the head back; then an epoch truncation, which
// reads the log instead of memory, moves past it.
//
// The head advances only after the pages are durable at home, and the room is used only after the
// status block that says so is durable.

#include <algorithm>

#include "bytes.h"
#include "instance.h"
#include "replay.h"
#include "seeded_bug.h"

namespace rvm {

struct CopiedPage {
  RegionState* region;
  uint64_t version;
  uint64_t home_lsn;  // the copy has every byte of the log before this
  PageImage image;
};

void Rvm::Impl::mark_dirty(RegionState& region, uint64_t page, uint64_t first_lsn,
                           uint64_t last_lsn) {
  PageState& state = region.pages[page];
  if (state.first_lsn == kNoLsn) {
    state.first_lsn = first_lsn;
    dirty.insert({first_lsn, &region, page});
  }
  state.last_lsn = last_lsn;
}

// The page's home has every byte of the log before home_lsn, where some of it stood that it lacked.
void Rvm::Impl::mark_home(RegionState& region, uint64_t page, uint64_t home_lsn) {
  PageState& state = region.pages[page];
  dirty.erase({state.first_lsn, &region, page});
  state.first_lsn = kNoLsn;
  if (state.last_lsn > home_lsn) {
    state.first_lsn = home_lsn;
    dirty.insert({home_lsn, &region, page});
  }
}

Result<std::vector<CopiedPage>> Rvm::Impl::copy_oldest(uint64_t before_lsn, size_t count) {
  std::vector<CopiedPage> copies;
  const std::lock_guard lock(mutex);
  for (const DirtyPage& entry : dirty) {
    if (entry.first_lsn >= before_lsn || copies.size() == count) break;
    const PageState& state = entry.region->pages[entry.page];
    if (!state.quiescent() && !RVM_SEEDED_BUG("uncommitted_page_home")) continue;
    if (!page_matches_shadow(*entry.region, entry.page)) {
      return Error{Errc::undeclared_change, 0, entry.page * kPageBytes,
                   "a byte was changed outside every declared range"};
    }
    auto bytes = std::make_unique_for_overwrite<std::byte[]>(kPageBytes);
    std::memcpy(bytes.get(), entry.region->page_bytes(entry.page), kPageBytes);
    copies.push_back({entry.region, state.version, tail.lsn,
                      PageImage{entry.region->geometry, entry.page, std::move(bytes)}});
  }
  return copies;
}

Result<void> Rvm::Impl::truncate_incremental_locked() {
  format::StatusBlock status = log->status();
  if (RVM_SEEDED_BUG("head_advanced_early")) RVM_TRY(pretend_home(status));
  uint64_t target = 0;
  {
    const std::lock_guard lock(mutex);
    target = tail.lsn;
    if (head_lsn == target) return {};
    ++stats.truncations_incremental;
  }
  const size_t count = log->journal_pages();
  for (;;) {
    RVM_ASSIGN(std::vector<CopiedPage> copies, copy_oldest(target, count));
    if (copies.empty()) break;
    std::vector<PageImage> images;
    images.reserve(copies.size());
    for (CopiedPage& copy : copies) images.push_back(std::move(copy.image));
    if (auto written = store->write(images, copies.front().home_lsn, status); !written) {
      // Pages that are half home are whole in the journal only, and stay so until recovery.
      if (store->home_incomplete()) failed = true;
      return written;
    }
    const std::lock_guard lock(mutex);
    for (size_t i = 0; i < copies.size(); ++i) {
      mark_home(*copies[i].region, images[i].page, copies[i].home_lsn);
    }
    stats.pages_written_home += copies.size();
  }
  return advance_head(status);
}

Result<void> Rvm::Impl::truncate_epoch_locked() {
  format::StatusBlock status = log->status();
  LogPosition target;
  {
    const std::lock_guard lock(mutex);
    target = tail;
    if (head_lsn == target.lsn) return {};
    ++stats.truncations_epoch;
  }
  RVM_ASSIGN(const LogScan scan,
             scan_live_log(*log, status.head_lsn, status.head_sequence, target.lsn));
  std::span<const UnitPlace> left(scan.units);
  while (!left.empty()) {
    const size_t count = epoch_units(left, options.recovery_bytes_max);
    auto replayed = replay(*log, *store, left.first(count), {}, target.lsn, status, LogState::live);
    if (!replayed && store->home_incomplete()) failed = true;
    RVM_ASSIGN(const ReplayResult result, std::move(replayed));
    left = left.subspan(count);
    const uint64_t home_lsn = left.empty() ? target.lsn : left.front().lsn;
    const std::lock_guard lock(mutex);
    stats.pages_written_home += result.pages;
    while (!dirty.empty() && dirty.begin()->first_lsn < home_lsn) {
      const DirtyPage oldest = *dirty.begin();
      mark_home(*oldest.region, oldest.page, home_lsn);
    }
  }
  return advance_head(status);
}

// not covered: only the seeded bug calls it: everything counts as home, and the status says so,
// before it is written.
Result<void> Rvm::Impl::pretend_home(format::StatusBlock status) {
  {
    const std::lock_guard lock(mutex);
    status.head_lsn = tail.lsn;
    status.head_sequence = tail.sequence;
  }
  return log->write_status(status, log->segments());
}

// The head moves to the oldest group that a dirty page still needs.
Result<void> Rvm::Impl::advance_head(format::StatusBlock& status) {
  LogPosition head;
  {
    const std::lock_guard lock(mutex);
    const bool all_home = dirty.empty() || RVM_SEEDED_BUG("head_past_busy_pages");
    const uint64_t oldest = all_home ? tail.lsn : dirty.begin()->first_lsn;
    while (!groups.empty() && groups.front().lsn < oldest) groups.pop_front();
    head = groups.empty() ? tail : groups.front();
  }
  // Copies of the client's data leave the log: their homes have to be durable.
  bool flush_data = false;
  {
    const std::lock_guard lock(mutex);
    flush_data = client_data.has_live_before(head.lsn);
  }
  if (flush_data && !RVM_SEEDED_BUG("data_home_flush_skipped")) RVM_TRY(flush_device());
  status.head_lsn = head.lsn;
  status.head_sequence = head.sequence;
  if (auto written = log->write_status(status, log->segments()); !written) {
    if (written.error().code != Errc::no_space) failed = true;
    return written;
  }
  const std::lock_guard lock(mutex);
  head_lsn = head.lsn;
  client_data.head_advanced(head.lsn);
  return {};
}

Result<void> Rvm::Impl::truncate(Truncation mode) {
  RVM_TRY(usable());
  RVM_TRY(force(false));
  uint64_t target = 0;
  {
    const std::lock_guard lock(mutex);
    target = tail.lsn;
  }
  const std::lock_guard truncating(truncate_mutex);
  if (mode == Truncation::incremental) {
    RVM_TRY(truncate_incremental_locked());
    const std::lock_guard lock(mutex);
    if (head_lsn >= target) return {};
  }
  return truncate_epoch_locked();
}

void Rvm::Impl::background_loop() {
  std::unique_lock lock(mutex);
  while (!stopping) {
    const uint64_t threshold = log->record_bytes() / 100 * tuning.truncate_percent;
    if (tuning.truncate_percent > 100 || failed || log_bytes_used() <= threshold) {
      background_wakeup.wait(lock);
      continue;
    }
    lock.unlock();
    const auto truncated = truncate(Truncation::incremental);
    lock.lock();
    // The committing side meets the same error when the log is full, and reports it; trying again
    // in a tight loop helps nobody.
    if (!truncated && !stopping) background_wakeup.wait_for(lock, std::chrono::seconds(1));
  }
}

}  // namespace rvm
