// SPDX-License-Identifier: BSD-2-Clause
//
// See log_places.h.

#include "log_places.h"

#include "bytes.h"
#include "rvm/page_format.h"

namespace rvm {

Result<bool> LogPlaces::possible(SegmentId segment, uint64_t offset, uint64_t length) const {
  constexpr uint64_t kFar = 1ULL << 62;
  if (!within(offset, length, kFar)) return false;
  if (segment == kLogDeviceSegment && area_.overlaps(offset, length)) return false;
  RVM_ASSIGN(const std::shared_ptr<Device> device, segments_(segment));
  return in_memory_ || device->can_grow() || within(offset, length, device->size());
}

Result<void> LogPlaces::check_region(const Geometry& region, uint64_t lsn) const {
  if (region.device) return {};
  const Error refused{Errc::damaged_log, 0, lsn, "the log names a region that may not be there"};
  if (region.length == 0 || region.length % kPageBytes != 0) return refused;
  RVM_ASSIGN(const bool pages, possible(region.segment, region.segment_offset, region.length));
  if (!pages) return refused;
  if (region.hashed) {
    const uint64_t tables =
        round_up(region.length / kPageBytes, format::kHashesPerPage) / format::kHashesPerPage;
    RVM_ASSIGN(const bool hashes,
               possible(region.segment, region.hash_table_offset, tables * kPageBytes));
    if (!hashes) return refused;
  }
  const LogPlace place{LogPlace::Kind::region, region.segment, region.segment_offset,
                       region.length,          region.hashed,  region.hash_table_offset};
  return client_agrees(place) ? Result<void>{} : refused;
}

Result<void> LogPlaces::check_data(uint64_t offset, uint64_t length, uint64_t lsn) const {
  const Error refused{Errc::damaged_log, 0, lsn, "the log has data for a place that it may not"};
  RVM_ASSIGN(const bool can, possible(kLogDeviceSegment, offset, length));
  if (!can) return refused;
  const LogPlace place{LogPlace::Kind::data, kLogDeviceSegment, offset, length};
  return client_agrees(place) ? Result<void>{} : refused;
}

Result<void> LogPlaces::check_page(SegmentId segment, uint64_t offset) const {
  const Error refused{Errc::damaged_log, 0, offset,
                      "the page journal names a page that it may not"};
  if (offset % kPageBytes != 0) return refused;
  RVM_ASSIGN(const bool can, possible(segment, offset, kPageBytes));
  if (!can) return refused;
  const LogPlace place{LogPlace::Kind::page, segment, offset, kPageBytes};
  return client_agrees(place) ? Result<void>{} : refused;
}

}  // namespace rvm
