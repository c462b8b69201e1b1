// SPDX-License-Identifier: BSD-2-Clause
//
// Recovery of more pages than the page journal holds: new ones, which go home without it, old ones,
// and zeros; also when any call of the device fails on the way.
#include <gtest/gtest.h>

#include "tests/rvm/rvm_world.h"

namespace rvmfs::test {
namespace {

using rvm::Commit;
using rvm::kPageBytes;
using rvm::Result;

class LargeRecovery : public RvmWorld {
 protected:
  // One transaction that puts a number into each of these pages.
  void number_pages(rvm::Region& region, uint64_t first, uint64_t count, uint64_t number) {
    auto tx = rvm_->begin();
    for (uint64_t page = first; page < first + count; ++page) {
      const auto bytes = tx.modify(region, page * kPageBytes, 8);
      ASSERT_TRUE(bytes) << rvm::describe(bytes.error());
      const uint64_t value = page + number;
      std::memcpy(*bytes, &value, 8);
    }
    ASSERT_OK(tx.end(Commit::flush));
  }
  static uint64_t number_at(rvm::Region& region, uint64_t page) {
    const auto bytes = region.read(page * kPageBytes, 8);
    EXPECT_TRUE(bytes) << rvm::describe(bytes.error());
    uint64_t value = 0;
    if (bytes) std::memcpy(&value, *bytes, 8);
    return value;
  }

  uint64_t calls(DeviceCall kind, const std::function<void()>& work) {
    uint64_t count = 0;
    hooked_->hook = [&](DeviceCall call, uint64_t) -> Result<void> {
      count += call == kind ? 1 : 0;
      return {};
    };
    work();
    hooked_->hook = nullptr;
    return count;
  }

  // The devices as they are now, in another life.
  void start_from(const SparseImage& image) {
    if (rvm_) rvm_->abandon();
    rvm_.reset();
    memory_ = std::make_shared<MemoryDevice>(image);
    device_ = std::make_shared<FaultDevice>(memory_);
    hooked_ = std::make_shared<HookDevice>(device_);
  }
};

TEST_F(LargeRecovery, of_thousands_of_new_pages_takes_few_writes_and_flushes) {
  constexpr uint64_t kPages = 9000;
  const rvm::RegionOptions large{.offset = 32 << 20,
                                 .length = kPages * kPageBytes,
                                 .hashed = true,
                                 .hash_table_offset = 16 << 20};
  rvm::Region* region = *rvm_->map(large);
  auto tx = rvm_->begin();
  ASSERT_OK(tx.format(*region));
  ASSERT_OK(tx.end(Commit::flush));
  for (uint64_t page = 0; page < kPages; page += 3000) number_pages(*region, page, 3000, 1);
  // The first of them that go home do not.
  rvm_->abandon();
  device_->fail_range(DeviceCall::write, large.offset, large.length);
  EXPECT_ERROR(try_open(), rvm::Errc::io);
  device_->clear();
  uint64_t flushes = 0;
  const uint64_t writes = calls(DeviceCall::write, [&] {
    const auto held = hooked_->hook;
    hooked_->hook = [&, held](DeviceCall call, uint64_t offset) -> Result<void> {
      flushes += call == DeviceCall::flush ? 1 : 0;
      return held(call, offset);
    };
    ASSERT_TRUE(reopen());
  });
  EXPECT_GE(rvm_->query().recovery.pages_written, kPages);
  EXPECT_LT(writes, kPages / 100);
  EXPECT_LT(flushes, 20u);
  region = *rvm_->map(large);
  for (uint64_t page = 0; page < kPages; ++page) ASSERT_EQ(number_at(*region, page), page + 1);
  // Now they are old, but for the part that was zeros.
  number_pages(*region, 100, 3000, 7);
  ASSERT_TRUE(reopen());
  region = *rvm_->map(large);
  for (uint64_t page = 0; page < kPages; ++page) {
    ASSERT_EQ(number_at(*region, page), page + (page >= 100 && page < 3100 ? 7 : 1));
  }
}

TEST_F(LargeRecovery, that_fails_anywhere_is_finished_by_the_next) {
  const uint64_t pages = kRegionBytes / kPageBytes;
  number_pages(*region_, 0, 10, 1);
  ASSERT_OK(rvm_->truncate());
  number_pages(*region_, 0, pages, 5);
  {
    auto tx = rvm_->begin();  // a new page that is zeros all the same
    const auto bytes = tx.modify(*region_, 20 * kPageBytes, 8);
    ASSERT_TRUE(bytes);
    std::memset(*bytes, 0, 8);
    ASSERT_OK(tx.end(Commit::flush));
  }
  rvm_->abandon();
  const SparseImage killed = memory_->snapshot();
  for (const DeviceCall kind : {DeviceCall::read, DeviceCall::write, DeviceCall::flush,
                                DeviceCall::allocate, DeviceCall::discard}) {
    uint64_t nth = 0;
    for (;; ++nth) {
      start_from(killed);
      device_->fail(kind, nth);
      const bool failed = !try_open();
      const bool met = device_->faults() != 0;
      device_->clear();
      if (failed) ASSERT_TRUE(reopen());
      for (uint64_t page = 0; page < pages; ++page) {
        ASSERT_EQ(number_at(*region_, page), page == 20 ? 0 : page + 5) << int(kind) << " " << nth;
      }
      if (!met) break;
    }
    EXPECT_GT(nth, 0u) << int(kind) << ": never called";
  }
}

}  // namespace
}  // namespace rvmfs::test
