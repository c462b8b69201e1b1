// SPDX-License-Identifier: BSD-2-Clause
//
// A flush fails, the process ends, and another one opens the log on the same host, whose cache
// still shows what the medium never got. Then power is lost while that one recovers. Nothing that
// was durable may be lost or damaged by that.
#include <gtest/gtest.h>

#include <cstring>

#include "rvm/rvm.h"
#include "tests/support/hook_device.h"
#include "tests/support/host_cache_device.h"

namespace rvmfs::test {
namespace {

using rvm::Errc;
using rvm::Error;
using rvm::Result;

constexpr uint64_t kLogBytes = 1 << 20;
constexpr uint64_t kTableOffset = kLogBytes;
constexpr uint64_t kRegionOffset = 2 << 20;
constexpr uint64_t kRegionBytes = 1 << 20;

// One life of a process on a device.
struct Life {
  explicit Life(std::shared_ptr<rvm::Device> device) {
    auto opened = rvm::Rvm::initialize({.log_device = std::move(device), .background = false});
    if (!opened) {
      error = opened.error();
      return;
    }
    rvm = std::move(*opened);
    region = *rvm->map({.offset = kRegionOffset,
                        .length = kRegionBytes,
                        .hashed = true,
                        .hash_table_offset = kTableOffset});
  }
  ~Life() {
    if (rvm) rvm->abandon();
  }

  Result<void> put(uint64_t offset, std::string_view text) {
    auto tx = rvm->begin();
    RVM_ASSIGN(std::byte * bytes, tx.modify(*region, offset, text.size()));
    std::memcpy(bytes, text.data(), text.size());
    RVM_TRY(tx.end(rvm::Commit::flush));
    return {};
  }
  std::string get(uint64_t offset, size_t length) {
    const auto bytes = region->read(offset, length);
    if (!bytes) return "error: " + rvm::describe(bytes.error());
    return {reinterpret_cast<const char*>(*bytes), length};
  }

  std::unique_ptr<rvm::Rvm> rvm;
  rvm::Region* region = nullptr;
  Error error{};
};

class StaleCache : public ::testing::Test {
 protected:
  void SetUp() override {
    MemoryDevice raw(SparseImage(8 << 20));
    ASSERT_OK(rvm::Rvm::create_log(raw, {.length = kLogBytes}));
    Life first(host_ = std::make_shared<HostCacheDevice>(raw.snapshot()));
    ASSERT_TRUE(first.rvm);
    auto tx = first.rvm->begin();
    ASSERT_OK(tx.format(*first.region));
    ASSERT_OK(tx.end(rvm::Commit::flush));
    ASSERT_OK(first.put(0, "old"));
    ASSERT_OK(first.put(5000, "other"));
    ASSERT_OK(first.rvm->truncate());
  }

  // Opens the volume on the same host; power is lost at the first write to [begin, end), which
  // leaves garbage there, or at none.
  void recover_and_lose_power(uint64_t begin, uint64_t end) {
    const auto hooked = std::make_shared<HookDevice>(host_);
    bool lost = false;
    hooked->hook = [&](DeviceCall kind, uint64_t offset) -> Result<void> {
      if (!lost && kind == DeviceCall::write && begin <= offset && offset < end) {
        lost = true;
        after_ = host_->medium();
        after_.write(offset, std::vector<std::byte>(512, std::byte{0xee}));
      }
      if (lost) return Error{Errc::io, EIO, 0, "no power"};
      return {};
    };
    const Life second(hooked);
    EXPECT_TRUE(lost);
  }

  std::shared_ptr<HostCacheDevice> host_;
  SparseImage after_{0};
};

TEST_F(StaleCache, ofAPageJournalThatTheMediumLacksSpoilsNoPage) {
  {
    Life life(host_);
    ASSERT_OK(life.put(0, "new"));
    host_->flushes_fail = true;
    EXPECT_FALSE(life.rvm->truncate());
    host_->flushes_fail = false;
  }
  recover_and_lose_power(kRegionOffset, kRegionOffset + kRegionBytes);
  Life third(std::make_shared<MemoryDevice>(after_));
  ASSERT_TRUE(third.rvm) << rvm::describe(third.error);
  EXPECT_EQ(third.get(0, 3), "new");
  EXPECT_EQ(third.get(5000, 5), "other");
}

TEST_F(StaleCache, ofALastUnitThatTheMediumLacksIsNotBelieved) {
  {
    Life life(host_);
    ASSERT_OK(life.put(0, "new"));
    host_->flushes_fail = true;
    EXPECT_FALSE(life.put(5000, "never"));
    host_->flushes_fail = false;
  }
  recover_and_lose_power(0, 1);  // when its pages are home: at the status
  Life third(std::make_shared<MemoryDevice>(after_));
  ASSERT_TRUE(third.rvm) << rvm::describe(third.error);
  EXPECT_EQ(third.get(0, 3), "new");
  EXPECT_EQ(third.get(5000, 5), "other") << "it was told that the commit failed";
}

}  // namespace
}  // namespace rvmfs::test
