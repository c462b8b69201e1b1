// SPDX-License-Identifier: BSD-2-Clause
//
// A log that is damaged, or forged under right hashes, and homes that are: what recovery and the
// truncation of a live log make of them.

#include "bytes.h"
#include "log_area.h"
#include "log_unit.h"
#include "tests/rvm/rvm_world.h"

namespace rvm {
namespace {

using format::RecordType;
using format::RegionEntry;
using format::UnitHeader;
using rvmfs::test::DeviceCall;
using rvmfs::test::RvmWorld;

class LogDamage : public RvmWorld {
 protected:
  struct Unit {
    uint64_t at = 0;  // offset on the device
    std::vector<std::byte> bytes;
    UnitHeader header() const { return load<UnitHeader>(bytes); }
  };

  // The unit that begins `units` behind the log's head.
  Unit unit(int units) {
    auto area = std::move(*LogArea::open(memory_, 0));
    uint64_t lsn = area->status().head_lsn;
    for (;; --units) {
      UnitHeader header{};
      EXPECT_OK(area->read(lsn, std::as_writable_bytes(std::span(&header, 1))));
      if (units == 0) {
        Unit found{area->records_offset() + lsn, std::vector<std::byte>(header.unit_bytes)};
        EXPECT_OK(area->read(lsn, found.bytes));
        return found;
      }
      lsn += header.unit_bytes;
    }
  }

  // Writes the unit back, with a right hash.
  void forge(Unit unit) {
    UnitHeader header = unit.header();
    header.hash = 0;
    store(std::span(unit.bytes), header);
    header.hash = hash64(std::span(unit.bytes).first(header.bytes_used), header.generation);
    store(std::span(unit.bytes), header);
    ASSERT_OK(memory_->write(unit.at, unit.bytes));
  }
  void flip_bit_at(uint64_t at) {
    std::byte byte{};
    ASSERT_OK(memory_->read(at, std::span(&byte, 1)));
    byte ^= std::byte{1};
    ASSERT_OK(memory_->write(at, std::span(&byte, 1)));
  }

  // The process ends, and the next one cannot open the log.
  void expect_refused() {
    rvm_->abandon();
    rvm_.reset();
    EXPECT_ERROR(try_open(), Errc::damaged_log);
  }
};

TEST_F(LogDamage, of_a_live_log_is_found_when_it_is_truncated_and_memory_saves_everything) {
  put(0, "one");
  put(kPageBytes, "two");
  flip_bit_at(unit(2).at + 90);
  EXPECT_ERROR(rvm_->truncate(Truncation::epoch), Errc::damaged_log);
  EXPECT_FALSE(rvm_->failed());
  EXPECT_OK(rvm_->truncate(Truncation::incremental));
  ASSERT_TRUE(reopen());
  EXPECT_EQ(get(0, 3), "one");
  EXPECT_EQ(get(kPageBytes, 3), "two");
}

TEST_F(LogDamage, of_a_live_log_that_comes_while_it_is_read_is_found_too) {
  put(0, "one");
  const uint64_t at = unit(1).at;
  int reads = 0;
  hooked_->hook = [&](DeviceCall kind, uint64_t offset) -> Result<void> {
    if (kind == DeviceCall::read && offset == at && ++reads == 2) flip_bit_at(at + 90);
    return {};
  };
  EXPECT_ERROR(rvm_->truncate(Truncation::epoch), Errc::damaged_log);
  EXPECT_EQ(reads, 2);
}

TEST_F(LogDamage, under_a_right_hash_is_found_in_a_live_log_and_when_it_is_recovered) {
  put(0, "one");
  Unit forged = unit(1);
  auto region = load<RegionEntry>(forged.bytes, sizeof(UnitHeader));
  region.segment_offset += 8;
  store(std::span(forged.bytes), region, sizeof(UnitHeader));
  forge(forged);
  EXPECT_ERROR(rvm_->truncate(Truncation::epoch), Errc::damaged_log);
  expect_refused();
}

TEST_F(LogDamage, a_record_of_data_that_would_overwrite_the_log_is_refused) {
  ASSERT_OK(hooked_->write(kDataOffset, rvmfs::test::filled(512, 1)));
  rvm_->note_write(kDataOffset, 512);
  ASSERT_OK(rvm_->flush(true));
  Unit forged = unit(1);
  const size_t at = sizeof(UnitHeader) + sizeof(RegionEntry);
  auto record = load<format::RecordHeader>(forged.bytes, at);
  ASSERT_EQ(record.type, static_cast<uint16_t>(RecordType::data));
  record.offset = kLogBytes - 512;
  store(std::span(forged.bytes), record, at);
  forge(forged);
  expect_refused();
}

// librvm writes no such records, but the format has them.
TEST_F(LogDamage, is_no_word_for_a_record_over_several_pages) {
  put(0, std::string(kPageBytes, 'a'));
  put(2 * kPageBytes, std::string(kPageBytes, 'c'));
  put(0, std::string(kPageBytes, '\0'));
  Unit forged = unit(3);
  const size_t at = sizeof(UnitHeader) + sizeof(RegionEntry);
  auto record = load<format::RecordHeader>(forged.bytes, at);
  ASSERT_EQ(record.type, static_cast<uint16_t>(RecordType::zeros));
  record.length = 3 * kPageBytes - 96;
  store(std::span(forged.bytes), record, at);
  forge(forged);
  ASSERT_TRUE(reopen());
  EXPECT_EQ(get(0, 3 * kPageBytes), std::string(3 * kPageBytes - 96, '\0') + std::string(96, 'c'));
}

class HomeDamage : public LogDamage {
 protected:
  // Page 0 at home is damaged, and the log has some other bytes of it.
  void damage_home() {
    put(0, "at home");
    ASSERT_OK(rvm_->truncate());
    put(100, "in the log");
    flip_bit_at(kRegionOffset + 5);
  }
};

TEST_F(HomeDamage, stops_a_truncation_that_reads_it_and_memory_saves_it) {
  damage_home();
  EXPECT_ERROR(rvm_->truncate(Truncation::epoch), Errc::damaged_page);
  EXPECT_OK(rvm_->truncate(Truncation::incremental));
  ASSERT_TRUE(reopen());
  EXPECT_EQ(get(0, 7), "at home");
  EXPECT_EQ(get(100, 10), "in the log");
}

TEST_F(HomeDamage, costs_recovery_that_page_alone) {
  damage_home();
  put(kPageBytes, "another page");
  ASSERT_TRUE(reopen());
  EXPECT_EQ(rvm_->query().recovery.pages_damaged, 1u);
  EXPECT_ERROR(region_->read(0, 1), Errc::damaged_page);
  EXPECT_EQ(get(kPageBytes, 12), "another page");
}

TEST_F(HomeDamage, is_nothing_to_a_page_that_the_log_has_whole) {
  damage_home();
  put(0, std::string(kPageBytes, 'w'));
  ASSERT_TRUE(reopen());
  EXPECT_EQ(rvm_->query().recovery.pages_damaged, 0u);
  EXPECT_EQ(get(0, kPageBytes), std::string(kPageBytes, 'w'));
}

TEST_F(LogDamage, more_pages_than_go_home_at_once_go_in_several_batches_any_of_which_may_fail) {
  constexpr uint64_t kPages = 1200;
  const RegionOptions flat{.offset = 8 << 20, .length = kPages * kPageBytes};
  ASSERT_OK(hooked_->resize(flat.offset + flat.length));
  ASSERT_OK(rvm_->truncate());
  const auto fill = [&](Region& region, char value) {
    auto tx = rvm_->begin();
    for (uint64_t page = 0; page < kPages; ++page) {
      std::memset(*tx.modify(region, page * kPageBytes, 8), value, 8);
    }
    ASSERT_OK(tx.end(Commit::flush));
  };
  fill(**rvm_->map(flat), 'a');
  EXPECT_OK(rvm_->truncate(Truncation::epoch));
  ASSERT_TRUE(reopen());
  fill(**rvm_->map(flat), 'b');
  device_->fail(DeviceCall::allocate, 0, {.os_errno = ENOSPC});
  EXPECT_ERROR(rvm_->truncate(Truncation::epoch), Errc::no_space);
  EXPECT_OK(rvm_->truncate(Truncation::epoch));
}

}  // namespace
}  // namespace rvm
