// SPDX-License-Identifier: BSD-2-Clause
//
// The inside of a log unit: its regions and records, checked and laid over the image.
//
// In an rvmfs volume every region is a metadata chunk: pages 1 ... 255 of a megabyte, with its
// table of page hashes in page 0 (rvm/space_format.h); or it is the device, for file data. Anything
// else is malformed.
#include <fmt/format.h>

#include <ostream>

#include "fsck/hash.h"
#include "fsck/log_reader.h"
#include "rvm/space_format.h"

namespace rvmfs::fsck {

using namespace rvm::format;

bool LogReader::region_is_sane(const RegionEntry& region, uint64_t lsn) {
  if (region.segment != 0) {
    report_.add(FindingId::log_foreign_segment, "position {}: segment {}", lsn, region.segment);
    return false;
  }
  if (region.flags == kRegionDevice && region.segment_offset == 0 &&
      region.length == kDeviceRegionBytes && region.hash_table_offset == 0) {
    return true;
  }
  const uint64_t table = region.hash_table_offset;
  const bool good = region.flags == kRegionHashed && region.segment_offset % kPage == 0 &&
                    (table == chunk0_offset_ || table >= chunk0_offset_ + kChunkBytes) &&
                    region.segment_offset >= kPage && region.length == kChunkBytes - kPage &&
                    region.segment_offset <= volume_bytes_ &&
                    region.length <= volume_bytes_ - region.segment_offset &&
                    region.hash_table_offset == region.segment_offset - kPage;
  if (!good) {
    report_.add(FindingId::log_unit_malformed, "position {}: a region at byte {} of {} bytes", lsn,
                region.segment_offset, region.length);
  }
  return good;
}

// Whole sectors of blocks. (Revoking needs no such care.)
bool LogReader::data_is_sane(const RecordHeader& record) const {
  const uint64_t end = record.offset + record.length;
  if (record.offset % rvm::kSectorBytes != 0) return false;
  if (static_cast<RecordType>(record.type) == RecordType::revoke) return true;
  return end <= volume_bytes_ && record.offset >= chunk0_offset_ + kChunkBytes;
}

bool LogReader::parse(std::span<const std::byte> bytes, LogUnit& unit) {
  const UnitHeader& h = unit.header;
  const auto malformed = [&](const char* what) {
    report_.add(FindingId::log_unit_malformed, "position {}: {}", h.lsn, what);
    return false;
  };
  size_t at = sizeof(UnitHeader);
  if (h.region_count > (bytes.size() - at) / sizeof(RegionEntry)) return malformed("region count");
  for (uint32_t i = 0; i < h.region_count; ++i, at += sizeof(RegionEntry)) {
    unit.regions.push_back(load<RegionEntry>(bytes, at));
    if (!region_is_sane(unit.regions.back(), h.lsn)) return false;
  }
  if (h.record_count > (bytes.size() - at) / sizeof(RecordHeader)) return malformed("record count");
  unit.records.reserve(h.record_count);
  for (uint32_t i = 0; i < h.record_count; ++i) {
    if (bytes.size() - at < sizeof(RecordHeader)) return malformed("records end early");
    const auto record = load<RecordHeader>(bytes, at);
    at += sizeof(RecordHeader);
    if (record.region >= unit.regions.size()) return malformed("record of an unknown region");
    const uint64_t region_length = unit.regions[record.region].length;
    if (record.offset > region_length || record.length > region_length - record.offset) {
      return malformed("record beyond its region");
    }
    const auto type = static_cast<RecordType>(record.type);
    const bool of_device = type == RecordType::data || type == RecordType::revoke;
    if (of_device != (unit.regions[record.region].flags == kRegionDevice)) {
      return malformed("record of a type that its region cannot have");
    }
    if (of_device && !data_is_sane(record)) return malformed("data record at an impossible place");
    const std::byte* data = nullptr;
    if (carries_bytes(type)) {
      const uint64_t padded = (record.length + 7) / 8 * 8;
      if (padded > bytes.size() - at) return malformed("record longer than its unit");
      data = bytes.data() + at;
      at += padded;
    } else if (type != RecordType::zeros && type != RecordType::format &&
               type != RecordType::revoke) {
      return malformed("record of an unknown type");
    }
    unit.records.push_back({type, record.region, record.offset, record.length, data});
  }
  if (at != bytes.size()) return malformed("bytes behind the last record");
  return true;
}

bool LogReader::too_many() {
  report_.add(FindingId::image_unreadable, "the log has too many records to be replayed");
  return false;
}

bool LogReader::apply(const LogUnit& unit) {
  for (const LogUnit::Record& record : unit.records) {
    const RegionEntry& region = unit.regions[record.region];
    if (record.type == RecordType::revoke) {
      image_.drop_data(record.offset, record.length);
    } else if (record.type == RecordType::data) {
      if (!image_.set_data(record.offset, record.data, record.length)) return too_many();
    } else if (record.type == RecordType::format) {
      image_.format_region(region.segment_offset, region.length, region.hash_table_offset);
    } else if (!image_.patch(region.segment_offset + record.offset, record.data, record.length)) {
      return too_many();
    }
  }
  return true;
}

}  // namespace rvmfs::fsck
