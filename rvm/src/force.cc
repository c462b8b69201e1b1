// SPDX-License-Identifier: BSD-2-Clause
//
// Forcing the spool to the log: the commit point, room in the log.
//
// One thread leads at a time (group_commit.cc says which). It detaches the spool, writes it as one
// atomic group of units, and wakes everybody whose request was issued before it detached.
//
// A unit is durable before the next one is begun (rvm/log_format.h says why). The durable write of
// the group's last unit is the commit of every transaction in it.
//
// What the client wrote to the device by itself goes with the group, or is flushed before it
// (client_data.h).

#include <algorithm>

#include "bytes.h"
#include "instance.h"
#include "seeded_bug.h"

namespace rvm {
namespace {

// Of a unit, for data that are logged: the rest is for transactions.
constexpr uint64_t kDataShareOfUnit = 4;

void add_spool(const Spool& batch, UnitBuilder& builder) {
  for (const SpoolRecord& record : batch.records) {
    builder.add(record.region, record.region->geometry, record.type, record.offset, record.length,
                batch.record_bytes.data() + record.bytes_at);
  }
  // In address order: adjacent pages share region entries, and the log reads well.
  std::vector<const SpoolPage*> pages;
  pages.reserve(batch.pages.size());
  for (const auto& page : batch.pages) pages.push_back(page.get());
  std::sort(pages.begin(), pages.end(), [](const SpoolPage* a, const SpoolPage* b) {
    return a->region != b->region ? std::less<>()(a->region, b->region) : a->page < b->page;
  });
  constexpr uint64_t kZeroRunMin = 32;  // shorter ones are cheaper as bytes
  for (const SpoolPage* page : pages) {
    page->for_each_run([&](uint64_t begin, uint64_t end) {
      const std::span<const std::byte> run(page->bytes.data() + begin, end - begin);
      const bool zeros = run.size() >= kZeroRunMin && all_zero(run);
      builder.add(page->region, page->region->geometry,
                  zeros ? format::RecordType::zeros : format::RecordType::bytes,
                  page->page * kPageBytes + begin, run.size(), run.data());
    });
  }
}

}  // namespace

Result<void> Rvm::Impl::lead(std::unique_lock<std::mutex>& lock) {
  force_running = true;
  std::unique_ptr<Spool> batch = std::exchange(spool, std::make_unique<Spool>());
  spool_bytes.store(0, std::memory_order_relaxed);
  in_flight_bytes = batch->bytes;
  for (const auto& page : batch->pages) {
    PageState& state = page->region->pages[page->page];
    state.spool = nullptr;
    ++state.in_flight;
  }
  for (const SpoolRecord& record : batch->records) {
    if (record.type != format::RecordType::bytes) continue;
    PageState& state = record.region->pages[record.offset / kPageBytes];
    --state.raw_records;
    ++state.in_flight;
  }
  const bool must = batch->after_device_writes || data_wanted > data_durable;
  const ClientDataBatch data = client_data.take(
      must, std::min(tuning.data_log_bytes_max, log->unit_bytes_max() / kDataShareOfUnit));
  noted_ranges.store(client_data.pending_ranges(), std::memory_order_relaxed);
  ++stats.forces;
  lock.unlock();

  LogPosition end = tail;  // only the leader changes it
  const Result<void> result = write_out(*batch, data, end);

  lock.lock();
  force_running = false;
  in_flight_bytes = 0;
  if (result) {
    if (end.lsn != tail.lsn) group_written(*batch, data, end);
    data_durable = std::max(data_durable, data.note);
  } else if (!failed && RVM_SEEDED_BUG("refused_batch_dropped")) {
    durable_ticket.store(std::max(durable_ticket.load(), batch->last_ticket));
  } else if (!failed) {
    put_back(std::move(batch));
    client_data.put_back(data);
  }
  serve_waiters(result.has_value(), lock);
  return result;
}

// A flush that failed may have lost what was written before it, and the next one would not tell.
Result<void> Rvm::Impl::flush_device() {
  Result<void> flushed = log->device().flush();
  if (!flushed) failed = !RVM_SEEDED_BUG("failed_flush_forgotten");
  const std::lock_guard lock(mutex);
  ++stats.device_flushes;
  return flushed;
}

Result<void> Rvm::Impl::write_out(const Spool& batch, const ClientDataBatch& data,
                                  LogPosition& end) {
  if (data.flush && !RVM_SEEDED_BUG("data_flush_skipped")) {
    RVM_TRY(flush_device());
    const std::lock_guard lock(mutex);
    ++stats.data_flushes;
  }
  if (batch.empty() && !data.writes_records()) return {};
  UnitBuilder builder(log->unit_bytes_max(), log->block_bytes());
  RVM_TRY(add_records(data, log->device(), builder));
  const uint64_t data_bytes = builder.payload_bytes();
  add_spool(batch, builder);
  std::vector<BuiltUnit> units = builder.finish();
  uint64_t bytes = 0;
  for (const BuiltUnit& unit : units) bytes += unit.bytes.size();
  RVM_TRY(make_room(bytes));
  RVM_TRY(prepare_log(bytes));
  RVM_TRY(write_group(units, batch.transactions, end));
  const std::lock_guard lock(mutex);
  stats.log_units_written += units.size();
  stats.log_bytes_written += bytes;
  stats.log_payload_bytes += builder.payload_bytes();
  stats.data_bytes_logged += data_bytes;
  stats.device_flushes += units.size();
  return {};
}

// not covered: only the seeded bug calls it: all units of a group are on their way before the first
// of them is durable.
Result<void> Rvm::Impl::write_unflushed(std::vector<BuiltUnit>& units, uint32_t transactions) {
  LogPosition at = tail;
  for (BuiltUnit& unit : units) {
    const bool last = &unit == &units.back();
    seal(unit, generation, at.sequence++, at.lsn, at.previous_bytes,
         last ? 0 : format::kUnitContinues, last ? transactions : 0);
    RVM_TRY(log->write(at.lsn, unit.bytes));
    at.previous_bytes = static_cast<uint32_t>(unit.bytes.size());
    at.lsn += unit.bytes.size();
  }
  return {};
}

// The commit point: when the last unit is durable, so is the group.
Result<void> Rvm::Impl::write_group(std::vector<BuiltUnit>& units, uint32_t transactions,
                                    LogPosition& end) {
  if (RVM_SEEDED_BUG("group_written_early")) RVM_TRY(write_unflushed(units, transactions));
  for (size_t i = 0; i < units.size(); ++i) {
    const bool last = i + 1 == units.size();
    seal(units[i], generation, end.sequence, end.lsn, end.previous_bytes,
         last ? 0 : format::kUnitContinues, last ? transactions : 0);
    const Result<void> written = log->write_durable(end.lsn, units[i].bytes);
    // A full host poisons nothing: the unit does not count, and the next try writes over it. Behind
    // the first unit of a group that is no longer so (the reader would see units of two tries).
    if (!written && (written.error().code != Errc::no_space || i > 0)) {
      failed = !RVM_SEEDED_BUG("failed_flush_forgotten");
    }
    RVM_TRY(written);
    end.previous_bytes = static_cast<uint32_t>(units[i].bytes.size());
    end.lsn += units[i].bytes.size();
    ++end.sequence;
  }
  return {};
}

// Publishes a durable group: the new tail and its dirty pages become visible to truncation
// together.
void Rvm::Impl::group_written(const Spool& batch, const ClientDataBatch& data,
                              const LogPosition& end) {
  groups.push_back({tail.lsn, tail.sequence, tail.previous_bytes});
  const uint64_t group_lsn = std::exchange(tail, end).lsn;
  client_data.logged(data, group_lsn);
  for (const auto& page : batch.pages) {
    --page->region->pages[page->page].in_flight;
    mark_dirty(*page->region, page->page, group_lsn, end.lsn);
  }
  for (const SpoolRecord& record : batch.records) {
    if (record.type != format::RecordType::bytes) continue;
    --record.region->pages[record.offset / kPageBytes].in_flight;
    mark_dirty(*record.region, record.offset / kPageBytes, group_lsn, end.lsn);
  }
  durable_ticket.store(std::max(durable_ticket.load(), batch.last_ticket));
  const uint64_t threshold = log->record_bytes() / 100 * tuning.truncate_percent;
  if (log_bytes_used() > threshold) background_wakeup.notify_one();
}

// A batch that could not be written goes back beneath what was committed since.
void Rvm::Impl::put_back(std::unique_ptr<Spool> batch) {
  std::unique_ptr<Spool> newer = std::exchange(spool, std::move(batch));
  for (const auto& page : spool->pages) {
    PageState& state = page->region->pages[page->page];
    --state.in_flight;
    if (state.spool != nullptr) {
      // The older page keeps its place and takes the newer bytes.
      SpoolPage& newest = *state.spool;
      newest.merge_older(*page);
      *page = newest;
    }
    state.spool = page.get();
  }
  for (const SpoolRecord& record : spool->records) {
    if (record.type != format::RecordType::bytes) continue;
    PageState& state = record.region->pages[record.offset / kPageBytes];
    --state.in_flight;
    ++state.raw_records;
  }
  for (auto& page : newer->pages) {
    PageState& state = page->region->pages[page->page];
    if (state.spool == page.get()) spool->pages.push_back(std::move(page));
  }
  for (SpoolRecord record : newer->records) {
    record.bytes_at += spool->record_bytes.size();
    spool->records.push_back(record);
  }
  spool->record_bytes.insert(spool->record_bytes.end(), newer->record_bytes.begin(),
                             newer->record_bytes.end());
  spool->bytes += newer->bytes;
  spool->transactions += newer->transactions;
  spool->after_device_writes |= newer->after_device_writes;
  spool->last_ticket = std::max(spool->last_ticket, newer->last_ticket);
  spool_bytes.store(spool->bytes, std::memory_order_relaxed);
}

// A log that is written for the first time: the host takes twice as long for a durable write where
// it has to mark blocks as written as well. So that is done ahead, in larger pieces.
Result<void> Rvm::Impl::prepare_log(uint64_t bytes) {
  constexpr uint64_t kAhead = 1 << 20;
  if (tail.lsn + bytes <= prepared_lsn) return {};
  uint64_t free_end = log->record_bytes();
  {
    const std::lock_guard lock(mutex);
    free_end += head_lsn;
  }
  if (RVM_SEEDED_BUG("room_one_block_short")) free_end += log->block_bytes();
  const uint64_t begin = std::max(prepared_lsn, tail.lsn);
  const uint64_t end = std::min(round_down(tail.lsn + bytes + kAhead, kPageBytes), free_end);
  const Result<void> prepared = log->prepare(begin, end - begin);
  // Without space on the host the write itself may still find room, or says so.
  if (!prepared && prepared.error().code != Errc::no_space) {
    failed = true;
    return prepared;
  }
  prepared_lsn = end;
  return {};
}

// Waits until `bytes` fit the log. Called by the leader, without `mutex`.
Result<void> Rvm::Impl::make_room(uint64_t bytes) {
  const uint64_t slack = RVM_SEEDED_BUG("room_one_block_short") ? log->block_bytes() : 0;
  for (;;) {
    {
      const std::lock_guard lock(mutex);
      if (log->record_bytes() + slack - log_bytes_used() >= bytes) return {};
      // not covered: Transaction::end() keeps what waits for the log well below its size. (But here
      // we would try for ever.)
      if (bytes > log->record_bytes()) {
        return Error{Errc::too_big, 0, bytes, "more lazy commits than the log can hold"};
      }
      ++stats.log_full_waits;
    }
    // A truncation under way may have made the room when we get the lock; else make all of it.
    const std::lock_guard truncating(truncate_mutex);
    {
      const std::lock_guard lock(mutex);
      if (log->record_bytes() - log_bytes_used() >= bytes) return {};
    }
    RVM_TRY(truncate_epoch_locked());
  }
}

}  // namespace rvm
