// SPDX-License-Identifier: BSD-2-Clause
//
// Finding the log's valid units. What their records say is in log_records.cc.
#include "fsck/log_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "fsck/hash.h"

namespace rvmfs::fsck {

using namespace rvm::format;

bool LogReader::read_status(uint64_t at, StatusBlock& out) {
  std::vector<std::byte> bytes(kStatusBytes);
  if (!image_.read(at, bytes)) return false;
  out = load<StatusBlock>(bytes);
  if (out.magic != kStatusMagic) return false;
  if (out.bytes_used < sizeof(StatusBlock) || out.bytes_used > kStatusBytes) return false;
  return self_hash_of(std::span(bytes).first(out.bytes_used), offsetof(StatusBlock, hash),
                      kStatusSeed) == out.hash;
}

bool LogReader::status_is_sane() {
  const StatusBlock& s = status_;
  const uint64_t head_bytes = 2 * kStatusBytes + (1 + uint64_t{s.journal_pages}) * kPage;
  const bool block_good =
      s.block_bytes >= 512 && s.block_bytes <= 4096 && (s.block_bytes & (s.block_bytes - 1)) == 0;
  const bool good = s.version == kLogVersion && s.log_bytes == length_ && block_good &&
                    s.journal_pages >= kJournalPagesMin && s.journal_pages <= kJournalPagesMax &&
                    head_bytes < length_ && s.record_bytes <= length_ - head_bytes &&
                    s.record_bytes >= 4 * uint64_t{s.block_bytes} &&
                    s.record_bytes % s.block_bytes == 0 && s.head_lsn % s.block_bytes == 0 &&
                    s.head_lsn < UINT64_MAX / 2 && s.head_sequence < UINT64_MAX / 2;
  if (!good) {
    report_.add(FindingId::log_status_fields,
                "version {}, log of {} bytes with {} for records, head at {}", s.version,
                s.log_bytes, s.record_bytes, s.head_lsn);
    return false;
  }
  record_area_ = offset_ + head_bytes;
  return true;
}

bool LogReader::open() {
  if (length_ < 2 * kStatusBytes) {
    report_.add(FindingId::log_status_fields, "the log's area has {} bytes only", length_);
    return false;
  }
  StatusBlock a{}, b{};
  const bool a_good = read_status(offset_, a);
  const bool b_good = read_status(offset_ + kStatusBytes, b);
  if (!a_good && !b_good) {
    report_.add(FindingId::log_status_damaged, "at bytes {} and {}", offset_,
                offset_ + kStatusBytes);
    return false;
  }
  status_copy_damaged_ = !a_good || !b_good;
  if (status_copy_damaged_) {
    report_.add(FindingId::log_status_copy_damaged, "the {} one", a_good ? "second" : "first");
  }
  status_ = a_good && (!b_good || a.counter >= b.counter) ? a : b;
  if (!status_is_sane()) return false;
  return read_journal();
}

// A journal that is not wholly valid was never finished: then no page of it was written home yet.
// One that cannot be read may be valid.
bool LogReader::read_journal() {
  const uint64_t at = offset_ + 2 * kStatusBytes;
  auto bytes = std::make_unique<PageBytes>();
  const auto unreadable = [&] {
    report_.add(FindingId::image_unreadable, "the page journal");
    return false;
  };
  if (!image_.read(at, bytes->bytes)) return unreadable();
  const auto header = load<JournalHeader>(bytes->view());
  if (header.magic != kJournalMagic || header.generation != status_.generation ||
      self_hash_of(bytes->view(), offsetof(JournalHeader, hash), header.batch) != header.hash) {
    return true;
  }
  if (header.count > status_.journal_pages) return true;
  durable_lsn_ = header.log_lsn;
  if (header.batch <= status_.journal_batch) return true;
  std::vector<std::unique_ptr<PageBytes>> pages;
  for (uint32_t i = 0; i < header.count; ++i) {
    const JournalEntry& entry = header.entries[i];
    auto page = std::make_unique<PageBytes>();
    if (!image_.read(at + (1 + uint64_t{i}) * kPage, page->bytes)) return unreadable();
    if (hash_of(page->view(), entry.offset) != entry.hash) return true;
    pages.push_back(std::move(page));
  }
  for (uint32_t i = 0; i < header.count; ++i) {
    const JournalEntry& entry = header.entries[i];
    if (entry.segment != 0 || entry.offset % kPage != 0 || entry.offset < chunk0_offset_ ||
        entry.offset >= volume_bytes_) {
      report_.add(FindingId::log_foreign_segment, "page {} of the journal: segment {}, byte {}", i,
                  entry.segment, entry.offset);
      return false;
    }
    image_.set_journal_page(entry.offset, std::move(pages[i]));
    ++journal_pages_;
  }
  return true;
}

uint64_t LogReader::unit_bytes_max() const {
  return std::min(kUnitBytesMax, status_.record_bytes / 4);
}

// Bytes of the circular area, which wrap around its end.
rvm::Result<void> LogReader::read_records(uint64_t lsn, std::span<std::byte> out) const {
  const uint64_t at = lsn % status_.record_bytes;
  const uint64_t first = std::min<uint64_t>(out.size(), status_.record_bytes - at);
  RVM_TRY(image_.read(record_area_ + at, out.first(first)));
  return image_.read(record_area_, out.subspan(first));
}

bool LogReader::header_is_sane(const UnitHeader& h, uint64_t lsn) const {
  return h.magic == kUnitMagic && h.generation == status_.generation && h.lsn == lsn &&
         h.bytes_used >= sizeof(UnitHeader) && h.bytes_used <= h.unit_bytes &&
         h.unit_bytes % status_.block_bytes == 0 && h.unit_bytes <= unit_bytes_max();
}

LogReader::UnitState LogReader::read_unit(uint64_t lsn, uint64_t sequence_min, bool exact,
                                          UnitHeader& header, std::vector<std::byte>& bytes) {
  std::byte raw[sizeof(UnitHeader)];
  if (!read_records(lsn, raw)) return UnitState::unreadable;
  header = load<UnitHeader>(raw);
  if (!header_is_sane(header, lsn) || header.sequence < sequence_min ||
      (exact && header.sequence != sequence_min)) {
    return UnitState::invalid;
  }
  bytes.resize(header.bytes_used);
  if (!read_records(lsn, bytes)) return UnitState::unreadable;
  if (self_hash_of(bytes, offsetof(UnitHeader, hash), status_.generation) != header.hash) {
    return UnitState::invalid;
  }
  return UnitState::valid;
}

// Is there a valid unit with a higher sequence within reach of the invalid one at `lsn`?
bool LogReader::later_unit_follows(uint64_t lsn, uint64_t sequence, bool& unreadable) {
  const uint64_t lap_end = status_.head_lsn + status_.record_bytes;
  const uint64_t end = std::min(lsn + unit_bytes_max(), lap_end - status_.block_bytes);
  UnitHeader header;
  std::vector<std::byte> bytes;
  for (uint64_t at = lsn + status_.block_bytes; at <= end; at += status_.block_bytes) {
    const UnitState state = read_unit(at, sequence + 1, false, header, bytes);
    if (state == UnitState::valid) return true;
    unreadable = unreadable || state == UnitState::unreadable;
  }
  return false;
}

bool LogReader::replay(const std::function<void(const LogUnit&)>& seen) {
  uint64_t lsn = status_.head_lsn;
  uint64_t sequence = status_.head_sequence;
  uint64_t previous_bytes = 0;
  uint64_t counted_lsn = lsn;  // behind the last whole group
  std::vector<LogUnit> group;
  const uint64_t lap_end = status_.head_lsn + status_.record_bytes;
  while (lsn < lap_end) {
    std::vector<std::byte> bytes;
    LogUnit unit;
    const UnitState state = read_unit(lsn, sequence, true, unit.header, bytes);
    if (state == UnitState::unreadable) {
      report_.add(FindingId::image_unreadable, "log position {}", lsn);
      return false;
    }
    if (state == UnitState::invalid) break;
    if (unit.header.version != kLogVersion || lsn + unit.header.unit_bytes > lap_end ||
        (previous_bytes != 0 && unit.header.previous_bytes != previous_bytes)) {
      report_.add(FindingId::log_unit_malformed, "position {}: version, length or link", lsn);
      return false;
    }
    if (image_.kept_bytes() + bytes.size() > kLogBytesKeptMax) {
      report_.add(FindingId::image_unreadable, "the log is too large to be replayed in memory");
      return false;
    }
    image_.keep_unit(std::move(bytes));
    if (!parse(image_.last_unit(), unit)) return false;
    if (seen) seen(unit);
    ++units_;
    bytes_ += unit.header.unit_bytes;
    lsn += unit.header.unit_bytes;
    ++sequence;
    previous_bytes = unit.header.unit_bytes;
    const bool continues = (unit.header.flags & kUnitContinues) != 0;
    group.push_back(std::move(unit));
    if (continues) continue;
    for (const LogUnit& part : group) {
      if (!apply(part)) return false;
    }
    group.clear();
    counted_lsn = lsn;
  }
  if (counted_lsn < durable_lsn_) {
    report_.add(FindingId::log_damaged,
                "log position {} (byte {} of the image): it ends here, and was durable up to {}",
                counted_lsn, record_area_ + counted_lsn % status_.record_bytes, durable_lsn_);
    return false;
  }
  bool unreadable = false;
  if (lsn < lap_end && later_unit_follows(lsn, sequence, unreadable)) {
    report_.add(FindingId::log_damaged,
                "log position {} (byte {} of the image): unit {} is not valid, and a later one is",
                lsn, record_area_ + lsn % status_.record_bytes, sequence);
    return false;
  }
  if (unreadable) {
    report_.add(FindingId::image_unreadable, "behind log position {}", lsn);
    return false;
  }
  if (!group.empty()) report_.add(FindingId::log_torn_tail, "at log position {}", lsn);
  return true;
}

}  // namespace rvmfs::fsck
