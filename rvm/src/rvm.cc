// SPDX-License-Identifier: BSD-2-Clause
//
// An instance from initialize (which recovers) to close, its segments, settings and figures.

#include "rvm/rvm.h"

#include <algorithm>
#include <utility>

#include "instance.h"
#include "overlay_device.h"
#include "replay.h"
#include "seeded_bug.h"

namespace rvm {
namespace {

Result<std::shared_ptr<Device>> open_as_file(std::string_view name, bool read_only) {
  FileOptions options;
  options.read_only = read_only;
  return open_file_device(std::string(name), options);
}

// Recovery. Steps, each of which may be cut and repeated:
//   1. flush: what we are about to read must not be lost after we acted on it. If an earlier flush
//      failed, the host may show a journal batch, or the last unit, that never reached the medium,
//      and no flush will bring it there: so the host has to forget what it knows of the log. (To
//      write both once more would not do. What is on the medium may be needed, and a write that is
//      cut leaves garbage.) The status needs no such care, old or new: the log from the older
//      head on is whole until the next status is durable, and may be replayed again.
//   2. the page journal is read, and the log from the head; a torn tail is cut; damage in the
//      middle, or a place that the log may not name, is an error, and nothing was written yet
//   3. a whole journal batch goes home again
//   4. data that the client wrote go home, the newest copy of each byte
//   5. epochs of the log are replayed, oldest first; the head advances after each
//   6. a new generation makes the log empty
Result<RecoveryReport> recover(LogArea& log, PageStore& store, const LogPlaces& places,
                               uint64_t epoch_bytes_max, LogPosition& tail) {
  RecoveryReport report;
  if (!RVM_SEEDED_BUG("recovery_flush_skipped")) RVM_TRY(log.device().flush());
  if (!RVM_SEEDED_BUG("stale_cache_believed")) log.forget_cached();
  format::StatusBlock status = log.status();
  RVM_ASSIGN(const JournalBatch batch, store.read_journal(status));
  for (const format::JournalEntry& entry : batch.entries) {
    RVM_TRY(places.check_page(entry.segment, entry.offset));
  }
  // What the scan keeps is at most what the first epoch needs.
  RVM_ASSIGN(LogScan scan, scan_found_log(log, status.head_lsn, status.head_sequence, batch.log_lsn,
                                          places, epoch_bytes_max));
  RVM_TRY(store.write_home(batch, status));
  report.tail_was_torn = scan.tail_was_torn;
  report.was_needed = !scan.units.empty();
  report.log_bytes = scan.end_lsn - status.head_lsn;
  if (!scan.data.empty()) {
    report.data_bytes = scan.data.bytes();
    RVM_TRY(scan.data.write_home(log));
    RVM_TRY(log.device().flush());
  }
  std::span<const UnitPlace> left(scan.units);
  for (const UnitPlace& unit : left) report.transactions += unit.transactions;
  if (RVM_SEEDED_BUG("recovery_head_first")) {
    format::StatusBlock early = status;
    early.head_lsn = scan.end_lsn;
    early.head_sequence = scan.next_sequence;
    RVM_TRY(log.write_status(early, log.segments()));
  }
  while (!left.empty()) {
    const size_t count = epoch_units(left, epoch_bytes_max);
    RVM_ASSIGN(const ReplayResult result,
               replay(log, store, left.first(count), std::exchange(scan.contents, {}), scan.end_lsn,
                      status, LogState::recovering));
    report.pages_written += result.pages;
    report.pages_damaged += result.pages_damaged;
    left = left.subspan(count);
    if (left.empty()) break;
    status.head_lsn = left.front().lsn;
    status.head_sequence = left.front().sequence;
    RVM_TRY(log.write_status(status, log.segments()));
  }
  status.head_lsn = scan.end_lsn;
  status.head_sequence = scan.next_sequence;
  if (!RVM_SEEDED_BUG("generation_kept")) ++status.generation;
  RVM_TRY(log.write_status(status, log.segments()));
  tail = {scan.end_lsn, scan.next_sequence, 0};
  return report;
}

}  // namespace

Result<void> Rvm::create_log(Device& device, const LogOptions& options) {
  return LogArea::create(device, options);
}

Rvm::Rvm(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Rvm>> Rvm::initialize(Options options) {
  auto impl = std::make_unique<Impl>();
  if (!options.open_segment) options.open_segment = open_as_file;
  if (options.read_only) options.log_device = make_overlay_device(options.log_device);
  impl->options = std::move(options);
  impl->set_tuning(impl->options.tuning);
  RVM_ASSIGN(impl->log, LogArea::open(impl->options.log_device, impl->options.log_offset));
  impl->segment_names = impl->log->segments();
  Impl* const inside = impl.get();
  const auto segments = [inside](SegmentId id) { return inside->segment(id); };
  impl->store = std::make_unique<PageStore>(*impl->log, segments);
  const LogPlaces places(*impl->log, segments, impl->options.log_may_name, impl->options.read_only);
  RVM_ASSIGN(impl->recovery, recover(*impl->log, *impl->store, places,
                                     impl->options.recovery_bytes_max, impl->tail));
  impl->head_lsn = impl->tail.lsn;
  impl->generation = impl->log->status().generation;
  if (impl->options.background && !impl->options.read_only) {
    impl->background = std::thread([inside] { inside->background_loop(); });
  }
  return std::unique_ptr<Rvm>(new Rvm(std::move(impl)));
}

Rvm::~Rvm() {
  if (!impl_->closed) {
    const auto closed = close();
    if (!closed) abandon();  // a destructor has nobody to tell
  }
}

Result<void> Rvm::close() {
  if (impl_->closed) return {};
  {
    const std::lock_guard lock(impl_->mutex);
    if (!impl_->open.empty()) {
      return Error{Errc::uncommitted, 0, impl_->open.size(), "transactions are still open"};
    }
  }
  Result<void> flushed;
  if (!impl_->options.read_only) flushed = impl_->force(false);
  abandon();
  return flushed;
}

void Rvm::abandon() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    impl_->closed = true;
    impl_->failed = true;
  }
  impl_->background_wakeup.notify_all();
  if (impl_->background.joinable()) impl_->background.join();
}

// ---- segments
// ------------------------------------------------------------------------------------

Result<std::shared_ptr<Device>> Rvm::Impl::segment(SegmentId id) {
  if (id == kLogDeviceSegment) return options.log_device;
  const std::lock_guard lock(segments_mutex);
  if (const auto found = segment_devices.find(id); found != segment_devices.end()) {
    return found->second;
  }
  for (const SegmentName& name : segment_names) {
    if (name.id != id) continue;
    RVM_ASSIGN(std::shared_ptr<Device> device, options.open_segment(name.name, options.read_only));
    if (options.read_only) device = make_overlay_device(std::move(device));
    segment_devices[id] = device;
    return device;
  }
  return Error{Errc::no_segment, 0, id, "the log does not know this segment"};
}

Result<SegmentId> Rvm::Impl::open_segment(std::string_view name) {
  // The status block is changed under the truncation lock only.
  const std::lock_guard truncating(truncate_mutex);
  SegmentId id = 0;
  std::vector<SegmentName> names = log->segments();
  for (const SegmentName& known : names) {
    if (known.name == name) id = known.id;
  }
  if (id != 0) {
    RVM_TRY(segment(id));
    return id;
  }
  RVM_TRY(usable());
  RVM_ASSIGN(std::shared_ptr<Device> device, options.open_segment(name, false));
  id = 1;
  for (const SegmentName& known : names) id = std::max(id, known.id + 1);
  names.push_back({id, std::string(name)});
  if (auto written = log->write_status(log->status(), names); !written) {
    const Errc code = written.error().code;
    if (code != Errc::full && code != Errc::no_space) failed = true;
    return written.error();
  }
  const std::lock_guard lock(segments_mutex);
  segment_names = std::move(names);
  segment_devices[id] = std::move(device);
  return id;
}

Result<SegmentId> Rvm::open_segment(std::string_view name) { return impl_->open_segment(name); }

// ---- the rest of the interface
// ---------------------------------------------------------------------

Result<void> Rvm::flush(bool and_data) {
  if (impl_->options.read_only) return {};
  return impl_->force(and_data);
}

void Rvm::note_write(uint64_t offset, uint64_t length) {
  if (length == 0 || RVM_SEEDED_BUG("data_note_forgotten")) return;
  const std::lock_guard lock(impl_->mutex);
  impl_->client_data.note_write(offset, length);
  impl_->noted_ranges.store(impl_->client_data.pending_ranges(), std::memory_order_relaxed);
}

void Rvm::note_reuse(uint64_t offset, uint64_t length) {
  if (length == 0) return;
  const std::lock_guard lock(impl_->mutex);
  impl_->client_data.note_reuse(offset, length);
}

bool Rvm::is_durable(CommitTicket ticket) const { return ticket <= impl_->durable_ticket.load(); }

Result<void> Rvm::truncate(Truncation mode) { return impl_->truncate(mode); }

bool Rvm::wants_flush() const {
  constexpr size_t kNotedRangesMax = 32768;
  return impl_->spool_bytes.load(std::memory_order_relaxed) >
             impl_->spool_bytes_max.load(std::memory_order_relaxed) / 2 ||
         impl_->noted_ranges.load(std::memory_order_relaxed) > kNotedRangesMax;
}

bool Rvm::failed() const { return impl_->failed; }

void Rvm::declare_failed() { impl_->failed = true; }

void Rvm::set_tuning(const Tuning& tuning) {
  const std::lock_guard lock(impl_->mutex);
  impl_->set_tuning(tuning);
  impl_->background_wakeup.notify_one();
}

void Rvm::Impl::set_tuning(const Tuning& changed) {
  tuning = changed;
  spool_bytes_max = changed.spool_bytes_max;
  resident_bytes_max = changed.resident_bytes_max;
}

Tuning Rvm::tuning() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->tuning;
}

Statistics Rvm::statistics() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->stats;
}

Query Rvm::query() const {
  const std::lock_guard lock(impl_->mutex);
  Query query{};
  query.log_bytes_capacity = impl_->log->record_bytes();
  query.log_bytes_used = impl_->log_bytes_used();
  query.resident_bytes = impl_->resident_pages * kPageBytes;
  query.spool_bytes = impl_->spool->bytes + impl_->in_flight_bytes;
  query.dirty_pages = impl_->dirty.size();
  query.open_transactions = static_cast<uint32_t>(impl_->open.size());
  query.mapped_regions = static_cast<uint32_t>(impl_->regions.size());
  query.last_commit = impl_->last_ticket;
  query.last_durable = impl_->durable_ticket;
  query.failed = impl_->failed;
  query.read_only = impl_->options.read_only;
  query.recovery = impl_->recovery;
  return query;
}

std::vector<uint64_t> Rvm::open_transaction_ids() const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<uint64_t> ids;
  for (const TransactionState* tx : impl_->open) ids.push_back(tx->id);
  return ids;
}

}  // namespace rvm
