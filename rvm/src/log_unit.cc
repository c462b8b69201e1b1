// SPDX-License-Identifier: BSD-2-Clause
//
// Building and reading log units (see log_unit.h).

#include "log_unit.h"

#include <algorithm>

#include "bytes.h"
#include "seeded_bug.h"

namespace rvm {

using format::RecordHeader;
using format::RecordType;
using format::RegionEntry;
using format::UnitHeader;

// A record is split rather than given less room than this at the end of a unit.
constexpr uint64_t kSmallestPiece = 512;

namespace {

uint32_t flags_of(const Geometry& geometry) {
  return (geometry.hashed ? format::kRegionHashed : 0) |
         (geometry.device ? format::kRegionDevice : 0);
}

}  // namespace

void seal(BuiltUnit& unit, uint64_t generation, uint64_t sequence, uint64_t lsn,
          uint32_t previous_bytes, uint16_t flags, uint32_t transactions) {
  UnitHeader header{};
  header.magic = format::kUnitMagic;
  header.version = format::kLogVersion;
  header.flags = flags;
  header.generation = generation;
  header.sequence = sequence;
  header.lsn = lsn;
  header.bytes_used = unit.bytes_used;
  header.unit_bytes = static_cast<uint32_t>(unit.bytes.size());
  header.previous_bytes = previous_bytes;
  header.region_count = unit.region_count;
  header.record_count = unit.record_count;
  header.transactions = transactions;
  store(std::span(unit.bytes), header);
  header.hash = hash64(std::span(unit.bytes).first(unit.bytes_used), generation);
  store(std::span(unit.bytes), header);
}

uint32_t UnitBuilder::region_index(const void* region, const Geometry& geometry) {
  if (region == last_region_) return last_index_;
  const auto found = std::find_if(regions_.begin(), regions_.end(),
                                  [&](const auto& entry) { return entry.first == region; });
  last_region_ = region;
  last_index_ = static_cast<uint32_t>(found - regions_.begin());
  if (found == regions_.end()) {
    regions_.emplace_back(region,
                          RegionEntry{geometry.segment, flags_of(geometry), geometry.segment_offset,
                                      geometry.length, geometry.hash_table_offset});
  }
  return last_index_;
}

void UnitBuilder::add(const void* region, const Geometry& geometry, RecordType type,
                      uint64_t offset, uint64_t length, const std::byte* bytes) {
  do {
    // Room for the record's header and, in the worst case, a new region entry.
    const uint64_t overhead = sizeof(RecordHeader) + sizeof(RegionEntry);
    if (used() + overhead + std::min(round_up(length, 8), kSmallestPiece) > unit_bytes_max_) {
      close_unit();
    }
    uint64_t piece = length;
    if (format::carries_bytes(type)) {
      piece = std::min(length, round_down(unit_bytes_max_ - used() - overhead, 8));
      payload_bytes_ += piece;
    }
    const RecordHeader header{static_cast<uint16_t>(type), 0, region_index(region, geometry),
                              offset, piece};
    const size_t at = records_.size();
    const uint64_t stored = format::carries_bytes(type) ? round_up(piece, 8) : 0;
    records_.resize(at + sizeof(header) + stored);
    store(std::span(records_), header, at);
    if (format::carries_bytes(type)) {
      std::memcpy(records_.data() + at + sizeof(header), bytes, piece);
      bytes += piece;
    }
    ++record_count_;
    offset += piece;
    length -= piece;
  } while (length > 0);
}

void UnitBuilder::close_unit() {
  if (record_count_ == 0) return;
  BuiltUnit unit;
  unit.bytes_used = static_cast<uint32_t>(used());
  unit.bytes.resize(round_up(unit.bytes_used, block_bytes_));
  size_t at = sizeof(UnitHeader);
  for (const auto& [identity, entry] : regions_) {
    store(std::span(unit.bytes), entry, at);
    at += sizeof(entry);
  }
  std::memcpy(unit.bytes.data() + at, records_.data(), records_.size());
  unit.region_count = static_cast<uint32_t>(regions_.size());
  unit.record_count = record_count_;
  units_.push_back(std::move(unit));
  regions_.clear();
  last_region_ = nullptr;
  records_.clear();
  record_count_ = 0;
}

std::vector<BuiltUnit> UnitBuilder::finish() {
  close_unit();
  return std::move(units_);
}

Result<UnitState> UnitReader::read(uint64_t lsn, uint64_t end_lsn, uint64_t sequence,
                                   uint64_t sequence_min, ReadUnit& unit) {
  const uint32_t block = area_.block_bytes();
  if (!within(lsn, block, end_lsn)) return UnitState::absent;
  unit.bytes.resize(block);
  RVM_TRY(area_.read(lsn, unit.bytes));
  unit.header = load<UnitHeader>(unit.bytes);
  const UnitHeader& header = unit.header;
  const bool in_place = header.lsn == lsn && (sequence != 0 ? header.sequence == sequence
                                                            : header.sequence >= sequence_min);
  if (header.magic != format::kUnitMagic || header.generation != generation_ ||
      (!in_place && !RVM_SEEDED_BUG("old_lap_accepted"))) {
    return UnitState::absent;
  }
  if (header.version != format::kLogVersion || header.unit_bytes % block != 0 ||
      header.unit_bytes == 0 || header.unit_bytes > area_.unit_bytes_max() ||
      header.bytes_used < sizeof(UnitHeader) || header.bytes_used > header.unit_bytes ||
      !within(lsn, header.unit_bytes, end_lsn)) {
    return UnitState::torn;
  }
  const uint32_t whole = header.bytes_used;
  unit.bytes.resize(std::max(whole, block));
  if (whole > block) RVM_TRY(area_.read(lsn + block, std::span(unit.bytes).subspan(block)));
  unit.bytes.resize(whole);
  UnitHeader unhashed = header;
  unhashed.hash = 0;
  store(std::span(unit.bytes), unhashed);
  if (hash64(unit.bytes, generation_) != header.hash && !RVM_SEEDED_BUG("unit_hash_ignored")) {
    return UnitState::torn;
  }
  return UnitState::valid;
}

namespace {

Error contradiction(const ReadUnit& unit, const char* what) {
  return Error{Errc::damaged_log, 0, unit.header.lsn, what};
}

bool is_known(RecordType type, bool of_device) {
  switch (type) {
    case RecordType::bytes:
    case RecordType::zeros:
    case RecordType::format: return !of_device;
    case RecordType::data:
    case RecordType::revoke: return of_device;
  }
  return false;
}

Result<std::vector<Geometry>> read_regions(const ReadUnit& unit, size_t& at) {
  std::vector<Geometry> regions;
  for (uint32_t i = 0; i < unit.header.region_count; ++i) {
    if (!within(at, sizeof(RegionEntry), unit.bytes.size())) {
      return contradiction(unit, "region entries reach beyond their unit");
    }
    const auto entry = load<RegionEntry>(unit.bytes, at);
    at += sizeof(entry);
    constexpr uint64_t kFar = 1ULL << 62;
    if (entry.segment_offset > kFar || entry.length > kFar || entry.hash_table_offset > kFar ||
        entry.segment_offset % kPageBytes != 0 || entry.hash_table_offset % kPageBytes != 0) {
      return contradiction(unit, "a region entry of a log unit is impossible");
    }
    const bool device = (entry.flags & format::kRegionDevice) != 0;
    if (device && (entry.segment != 0 || entry.segment_offset != 0 ||
                   entry.length != format::kDeviceRegionBytes)) {
      return contradiction(unit, "a region entry of a log unit is impossible");
    }
    regions.push_back({entry.segment, entry.segment_offset, entry.length,
                       (entry.flags & format::kRegionHashed) != 0, entry.hash_table_offset,
                       device});
  }
  return regions;
}

}  // namespace

Result<void> for_each_region(const ReadUnit& unit,
                             const std::function<Result<void>(const Geometry&)>& sink) {
  size_t at = sizeof(UnitHeader);
  RVM_ASSIGN(const std::vector<Geometry> regions, read_regions(unit, at));
  for (const Geometry& region : regions) RVM_TRY(sink(region));
  return {};
}

Result<void> for_each_record(const ReadUnit& unit,
                             const std::function<Result<void>(const Record&)>& sink) {
  size_t at = sizeof(UnitHeader);
  RVM_ASSIGN(const std::vector<Geometry> regions, read_regions(unit, at));
  for (uint32_t i = 0; i < unit.header.record_count; ++i) {
    if (!within(at, sizeof(RecordHeader), unit.bytes.size())) {
      return contradiction(unit, "records reach beyond their unit");
    }
    const auto header = load<RecordHeader>(unit.bytes, at);
    at += sizeof(header);
    const auto type = static_cast<RecordType>(header.type);
    if (header.region >= regions.size() ||
        !within(header.offset, header.length, regions[header.region].length) ||
        !is_known(type, regions[header.region].device)) {
      return contradiction(unit, "a record of a log unit is impossible");
    }
    const std::byte* bytes = nullptr;
    if (format::carries_bytes(type)) {
      if (!within(at, round_up(header.length, 8), unit.bytes.size())) {
        return contradiction(unit, "a record's bytes reach beyond its unit");
      }
      bytes = unit.bytes.data() + at;
      at += round_up(header.length, 8);
    }
    RVM_TRY(sink({type, regions[header.region], header.offset, header.length, bytes}));
  }
  if (at != unit.bytes.size()) return contradiction(unit, "bytes behind the last record");
  return {};
}

}  // namespace rvm
