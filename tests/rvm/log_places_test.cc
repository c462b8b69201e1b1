// SPDX-License-Identifier: BSD-2-Clause
//
// Which places a log may name, one by one: of regions, of their hash tables, of data and of pages.
#include "log_places.h"

#include <gtest/gtest.h>

#include "rvm/page_format.h"
#include "tests/support/bytes.h"
#include "tests/support/memory_device.h"

namespace rvm {
namespace {

using rvmfs::test::MemoryDevice;

constexpr uint64_t kLog = 1 << 20;  // where the log begins
constexpr uint64_t kBehind = kLog + kLogBytesMin;
constexpr uint64_t kDiskBytes = 16 << 20;
constexpr uint64_t kFar = 1ULL << 62;

class LogPlacesTest : public ::testing::Test {
 protected:
  LogPlacesTest() {
    EXPECT_OK(LogArea::create(*disk_, {.offset = kLog, .length = kLogBytesMin}));
    area_ = std::move(*LogArea::open(disk_, kLog));
  }

  // Segment 0 is the log's disk, 1 is a file that can grow, and there is no other.
  LogPlaces places(std::function<bool(const LogPlace&)> client = nullptr, bool in_memory = false) {
    const auto lookup = [this](SegmentId id) -> Result<std::shared_ptr<Device>> {
      if (id > 1 || lookups_++ == failing_lookup_) return Error{.code = Errc::no_segment};
      return id == 0 ? disk_ : file_;
    };
    return LogPlaces(*area_, lookup, std::move(client), in_memory);
  }
  static Geometry region(uint64_t offset, uint64_t length) { return {0, offset, length}; }
  static Geometry hashed(uint64_t offset, uint64_t length, uint64_t table) {
    return {0, offset, length, true, table};
  }

  std::shared_ptr<Device> disk_ = MemoryDevice::disk(kDiskBytes);
  std::shared_ptr<Device> file_ = MemoryDevice::file(kPageBytes);
  std::unique_ptr<LogArea> area_;
  int lookups_ = 0, failing_lookup_ = -1;
};

TEST_F(LogPlacesTest, of_regions_are_whole_pages_on_the_device_and_outside_of_the_log) {
  const LogPlaces all = places();
  EXPECT_OK(all.check_region(region(0, kLog), 0));
  EXPECT_OK(all.check_region(region(kBehind, kDiskBytes - kBehind), 0));
  for (const Geometry& bad :
       {region(0, 0), region(0, kPageBytes + 512), region(0, kLog + kPageBytes),
        region(kBehind - kPageBytes, kPageBytes), region(kDiskBytes, kPageBytes),
        region(kDiskBytes - kPageBytes, 2 * kPageBytes), region(kFar, kPageBytes),
        region(0, 2 * kFar)}) {
    const Result<void> refused = all.check_region(bad, 77);
    EXPECT_ERROR(refused, Errc::damaged_log);
    EXPECT_EQ(refused.error().position, 77u);
  }
  Geometry device = region(kLog, kPageBytes);
  device.device = true;
  EXPECT_OK(all.check_region(device, 0));  // its records are checked one by one
}

TEST_F(LogPlacesTest, of_hash_tables_are_as_long_as_the_region_needs) {
  const LogPlaces all = places();
  const uint64_t pages = format::kHashesPerPage + 1;  // two table pages
  EXPECT_OK(all.check_region(hashed(kBehind, pages * kPageBytes, 0), 0));
  EXPECT_OK(all.check_region(hashed(kBehind, pages * kPageBytes, kLog - 2 * kPageBytes), 0));
  for (const uint64_t table : {kLog - kPageBytes, kLog, kDiskBytes - kPageBytes}) {
    EXPECT_ERROR(all.check_region(hashed(kBehind, pages * kPageBytes, table), 0),
                 Errc::damaged_log);
  }
  EXPECT_OK(all.check_region(hashed(kBehind, (pages - 1) * kPageBytes, kLog - kPageBytes), 0));
}

TEST_F(LogPlacesTest, are_in_segments_that_can_be_found) {
  const LogPlaces all = places();
  EXPECT_ERROR(all.check_region({2, 0, kPageBytes}, 0), Errc::no_segment);
  EXPECT_ERROR(all.check_page(2, 0), Errc::no_segment);
  for (const int nth : {0, 1}) {  // of the pages, and of the hashes
    lookups_ = 0;
    failing_lookup_ = nth;
    EXPECT_ERROR(all.check_region(hashed(kBehind, kPageBytes, 0), 0), Errc::no_segment);
  }
  lookups_ = 0;
  failing_lookup_ = 0;
  EXPECT_ERROR(all.check_data(0, 512, 0), Errc::no_segment);
}

TEST_F(LogPlacesTest, may_lie_behind_the_end_of_what_can_grow_or_is_only_read) {
  EXPECT_OK(places().check_region({1, 1 << 30, kPageBytes}, 0));
  EXPECT_ERROR(places().check_page(0, kDiskBytes), Errc::damaged_log);
  EXPECT_OK(places(nullptr, true).check_page(0, kDiskBytes));
  EXPECT_ERROR(places(nullptr, true).check_page(0, kLog), Errc::damaged_log);
}

TEST_F(LogPlacesTest, of_data_and_of_pages_are_outside_of_the_log_too) {
  const LogPlaces all = places();
  EXPECT_OK(all.check_data(kLog - 512, 512, 0));
  EXPECT_ERROR(all.check_data(kLog - 512, 1024, 0), Errc::damaged_log);
  EXPECT_OK(all.check_page(0, kLog - kPageBytes));
  EXPECT_ERROR(all.check_page(0, kLog), Errc::damaged_log);
  EXPECT_ERROR(all.check_page(0, 512), Errc::damaged_log);  // no page begins there
}

TEST_F(LogPlacesTest, are_the_clients_to_refuse) {
  std::vector<LogPlace> seen;
  const LogPlaces none = places([&](const LogPlace& place) {
    seen.push_back(place);
    return false;
  });
  EXPECT_ERROR(none.check_region(hashed(kBehind, kPageBytes, 4096), 0), Errc::damaged_log);
  EXPECT_ERROR(none.check_data(512, 1024, 0), Errc::damaged_log);
  EXPECT_ERROR(none.check_page(1, 8192), Errc::damaged_log);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].kind, LogPlace::Kind::region);
  EXPECT_EQ(seen[0].hash_table_offset, 4096u);
  EXPECT_EQ(seen[1].kind, LogPlace::Kind::data);
  EXPECT_EQ(seen[1].length, 1024u);
  EXPECT_EQ(seen[2].kind, LogPlace::Kind::page);
  EXPECT_EQ(seen[2].segment, 1u);
  const LogPlaces all = places([](const LogPlace&) { return true; });
  EXPECT_OK(all.check_region(region(kBehind, kPageBytes), 0));
  EXPECT_OK(all.check_data(512, 1024, 0));
  EXPECT_OK(all.check_page(1, 8192));
}

}  // namespace
}  // namespace rvm
