// SPDX-License-Identifier: BSD-2-Clause
//
// The device that says when its caller may have to wait.
#include "fs/daemon/announcing_device.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/support/bytes.h"
#include "tests/support/hook_device.h"
#include "tests/support/memory_device.h"
#include "tests/support/temp_dir.h"

namespace rvmfs::test {
namespace {

int announced = 0;

class AnnouncingDevice : public testing::Test {
 protected:
  void SetUp() override { announced = 0; }

  const std::shared_ptr<MemoryDevice> memory_ = MemoryDevice::file();
  const std::shared_ptr<HookDevice> hooked_ = std::make_shared<HookDevice>(memory_);
  const std::shared_ptr<rvm::Device> device_ = make_announcing_device(hooked_, [] { ++announced; });
};

TEST_F(AnnouncingDevice, TellsBeforeItReadsWhatTheHostMayHaveToFetch) {
  write_all(*memory_, 0, pattern(10'000, 1));
  EXPECT_EQ(read_all(*device_, 100, 5000), read_all(*memory_, 100, 5000));
  EXPECT_EQ(announced, 1);
}

TEST_F(AnnouncingDevice, ReadsWhatIsInTheCacheOfTheHost) {
  const TempDir folder;
  auto file = rvm::open_file_device(folder.file("image"), {.create = true});
  ASSERT_TRUE(file);
  const auto device = make_announcing_device(*file, [] { ++announced; });
  write_all(*device, 0, pattern(100'000, 2));
  EXPECT_EQ(announced, 1);  // the write was a large one
  EXPECT_EQ(read_all(*device, 3, 90'000), read_all(**file, 3, 90'000));
  EXPECT_LE(announced, 2);
}

TEST_F(AnnouncingDevice, TellsBeforeEverythingThatMakesDurableOrChangesTheFile) {
  write_all(*memory_, 0, pattern(10'000, 1));
  EXPECT_OK(device_->flush());
  EXPECT_EQ(announced, 1);
  EXPECT_OK(device_->write_durable(0, filled(10, 1)));
  EXPECT_EQ(announced, 2);
  EXPECT_OK(device_->discard(0, 4096));
  EXPECT_EQ(announced, 3);
  EXPECT_OK(device_->allocate(0, 4096));
  EXPECT_EQ(announced, 4);
  EXPECT_OK(device_->resize(20'000));
  EXPECT_EQ(announced, 5);
  EXPECT_EQ(device_->size(), 20'000u);
}

TEST_F(AnnouncingDevice, TellsBeforeAWriteIfItIsLargeOrWouldWaitForAnotherOne) {
  EXPECT_OK(device_->write(0, filled(1000, 1)));
  EXPECT_EQ(announced, 0);
  EXPECT_OK(device_->write(0, filled(100'000, 1)));
  EXPECT_EQ(announced, 1);
  hooked_->hook = [this](DeviceCall call, uint64_t) -> rvm::Result<void> {
    if (call == DeviceCall::flush) RVM_TRY(device_->write(0, filled(1000, 2)));
    return {};
  };
  EXPECT_OK(device_->flush());
  EXPECT_EQ(announced, 3);
  hooked_->hook = nullptr;
  EXPECT_OK(device_->write(0, filled(1000, 3)));
  EXPECT_EQ(announced, 3);
}

TEST_F(AnnouncingDevice, IsOtherwiseTheDeviceItself) {
  write_all(*memory_, 0, filled(10, 1));
  EXPECT_EQ(device_->size(), 10u);
  EXPECT_EQ(device_->name(), hooked_->name());
  EXPECT_EQ(device_->can_grow(), hooked_->can_grow());
  EXPECT_EQ(device_->read_only(), hooked_->read_only());
  EXPECT_EQ(device_->host_bytes_free(), hooked_->host_bytes_free());
  EXPECT_EQ(device_->first_hole(0, 10), hooked_->first_hole(0, 10));
  device_->release_lock();
  Bytes beyond(20);
  EXPECT_ERROR(device_->read(5, beyond), rvm::Errc::out_of_range);
}

}  // namespace
}  // namespace rvmfs::test
