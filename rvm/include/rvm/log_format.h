// SPDX-License-Identifier: BSD-2-Clause
//
// On-disk format of the log. Shared by librvm and by independent readers; constants and structs
// only. All integers are little-endian; all reserved bytes are zero.
//
//   log area:  | status A | status B | page journal (header + pages) | record area (circular) |
//               kStatusBytes each      1 + journal_pages pages         record_bytes
//
// Status. Both copies are written at every change, a flush after each: A first, unless A alone is
// good. The valid copy with the higher `counter` counts. hash = XXH3_64bits_withSeed(bytes_used
// bytes with `hash` zero, seed = kStatusSeed). It is followed by segment_count entries
// {SegmentEntry, name, zeros to 8}.
//
// Record area. A position ("LSN") is a byte offset that only grows; it lies at
// record area + lsn % record_bytes. The log holds the units from head_lsn on. A unit begins on a
// block boundary, may wrap around the end of the area, and is written with one flush before the
// next one is begun: when unit n + 1 exists, unit n was durable. Therefore an invalid unit n is a
// torn tail if no valid unit with a higher sequence stands within kUnitBytesMax behind it, and
// damage if one does.
//
//   unit: UnitHeader | region_count x RegionEntry | records | zeros to the end of the block
//   hash = XXH3_64bits_withSeed(bytes_used bytes with `hash` zero, seed = generation)
//
// A group of units with kUnitContinues in all but the last is atomic: it counts if its last unit is
// valid. Inside a unit, records are in order: a later one overrides an earlier one.
//
// Data records are copies of bytes that stand at home too, but there perhaps not durably. Recovery
// alone uses them; for each byte the newest copy counts, unless a later record revokes it. They and
// revoke records are of whole sectors (512 bytes), but for a sector that the device's end cuts.
//
// Page journal. Before pages go home, a batch of them is written here and flushed; the header is
// valid when its own hash and those of all pages match. A valid batch of the status block's
// generation, newer than its journal_batch, is written home again by recovery, before anything
// else. Each batch overwrites the previous one; the batch number grows.
#pragma once

#include <cstdint>

namespace rvm::format {

inline constexpr uint64_t kStatusMagic = 0x31676f4c6d7672aaULL;  // "\xaarvmLog1"
inline constexpr uint64_t kStatusSeed = 0x72766d5f73746174ULL;
inline constexpr uint32_t kUnitMagic = 0x74696e55U;               // "Unit"
inline constexpr uint64_t kJournalMagic = 0x31726e4a6d7672aaULL;  // "\xaarvmJnr1"
inline constexpr uint32_t kLogVersion = 1;
inline constexpr uint64_t kStatusBytes = 16384;
inline constexpr uint64_t kUnitBytesMax = 4 << 20;  // and at most a quarter of the record area
inline constexpr uint32_t kJournalPagesMax = 168;
inline constexpr uint32_t kJournalPagesMin = 8;

struct StatusBlock {
  uint64_t magic;
  uint64_t hash;
  uint32_t version;
  uint32_t bytes_used;    // this struct and the segment entries
  uint64_t counter;       // grows by one with every status write
  uint64_t log_bytes;     // the whole area
  uint64_t record_bytes;  // the circular part, a multiple of block_bytes
  uint32_t block_bytes;
  uint32_t journal_pages;
  uint64_t generation;     // grows with every recovery; random start
  uint64_t head_lsn;       // oldest unit that recovery needs
  uint64_t head_sequence;  // its sequence
  uint64_t journal_batch;  // batches up to this one are home
  uint32_t segment_count;
  uint32_t reserved;
};
static_assert(sizeof(StatusBlock) == 96);

struct SegmentEntry {
  uint32_t id;  // from 1; 0 is the log's own device
  uint32_t name_bytes;
};
static_assert(sizeof(SegmentEntry) == 8);

inline constexpr uint16_t kUnitContinues = 1;  // the group goes on in the next unit

struct UnitHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t flags;
  uint64_t hash;
  uint64_t generation;
  uint64_t sequence;        // grows by one from unit to unit
  uint64_t lsn;             // where it stands
  uint32_t bytes_used;      // header, regions and records
  uint32_t unit_bytes;      // rounded up to blocks
  uint32_t previous_bytes;  // unit_bytes of the unit before (0: none in this log), to read backward
  uint32_t region_count;
  uint32_t record_count;
  uint32_t transactions;  // commits that end in this unit, for people
};
static_assert(sizeof(UnitHeader) == 64);

inline constexpr uint32_t kRegionHashed = 1;
// Not a region but the log's device itself: segment 0, offset 0, length kDeviceRegionBytes.
inline constexpr uint32_t kRegionDevice = 2;
inline constexpr uint64_t kDeviceRegionBytes = 1ULL << 62;

struct RegionEntry {
  uint32_t segment;
  uint32_t flags;
  uint64_t segment_offset;
  uint64_t length;
  uint64_t hash_table_offset;
};
static_assert(sizeof(RegionEntry) == 32);

enum class RecordType : uint16_t {
  bytes = 1,   // `length` new bytes follow, padded with zeros to a multiple of 8
  zeros = 2,   // `length` zero bytes; nothing follows
  format = 3,  // the whole region becomes zeros and its hash table "never written"; nothing follows
  // In kRegionDevice, and only there:
  data = 4,    // as bytes: what the client wrote to the device by itself
  revoke = 5,  // data records of earlier units do not count for these bytes; nothing follows
};

constexpr bool carries_bytes(RecordType type) {
  return type == RecordType::bytes || type == RecordType::data;
}

struct RecordHeader {
  uint16_t type;
  uint16_t reserved;
  uint32_t region;  // index into the unit's region entries
  uint64_t offset;  // in the region
  uint64_t length;
};
static_assert(sizeof(RecordHeader) == 24);

struct JournalEntry {
  uint32_t segment;
  uint32_t reserved;
  uint64_t offset;  // in the segment
  uint64_t hash;    // XXH3_64bits_withSeed(page, seed = offset), not adjusted
};
static_assert(sizeof(JournalEntry) == 24);

struct JournalHeader {
  uint64_t magic;
  uint64_t hash;  // XXH3_64bits_withSeed(the page with `hash` zero, seed = batch)
  uint64_t generation;
  uint64_t batch;
  uint32_t count;
  uint32_t reserved;
  uint64_t log_lsn;  // the log before this was durable when the batch was written
  uint64_t reserved2;
  JournalEntry entries[kJournalPagesMax];
};
static_assert(sizeof(JournalHeader) <= 4096);

}  // namespace rvm::format
