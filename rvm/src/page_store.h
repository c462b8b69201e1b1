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
  bool at_home = false;  // durable in its place already; its hash is not
};

// How pages go home that were never written before. In place: recovery only.
enum class NewPages : uint8_t { journaled, in_place };

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
  // it, so that recovery misses units that are gone. Neighbours in `pages` whose bytes are
  // neighbours too go home in one write.
  Result<void> write(std::vector<PageImage>& pages, uint64_t log_lsn, format::StatusBlock& status,
                     NewPages new_pages = NewPages::journaled);

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
  Result<void> write_new_pages(std::span<PageImage> pages);
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
