// SPDX-License-Identifier: BSD-2-Clause
//
// Pages at home: reading them with their hash checked, and writing batches of them so that a crash
// anywhere, even one that leaves garbage in a sector, is repaired by recovery.
//
// A batch goes to the page journal (inside the log area), is flushed, then goes home, and is
// flushed again. Hash table pages travel in the batch of their pages, so a page and its hash never
// part. A page of zeros in a hashed region is not written: its hash becomes "never written" and its
// storage is given back to the host.
//
// New pages are those whose hash says "never written". Nobody reads what their home holds, so it
// may be torn: in recovery, where there are many, they go home first, are flushed, and only their
// hash tables pass through the journal. A crash before that leaves the hash as it was, and the log,
// whose head has not moved, has all bytes of the page. (After a format record the hash says so in
// memory only; in recovery that record is in the log too, and replay meets it again.)
//
// Invariants: each home write of a page that may be read went through the journal first. A cached
// hash table page equals what is durable, except a fresh one (format_table) that has not been
// written yet.
//
// Thread rules: load() from any thread; format_table() and write() are serialised by the caller
// (write: truncation lock), and may run in parallel with load().
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "log_area.h"
#include "log_places.h"
#include "log_unit.h"
#include "rvm/page_format.h"

namespace rvm {

struct PageImage {
  Geometry geometry;
  uint64_t page = 0;  // index in the region
  std::shared_ptr<std::byte[]> bytes;
  enum class Path : uint8_t {
    journal,   // goes home through the page journal
    in_place,  // goes home without it, by write_new
    home,      // went home by write_new; its hash has not
  };
  Path path = Path::journal;
  uint64_t hash = 0;  // with Path::home, of the bytes, which are not there any more
};

// What the page journal holds.
struct JournalBatch {
  uint64_t log_lsn = 0;  // the log was durable up to here, whether the batch counts or not
  uint64_t number = 0;
  std::vector<format::JournalEntry> entries = {};  // none: no batch that counts
  std::vector<std::byte> pages = {};
};

class PageStore {
 public:
  PageStore(LogArea& area, SegmentLookup segments);

  // Errors: io, damaged_page (position: segment offset).
  Result<void> load(const Geometry& geometry, uint64_t page, std::span<std::byte> out);

  // load() would not touch the device: the page is known to have never been written.
  bool loads_without_device(const Geometry& geometry, uint64_t page);

  // The region's hash table becomes "nothing was ever written", whatever the device holds.
  void format_table(const Geometry& geometry);
  // Undoes format_table: what the device holds counts again.
  void forget_table(const Geometry& geometry);

  // Writes the pages home, in one or more batches. `status`'s journal_batch is advanced (in memory
  // only). The log before `log_lsn` is durable and has every byte of the pages; the journal notes
  // it, so that recovery misses units that are gone.
  Result<void> write(std::vector<PageImage>& pages, uint64_t log_lsn, format::StatusBlock& status);

  // For recovery: does a page's hash say that it was never written? (A damaged table does not.)
  Result<bool> is_new(const Geometry& geometry, uint64_t page);
  // Writes those home that are new and on Path::in_place; write() must follow with all of them,
  // flushes, and sees to their hashes. Neighbours whose bytes are neighbours too take one write.
  Result<void> write_new(std::span<PageImage> pages);

  // For recovery: the journal's batch, if it is whole and newer than status.journal_batch; and
  // writing it home.
  Result<JournalBatch> read_journal(const format::StatusBlock& status) const;
  Result<void> write_home(const JournalBatch& batch, format::StatusBlock& status);

  // A write or flush failed on the way home; only recovery can finish it, no more is written.
  bool home_incomplete() const { return home_incomplete_; }
  uint64_t pages_written() const { return pages_written_; }

 private:
  struct HomeWrite {
    SegmentId segment;
    uint64_t offset;
    const std::byte* bytes;
  };
  using TableId = std::pair<SegmentId, uint64_t>;  // segment, offset of the table page
  struct Table {
    format::HashTablePage page;
    bool fresh = false;  // not on the device yet: must not be dropped
  };
  using TablePtr = std::shared_ptr<Table>;

  Result<TablePtr> table(const Geometry& geometry, uint64_t page);
  size_t batch_length(std::span<const PageImage> pages) const;
  Result<void> write_batch(std::span<PageImage> pages, uint64_t log_lsn,
                           format::StatusBlock& status);
  Result<void> flush_new(std::span<const PageImage> pages);
  Result<void> reserve(std::span<const HomeWrite> writes);
  Result<std::set<SegmentId>> write_pages(std::span<const HomeWrite> writes);
  Result<void> flush_devices(const std::set<SegmentId>& segments);
  void install(std::map<TableId, TablePtr>& changed);

  LogArea& area_;
  SegmentLookup segments_;
  std::mutex mutex_;  // tables_
  std::map<TableId, TablePtr> tables_;
  std::atomic<bool> home_incomplete_{false};
  std::atomic<uint64_t> pages_written_{0};
};

inline uint64_t table_page_offset(const Geometry& geometry, uint64_t page) {
  return geometry.hash_table_offset + page / format::kHashesPerPage * kPageBytes;
}

}  // namespace rvm
