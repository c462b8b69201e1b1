// SPDX-License-Identifier: BSD-2-Clause
//
// The two status blocks of a log: how they are made, which one counts, and every way in which one
// can be no status block at all.
#include <gtest/gtest.h>

#include <functional>

#include "bytes.h"
#include "log_area.h"
#include "tests/support/bytes.h"
#include "tests/support/fault_device.h"
#include "tests/support/memory_device.h"

namespace rvm {
namespace {

using format::SegmentEntry;
using format::StatusBlock;
using rvmfs::test::DeviceCall;
using rvmfs::test::FaultDevice;
using rvmfs::test::MemoryDevice;

constexpr uint64_t kOffset = 64 << 10;
constexpr uint64_t kLength = kLogBytesMin;

class StatusBlocks : public ::testing::Test {
 protected:
  StatusBlocks() { EXPECT_OK(LogArea::create(*device_, {.offset = kOffset, .length = kLength})); }

  Result<std::unique_ptr<LogArea>> open() { return LogArea::open(device_, kOffset); }

  static uint64_t place(int copy) { return kOffset + copy * format::kStatusBytes; }

  // Changes the copy, and makes its hash right.
  void change(int copy, const std::function<void(StatusBlock&, std::span<std::byte>)>& change) {
    auto bytes = rvmfs::test::read_all(*memory_, place(copy), format::kStatusBytes);
    auto block = load<StatusBlock>(bytes);
    change(block, std::span(bytes).subspan(sizeof(StatusBlock)));
    block.hash = 0;
    store(std::span(bytes), block);
    const size_t hashed = std::min<size_t>(block.bytes_used, bytes.size());
    block.hash = hash64(std::span(bytes).first(hashed), format::kStatusSeed);
    store(std::span(bytes), block);
    rvmfs::test::write_all(*memory_, place(copy), bytes);
  }
  // Both copies, so that none is left.
  void expect_no_copy(const char* what,
                      const std::function<void(StatusBlock&, std::span<std::byte>)>& bad,
                      Errc code = Errc::damaged_log) {
    const rvmfs::test::SparseImage before = memory_->snapshot();
    const auto none = [&] {
      const auto opened = open();
      return opened ? Errc{} : opened.error().code;
    };
    change(0, bad);
    EXPECT_EQ(none(), Errc{}) << what << ": the other copy counts";
    change(1, bad);
    EXPECT_EQ(none(), code) << what;
    for (const int copy : {0, 1}) {
      rvmfs::test::Bytes good(format::kStatusBytes);
      before.read(place(copy), good);
      rvmfs::test::write_all(*memory_, place(copy), good);
    }
    EXPECT_EQ(none(), Errc{});
  }
  void expect_no_copy(const char* what, const std::function<void(StatusBlock&)>& bad) {
    expect_no_copy(what, [&](StatusBlock& block, std::span<std::byte>) { bad(block); });
  }

  std::shared_ptr<MemoryDevice> memory_ = MemoryDevice::disk(kOffset + kLength);
  std::shared_ptr<FaultDevice> device_ = std::make_shared<FaultDevice>(memory_);
};

TEST_F(StatusBlocks, are_made_for_possible_logs_only) {
  const auto create = [&](const LogOptions& options) { return LogArea::create(*device_, options); };
  EXPECT_ERROR(create({.offset = 512, .length = kLength}), Errc::invalid_argument);
  EXPECT_ERROR(create({.length = kLength - 1}), Errc::invalid_argument);
  EXPECT_ERROR(create({.length = (1ULL << 48) + 1}), Errc::invalid_argument);
  EXPECT_ERROR(create({.length = kLength, .block_bytes = 256}), Errc::invalid_argument);
  EXPECT_ERROR(create({.length = kLength, .block_bytes = 8192}), Errc::invalid_argument);
  EXPECT_ERROR(create({.length = kLength, .block_bytes = 1536}), Errc::invalid_argument);
  EXPECT_OK(open());
}

TEST_F(StatusBlocks, are_made_or_it_is_told_that_they_are_not) {
  for (const bool is_file : {false, true}) {
    for (const DeviceCall kind :
         {DeviceCall::write, DeviceCall::flush, DeviceCall::allocate, DeviceCall::discard}) {
      for (uint64_t nth = 0;; ++nth) {
        FaultDevice device(is_file ? MemoryDevice::file() : MemoryDevice::disk(4 << 20));
        device.fail(kind, nth);
        const auto created = LogArea::create(device, {.length = 3 << 20, .generation = 7});
        EXPECT_EQ(created.has_value(), device.faults() == 0);
        if (device.faults() == 0) break;
      }
    }
  }
}

TEST_F(StatusBlocks, are_not_where_nothing_was_made) {
  EXPECT_ERROR(LogArea::open(MemoryDevice::disk(kLength), 0), Errc::not_a_log);
  EXPECT_ERROR(LogArea::open(device_, kOffset + kPageBytes), Errc::not_a_log);
}

TEST_F(StatusBlocks, that_cannot_be_read_are_replaced_by_the_other_one) {
  for (const int copy : {0, 1}) {
    device_->fail_range(DeviceCall::read, place(copy), 1);
    auto area = open();
    ASSERT_OK(area);
    EXPECT_TRUE((*area)->copies_differed());
    device_->clear();
  }
  device_->fail(DeviceCall::read, 0, {.forever = true});
  EXPECT_ERROR(open(), Errc::io);
}

TEST_F(StatusBlocks, of_a_newer_version_are_refused_by_name) {
  const auto newer = [](StatusBlock& block, std::span<std::byte>) { ++block.version; };
  expect_no_copy("newer", newer, Errc::version_skew);
}

TEST_F(StatusBlocks, whose_fields_cannot_be_do_not_count) {
  expect_no_copy("too short", [](StatusBlock& b) { b.bytes_used = sizeof(b) - 8; });
  expect_no_copy("too long", [](StatusBlock& b) { b.bytes_used = format::kStatusBytes + 8; });
  expect_no_copy("small blocks", [](StatusBlock& b) { b.block_bytes = 256; });
  expect_no_copy("large blocks", [](StatusBlock& b) { b.block_bytes = 8192; });
  expect_no_copy("odd blocks", [](StatusBlock& b) { b.block_bytes = 1536; });
  expect_no_copy("small log", [](StatusBlock& b) { b.log_bytes = kLogBytesMin - 4096; });
  expect_no_copy("large log", [](StatusBlock& b) { b.log_bytes = 1ULL << 49; });
  expect_no_copy("journal", [](StatusBlock& b) { ++b.journal_pages; });
  expect_no_copy("records", [](StatusBlock& b) { b.record_bytes += b.block_bytes; });
  expect_no_copy("head between blocks", [](StatusBlock& b) { b.head_lsn += 512; });
  expect_no_copy("head too far", [](StatusBlock& b) { b.head_lsn = 1ULL << 62; });
}

TEST_F(StatusBlocks, of_which_one_bit_changed_do_not_count) {
  for (const int copy : {0, 1}) {
    std::byte byte{};
    ASSERT_OK(memory_->read(place(copy) + 40, std::span(&byte, 1)));
    byte ^= std::byte{4};
    ASSERT_OK(memory_->write(place(copy) + 40, std::span(&byte, 1)));
  }
  EXPECT_ERROR(open(), Errc::damaged_log);
}

TEST_F(StatusBlocks, whose_names_cannot_be_do_not_count) {
  const auto named = [](uint32_t id, uint32_t name_bytes, uint32_t count, uint32_t used) {
    return [=](StatusBlock& block, std::span<std::byte> rest) {
      store(rest, SegmentEntry{id, name_bytes});
      block.segment_count = count;
      block.bytes_used = sizeof(block) + used;
    };
  };
  expect_no_copy("no room for the entry", named(1, 0, 1, 4));
  expect_no_copy("number of the log itself", named(0, 8, 1, 16));
  expect_no_copy("name too long", named(1, 9, 1, 16));
  expect_no_copy("name far too long", named(1, UINT32_MAX, 1, 16));
  expect_no_copy("bytes behind the names", named(1, 8, 1, 24));
  expect_no_copy("more names than there are", named(1, 8, 2, 16));
}

TEST_F(StatusBlocks, with_the_higher_counter_count) {
  for (const int newer : {0, 1}) {
    change(newer, [](StatusBlock& b, std::span<std::byte>) {
      b.counter += 10;
      b.generation = b.counter;
    });
    auto area = open();
    ASSERT_OK(area);
    EXPECT_EQ((*area)->status().generation, (*area)->status().counter);
    EXPECT_TRUE((*area)->copies_differed());
    ASSERT_OK((*area)->write_status((*area)->status(), {}));
    EXPECT_FALSE((*open())->copies_differed()) << "both were written";
  }
}

// The good copy is written last: a crash in between may cost the one that is being written.
TEST_F(StatusBlocks, that_are_damaged_are_written_first) {
  for (const int good : {0, 1}) {
    change(1 - good, [](StatusBlock& b, std::span<std::byte>) { ++b.journal_pages; });
    auto area = open();
    ASSERT_OK(area);
    device_->fail(DeviceCall::flush, 0);
    EXPECT_ERROR((*area)->write_status((*area)->status(), {}), Errc::io);
    change(1 - good, [](StatusBlock& b, std::span<std::byte>) { ++b.journal_pages; });
    EXPECT_OK(open());
    ASSERT_OK((*open())->write_status((*area)->status(), {}));
  }
}

TEST_F(StatusBlocks, that_cannot_be_written_are_told) {
  auto area = std::move(*open());
  for (const DeviceCall kind : {DeviceCall::write, DeviceCall::flush}) {
    for (const uint64_t copy : {0, 1}) {
      device_->fail(kind, copy);
      EXPECT_ERROR(area->write_status(area->status(), {}), Errc::io);
      EXPECT_OK(open());
    }
  }
  const std::vector<SegmentName> many = {{1, std::string(format::kStatusBytes, 'n')}};
  EXPECT_ERROR(area->write_status(area->status(), many), Errc::full);
}

TEST_F(StatusBlocks, of_a_log_that_is_longer_than_its_device_are_damage) {
  rvmfs::test::SparseImage image = memory_->snapshot();
  image.resize(kOffset + kLength - kPageBytes);
  const rvmfs::test::MemoryOptions disk{.can_grow = false};
  EXPECT_ERROR(LogArea::open(std::make_shared<MemoryDevice>(image, disk), kOffset),
               Errc::damaged_log);
  // A file is as long as what was written of it.
  auto file = MemoryDevice::file();
  ASSERT_OK(LogArea::create(*file, {.length = kLength}));
  ASSERT_OK(file->resize(kLength - kPageBytes));
  EXPECT_OK(LogArea::open(file, 0));
}

TEST_F(StatusBlocks, say_which_bytes_of_the_device_are_the_log) {
  auto area = std::move(*open());
  EXPECT_FALSE(area->overlaps(0, kOffset));
  EXPECT_TRUE(area->overlaps(0, kOffset + 1));
  EXPECT_TRUE(area->overlaps(kOffset + kLength - 1, 10));
  EXPECT_FALSE(area->overlaps(kOffset + kLength, 10));
}

}  // namespace
}  // namespace rvm
