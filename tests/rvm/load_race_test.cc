// SPDX-License-Identifier: BSD-2-Clause
//
// A thread that is slow to read a page, while another one loads it, changes it, and the change is
// on its way home: the slow one must see the page, not a page that does not match its hash.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <thread>

#include "rvm/rvm.h"
#include "tests/support/bytes.h"
#include "tests/support/memory_device.h"

namespace rvmfs::test {
namespace {

constexpr uint64_t kLogBytes = 1 << 20;
constexpr uint64_t kTableOffset = kLogBytes;
constexpr uint64_t kRegionOffset = kTableOffset + rvm::kPageBytes;

// Calls out before reads and flushes.
class CallingDevice final : public rvm::Device {
 public:
  explicit CallingDevice(std::shared_ptr<rvm::Device> base) : base_(std::move(base)) {}
  std::function<void(uint64_t offset)> before_read;
  std::function<void()> before_flush;

  rvm::Result<void> read(uint64_t offset, std::span<std::byte> out) override {
    if (before_read) before_read(offset);
    return base_->read(offset, out);
  }
  rvm::Result<void> write(uint64_t offset, std::span<const std::byte> in) override {
    return base_->write(offset, in);
  }
  rvm::Result<void> flush() override {
    if (before_flush) before_flush();
    return base_->flush();
  }
  rvm::Result<void> discard(uint64_t offset, uint64_t length) override {
    return base_->discard(offset, length);
  }
  rvm::Result<void> allocate(uint64_t offset, uint64_t length) override {
    return base_->allocate(offset, length);
  }
  rvm::Result<void> resize(uint64_t bytes) override { return base_->resize(bytes); }
  uint64_t size() const override { return base_->size(); }
  bool can_grow() const override { return base_->can_grow(); }
  std::string name() const override { return base_->name(); }

 private:
  const std::shared_ptr<rvm::Device> base_;
};

rvm::Result<rvm::Region*> map(rvm::Rvm& rvm) {
  return rvm.map({.offset = kRegionOffset,
                  .length = rvm::kPageBytes,
                  .hashed = true,
                  .hash_table_offset = kTableOffset});
}

void change(rvm::Rvm& rvm, rvm::Region& region, std::byte value, bool format) {
  rvm::Transaction tx = rvm.begin();
  if (format) ASSERT_OK(tx.format(region));
  const auto bytes = tx.modify(region, 0, 1);
  ASSERT_OK(bytes);
  **bytes = value;
  ASSERT_OK(tx.end(rvm::Commit::flush));
}

TEST(LoadRace, ASlowReaderSeesThePageWhileItsChangeIsOnItsWayHome) {
  const auto device = std::make_shared<CallingDevice>(MemoryDevice::file(4 << 20));
  ASSERT_OK(rvm::Rvm::create_log(*device, {.length = kLogBytes}));
  {
    auto rvm = rvm::Rvm::initialize({.log_device = device, .background = false});
    ASSERT_OK(rvm);
    const auto region = map(**rvm);
    ASSERT_OK(region);
    ASSERT_NO_FATAL_FAILURE(change(**rvm, **region, std::byte{1}, true));
    ASSERT_OK((*rvm)->truncate());
  }
  auto rvm = rvm::Rvm::initialize({.log_device = device, .background = false});
  ASSERT_OK(rvm);
  const auto region = map(**rvm);
  ASSERT_OK(region);

  std::promise<void> reads, may_read;
  std::atomic<bool> first{true};
  device->before_read = [&](uint64_t offset) {
    if (offset != kRegionOffset || !first.exchange(false)) return;
    reads.set_value();
    may_read.get_future().wait();
  };
  rvm::Result<const std::byte*> seen = nullptr;
  std::thread slow([&] { seen = (*region)->read(0, 1); });
  reads.get_future().wait();

  ASSERT_NO_FATAL_FAILURE(change(**rvm, **region, std::byte{2}, false));
  int flushes = 0;
  device->before_flush = [&] {
    if (++flushes != 2) return;  // 1: the journal; 2: the page stands at home, its hash does not
    may_read.set_value();
    slow.join();
  };
  ASSERT_OK((*rvm)->truncate());
  device->before_flush = nullptr;
  ASSERT_FALSE(slow.joinable()) << "the truncation took another way than this test thinks";
  ASSERT_OK(seen);
  EXPECT_EQ(**seen, std::byte{2});
}

}  // namespace
}  // namespace rvmfs::test
