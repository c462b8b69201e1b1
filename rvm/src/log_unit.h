// SPDX-License-Identifier: BSD-2-Clause
//
// Units of the log (rvm/log_format.h): building them from records, and reading them back.
//
// UnitBuilder turns a stream of records into one group of units, splitting records that do not fit.
// UnitReader reads and checks one unit at an LSN; it never trusts a length before the hash matched.
#pragma once

#include <functional>
#include <vector>

#include "log_area.h"

namespace rvm {

// What a region entry of a unit says: enough to apply records without the region being mapped.
struct Geometry {
  SegmentId segment = 0;
  uint64_t segment_offset = 0;
  uint64_t length = 0;
  bool hashed = false;
  uint64_t hash_table_offset = 0;
  bool device = false;  // not a region: the log's device
  friend bool operator==(const Geometry&, const Geometry&) = default;
};

// A finished unit, not yet numbered: header fields that depend on the log are set by seal().
struct BuiltUnit {
  std::vector<std::byte> bytes;  // whole blocks
  uint32_t bytes_used = 0;
  uint32_t region_count = 0, record_count = 0;
};

void seal(BuiltUnit& unit, uint64_t generation, uint64_t sequence, uint64_t lsn,
          uint32_t previous_bytes, uint16_t flags, uint32_t transactions);

class UnitBuilder {
 public:
  UnitBuilder(uint64_t unit_bytes_max, uint32_t block_bytes)
      : unit_bytes_max_(unit_bytes_max), block_bytes_(block_bytes) {}

  // `region` is an opaque identity, not null; equal pointers share one region entry of a unit.
  void add(const void* region, const Geometry& geometry, format::RecordType type, uint64_t offset,
           uint64_t length, const std::byte* bytes);
  std::vector<BuiltUnit> finish();
  uint64_t payload_bytes() const { return payload_bytes_; }

 private:
  void close_unit();
  uint64_t used() const {
    return sizeof(format::UnitHeader) + regions_.size() * sizeof(format::RegionEntry) +
           records_.size();
  }
  uint32_t region_index(const void* region, const Geometry& geometry);

  uint64_t unit_bytes_max_;
  uint32_t block_bytes_;
  std::vector<BuiltUnit> units_;
  std::vector<std::pair<const void*, format::RegionEntry>> regions_;
  const void* last_region_ = nullptr;
  uint32_t last_index_ = 0;
  std::vector<std::byte> records_;
  uint32_t record_count_ = 0;
  uint64_t payload_bytes_ = 0;
};

struct ReadUnit {
  format::UnitHeader header;
  std::vector<std::byte> bytes;  // bytes_used
};

enum class UnitState : uint8_t {
  valid,
  absent,  // nothing that claims to be this unit
  torn,    // claims to be this unit, and its hash does not match
};

class UnitReader {
 public:
  UnitReader(const LogArea& area, uint64_t generation) : area_(area), generation_(generation) {}

  // The unit at `lsn`. Only valid if its sequence is `sequence`, or, with sequence 0, any from
  // `sequence_min` on. `end_lsn` bounds the unit (it may not reach beyond).
  Result<UnitState> read(uint64_t lsn, uint64_t end_lsn, uint64_t sequence, uint64_t sequence_min,
                         ReadUnit& unit);

 private:
  const LogArea& area_;
  uint64_t generation_;
};

struct Record {
  format::RecordType type;
  Geometry geometry;
  uint64_t offset, length;
  const std::byte* bytes;  // types that carry bytes only
};

// Calls `sink` for every region entry of a valid unit. Errors: as for_each_record.
Result<void> for_each_region(const ReadUnit& unit,
                             const std::function<Result<void>(const Geometry&)>& sink);

// Calls `sink` for every record of a valid unit, in order. Errors: damaged_log when the unit's
// inside contradicts itself (its hash matched: written by a broken or hostile writer).
Result<void> for_each_record(const ReadUnit& unit,
                             const std::function<Result<void>(const Record&)>& sink);

}  // namespace rvm
