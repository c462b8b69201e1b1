// SPDX-License-Identifier: BSD-2-Clause
//
// The inside of an Rvm instance: state shared by the rooms region.cc, transaction.cc,
// group_commit.cc, force.cc, truncate.cc, reclaim.cc and rvm.cc.
//
// Lock order: truncate_mutex -> mutex. Nothing waits for a device while holding `mutex`.
// A force has one leader at a time (force_running); a leader that finds the log full takes
// truncate_mutex. A truncation never waits for a force while holding truncate_mutex: so the two
// cannot wait for each other.
//
// Life of a page: not resident -> resident and clean -> (modify) has uncommitted bytes -> (end) has
// a SpoolPage -> (detached by a force) in flight -> dirty, with the LSN of the oldest log group
// that home lacks -> (truncation) clean -> (reclaim) not resident.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_set>
#include <vector>

#include "client_data.h"
#include "log_area.h"
#include "log_unit.h"
#include "page_store.h"
#include "rvm/rvm.h"
#include "spool.h"

namespace rvm {

inline constexpr uint64_t kNoLsn = UINT64_MAX;

struct PageState {
  static constexpr uint8_t kResident = 1;
  static constexpr uint8_t kAccessed = 2;
  std::atomic<uint8_t> flags{0};
  // Guarded by Impl::mutex:
  uint32_t uncommitted = 0;     // declared ranges of open transactions that touch the page
  uint32_t in_flight = 0;       // detached spools that hold bytes of it
  uint32_t raw_records = 0;     // records of it in the current spool (without inter optimisation)
  uint64_t version = 0;         // grows with every commit
  uint64_t first_lsn = kNoLsn;  // oldest group with bytes that home lacks; kNoLsn: none
  uint64_t last_lsn = 0;        // end of the newest such group
  SpoolPage* spool = nullptr;

  // Every committed byte of the page is in the log, and no other byte is in memory.
  bool quiescent() const {
    return uncommitted == 0 && in_flight == 0 && raw_records == 0 && spool == nullptr;
  }
};

struct RegionState {
  Rvm::Impl* impl = nullptr;
  Region* region = nullptr;
  Geometry geometry;
  std::unique_ptr<PageState[]> pages;
  uint64_t page_count = 0;
  bool owns_memory = false;
  std::shared_ptr<const void> address_owner;  // of the client's memory
  bool droppable = false;
  std::byte* shadow = nullptr;  // with check_undeclared: what the bytes are known to be

  std::byte* page_bytes(uint64_t page) const { return region->base() + page * kPageBytes; }
};

struct DirtyPage {
  uint64_t first_lsn;
  RegionState* region;
  uint64_t page;
  friend auto operator<=>(const DirtyPage&, const DirtyPage&) = default;
};

struct DeclaredRange {
  RegionState* region;
  uint64_t offset, length;  // length > 0
  size_t undo_at;           // in TransactionState::undo
};

struct TransactionState {
  Rvm::Impl* impl = nullptr;
  uint64_t id = 0;
  bool restore = true;
  bool after_device_writes = false;
  std::vector<DeclaredRange> ranges;
  std::vector<RegionState*> formats;
  std::vector<std::byte> undo;
};

// A place between two groups of the log.
struct LogPosition {
  uint64_t lsn = 0;
  uint64_t sequence = 1;        // of the unit that begins here
  uint32_t previous_bytes = 0;  // of the unit that ends here
};

struct Rvm::Impl {
  Options options;
  std::unique_ptr<LogArea> log;
  std::unique_ptr<PageStore> store;
  RecoveryReport recovery;
  uint64_t generation = 0;  // of the log, since recovery

  std::mutex segments_mutex;
  std::vector<SegmentName> segment_names;  // as in the status block
  std::map<SegmentId, std::shared_ptr<Device>> segment_devices;

  std::mutex truncate_mutex;  // status block, page journal, head of the log
  mutable std::mutex mutex;   // everything below

  Tuning tuning;
  std::vector<std::unique_ptr<Region>> regions;
  std::map<const std::byte*, Region*> regions_by_address;
  std::map<std::pair<SegmentId, uint64_t>, Region*> regions_by_bytes;
  std::set<TransactionState*> open;
  uint64_t next_transaction_id = 1;

  std::unique_ptr<Spool> spool = std::make_unique<Spool>();
  CommitTicket last_ticket = 0;
  std::atomic<CommitTicket> durable_ticket{0};
  uint64_t in_flight_bytes = 0;
  ClientData client_data;

  // force.cc
  bool force_running = false;
  uint64_t data_wanted = 0, data_durable = 0;  // ClientData's notes up to this one

  // group_commit.cc
  struct ForceWaiter;
  std::vector<ForceWaiter*> force_waiters;

  // The log. `tail` is where the next group goes; everything before it is durable. Changed by the
  // force leader (tail) and under truncate_mutex (head_lsn), both holding `mutex`.
  uint64_t head_lsn = 0;
  LogPosition tail;
  uint64_t prepared_lsn = 0;  // the force leader's: up to here the host has storage for the log
  std::deque<LogPosition> groups;  // where the groups from head_lsn on begin
  std::set<DirtyPage> dirty;

  std::atomic<bool> failed{false};
  std::atomic<uint64_t> resident_pages{0};
  std::atomic<uint64_t> drop_epoch{0};
  std::atomic<uint64_t> spool_bytes{0};
  std::atomic<uint64_t> noted_ranges{0};
  std::atomic<uint64_t> spool_bytes_max{0}, resident_bytes_max{0};  // of tuning
  Statistics stats{};
  size_t clock_region = 0;  // reclaim's hand
  uint64_t clock_page = 0;

  // background truncation
  std::thread background;
  std::condition_variable background_wakeup;
  bool stopping = false;
  bool closed = false;

  // region.cc
  bool overlaps_mapped(const Region& region) const;
  Result<void> make_resident(RegionState& region, uint64_t offset, uint64_t length);
  Result<void> load_page(RegionState& region, uint64_t page);

  // transaction.cc
  void undo(TransactionState& tx);
  void release(TransactionState& tx);
  Result<void> check_undeclared(const TransactionState& tx);
  bool page_matches_shadow(const RegionState& region, uint64_t page);

  // transaction.cc; hold mutex
  uint64_t spool_commit(TransactionState& tx);
  void put_in_spool(RegionState& region, uint64_t offset, uint64_t length);

  // group_commit.cc
  Result<void> force(bool and_data);
  bool is_served(const ForceWaiter& waiter) const;  // holds mutex
  bool wait_for_leader(ForceWaiter& self, std::unique_lock<std::mutex>& lock);
  void serve_waiters(bool success, std::unique_lock<std::mutex>& lock);

  // force.cc
  Result<void> lead(std::unique_lock<std::mutex>& lock);
  Result<void> flush_device();
  Result<void> write_out(const Spool& batch, const ClientDataBatch& data, LogPosition& end);
  Result<void> write_group(std::vector<BuiltUnit>& units, uint32_t transactions, LogPosition& end);
  Result<void> write_unflushed(std::vector<BuiltUnit>& units, uint32_t transactions);
  Result<void> make_room(uint64_t bytes);
  Result<void> prepare_log(uint64_t bytes);
  void group_written(const Spool& batch, const ClientDataBatch& data, const LogPosition& end);
  void put_back(std::unique_ptr<Spool> batch);
  uint64_t log_bytes_used() const { return tail.lsn - head_lsn; }

  // truncate.cc
  Result<void> truncate(Truncation mode);
  // Both move the head to what was the tail when they began; truncate_mutex is held.
  Result<void> truncate_incremental_locked();
  Result<void> truncate_epoch_locked();
  Result<void> pretend_home(format::StatusBlock status);
  Result<void> advance_head(format::StatusBlock& status);
  Result<std::vector<struct CopiedPage>> copy_oldest(uint64_t before_lsn, size_t count);
  void mark_dirty(RegionState& region, uint64_t page, uint64_t first_lsn, uint64_t last_lsn);
  void mark_home(RegionState& region, uint64_t page, uint64_t home_lsn);
  void background_loop();

  // rvm.cc
  void set_tuning(const Tuning& changed);
  Result<std::shared_ptr<Device>> segment(SegmentId id);
  Result<SegmentId> open_segment(std::string_view name);

  Result<void> usable() const {
    if (failed.load(std::memory_order_relaxed)) {
      return Error{Errc::failed, 0, 0, "an earlier write of the log failed"};
    }
    if (options.read_only) return Error{Errc::read_only, 0, 0, "opened read-only"};
    return {};
  }
};

}  // namespace rvm
