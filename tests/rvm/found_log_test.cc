// SPDX-License-Identifier: BSD-2-Clause
//
// What recovery does not believe of a log that it finds, and that it writes nothing then.

#include <gtest/gtest.h>

#include <cstring>

#include "rvm/rvm.h"
#include "tests/support/memory_device.h"

namespace rvm {
namespace {

using rvmfs::test::MemoryDevice;

constexpr uint64_t kLogBytes = 1 << 20;
constexpr uint64_t kTableOffset = kLogBytes;
constexpr uint64_t kRegionOffset = 2 << 20;
constexpr uint64_t kRegionBytes = 1 << 20;

class FoundLog : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(Rvm::create_log(*device_, {.length = kLogBytes})); }

  Options options() const {
    Options options;
    options.log_device = device_;
    options.background = false;
    return options;
  }

  void open() {
    auto opened = Rvm::initialize(options());
    ASSERT_TRUE(opened) << describe(opened.error());
    rvm_ = std::move(*opened);
    auto mapped = rvm_->map({.offset = kRegionOffset,
                             .length = kRegionBytes,
                             .hashed = true,
                             .hash_table_offset = kTableOffset});
    ASSERT_TRUE(mapped) << describe(mapped.error());
    region_ = *mapped;
  }

  void commit(uint64_t offset, std::string_view text) {
    auto tx = rvm_->begin();
    auto bytes = tx.modify(*region_, offset, text.size());
    ASSERT_TRUE(bytes) << describe(bytes.error());
    std::memcpy(*bytes, text.data(), text.size());
    ASSERT_TRUE(tx.end(Commit::flush));
  }

  void format_and_commit() {
    auto tx = rvm_->begin();
    ASSERT_TRUE(tx.format(*region_));
    ASSERT_TRUE(tx.end(Commit::flush));
    commit(100, "text");
  }

  void kill() {
    rvm_->abandon();
    rvm_.reset();
  }

  // Neither for writing nor in memory, and no byte changes.
  void must_be_refused(Options options) {
    const auto before = device_->snapshot();
    for (const bool read_only : {true, false}) {
      options.read_only = read_only;
      const auto opened = Rvm::initialize(options);
      ASSERT_FALSE(opened);
      EXPECT_EQ(opened.error().code, Errc::damaged_log) << describe(opened.error());
      EXPECT_EQ(rvmfs::test::SparseImage::difference(before, device_->snapshot()), "");
    }
  }

  std::shared_ptr<MemoryDevice> device_ = MemoryDevice::file(8 << 20);
  std::unique_ptr<Rvm> rvm_;
  Region* region_ = nullptr;
};

TEST_F(FoundLog, ThatNamesARegionTheClientDoesNotMeanIsRefusedBeforeAnythingIsWritten) {
  ASSERT_NO_FATAL_FAILURE(open());
  format_and_commit();
  kill();
  Options refusing = options();
  refusing.log_may_name = [](const LogPlace& place) {
    EXPECT_EQ(place.kind, LogPlace::Kind::region);
    EXPECT_EQ(place.offset, kRegionOffset);
    EXPECT_EQ(place.length, kRegionBytes);
    EXPECT_TRUE(place.hashed);
    EXPECT_EQ(place.hash_table_offset, kTableOffset);
    return false;
  };
  must_be_refused(refusing);
  Options agreeing = options();
  agreeing.log_may_name = [](const LogPlace&) { return true; };
  EXPECT_TRUE(Rvm::initialize(agreeing));
}

TEST_F(FoundLog, ThatHasDataForAPlaceTheClientDoesNotMeanIsRefusedBeforeAnythingIsWritten) {
  ASSERT_NO_FATAL_FAILURE(open());
  constexpr uint64_t kPlace = 5 << 20;
  const std::vector<std::byte> bytes(512, std::byte{7});
  ASSERT_TRUE(device_->write(kPlace, bytes));
  rvm_->note_write(kPlace, bytes.size());
  ASSERT_TRUE(rvm_->flush(true));
  ASSERT_GT(rvm_->statistics().data_bytes_logged, 0u);
  kill();
  Options refusing = options();
  refusing.log_may_name = [](const LogPlace& place) {
    return !(place.kind == LogPlace::Kind::data && place.offset == kPlace && place.length == 512);
  };
  must_be_refused(refusing);
}

TEST_F(FoundLog, WhoseJournalNamesAPageTheClientDoesNotMeanIsRefusedBeforeAnythingIsWritten) {
  ASSERT_NO_FATAL_FAILURE(open());
  format_and_commit();
  // The power goes when the pages have gone home and the log does not say so yet: with the status
  // of before, the journal's batch counts.
  std::vector<std::byte> status(32768);
  ASSERT_TRUE(device_->read(0, status));
  ASSERT_TRUE(rvm_->truncate());
  kill();
  ASSERT_TRUE(device_->write(0, status));
  size_t pages = 0;
  Options refusing = options();
  refusing.log_may_name = [&](const LogPlace& place) {
    pages += place.kind == LogPlace::Kind::page ? 1 : 0;
    return place.kind != LogPlace::Kind::page || place.offset != kTableOffset;
  };
  must_be_refused(refusing);
  EXPECT_GT(pages, 1u);
}

TEST_F(FoundLog, WhoseUnitsAreDamagedAfterPagesWentHomeIsRefusedWhicheverUnitItIs) {
  ASSERT_NO_FATAL_FAILURE(open());
  format_and_commit();
  commit(50'000, "more");
  commit(100'000, "the last unit");
  std::vector<std::byte> status(32768);
  ASSERT_TRUE(device_->read(0, status));
  const uint64_t units = rvm_->query().log_bytes_used / 4096;
  ASSERT_EQ(units, 4u);
  ASSERT_TRUE(rvm_->truncate());
  kill();
  // Power was lost before the new status was durable: pages are home, and the log still counts.
  ASSERT_TRUE(device_->write(0, status));
  const auto sound = device_->snapshot();
  constexpr uint64_t kJournal = 32768;
  const uint64_t records = kJournal + (1 + 32) * 4096;
  for (uint64_t unit = 0; unit < units; ++unit) {
    for (const uint64_t at : {0, 8, 24, 33, 41, 63, 64, 100}) {
      device_ = std::make_shared<MemoryDevice>(sound);
      std::byte byte{};
      ASSERT_TRUE(device_->read(records + unit * 4096 + at, {&byte, 1}));
      byte ^= std::byte{0x20};
      ASSERT_TRUE(device_->write(records + unit * 4096 + at, {&byte, 1}));
      SCOPED_TRACE("byte " + std::to_string(at) + " of unit " + std::to_string(unit));
      must_be_refused(options());
    }
  }
  // It is the journal that tells: without it, the last unit is a torn tail.
  device_ = std::make_shared<MemoryDevice>(sound);
  ASSERT_TRUE(device_->write(kJournal, std::vector<std::byte>(4096)));
  ASSERT_TRUE(device_->write(records + 3 * 4096, std::vector<std::byte>(4096)));
  EXPECT_TRUE(Rvm::initialize(options()));
  device_ = std::make_shared<MemoryDevice>(sound);
  ASSERT_NO_FATAL_FAILURE(open());
  const auto there = region_->read(100'000, 13);
  ASSERT_TRUE(there);
  EXPECT_EQ(std::memcmp(*there, "the last unit", 13), 0);
}

TEST_F(FoundLog, ThatNamesARegionBehindTheEndOfItsDeviceIsRefused) {
  ASSERT_NO_FATAL_FAILURE(open());
  format_and_commit();
  kill();
  auto image = device_->snapshot();
  image.resize(kRegionOffset + kRegionBytes - kPageBytes);
  device_ = std::make_shared<MemoryDevice>(image, rvmfs::test::MemoryOptions{.can_grow = false});
  const auto before = device_->snapshot();
  const auto opened = Rvm::initialize(options());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::damaged_log) << describe(opened.error());
  EXPECT_EQ(rvmfs::test::SparseImage::difference(before, device_->snapshot()), "");
}

TEST_F(FoundLog, ThatNamesASegmentNobodyKnowsIsRefused) {
  ASSERT_NO_FATAL_FAILURE(open());
  format_and_commit();
  kill();
  // The unit's own bytes are under a hash: so the log's table of segments is what is missing.
  const auto other = MemoryDevice::file(8 << 20);
  Options with_segment = options();
  with_segment.open_segment = [&](std::string_view, bool) -> Result<std::shared_ptr<Device>> {
    return other;
  };
  auto opened = Rvm::initialize(with_segment);
  ASSERT_TRUE(opened);
  std::vector<std::byte> status(32768);
  const auto segment = (*opened)->open_segment("other");
  ASSERT_TRUE(segment);
  auto mapped = (*opened)->map({.segment = *segment, .offset = 0, .length = kPageBytes});
  ASSERT_TRUE(mapped);
  auto tx = (*opened)->begin();
  ASSERT_TRUE(tx.modify(**mapped, 0, 8));
  ASSERT_TRUE(tx.end(Commit::flush));
  (*opened)->abandon();
  const auto before = device_->snapshot();
  Options without = options();
  without.open_segment = [&](std::string_view, bool) -> Result<std::shared_ptr<Device>> {
    return Error{Errc::no_segment, 0, 0, "no other segments"};
  };
  const auto refused = Rvm::initialize(without);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::no_segment);
  EXPECT_EQ(rvmfs::test::SparseImage::difference(before, device_->snapshot()), "");
}

}  // namespace
}  // namespace rvm
