// SPDX-License-Identifier: BSD-2-Clause
//
// Devices over devices: the one that keeps every change in memory (for read-only opening), the one
// that shows a range, and the durable write that every device has; over bases that fail.
#include <gtest/gtest.h>

#include "overlay_device.h"
#include "rvm/device.h"
#include "tests/support/bytes.h"
#include "tests/support/fault_device.h"
#include "tests/support/hook_device.h"
#include "tests/support/memory_device.h"

namespace rvmfs::test {
namespace {

using rvm::Errc;

constexpr uint64_t kBytes = 64 << 10;

class OverlayDevice : public testing::Test {
 protected:
  OverlayDevice() {
    write_all(*memory_, 0, pattern(kBytes, 1));
    overlay_ = rvm::make_overlay_device(base_);
  }

  std::shared_ptr<MemoryDevice> memory_ = MemoryDevice::file();
  std::shared_ptr<FaultDevice> base_ = std::make_shared<FaultDevice>(memory_);
  std::shared_ptr<rvm::Device> overlay_;
};

TEST_F(OverlayDevice, shows_changes_that_never_reach_its_base) {
  write_all(*overlay_, 4000, filled(200, 7));
  EXPECT_OK(overlay_->discard(20'000, 10'000));
  EXPECT_OK(overlay_->flush());
  EXPECT_EQ(read_all(*overlay_, 4000, 200), filled(200, 7));
  EXPECT_EQ(read_all(*overlay_, 20'000, 10'000), Bytes(10'000));
  Bytes rest = read_all(*overlay_, 0, 4000);
  EXPECT_EQ(rest, pattern(4000, 1));
  EXPECT_EQ(read_all(*memory_, 0, kBytes), pattern(kBytes, 1));
  EXPECT_EQ(overlay_->name(), base_->name());
  EXPECT_TRUE(overlay_->can_grow());
}

TEST_F(OverlayDevice, grows_in_memory_and_has_zeros_there) {
  EXPECT_OK(overlay_->allocate(kBytes, 10'000));
  EXPECT_EQ(overlay_->size(), kBytes + 10'000);
  EXPECT_EQ(read_all(*overlay_, kBytes, 10'000), Bytes(10'000));
  write_all(*overlay_, kBytes + 20'000, filled(10, 1));
  EXPECT_EQ(overlay_->size(), kBytes + 20'010);
  EXPECT_OK(overlay_->discard(kBytes, 1 << 20));
  EXPECT_EQ(read_all(*overlay_, kBytes + 20'000, 10), Bytes(10));
  EXPECT_OK(overlay_->resize(kBytes));
  EXPECT_EQ(overlay_->size(), kBytes);
  EXPECT_EQ(memory_->size(), kBytes);
}

TEST_F(OverlayDevice, refuses_what_is_outside) {
  Bytes bytes(2);
  EXPECT_ERROR(overlay_->read(kBytes - 1, bytes), Errc::out_of_range);
  EXPECT_ERROR(overlay_->write(1ULL << 63, bytes), Errc::out_of_range);
  EXPECT_EQ(overlay_->size(), kBytes);
}

TEST_F(OverlayDevice, tells_that_its_base_cannot_be_read_and_keeps_no_half_of_a_page) {
  base_->fail_range(DeviceCall::read, 0, 4096);
  Bytes bytes(10);
  EXPECT_ERROR(overlay_->read(0, bytes), Errc::io);
  EXPECT_ERROR(overlay_->write(5, Bytes(10)), Errc::io);
  EXPECT_ERROR(overlay_->discard(0, 8192), Errc::io);
  base_->clear();
  EXPECT_EQ(read_all(*overlay_, 0, 4096), pattern(4096, 1));
}

TEST(RangeOfADevice, passes_everything_else_on) {
  auto memory =
      std::make_shared<MemoryDevice>(MemoryOptions{.bytes = kBytes, .host_bytes_max = 1 << 20});
  auto hooked = std::make_shared<HookDevice>(memory);
  auto range = rvm::make_range_device(hooked, 8192, 16'384);
  int flushes = 0;
  hooked->hook = [&](DeviceCall kind, uint64_t) -> rvm::Result<void> {
    flushes += kind == DeviceCall::flush ? 1 : 0;
    return {};
  };
  EXPECT_OK(range->flush());
  EXPECT_EQ(flushes, 1);
  EXPECT_OK(range->write_durable(4096, filled(10, 9)));
  EXPECT_EQ(read_all(*memory, 8192 + 4096, 10), filled(10, 9));
  EXPECT_ERROR(range->write_durable(16'380, Bytes(10)), Errc::out_of_range);
  EXPECT_OK(range->allocate(0, 16'384));
  EXPECT_ERROR(range->allocate(1, 16'384), Errc::out_of_range);
  hooked->all_holes = true;
  EXPECT_EQ(range->first_hole(4096, 4096), 4096u);
  hooked->all_holes = false;
  EXPECT_EQ(range->first_hole(4096, 4096), 8192u);
  EXPECT_EQ(range->host_bytes_free(), memory->host_bytes_free());
  EXPECT_FALSE(range->read_only());
  EXPECT_EQ(range->name(), "hooked memory[8192+16384]");
}

TEST(RangeOfADevice, that_is_read_only_and_shorter_has_zeros_behind_its_end) {
  MemoryDevice made({.bytes = 0});
  write_all(made, 0, filled(6000, 3));
  auto memory = std::make_shared<MemoryDevice>(made.snapshot(), MemoryOptions{.read_only = true});
  auto range = rvm::make_range_device(memory, 4096, 8192);
  EXPECT_TRUE(range->read_only());
  EXPECT_EQ(read_all(*range, 1904, 10), Bytes(10));
  EXPECT_EQ(read_all(*range, 0, 1904), filled(1904, 3));
}

TEST(DurableWrite, fails_as_its_write_or_its_flush_does) {
  class Plain final : public rvm::Device {
   public:
    explicit Plain(FaultDevice& base) : base_(base) {}
    rvm::Result<void> read(uint64_t offset, std::span<std::byte> out) override {
      return base_.read(offset, out);
    }
    rvm::Result<void> write(uint64_t offset, std::span<const std::byte> in) override {
      return base_.write(offset, in);
    }
    rvm::Result<void> flush() override { return base_.flush(); }
    rvm::Result<void> discard(uint64_t, uint64_t) override { return {}; }
    rvm::Result<void> allocate(uint64_t, uint64_t) override { return {}; }
    uint64_t size() const override { return base_.size(); }
    rvm::Result<void> resize(uint64_t bytes) override { return base_.resize(bytes); }
    std::string name() const override { return "plain"; }

   private:
    FaultDevice& base_;
  };
  FaultDevice base(MemoryDevice::file(kBytes));
  Plain device(base);
  EXPECT_EQ(device.host_bytes_free(), UINT64_MAX);
  EXPECT_FALSE(device.can_grow());
  EXPECT_FALSE(device.read_only());
  EXPECT_EQ(device.first_hole(5, 10), 15u);
  EXPECT_OK(device.write_durable(0, Bytes(10)));
  base.fail(DeviceCall::write, 0, {.os_errno = ENOSPC});
  EXPECT_ERROR(device.write_durable(0, Bytes(10)), Errc::no_space);
  base.fail(DeviceCall::flush, 0);
  EXPECT_ERROR(device.write_durable(0, Bytes(10)), Errc::io);
  base.fail(DeviceCall::flush, 0, {.os_errno = ENOSPC});
  EXPECT_ERROR(device.write_durable(0, Bytes(10)), Errc::io);  // what was written may be lost
}

}  // namespace
}  // namespace rvmfs::test
