// SPDX-License-Identifier: BSD-2-Clause
//
// Units of the log: what the reader takes for a unit, and what it says of units whose fields cannot
// be, although their hashes match.

#include "log_unit.h"

#include <gtest/gtest.h>

#include "bytes.h"
#include "tests/support/bytes.h"
#include "tests/support/fault_device.h"
#include "tests/support/memory_device.h"

namespace rvm {
namespace {

using format::RecordHeader;
using format::RecordType;
using format::RegionEntry;
using format::UnitHeader;
using rvmfs::test::DeviceCall;

constexpr uint64_t kGeneration = 77;
constexpr uint64_t kSequence = 5;
constexpr uint32_t kBlock = 4096;
const Geometry kRegion{.segment = 0, .segment_offset = 1 << 20, .length = 1 << 20};

class LogUnit : public ::testing::Test {
 protected:
  LogUnit() : device_(std::make_shared<rvmfs::test::FaultDevice>(memory_)) {
    EXPECT_OK(LogArea::create(*device_, {.length = kLogBytesMin, .generation = kGeneration}));
    auto opened = LogArea::open(device_, 0);
    EXPECT_OK(opened);
    area_ = std::move(*opened);
  }

  // One unit of one record.
  BuiltUnit built(uint64_t bytes = 100) const {
    UnitBuilder builder(area_->unit_bytes_max(), kBlock);
    const auto payload = rvmfs::test::pattern(bytes, 1);
    builder.add(this, kRegion, RecordType::bytes, 8, bytes, payload.data());
    std::vector<BuiltUnit> units = builder.finish();
    EXPECT_EQ(units.size(), 1u);
    seal(units[0], kGeneration, kSequence, 0, 0, 0, 1);
    return std::move(units[0]);
  }

  // At the log's beginning, with a header that was changed and hashed again.
  template <typename Change>
  void write(BuiltUnit unit, Change&& change) {
    auto header = load<UnitHeader>(unit.bytes);
    change(header);
    header.hash = 0;
    store(std::span(unit.bytes), header);
    const uint64_t hashed = std::min<uint64_t>(header.bytes_used, unit.bytes.size());
    header.hash = hash64(std::span(unit.bytes).first(hashed), kGeneration);
    store(std::span(unit.bytes), header);
    ASSERT_OK(device_->write(area_->records_offset(), unit.bytes));
  }

  Result<UnitState> read(uint64_t end_lsn = 1 << 20, uint64_t sequence = kSequence,
                         uint64_t sequence_min = 0) {
    return UnitReader(*area_, kGeneration).read(0, end_lsn, sequence, sequence_min, unit_);
  }

  template <typename Change>
  UnitState state_with(Change&& change) {
    write(built(), change);
    auto state = read();
    EXPECT_OK(state);
    return *state;
  }

  std::shared_ptr<rvmfs::test::MemoryDevice> memory_ = rvmfs::test::MemoryDevice::file();
  std::shared_ptr<rvmfs::test::FaultDevice> device_;
  std::unique_ptr<LogArea> area_;
  ReadUnit unit_;
};

TEST_F(LogUnit, that_was_sealed_is_valid) {
  EXPECT_EQ(state_with([](UnitHeader&) {}), UnitState::valid);
  EXPECT_EQ(*read(1 << 20, 0, kSequence), UnitState::valid) << "any sequence from here on";
}

TEST_F(LogUnit, of_another_life_or_place_is_absent) {
  EXPECT_EQ(state_with([](UnitHeader& h) { ++h.magic; }), UnitState::absent);
  EXPECT_EQ(state_with([](UnitHeader& h) { ++h.generation; }), UnitState::absent);
  EXPECT_EQ(state_with([](UnitHeader& h) { h.lsn += kBlock; }), UnitState::absent);
  EXPECT_EQ(state_with([](UnitHeader& h) { ++h.sequence; }), UnitState::absent);
  write(built(), [](UnitHeader&) {});
  EXPECT_EQ(*read(1 << 20, 0, kSequence + 1), UnitState::absent) << "an older one";
  EXPECT_EQ(*read(kBlock - 1), UnitState::absent) << "behind the end";
}

TEST_F(LogUnit, whose_header_cannot_be_is_torn) {
  EXPECT_EQ(state_with([](UnitHeader& h) { ++h.version; }), UnitState::torn);
  EXPECT_EQ(state_with([](UnitHeader& h) { h.unit_bytes += 512; }), UnitState::torn);
  EXPECT_EQ(state_with([](UnitHeader& h) { h.unit_bytes = 0; }), UnitState::torn);
  EXPECT_EQ(state_with([](UnitHeader& h) { h.unit_bytes = 1u << 31; }), UnitState::torn);
  EXPECT_EQ(state_with([](UnitHeader& h) { h.bytes_used = sizeof(h) - 1; }), UnitState::torn);
  EXPECT_EQ(state_with([](UnitHeader& h) { h.bytes_used = h.unit_bytes + 1; }), UnitState::torn);
  write(built(2 * kBlock), [](UnitHeader&) {});
  EXPECT_EQ(*read(3 * kBlock), UnitState::valid);
  EXPECT_EQ(*read(2 * kBlock), UnitState::torn) << "it reaches beyond the end";
}

TEST_F(LogUnit, of_which_one_bit_changed_is_torn) {
  BuiltUnit unit = built();
  unit.bytes[unit.bytes_used - 1] ^= std::byte{1};
  ASSERT_OK(device_->write(area_->records_offset(), unit.bytes));
  EXPECT_EQ(*read(), UnitState::torn);
}

TEST_F(LogUnit, that_cannot_be_read_is_an_error_and_not_absent) {
  write(built(2 * kBlock), [](UnitHeader&) {});
  device_->fail(DeviceCall::read, 0);
  EXPECT_ERROR(read(), Errc::io);
  device_->fail(DeviceCall::read, 1);
  EXPECT_ERROR(read(), Errc::io);
  EXPECT_EQ(*read(), UnitState::valid);
}

TEST_F(LogUnit, that_wraps_around_is_read_in_two_pieces_either_of_which_may_fail) {
  const uint64_t lsn = area_->record_bytes() - kBlock;
  BuiltUnit unit = built(2 * kBlock);
  seal(unit, kGeneration, kSequence, lsn, 0, 0, 1);
  ASSERT_OK(area_->write_durable(lsn, unit.bytes));
  UnitReader reader(*area_, kGeneration);
  const auto read_there = [&] { return reader.read(lsn, lsn + (1 << 20), kSequence, 0, unit_); };
  EXPECT_EQ(*read_there(), UnitState::valid);
  for (int piece = 0; piece < 2; ++piece) {
    device_->fail(DeviceCall::read, piece);
    EXPECT_ERROR(read_there(), Errc::io);
    device_->fail(DeviceCall::write, piece);
    EXPECT_ERROR(area_->write_durable(lsn, unit.bytes), Errc::io);
  }
}

TEST_F(LogUnit, of_nothing_is_none) {
  UnitBuilder builder(area_->unit_bytes_max(), kBlock);
  EXPECT_TRUE(builder.finish().empty());
}

// The inside of a unit, as a writer could make it that is broken or means harm.
class LogUnitInside : public ::testing::Test {
 protected:
  struct Inside {
    std::vector<RegionEntry> regions;
    std::vector<RecordHeader> records;
    uint32_t payload = 0;  // bytes behind the records
    uint32_t regions_claimed = 0, records_claimed = 0;
  };

  // A region, a record of bytes of it, and 8 bytes for that.
  static Inside sound() {
    Inside inside;
    inside.regions = {{0, 0, 1 << 20, 1 << 20, 0}};
    inside.records = {{static_cast<uint16_t>(RecordType::bytes), 0, 0, 16, 8}};
    inside.payload = 8;
    inside.regions_claimed = inside.records_claimed = 1;
    return inside;
  }
  static Inside of_device(RecordType type) {
    Inside inside = sound();
    inside.regions = {{0, format::kRegionDevice, 0, format::kDeviceRegionBytes, 0}};
    inside.records[0].type = static_cast<uint16_t>(type);
    if (!format::carries_bytes(type)) inside.payload = 0;
    return inside;
  }

  static Result<void> walk(const Inside& inside) {
    ReadUnit unit{};
    unit.header.region_count = inside.regions_claimed;
    unit.header.record_count = inside.records_claimed;
    unit.bytes.resize(sizeof(UnitHeader));
    const auto append = [&](const auto& value) {
      unit.bytes.resize(unit.bytes.size() + sizeof(value));
      store(std::span(unit.bytes), value, unit.bytes.size() - sizeof(value));
    };
    for (const RegionEntry& region : inside.regions) append(region);
    for (const RecordHeader& record : inside.records) append(record);
    unit.bytes.resize(unit.bytes.size() + inside.payload);
    return for_each_record(unit, [](const Record&) -> Result<void> { return {}; });
  }

  template <typename Change>
  static void expect_refused(Inside inside, Change&& change, const char* what) {
    change(inside);
    const Result<void> walked = walk(inside);
    ASSERT_FALSE(walked) << what;
    EXPECT_EQ(walked.error().code, Errc::damaged_log) << what;
  }
};

TEST_F(LogUnitInside, that_is_sound_is_walked) {
  EXPECT_OK(walk(sound()));
  EXPECT_OK(walk(of_device(RecordType::data)));
  EXPECT_OK(walk(of_device(RecordType::revoke)));
}

TEST_F(LogUnitInside, gives_the_error_of_who_walks) {
  UnitBuilder builder(1 << 20, kBlock);
  builder.add(this, kRegion, RecordType::zeros, 0, 8, nullptr);
  ReadUnit unit{};
  unit.bytes = builder.finish()[0].bytes;
  unit.header.region_count = unit.header.record_count = 1;
  EXPECT_ERROR(for_each_record(unit,
                               [](const Record& record) -> Result<void> {
                                 return Error{.code = Errc::full, .position = record.length};
                               }),
               Errc::full);
}

TEST_F(LogUnitInside, whose_region_cannot_be_is_damage) {
  constexpr uint64_t kTooFar = (1ULL << 62) + kPageBytes;
  const auto keep_a_region_and_claim_two = [](Inside& i) {
    i.records.clear();
    i.payload = 0;
    i.regions_claimed = 2;
  };
  expect_refused(sound(), keep_a_region_and_claim_two, "beyond the unit");
  expect_refused(
      sound(), [](Inside& i) { i.regions[0].segment_offset = kTooFar; }, "too far");
  expect_refused(
      sound(), [](Inside& i) { i.regions[0].length = kTooFar; }, "too long");
  expect_refused(
      sound(), [](Inside& i) { i.regions[0].hash_table_offset = kTooFar; }, "table");
  expect_refused(
      sound(), [](Inside& i) { i.regions[0].segment_offset += 8; }, "no page");
  expect_refused(
      sound(), [](Inside& i) { i.regions[0].hash_table_offset = 8; }, "table, no page");
}

TEST_F(LogUnitInside, whose_region_is_a_part_of_the_device_only_is_damage) {
  const Inside device = of_device(RecordType::data);
  expect_refused(
      device, [](Inside& i) { i.regions[0].segment = 1; }, "another device");
  expect_refused(
      device, [](Inside& i) { i.regions[0].segment_offset = kPageBytes; }, "offset");
  expect_refused(
      device, [](Inside& i) { i.regions[0].length = 1 << 20; }, "length");
}

TEST_F(LogUnitInside, whose_records_cannot_be_is_damage) {
  expect_refused(
      sound(), [](Inside& i) { i.records_claimed = 100; }, "beyond the unit");
  expect_refused(
      sound(), [](Inside& i) { i.records[0].region = 1; }, "no such region");
  expect_refused(
      sound(), [](Inside& i) { i.records[0].offset = 1 << 20; }, "outside its region");
  expect_refused(
      sound(), [](Inside& i) { i.records[0].offset = ~0ULL; }, "overflow");
  expect_refused(
      sound(), [](Inside& i) { i.records[0].length = 64; }, "bytes beyond the unit");
  expect_refused(
      sound(), [](Inside& i) { i.payload += 8; }, "bytes that no record has");
}

TEST_F(LogUnitInside, whose_records_are_of_a_type_that_is_not_for_them_is_damage) {
  const auto set_type = [](RecordType type) {
    return [type](Inside& i) { i.records[0].type = static_cast<uint16_t>(type); };
  };
  expect_refused(sound(), set_type(RecordType{77}), "unknown");
  expect_refused(sound(), set_type(RecordType::data), "data of a region");
  expect_refused(sound(), set_type(RecordType::revoke), "revoked in a region");
  const Inside device = of_device(RecordType::data);
  expect_refused(device, set_type(RecordType::bytes), "new bytes of the device");
  expect_refused(device, set_type(RecordType::zeros), "zeros of the device");
  expect_refused(device, set_type(RecordType::format), "the device is formatted");
}

}  // namespace
}  // namespace rvm
