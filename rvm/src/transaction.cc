// SPDX-License-Identifier: BSD-2-Clause
//
// Transactions: declaring ranges, undo copies, commit into the spool, abort, and the check for
// bytes that were changed without being declared.

#include <algorithm>
#include <array>
#include <cstring>

#include "bytes.h"
#include "instance.h"
#include "seeded_bug.h"

namespace rvm {
namespace {

// How many of the newest ranges are searched for one that covers a new one.
constexpr size_t kRangesLookedBack = 6;

Error no_transaction() { return Error{Errc::no_transaction, 0, 0, "the transaction has ended"}; }

template <typename Visit>
void for_each_page(const DeclaredRange& range, Visit&& visit) {
  const uint64_t last = (range.offset + range.length - 1) / kPageBytes;
  for (uint64_t page = range.offset / kPageBytes; page <= last; ++page) {
    visit(range.region->pages[page], page);
  }
}

// Sorts and merges duplicate, overlapping and adjacent ranges (the intra-transaction optimisation).
void coalesce(std::vector<DeclaredRange>& ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const DeclaredRange& a, const DeclaredRange& b) {
    return a.region != b.region ? std::less<>()(a.region, b.region) : a.offset < b.offset;
  });
  size_t kept = 0;
  for (const DeclaredRange& range : ranges) {
    if (kept > 0 && ranges[kept - 1].region == range.region &&
        range.offset <= ranges[kept - 1].offset + ranges[kept - 1].length) {
      DeclaredRange& last = ranges[kept - 1];
      last.length = std::max(last.length, range.offset + range.length - last.offset);
    } else {
      ranges[kept++] = range;
    }
  }
  ranges.resize(kept);
}

// Of a hashed region the first page of each table page's share, of another one every page.
uint64_t pages_between_formatted(const RegionState& region) {
  return region.geometry.hashed ? format::kHashesPerPage : 1;
}

// At most what the transaction takes in the log. Counted with one more record header per page that
// a range touches, and a region entry.
uint64_t log_bytes_of(const TransactionState& tx) {
  uint64_t bytes = 0;
  for (const DeclaredRange& range : tx.ranges) {
    bytes += range.length + (range.length / kPageBytes + 2) * sizeof(format::RecordHeader) +
             sizeof(format::RegionEntry);
  }
  for (const RegionState* region : tx.formats) {
    bytes += (region->page_count / pages_between_formatted(*region) + 2) *
             (2 * sizeof(format::RecordHeader) + sizeof(format::RegionEntry));
  }
  return bytes;
}

}  // namespace

Transaction::Transaction(std::unique_ptr<TransactionState> state) : state_(std::move(state)) {}
Transaction::Transaction(Transaction&& other) noexcept = default;

Transaction& Transaction::operator=(Transaction&& other) noexcept {
  if (this != &other) {
    Transaction ended(std::move(*this));
    state_ = std::move(other.state_);
  }
  return *this;
}

Transaction::~Transaction() {
  if (state_) drop();
}

// Without undo copies there is no way back: the memory keeps what it has, and nothing is logged.
void Transaction::drop() {
  {
    Rvm::Impl& impl = *state_->impl;
    const std::lock_guard lock(impl.mutex);
    if (state_->restore) {
      impl.undo(*state_);
      ++impl.stats.transactions_aborted;
    }
    impl.release(*state_);
  }
  state_.reset();
}

Transaction Rvm::begin(Restore mode) {
  auto state = std::make_unique<TransactionState>();
  state->impl = impl_.get();
  state->restore = mode == Restore::yes;
  state->ranges.reserve(32);
  const std::lock_guard lock(impl_->mutex);
  state->id = impl_->next_transaction_id++;
  ++impl_->stats.transactions_begun;
  impl_->open.insert(state.get());
  return Transaction(std::move(state));
}

Result<std::byte*> Transaction::modify(Region& region, uint64_t offset, uint64_t length) {
  if (!state_) return no_transaction();
  TransactionState& tx = *state_;
  Rvm::Impl& impl = *tx.impl;
  RVM_TRY(impl.usable());
  RVM_TRY(impl.make_resident(*region.state_, offset, length));
  std::byte* const bytes = region.base_ + offset;
  if (length == 0) return bytes;

  const std::lock_guard lock(impl.mutex);
  ++impl.stats.ranges_declared;
  impl.stats.bytes_declared += length;
  if (impl.tuning.coalesce_ranges) {
    const size_t look_back = std::min(kRangesLookedBack, tx.ranges.size());
    for (size_t i = tx.ranges.size() - look_back; i < tx.ranges.size(); ++i) {
      const DeclaredRange& range = tx.ranges[i];
      if (range.region == region.state_.get() && range.offset <= offset &&
          offset + length <= range.offset + range.length) {
        impl.stats.bytes_saved_intra += length;
        return bytes;
      }
    }
  }
  const DeclaredRange range{region.state_.get(), offset, length, tx.undo.size()};
  if (tx.restore) tx.undo.insert(tx.undo.end(), bytes, bytes + length);
  tx.ranges.push_back(range);
  for_each_page(range, [](PageState& page, uint64_t) { ++page.uncommitted; });
  return bytes;
}

Result<void> Transaction::format(Region& region) {
  if (!state_) return no_transaction();
  Rvm::Impl& impl = *state_->impl;
  RVM_TRY(impl.usable());
  RegionState& state = *region.state_;
  impl.store->format_table(state.geometry);
  const std::lock_guard lock(impl.mutex);
  for (uint64_t page = 0; page < state.page_count; ++page) {
    PageState& p = state.pages[page];
    if ((p.flags.load(std::memory_order_relaxed) & PageState::kResident) != 0) {
      std::memset(state.page_bytes(page), 0, kPageBytes);
      if (state.shadow != nullptr) std::memset(state.shadow + page * kPageBytes, 0, kPageBytes);
    } else if (!state.geometry.hashed) {
      p.flags.store(PageState::kResident | PageState::kAccessed, std::memory_order_release);
      impl.resident_pages.fetch_add(1, std::memory_order_relaxed);
    }
  }
  // A load that read the device before now must not install what it read.
  impl.drop_epoch.fetch_add(1);
  state_->formats.push_back(&state);
  return {};
}

void Transaction::order_after_device_writes() {
  if (state_) state_->after_device_writes = true;
}

// Ends the declarations: pages may be written home again.
void Rvm::Impl::release(TransactionState& tx) {
  for (const DeclaredRange& range : tx.ranges) {
    for_each_page(range, [](PageState& page, uint64_t) { --page.uncommitted; });
  }
  tx.ranges.clear();
  open.erase(&tx);
}

void Rvm::Impl::undo(TransactionState& tx) {
  if (RVM_SEEDED_BUG("undo_forgotten")) return;
  if (RVM_SEEDED_BUG("undo_oldest_first")) std::reverse(tx.ranges.begin(), tx.ranges.end());
  // Newest first: where ranges overlap, the oldest copy holds the original bytes.
  for (auto range = tx.ranges.rbegin(); range != tx.ranges.rend(); ++range) {
    std::memcpy(range->region->region->base() + range->offset, tx.undo.data() + range->undo_at,
                range->length);
  }
  for (const RegionState* region : tx.formats) store->forget_table(region->geometry);
}

Result<void> Transaction::abort() {
  if (!state_) return no_transaction();
  if (!state_->restore) {
    return Error{Errc::invalid_argument, 0, 0, "a no_restore transaction cannot be aborted"};
  }
  drop();
  return {};
}

Result<CommitTicket> Transaction::end(Commit mode) {
  if (!state_) return no_transaction();
  TransactionState& tx = *state_;
  Rvm::Impl& impl = *tx.impl;
  std::unique_lock lock(impl.mutex);
  if (tx.ranges.empty() && tx.formats.empty()) {
    const CommitTicket ticket = impl.last_ticket;
    impl.release(tx);
    ++impl.stats.transactions_committed;
    lock.unlock();
    state_.reset();
    return ticket;
  }
  if (auto usable = impl.usable(); !usable) {
    lock.unlock();
    drop();
    return usable.error();
  }
  const uint64_t log_bytes = log_bytes_of(tx);
  if (log_bytes > impl.log->record_bytes() / 2) {
    return Error{Errc::too_big, 0, log_bytes, "the transaction does not fit the log"};
  }
  // What is on its way counts: it comes back when the host is full, and has to fit with the rest.
  const uint64_t most = impl.log->record_bytes() / 4 * 3 - format::kUnitBytesMax / 64;
  const auto waiting = [&impl] { return impl.spool->bytes + impl.in_flight_bytes; };
  while (waiting() != 0 && waiting() + log_bytes > most) {
    lock.unlock();
    if (const auto forced = impl.force(false); !forced) {
      drop();
      return forced.error();
    }
    lock.lock();
  }
  if (impl.options.check_undeclared) {
    if (auto clean = impl.check_undeclared(tx); !clean) {
      lock.unlock();
      drop();
      return clean.error();
    }
  }
  const CommitTicket ticket = impl.spool_commit(tx);
  impl.open.erase(&tx);
  const bool over = impl.spool->bytes > impl.tuning.spool_bytes_max;
  ++(mode == Commit::flush ? impl.stats.commits_flush : impl.stats.commits_no_flush);
  ++impl.stats.transactions_committed;
  lock.unlock();
  state_.reset();
  if (mode == Commit::flush || over) RVM_TRY(impl.force(false));
  return ticket;
}

bool Rvm::Impl::page_matches_shadow(const RegionState& region, uint64_t page) {
  return region.shadow == nullptr ||
         std::memcmp(region.page_bytes(page), region.shadow + page * kPageBytes, kPageBytes) == 0;
}

// Compares the pages that the transaction touches with their shadow, outside of what any open
// transaction has declared.
Result<void> Rvm::Impl::check_undeclared(const TransactionState& tx) {
  std::set<std::pair<RegionState*, uint64_t>> pages;
  for (const DeclaredRange& range : tx.ranges) {
    for_each_page(range, [&](PageState&, uint64_t page) { pages.emplace(range.region, page); });
  }
  for (const auto& [region, page] : pages) {
    if (page_matches_shadow(*region, page)) continue;
    const uint64_t begin = page * kPageBytes;
    const std::byte* const known = region->shadow + begin;
    std::array<std::byte, kPageBytes> now;  // with what may have changed taken back
    std::memcpy(now.data(), region->page_bytes(page), kPageBytes);
    for (const TransactionState* other : open) {
      for (const DeclaredRange& range : other->ranges) {
        if (range.region != region) continue;
        const uint64_t from = std::max(range.offset, begin);
        const uint64_t to = std::min(range.offset + range.length, begin + kPageBytes);
        if (from < to) std::memcpy(now.data() + (from - begin), region->shadow + from, to - from);
      }
    }
    const auto at = std::mismatch(now.begin(), now.end(), known).first;
    if (at != now.end()) {
      return Error{Errc::undeclared_change, 0, begin + static_cast<uint64_t>(at - now.begin()),
                   "a byte was changed outside every declared range"};
    }
  }
  return {};
}

// ---- into the spool
// ------------------------------------------------------------------------------

uint64_t Rvm::Impl::spool_commit(TransactionState& tx) {
  uint64_t declared = 0;
  for (const DeclaredRange& range : tx.ranges) {
    declared += range.length;
    for_each_page(range, [](PageState& page, uint64_t) { --page.uncommitted; });
  }
  if (tuning.coalesce_ranges) {
    coalesce(tx.ranges);
    uint64_t left = 0;
    for (const DeclaredRange& range : tx.ranges) left += range.length;
    stats.bytes_saved_intra += declared - left;
  }
  const CommitTicket ticket = ++last_ticket;
  for (RegionState* region : tx.formats) {
    spool->records.push_back({region, format::RecordType::format, 0, region->geometry.length, 0});
    spool->bytes += sizeof(format::RecordHeader) + sizeof(format::RegionEntry);
    // Its hash table goes home with the first page of each table page's share. Without one, every
    // page has to go home as zeros.
    const uint64_t step = pages_between_formatted(*region);
    for (uint64_t page = 0; page < region->page_count; page += step) {
      put_in_spool(*region, page * kPageBytes, 8);
    }
  }
  for (const DeclaredRange& range : tx.ranges) {
    put_in_spool(*range.region, range.offset, range.length);
    if (range.region->shadow != nullptr) {
      std::memcpy(range.region->shadow + range.offset, range.region->region->base() + range.offset,
                  range.length);
    }
  }
  ++spool->transactions;
  spool->after_device_writes |= tx.after_device_writes;
  spool->last_ticket = ticket;
  spool_bytes.store(spool->bytes, std::memory_order_relaxed);
  tx.ranges.clear();
  return ticket;
}

void Rvm::Impl::put_in_spool(RegionState& region, uint64_t offset, uint64_t length) {
  if (RVM_SEEDED_BUG("range_one_byte_short")) --length;
  const uint64_t end = offset + length;
  constexpr uint64_t kOverhead = sizeof(format::RecordHeader) + 8;
  while (offset < end) {
    const uint64_t page = offset / kPageBytes;
    const uint64_t piece = std::min(end, (page + 1) * kPageBytes) - offset;
    PageState& state = region.pages[page];
    ++state.version;
    const std::span<const std::byte> bytes(region.region->base() + offset, piece);
    // (A page that is spooled already stays so when the optimisation is switched off.)
    if (tuning.coalesce_transactions || state.spool != nullptr) {
      if (state.spool == nullptr) {
        spool->pages.push_back(std::make_unique_for_overwrite<SpoolPage>());
        state.spool = spool->pages.back().get();
        state.spool->region = &region;
        state.spool->page = page;
        spool->bytes += sizeof(format::RegionEntry);
      }
      const uint64_t fresh = state.spool->put(offset % kPageBytes, bytes);
      stats.bytes_saved_inter += piece - fresh;
      if (fresh != 0) spool->bytes += fresh + kOverhead;
    } else {
      ++state.raw_records;
      spool->records.push_back(
          {&region, format::RecordType::bytes, offset, piece, spool->record_bytes.size()});
      spool->record_bytes.insert(spool->record_bytes.end(), bytes.begin(), bytes.end());
      spool->bytes += piece + kOverhead + sizeof(format::RegionEntry);
    }
    offset += piece;
  }
}

}  // namespace rvm
