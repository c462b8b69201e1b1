// SPDX-License-Identifier: BSD-2-Clause
//
// librvm: recoverable virtual memory. Parts of files or devices (regions of segments) are memory of
// this process; changes made inside a transaction survive any crash as a whole or not at all.
//
//   auto rvm = rvm::Rvm::initialize(options);              // opens the log and recovers
//   auto* region = *(*rvm)->map({.segment = id, .length = 1 << 20});
//   auto tx = (*rvm)->begin(rvm::Restore::yes);
//   std::byte* p = *tx.modify(*region, 128, 8);            // declares 8 bytes and hands them out
//   ...                                                    // change them
//   tx.end(rvm::Commit::flush);                            // durable when this returns
//
// The model is that of M. Satyanarayanan et al., "Lightweight Recoverable Virtual Memory", SOSP
// 1993: no-undo/redo value logging, lazy (no_flush) commits, intra- and inter-transaction
// optimisation, epoch and incremental truncation. What differs, and why, is in docs/DESIGN.md.
//
// Thread rules: Rvm's calls may be made from any thread at any time. One Transaction is used by one
// thread at a time; any number may be open. librvm does not serialise transactions: two open
// transactions must not declare the same bytes, and readers must be kept off bytes that a writer
// changes. That is the client's business (the filesystem uses one lock).
//
// Pointers into a region stay valid until the region is unmapped, or until reclaim() drops the
// page; reclaim() is called by the client only, at a moment when it holds no pointers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rvm/device.h"
#include "rvm/error.h"

namespace rvm {

inline constexpr uint64_t kPageBytes = 4096;

using SegmentId = uint32_t;
// The segment that is the device of the log itself; always open, needs no name.
inline constexpr SegmentId kLogDeviceSegment = 0;

// The number of a commit in commit order. Zero is before the first.
using CommitTicket = uint64_t;

enum class Restore : uint8_t { yes, no };         // no: this transaction can not be aborted
enum class Commit : uint8_t { flush, no_flush };  // no_flush: lazy, durable at the next flush()
enum class Truncation : uint8_t { incremental, epoch };
enum class Load : uint8_t { demand, eager };

// Where a log lies and what shape it has. `length` bytes of `device` from `offset` on.
struct LogOptions {
  uint64_t offset = 0;          // multiple of kPageBytes
  uint64_t length = 0;          // bytes, at least kLogBytesMin; everything included
  uint32_t block_bytes = 4096;  // unit of log writes: 512 .. 4096, a power of two
  uint64_t generation = 0;      // first generation; 0: random (a fixed one makes images
                                // reproducible)
};
inline constexpr uint64_t kLogBytesMin = 256 * 1024;

// What can be set at any time.
struct Tuning {
  bool coalesce_ranges = true;        // intra-transaction optimisation
  bool coalesce_transactions = true;  // inter-transaction optimisation
  // Noted writes of at most so many bytes together go through the log, in whole sectors. 0: never.
  uint64_t data_log_bytes_max = 64 << 10;
  uint32_t truncate_percent = 50;      // log fill that starts background truncation; > 100: never
  uint64_t spool_bytes_max = 4 << 20;  // lazy commits beyond this are forced by the committing call
  uint64_t resident_bytes_max = UINT64_MAX;  // above it reclaim() drops clean pages
};

using SegmentOpener =
    std::function<Result<std::shared_ptr<Device>>(std::string_view name, bool read_only)>;

// A place that a log wants written when it is recovered.
struct LogPlace {
  enum class Kind : uint8_t {
    region,  // a region of the log's records
    page,    // one page of the page journal: of a region, or of its hashes
    data,    // what the client wrote by itself (Rvm::note_write)
  };
  Kind kind = Kind::region;
  SegmentId segment = kLogDeviceSegment;
  uint64_t offset = 0, length = 0;
  bool hashed = false;  // of regions only, as the next one
  uint64_t hash_table_offset = 0;
};

struct Options {
  std::shared_ptr<Device> log_device = nullptr;
  uint64_t log_offset = 0;
  // Default: open_file_device(name). The names come from the log: who opens logs of strangers says
  // here which ones it means.
  SegmentOpener open_segment = nullptr;
  // Who opens logs of strangers says here which places they may name; librvm itself sees to the
  // log, and to the ends of devices. Asked for every place before recovery writes anything: a false
  // ends it with damaged_log. Default: all of them.
  std::function<bool(const LogPlace&)> log_may_name = nullptr;
  Tuning tuning = {};
  bool background = true;  // a thread truncates when the threshold is passed
  // Recover in memory only and never write to any device: for checking and for read-only media.
  bool read_only = false;
  // Compare pages with a shadow at commit and fail on bytes changed outside declared ranges.
#ifdef RVM_CHECK_UNDECLARED_DEFAULT
  bool check_undeclared = true;
#else
  bool check_undeclared = false;
#endif
  uint64_t recovery_bytes_max = 32 << 20;  // memory for one step of recovery (a larger single
                                           // transaction takes what it needs)
};

struct RegionOptions {
  SegmentId segment = kLogDeviceSegment;
  uint64_t offset = 0;      // bytes in the segment, multiple of kPageBytes
  uint64_t length = 0;      // bytes, multiple of kPageBytes
  void* address = nullptr;  // page-aligned address inside memory reserved by the client
                            // (AddressRange), or nullptr: librvm chooses
  // Kept alive until the region is unmapped (or its Rvm is gone): the owner of `address`.
  std::shared_ptr<const void> address_owner = nullptr;
  Load load = Load::demand;
  // Page hashes: one table page per 511 pages (rvm/page_format.h), from this segment offset on.
  // Without `hashed`, pages are not checked (flat segments of other programs).
  bool hashed = false;
  uint64_t hash_table_offset = 0;
};

struct RecoveryReport {
  bool was_needed = false;    // the log held records
  uint64_t transactions = 0;  // groups that were applied
  uint64_t log_bytes = 0;     // read and applied
  uint64_t data_bytes = 0;    // of the client's own data that were written home
  uint64_t pages_written = 0;
  uint64_t pages_damaged = 0;  // base pages that failed their hash; they keep failing it
  bool tail_was_torn = false;  // an unfinished write at the end was cut off
};

struct Statistics {
  uint64_t transactions_begun, transactions_committed, transactions_aborted;
  uint64_t commits_flush, commits_no_flush;
  uint64_t ranges_declared, bytes_declared;
  uint64_t bytes_saved_intra;  // declared twice or more inside one transaction
  uint64_t bytes_saved_inter;  // overwritten by a later lazy commit before being logged
  uint64_t log_units_written, log_bytes_written;  // bytes as written, headers and padding included
  uint64_t log_payload_bytes;                     // new values alone
  uint64_t forces, force_waiters;  // group commit: waiters that rode on somebody else's force
  uint64_t device_flushes;
  uint64_t data_bytes_logged;  // of noted writes; the others were flushed
  uint64_t data_flushes;
  uint64_t truncations_incremental, truncations_epoch;
  uint64_t pages_written_home, log_full_waits;
  uint64_t pages_loaded, pages_dropped;
};

struct Query {
  uint64_t log_bytes_capacity, log_bytes_used;
  uint64_t resident_bytes, spool_bytes, dirty_pages;
  uint32_t open_transactions, mapped_regions;
  CommitTicket last_commit, last_durable;
  bool failed, read_only;
  RecoveryReport recovery;
};

// A range of reserved addresses (no memory behind it) for placing regions side by side.
class AddressRange {
 public:
  static Result<AddressRange> reserve(uint64_t bytes);
  AddressRange() = default;
  AddressRange(AddressRange&& other) noexcept;
  AddressRange& operator=(AddressRange&& other) noexcept;
  ~AddressRange();
  std::byte* base() const { return base_; }
  uint64_t bytes() const { return bytes_; }

 private:
  std::byte* base_ = nullptr;
  uint64_t bytes_ = 0;
};

class Rvm;
class Transaction;
struct RegionState;       // internal
struct TransactionState;  // internal

// A mapped part of a segment. Owned by its Rvm; valid until Rvm::unmap.
class Region {
 public:
  uint64_t length() const { return length_; }
  uint64_t segment_offset() const { return segment_offset_; }
  std::byte* base() const { return base_; }  // pages that are not resident read as zeros here!

  // The bytes [offset, offset + length), read from the device first where needed.
  // Errors: out_of_range, io, damaged_page (position: segment offset of the page).
  Result<const std::byte*> read(uint64_t offset, uint64_t length);

  // Inside a NoWait scope this and Transaction::modify never wait for a device: a missing page
  // gives not_resident and is noted in the scope.

  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

 private:
  friend class Rvm;
  friend class Transaction;
  friend struct RegionState;
  Region();
  std::byte* base_ = nullptr;
  uint64_t length_ = 0;
  uint64_t segment_offset_ = 0;
  std::unique_ptr<RegionState> state_;
};

// While one of these lives, this thread does not wait for a device in Region::read or
// Transaction::modify; they answer not_resident, and the scope remembers what was missing. A client
// that holds a lock uses it to get out of its lock before waiting:
//   for (;;) { NoWait scope; { lock; r = work(); } if (r.error() != not_resident) return r;
//              RVM_TRY(scope.load_missing()); }
// Scopes do not nest.
class NoWait {
 public:
  NoWait();
  ~NoWait();
  NoWait(const NoWait&) = delete;
  NoWait& operator=(const NoWait&) = delete;
  // Reads the pages that were missing. Call it without locks. Errors: io, damaged_page.
  Result<void> load_missing();
  // For Region and Transaction: the scope of this thread, or nullptr.
  static NoWait* current();
  void note(Region& region, uint64_t offset, uint64_t length);

 private:
  struct Missing {
    Region* region;
    uint64_t offset, length;
  };
  std::vector<Missing> missing_;
  bool suspended_ = false;
};

// An open transaction. If destroyed before end(), it aborts.
class Transaction {
 public:
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&& other) noexcept;
  ~Transaction();

  bool active() const { return state_ != nullptr; }

  // Declares [offset, offset + length) as about to change and hands out the memory. The bytes
  // survive exactly if this transaction ends. Loads missing pages (but see NoWait). Length 0 is
  // fine. Errors: no_transaction, out_of_range, io, damaged_page, not_resident, failed, read_only.
  Result<std::byte*> modify(Region& region, uint64_t offset, uint64_t length);

  // The whole region starts as zeros, whatever the device holds there; page hashes of a hashed
  // region start as "never written". For memory that is used for the first time: call it right
  // after mapping, before any other access. If the transaction aborts, the region is not to be used
  // until it is formatted again. Errors: as modify.
  Result<void> format(Region& region);

  // What Rvm::note_write told of before end() is durable before this transaction, or together with
  // it.
  void order_after_device_writes();

  // The commit. Returns the ticket of the commit (Rvm::is_durable). After too_big the transaction
  // stays active and can be aborted or ended by parts; after any other error it is over.
  // flush: durable on return. no_flush: queued in order; lost only by a crash before the next
  // flush.
  Result<CommitTicket> end(Commit mode);

  // Restores every declared byte. Errors: no_transaction, invalid_argument (begun with
  // Restore::no).
  Result<void> abort();

 private:
  friend class Rvm;
  explicit Transaction(std::unique_ptr<TransactionState> state);
  void drop();
  std::unique_ptr<TransactionState> state_;
};

class Rvm {
 public:
  // Makes an empty log. Everything in the area is lost. Does not flush more than its own area.
  static Result<void> create_log(Device& device, const LogOptions& options);

  // Opens a log, recovers, and declares it empty. Damage in the middle of the log: damaged_log with
  // the position; nothing has been changed then. A torn tail is cut.
  static Result<std::unique_ptr<Rvm>> initialize(Options options);

  // Flushes and closes; does not truncate. Errors as flush(); `uncommitted` with open transactions.
  // The destructor does the same and cannot report: call close() where it matters.
  Result<void> close();
  // Lets go without writing anything more, as a killed process would. For tests.
  void abandon();
  ~Rvm();
  Rvm(const Rvm&) = delete;
  Rvm& operator=(const Rvm&) = delete;

  // The id under which the log knows this segment (registered durably when new).
  Result<SegmentId> open_segment(std::string_view name);

  Result<Region*> map(const RegionOptions& options);
  // Errors: uncommitted while a transaction has declared bytes of it or has formatted it, or while
  // pages of it have committed bytes that are not home yet (truncate first); not_mapped.
  Result<void> unmap(Region* region);

  Transaction begin(Restore mode = Restore::yes);

  // Makes every commit that ended before the call durable (group commit: concurrent callers share
  // one write); with `and_data`, also every write that was noted before the call.
  Result<void> flush(bool and_data = false);

  // The client has written these bytes of the log's device by itself (file contents, say), outside
  // of all regions and of the log. Call it after every such write and before the end() of a
  // transaction that must not be durable without them. Few bytes go through the log, many are
  // flushed (Tuning::data_log_bytes_max). Whole sectors are meant: the other bytes of a sector at
  // an edge must be the client's too. Any thread.
  void note_write(uint64_t offset, uint64_t length);
  // These bytes, perhaps written so before, become part of a region: call it before the end() of
  // the transaction that does that.
  void note_reuse(uint64_t offset, uint64_t length);

  bool is_durable(CommitTicket ticket) const;

  // Moves committed bytes home so that the log becomes empty (as of the call).
  // Incremental falls back to epoch where pages with uncommitted bytes stand in the way.
  Result<void> truncate(Truncation mode = Truncation::incremental);

  void set_tuning(const Tuning& tuning);
  Tuning tuning() const;
  Query query() const;
  Statistics statistics() const;
  std::vector<uint64_t> open_transaction_ids() const;

  // Drops clean pages until resident memory is at most `resident_bytes`, least recently used first
  // (second chance). The caller holds no pointers into any region. Returns bytes dropped.
  uint64_t reclaim(uint64_t resident_bytes);
  // True when resident memory is above tuning().resident_bytes_max: call reclaim soon.
  bool wants_reclaim() const;
  // True when the spool is above half its limit, or very many writes were noted: call flush(true)
  // soon, without locks held.
  bool wants_flush() const;

  // True after a log write or flush failed: every later commit and flush answers `failed`.
  bool failed() const;
  // The client's own flush of a device that librvm uses has failed: what it left behind is unknown,
  // and a later flush that succeeds says nothing about it. As if a flush of the log had failed.
  void declare_failed();

  struct Impl;  // internal

 private:
  friend class Region;
  friend class Transaction;
  explicit Rvm(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rvm
