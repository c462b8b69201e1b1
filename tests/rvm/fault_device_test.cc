// SPDX-License-Identifier: BSD-2-Clause
//
// The fault device fails exactly when it was told to, and lets everything else through.
#include "tests/support/fault_device.h"

#include <gtest/gtest.h>

#include "tests/support/bytes.h"
#include "tests/support/memory_device.h"

namespace rvmfs::test {
namespace {

using rvm::Errc;

class FaultyDevice : public testing::Test {
 protected:
  std::shared_ptr<MemoryDevice> memory_ = MemoryDevice::file(8192);
  FaultDevice device_{memory_};
  Bytes sector_ = pattern(512, 1);
};

TEST_F(FaultyDevice, fails_only_the_call_that_was_named) {
  device_.fail(DeviceCall::write, 1);
  EXPECT_OK(device_.write(0, sector_));
  EXPECT_ERROR(device_.write(512, sector_), Errc::io);
  EXPECT_OK(device_.write(1024, sector_));
  EXPECT_EQ(read_all(*memory_, 512, 512), filled(512, 0));
  EXPECT_EQ(device_.calls(DeviceCall::write), 3u);
  EXPECT_EQ(device_.faults(), 1u);
}

TEST_F(FaultyDevice, counts_from_the_moment_when_the_rule_is_made) {
  EXPECT_OK(device_.write(0, sector_));
  EXPECT_OK(device_.write(0, sector_));
  device_.fail(DeviceCall::write, 0);
  EXPECT_ERROR(device_.write(0, sector_), Errc::io);
}

TEST_F(FaultyDevice, fails_forever_until_the_rules_are_cleared) {
  device_.fail(DeviceCall::flush, 1, {.forever = true});
  EXPECT_OK(device_.flush());
  for (int i = 0; i < 5; ++i) EXPECT_ERROR(device_.flush(), Errc::io);
  EXPECT_OK(device_.write(0, sector_));
  device_.clear();
  EXPECT_OK(device_.flush());
}

TEST_F(FaultyDevice, gives_the_error_number_that_was_asked_for) {
  device_.fail(DeviceCall::allocate, 0, {.os_errno = ENOSPC});
  const auto full = device_.allocate(0, 4096);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Errc::no_space);
  EXPECT_EQ(full.error().os_errno, ENOSPC);
  device_.fail(DeviceCall::discard, 0, {.os_errno = EREMOTEIO});
  const auto broken = device_.discard(0, 4096);
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, Errc::io);
  EXPECT_EQ(broken.error().os_errno, EREMOTEIO);
}

TEST_F(FaultyDevice, leaves_the_first_sectors_of_a_write_that_fails_in_part) {
  device_.fail(DeviceCall::write, 0, {.sectors_done = 2});
  const Bytes bytes = pattern(2048, 2);
  EXPECT_ERROR(device_.write(0, bytes), Errc::io);
  EXPECT_EQ(read_all(*memory_, 0, 1024), Bytes(bytes.begin(), bytes.begin() + 1024));
  EXPECT_EQ(read_all(*memory_, 1024, 1024), filled(1024, 0));
}

TEST_F(FaultyDevice, tells_of_flushes_that_failed_and_of_durable_writes_that_failed_as_badly) {
  int told = 0;
  device_.when_flush_fails([&] { ++told; });
  device_.fail(DeviceCall::flush, 0);
  EXPECT_FALSE(device_.flush());
  EXPECT_EQ(told, 1);
  device_.fail(DeviceCall::write, 0);
  EXPECT_FALSE(device_.write(0, filled(512, 1)));
  EXPECT_EQ(told, 1);
  device_.fail(DeviceCall::write, 0);
  EXPECT_FALSE(device_.write_durable(0, filled(512, 1)));
  EXPECT_EQ(told, 2);
  device_.fail(DeviceCall::write, 0, {.os_errno = ENOSPC});
  EXPECT_FALSE(device_.write_durable(0, filled(512, 1)));
  EXPECT_EQ(told, 2);
  device_.fail(DeviceCall::flush, 0);
  EXPECT_FALSE(device_.write_durable(0, filled(512, 1)));
  EXPECT_EQ(told, 3);
}

TEST_F(FaultyDevice, fails_every_access_that_touches_a_bad_spot) {
  device_.fail_range(DeviceCall::read, 4096, 512);
  Bytes out(512);
  EXPECT_OK(device_.read(3584, out));
  EXPECT_ERROR(device_.read(3585, out), Errc::io);
  EXPECT_ERROR(device_.read(4600, out), Errc::io);
  EXPECT_OK(device_.read(4608, out));
  EXPECT_OK(device_.write(4096, sector_));
}

TEST_F(FaultyDevice, gives_wrong_bits_without_an_error) {
  device_.flip_bits(100, std::byte{0x81});
  const Bytes read = read_all(device_, 0, 200);
  Bytes expected = filled(200, 0);
  expected[100] = std::byte{0x81};
  EXPECT_EQ(read, expected);
  EXPECT_EQ(read_all(device_, 101, 50), filled(50, 0));
  EXPECT_EQ(read_all(*memory_, 0, 200), filled(200, 0));
}

TEST_F(FaultyDevice, passes_the_nature_of_its_base_on) {
  FaultDevice disk(MemoryDevice::disk(8192));
  EXPECT_FALSE(disk.can_grow());
  EXPECT_TRUE(device_.can_grow());
  EXPECT_EQ(disk.size(), 8192u);
  EXPECT_ERROR(disk.write(8192, sector_), Errc::out_of_range);
  device_.fail(DeviceCall::resize, 0);
  EXPECT_ERROR(device_.resize(100), Errc::io);
  EXPECT_EQ(device_.size(), 8192u);
}

}  // namespace
}  // namespace rvmfs::test
