// SPDX-License-Identifier: BSD-2-Clause
//
// Devices that fail outside of the way of a commit: a flush that fails while pages go home or while
// the label changes, and a host that is full when a page that was given back to it gets bytes
// again, or when the status of the log is written.
#include <cerrno>
#include <functional>

#include "rvm/log_format.h"
#include "tests/fs/volume_fixture.h"
#include "tests/support/fault_device.h"

namespace rvmfs::test {
namespace {

class HonestDeviceTest : public VolumeTest {
 protected:
  void make_files(int count) {
    for (int i = 0; i < count; ++i) make(kRoot, "a-rather-long-name-" + std::to_string(i));
  }
  void remove_files(int count) {
    for (int i = 0; i < count; ++i) {
      EXPECT_OK(volume_->unlink(kRoot, "a-rather-long-name-" + std::to_string(i)));
    }
  }
  void open_on(std::shared_ptr<rvm::Device> device) {
    auto opened = Volume::open(std::move(device), options());
    ASSERT_TRUE(opened.has_value()) << explain(opened.error());
    volume_ = std::move(*opened);
  }
  // Lets each flush of `work` fail, one in each round, and expects that no fsync succeeds then:
  // the file's data may have been waiting for that very flush.
  void let_each_flush_fail(const std::function<Result<void>()>& work) {
    const Inode file = make(kRoot, "file");
    ASSERT_OK(volume_->close());
    for (uint64_t nth = 0;; ++nth) {
      ASSERT_LT(nth, 100u);
      auto faulty = std::make_shared<FaultDevice>(device_);
      ASSERT_NO_FATAL_FAILURE(open_on(faulty));
      make_files(200);
      ASSERT_OK(volume_->sync());
      write(file, std::string(100'000, 'x'));
      faulty->fail(DeviceCall::flush, nth);
      const bool done = work().has_value();
      const bool met = faulty->faults() > 0;
      faulty->clear();
      EXPECT_EQ(done, !met) << "flush " << nth;
      EXPECT_EQ(volume_->fsync(file, false).has_value(), !met) << "flush " << nth;
      volume_->abandon();
      open();
      remove_files(200);
      ASSERT_OK(volume_->close());
      if (!met) {
        EXPECT_GT(nth, 0u);
        break;
      }
    }
    open();
  }
};

TEST_F(HonestDeviceTest, AFlushThatFailsWhilePagesGoHomeEndsAllClaimsOfSuccess) {
  let_each_flush_fail([&] { return volume_->rvm().truncate(rvm::Truncation::incremental); });
}

TEST_F(HonestDeviceTest, AFlushThatFailsDuringAnEpochTruncationEndsAllClaimsOfSuccess) {
  let_each_flush_fail([&] { return volume_->rvm().truncate(rvm::Truncation::epoch); });
}

TEST_F(HonestDeviceTest, AFlushThatFailsWhileTheLabelChangesEndsAllClaimsOfSuccess) {
  let_each_flush_fail([&] { return volume_->set_label("another"); });
}

TEST_F(HonestDeviceTest, AHostThatIsFullWhenPagesGoHomePoisonsNothing) {
  constexpr int kFiles = 3000;
  make_files(kFiles);
  ASSERT_OK(volume_->rvm().truncate());
  remove_files(kFiles);
  ASSERT_OK(volume_->rvm().truncate());  // now most pages are zeros, and not on the host
  make_files(kFiles);
  ASSERT_OK(volume_->sync());
  device_->set_host_bytes_max(device_->snapshot().allocated_bytes());
  for (const auto mode : {rvm::Truncation::incremental, rvm::Truncation::epoch}) {
    const auto truncated = volume_->rvm().truncate(mode);
    ASSERT_FALSE(truncated.has_value()) << "the test does not fill the host";
    EXPECT_TRUE(truncated.error() == rvm::Errc::no_space) << explain(truncated.error());
    EXPECT_FALSE(volume_->failed());
  }
  make(kRoot, "one-more");
  EXPECT_OK(volume_->sync());
  device_->set_host_bytes_max(UINT64_MAX);
  ASSERT_OK(volume_->rvm().truncate());
  crash();
  EXPECT_EQ(list(kRoot).size(), kFiles + 1u);
}

// The status block is overwritten in place, which needs no space on most hosts; on some it does.
TEST_F(HonestDeviceTest, AHostThatIsFullWhenTheStatusIsWrittenPoisonsNothing) {
  ASSERT_OK(volume_->close());
  auto faulty = std::make_shared<FaultDevice>(device_);
  ASSERT_NO_FATAL_FAILURE(open_on(faulty));
  std::vector<std::string> names;
  const auto make_one = [&] {
    names.push_back("file " + std::to_string(names.size()));
    make(kRoot, names.back());
    EXPECT_OK(volume_->sync());
  };
  constexpr uint64_t kStatus = rvm::format::kStatusBytes;
  // The first copy, the second, and the first while the second is in doubt.
  for (const uint64_t copy : {0, 1, 0}) {
    make_one();
    faulty->fail_range(DeviceCall::write, format::kLogOffset + copy * kStatus, kStatus, ENOSPC);
    const auto truncated = volume_->rvm().truncate();
    ASSERT_FALSE(truncated.has_value());
    EXPECT_TRUE(truncated.error() == rvm::Errc::no_space) << explain(truncated.error());
    EXPECT_FALSE(volume_->failed());
    make_one();
    faulty->clear();
  }
  make_one();
  ASSERT_OK(volume_->rvm().truncate());
  make_one();
  volume_->abandon();
  open();
  EXPECT_EQ(list(kRoot).size(), names.size());
}

}  // namespace
}  // namespace rvmfs::test
