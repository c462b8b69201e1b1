// SPDX-License-Identifier: BSD-2-Clause
//
// Scanning and replaying the log (see replay.h).

#include "replay.h"

#include <algorithm>

#include "bytes.h"
#include "seeded_bug.h"

namespace rvm {
namespace {

// A piece of a page's new content, pointing into the epoch's units. Pieces are kept in log order
// and applied in that order, so the newest bytes win.
struct Patch {
  uint32_t begin, length;
  const std::byte* bytes;  // nullptr: zeros
};

struct PageWork {
  Geometry geometry;
  uint64_t page = 0;
  std::vector<Patch> patches;

  bool covered() const {
    return std::any_of(patches.begin(), patches.end(), [](const Patch& patch) {
      return patch.begin == 0 && patch.length == kPageBytes;
    });
  }
};

using PageKey = std::pair<SegmentId, uint64_t>;  // segment, offset of the page in it

class Gatherer {
 public:
  Gatherer(PageStore& store, LogState log_state) : store_(store), log_state_(log_state) {}

  Result<void> add(const Record& record) {
    const Geometry& geometry = record.geometry;
    if (geometry.device) return {};
    if (record.type == format::RecordType::format) {
      const auto first = pages_.lower_bound({geometry.segment, geometry.segment_offset});
      const auto last =
          pages_.lower_bound({geometry.segment, geometry.segment_offset + geometry.length});
      pages_.erase(first, last);
      if (geometry.hashed) {
        if (log_state_ == LogState::recovering) store_.format_table(geometry);
        return {};
      }
    }
    if (record.type == format::RecordType::zeros && RVM_SEEDED_BUG("zeros_not_replayed")) return {};
    uint64_t offset = record.offset;
    const uint64_t end = record.offset + record.length;
    auto next = pages_.end();
    while (offset < end) {
      const uint64_t page = offset / kPageBytes;
      const uint64_t piece = std::min(end, (page + 1) * kPageBytes) - offset;
      const PageKey key{geometry.segment, geometry.segment_offset + page * kPageBytes};
      if (next == pages_.end() || next->first != key) next = pages_.try_emplace(key).first;
      PageWork& work = (next++)->second;
      work.geometry = geometry;
      work.page = page;
      // What a whole page replaces does not matter: many such records cost no memory.
      if (piece == kPageBytes) work.patches.clear();
      work.patches.push_back(
          {static_cast<uint32_t>(offset % kPageBytes), static_cast<uint32_t>(piece),
           record.type == format::RecordType::bytes ? record.bytes + (offset - record.offset)
                                                    : nullptr});
      offset += piece;
    }
    return {};
  }

  const std::map<PageKey, PageWork>& pages() const { return pages_; }

 private:
  PageStore& store_;
  LogState log_state_;
  std::map<PageKey, PageWork> pages_;
};

// False: the base of the page is damaged, and the patches do not cover it.
Result<bool> build(PageStore& store, const PageWork& work, const PageImage& image) {
  const std::span<std::byte> bytes(image.bytes.get(), kPageBytes);
  if (!work.covered()) {
    if (const auto loaded = store.load(work.geometry, work.page, bytes); !loaded) {
      if (loaded.error().code == Errc::damaged_page) return false;
      return loaded.error();
    }
  }
  for (const Patch& patch : work.patches) {
    if (patch.bytes != nullptr) {
      std::memcpy(bytes.data() + patch.begin, patch.bytes, patch.length);
    } else {
      std::memset(bytes.data() + patch.begin, 0, patch.length);
    }
  }
  return true;
}

// Sees the pages of an epoch home, in the order of their places.
class HomeWriter {
 public:
  HomeWriter(PageStore& store, uint64_t log_lsn, format::StatusBlock& status, bool new_in_place)
      : store_(store), log_lsn_(log_lsn), status_(status), new_in_place_(new_in_place) {}

  // False: the page is damaged.
  Result<bool> add(const PageWork& work) {
    PageImage image;
    image.geometry = work.geometry;
    image.page = work.page;
    if (new_in_place_) {
      RVM_ASSIGN(const bool is_new, store_.is_new(work.geometry, work.page));
      if (is_new) image.path = PageImage::Path::in_place;
    }
    image.bytes = memory_for(image.path);
    RVM_ASSIGN(const bool built, build(store_, work, image));
    if (!built) return false;
    (image.path == PageImage::Path::in_place ? in_place_ : journaled_) += 1;
    pages_.push_back(std::move(image));
    if (in_place_ == kTogether) RVM_TRY(write_new());
    if (journaled_ == kJournaledMax || pages_.size() == kPagesMax) RVM_TRY(finish());
    return true;
  }

  Result<void> finish() {
    RVM_TRY(write_new());
    RVM_TRY(store_.write(pages_, log_lsn_, status_));
    pages_.clear();
    journaled_ = new_from_ = 0;
    return {};
  }

 private:
  static constexpr size_t kTogether = 256;       // new pages that are written together
  static constexpr size_t kJournaledMax = 1024;  // in memory, beside the log
  static constexpr size_t kPagesMax = 8192;      // of new ones only the places and hashes

  std::shared_ptr<std::byte[]> memory_for(PageImage::Path path) {
    if (path == PageImage::Path::journal) {
      return std::make_shared_for_overwrite<std::byte[]>(kPageBytes);
    }
    // Neighbours at home lie side by side in memory too.
    if (!together_) together_ = std::make_shared_for_overwrite<std::byte[]>(kTogether * kPageBytes);
    return {together_, together_.get() + in_place_ * kPageBytes};
  }

  Result<void> write_new() {
    RVM_TRY(store_.write_new(std::span(pages_).subspan(new_from_)));
    new_from_ = pages_.size();
    in_place_ = 0;
    return {};
  }

  PageStore& store_;
  const uint64_t log_lsn_;
  format::StatusBlock& status_;
  const bool new_in_place_;
  std::vector<PageImage> pages_;
  size_t new_from_ = 0;                    // pages from here on were not given to write_new
  size_t in_place_ = 0;                    // of those
  size_t journaled_ = 0;                   // of all
  std::shared_ptr<std::byte[]> together_;  // of kTogether new pages
};

// A valid unit of this log with a sequence above `sequence` within one unit's reach behind `lsn`.
// The unit at `lsn` was durable then, so its being invalid is damage and no torn tail.
Result<bool> later_unit_exists(const LogArea& area, UnitReader& reader, uint64_t lsn,
                               uint64_t sequence, uint64_t limit) {
  ReadUnit unit;
  const uint64_t reach = std::min(limit, lsn + area.unit_bytes_max() + area.block_bytes());
  for (uint64_t at = lsn + area.block_bytes(); at < reach; at += area.block_bytes()) {
    RVM_ASSIGN(const UnitState state, reader.read(at, limit, 0, sequence + 1, unit));
    if (state == UnitState::valid) return true;
  }
  return false;
}

// Checks the places that the unit names, and notes where its data records have their bytes.
Result<void> check_and_gather(const LogPlaces& places, const ReadUnit& unit,
                              std::vector<LoggedData::Piece>& pieces) {
  RVM_TRY(for_each_region(
      unit, [&](const Geometry& region) { return places.check_region(region, unit.header.lsn); }));
  return for_each_record(unit, [&](const Record& record) -> Result<void> {
    if (!record.geometry.device) return {};
    uint64_t lsn = unit.header.lsn;
    if (record.type == format::RecordType::data) {
      lsn += static_cast<uint64_t>(record.bytes - unit.bytes.data());
      RVM_TRY(places.check_data(record.offset, record.length, lsn));
    }
    pieces.push_back({record.type, record.offset, record.length, lsn});
    return {};
  });
}

// With `end_lsn` the log is live and ends there, else `places` are checked.
Result<LogScan> scan_log(const LogArea& area, uint64_t head_lsn, uint64_t head_sequence,
                         uint64_t end_lsn, const LogPlaces* places, uint64_t keep_bytes) {
  LogScan scan;
  scan.end_lsn = head_lsn;
  scan.next_sequence = head_sequence;
  UnitReader reader(area, area.status().generation);
  const uint64_t limit = head_lsn + area.record_bytes();
  uint64_t lsn = head_lsn;
  uint64_t sequence = head_sequence;
  ReadUnit unit;
  std::vector<UnitPlace> group;
  std::vector<LoggedData::Piece> group_data;
  std::vector<ReadUnit> group_contents;
  while (end_lsn == 0 || lsn < end_lsn) {
    RVM_ASSIGN(const UnitState state, reader.read(lsn, limit, sequence, 0, unit));
    if (state != UnitState::valid) {
      RVM_ASSIGN(const bool damage, later_unit_exists(area, reader, lsn, sequence, limit));
      if (damage || end_lsn != 0) {
        return Error{Errc::damaged_log, 0, lsn, "a record in the middle of the log is damaged"};
      }
      scan.tail_was_torn = state == UnitState::torn || !group.empty();
      break;
    }
    const bool group_end =
        (unit.header.flags & format::kUnitContinues) == 0 || RVM_SEEDED_BUG("group_split");
    group.push_back({lsn, sequence, unit.header.unit_bytes, unit.header.transactions, group_end});
    if (places != nullptr) RVM_TRY(check_and_gather(*places, unit, group_data));
    lsn += unit.header.unit_bytes;
    ++sequence;
    const bool keep = lsn - head_lsn <= keep_bytes;
    if (keep) group_contents.push_back(std::move(unit));
    if (group_end) {
      if (keep)
        std::move(group_contents.begin(), group_contents.end(), back_inserter(scan.contents));
      group_contents.clear();
      scan.units.insert(scan.units.end(), group.begin(), group.end());
      group.clear();
      for (const LoggedData::Piece& piece : group_data) scan.data.add(piece);
      group_data.clear();
      scan.end_lsn = lsn;
      scan.next_sequence = sequence;
      scan.last_unit_bytes = scan.units.back().unit_bytes;
    }
  }
  return scan;
}

}  // namespace

Result<LogScan> scan_live_log(const LogArea& area, uint64_t head_lsn, uint64_t head_sequence,
                              uint64_t end_lsn) {
  return scan_log(area, head_lsn, head_sequence, end_lsn, nullptr, 0);
}

Result<LogScan> scan_found_log(const LogArea& area, uint64_t head_lsn, uint64_t head_sequence,
                               uint64_t durable_lsn, const LogPlaces& places, uint64_t keep_bytes) {
  RVM_ASSIGN(LogScan scan, scan_log(area, head_lsn, head_sequence, 0, &places, keep_bytes));
  if (scan.end_lsn < durable_lsn) {
    return Error{Errc::damaged_log, 0, scan.end_lsn,
                 "the end of the log is damaged: it was durable when pages went home"};
  }
  return scan;
}

Result<ReplayResult> replay(LogArea& area, PageStore& store, std::span<const UnitPlace> units,
                            std::vector<ReadUnit> contents, uint64_t log_lsn,
                            format::StatusBlock& status, LogState log_state) {
  UnitReader reader(area, area.status().generation);
  const size_t known = contents.size();
  contents.resize(units.size());  // patches point into these
  for (size_t i = known; i < units.size(); ++i) {
    RVM_ASSIGN(const UnitState state, reader.read(units[i].lsn, units[i].lsn + area.record_bytes(),
                                                  units[i].sequence, 0, contents[i]));
    if (state != UnitState::valid) {
      return Error{Errc::damaged_log, 0, units[i].lsn, "a log record changed while it was read"};
    }
  }
  Gatherer gatherer(store, log_state);
  for (const ReadUnit& unit : contents) {
    RVM_TRY(for_each_record(unit, [&](const Record& record) { return gatherer.add(record); }));
  }

  // What fits into one batch of the journal takes two flushes that way, and three the other.
  const bool new_in_place =
      log_state == LogState::recovering && gatherer.pages().size() >= area.journal_pages();
  HomeWriter writer(store, log_lsn, status, new_in_place);
  ReplayResult result;
  for (const auto& [key, work] : gatherer.pages()) {
    RVM_ASSIGN(const bool sound, writer.add(work));
    if (!sound && log_state == LogState::live) {
      return Error{Errc::damaged_page, 0, key.second, "a page at home does not match its hash"};
    }
    ++(sound ? result.pages : result.pages_damaged);
  }
  RVM_TRY(writer.finish());
  return result;
}

size_t epoch_units(std::span<const UnitPlace> units, uint64_t bytes_max) {
  uint64_t bytes = 0;
  size_t whole = 0;
  for (size_t i = 0; i < units.size(); ++i) {
    bytes += units[i].unit_bytes;
    if (bytes > bytes_max && whole != 0) break;
    if (units[i].group_end) whole = i + 1;
  }
  return whole;
}

}  // namespace rvm
