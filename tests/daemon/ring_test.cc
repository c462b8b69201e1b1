// SPDX-License-Identifier: BSD-2-Clause
//
// The workers of FUSE over io_uring without a kernel that would give them anything: they come, find
// out, and go. What they do with one is in tests/mount/ring_test.cc.
#include "fs/daemon/ring.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "fs/daemon/signals.h"

namespace rvmfs {
namespace {

class RingWithoutAMount : public testing::Test {
 protected:
  Placement placement_{true};
  Watcher watcher_;
  Ring ring_{4, placement_, watcher_, [](RingSlot&) -> bool {
               ADD_FAILURE() << "a request, from nowhere";
               return false;
             }};
  const int fd_ = memfd_create("no /dev/fuse", MFD_CLOEXEC);
  void SetUp() override {
    signal(kWakeSignal, [](int) {});  // as prepare_signals() does for the daemon
  }
  void TearDown() override { close(fd_); }
};

TEST_F(RingWithoutAMount, CarriesNothing) {
  if (!ring_.prepare(fd_)) GTEST_SKIP() << "this host gives us no io_uring";
  ring_.enroll();
  for (int i = 0; i < 50; ++i) {
    ASSERT_FALSE(ring_.carries());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ring_.stop();
}

TEST_F(RingWithoutAMount, EndsBetweenPrepareAndEnroll) {
  if (!ring_.prepare(fd_)) GTEST_SKIP() << "this host gives us no io_uring";
  ring_.stop();
  EXPECT_FALSE(ring_.carries());
}

TEST_F(RingWithoutAMount, EndsIfNothingWasPrepared) { ring_.stop(); }

TEST_F(RingWithoutAMount, OtherThreadsMayWait) { Ring::about_to_wait(); }

}  // namespace
}  // namespace rvmfs
