// SPDX-License-Identifier: BSD-2-Clause
//
// What comes over /dev/fuse beside a ring, here over a socket that keeps messages apart as
// /dev/fuse does: it gathers for a moment, and who drains finds all of it done.
#include "fs/daemon/sideline.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace rvmfs {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

class SidelineOfARing : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends_), 0); }
  void TearDown() override {
    sideline_.close();
    shutdown(ends_[0], SHUT_RDWR);
    if (reader_.joinable()) reader_.join();
    close(ends_[0]);
    close(ends_[1]);
  }

  void send(int messages) {
    for (int i = 0; i < messages; ++i) ASSERT_EQ(write(ends_[0], "forget", 6), 6);
  }
  void start_reading(milliseconds work = milliseconds(0)) {
    reader_ = std::thread([this, work] {
      for (;;) {
        if (!sideline_.await(ends_[1])) continue;
        char message[16];
        const ssize_t bytes = read(ends_[1], message, sizeof message);
        sideline_.has_read();
        if (bytes > 0) std::this_thread::sleep_for(work);
        if (bytes > 0) ++done_;
        sideline_.done();
        if (bytes <= 0) return;
      }
    });
  }

  Sideline sideline_;
  int ends_[2] = {-1, -1};  // the kernel's, the reader's
  std::atomic<int> done_{0};
  std::thread reader_;
};

TEST_F(SidelineOfARing, DrainingAnEmptyOneIsNothing) {
  start_reading();
  sideline_.drain(ends_[1]);
  EXPECT_EQ(sideline_.rounds(), 0u);
}

TEST_F(SidelineOfARing, WhatWasSentIsDoneAfterDraining) {
  start_reading(milliseconds(3));
  for (int round = 1; round <= 20; ++round) {
    send(3);
    sideline_.drain(ends_[1]);
    EXPECT_EQ(done_, 3 * round);
    EXPECT_EQ(sideline_.rounds(), static_cast<uint64_t>(done_));
  }
}

TEST_F(SidelineOfARing, WithoutDrainingMessagesWaitForTheInterval) {
  start_reading();
  const auto begin = Clock::now();
  send(5);
  while (done_ < 5) std::this_thread::sleep_for(std::chrono::microseconds(100));
  EXPECT_GE(Clock::now() - begin, 4 * Sideline::kInterval);
}

TEST_F(SidelineOfARing, DrainingDoesNotWaitForTheInterval) {
  start_reading();
  const auto begin = Clock::now();
  send(100);  // as many as fit
  while (done_ < 100) sideline_.drain(ends_[1]);
  EXPECT_LT(Clock::now() - begin, 50 * Sideline::kInterval);
}

TEST_F(SidelineOfARing, WhatComesLaterDoesNotHoldItUp) {
  start_reading();
  std::atomic<bool> enough{false};
  std::thread sender([&] {
    while (!enough) {
      if (::send(ends_[0], "forget", 6, MSG_DONTWAIT) < 0) std::this_thread::yield();
    }
  });
  while (done_ == 0) std::this_thread::yield();
  for (int i = 0; i < 20; ++i) sideline_.drain(ends_[1]);  // returns
  enough = true;
  sender.join();
}

TEST_F(SidelineOfARing, NobodyWaitsForOneThatIsClosed) {
  send(1);  // and nobody reads it
  sideline_.close();
  sideline_.drain(ends_[1]);
}

}  // namespace
}  // namespace rvmfs
