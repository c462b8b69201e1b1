// SPDX-License-Identifier: BSD-2-Clause
//
// Where workers are to run: at the CPU of the thread that sends requests, unless requests overlap
// while they wait for a device, or the lanes are closed.
#include "fs/daemon/placement.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

namespace rvmfs {
namespace {

class PlacementOfWorkers : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(sched_getaffinity(0, sizeof allowed_, &allowed_), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &allowed_)) continue;
      (first_ < 0 ? first_ : last_) = cpu;
    }
    if (last_ < 0) last_ = first_;
  }
  void TearDown() override { sched_setaffinity(0, sizeof allowed_, &allowed_); }

  static void run_at(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    ASSERT_EQ(sched_setaffinity(0, sizeof set, &set), 0);
  }

  // Requests of this thread, one after the other; the last answer.
  int ask(Placement& placement, int requests, bool lanes_closed = false) {
    int cpu = Placement::kAnywhere;
    for (int i = 0; i < requests; ++i) {
      fuse_in_header request{};
      request.opcode = FUSE_LOOKUP;
      request.pid = static_cast<uint32_t>(gettid());
      cpu = placement.see(request, lanes_closed);
      placement.begin(request);
      placement.end(request);
    }
    return cpu;
  }

  cpu_set_t allowed_{};
  int first_ = -1, last_ = -1;
};

TEST_F(PlacementOfWorkers, FollowsTheThreadThatAsks) {
  Placement placement(true);
  run_at(first_);
  EXPECT_EQ(ask(placement, 1), first_);
  run_at(last_);
  EXPECT_EQ(ask(placement, 100), last_);
}

TEST_F(PlacementOfWorkers, IsLeftToTheKernelIfSoWanted) {
  Placement placement(false);
  EXPECT_EQ(ask(placement, 100), Placement::kAnywhere);
}

TEST_F(PlacementOfWorkers, IsLeftToTheKernelWhileLanesAreClosed) {
  Placement placement(true);
  run_at(first_);
  EXPECT_EQ(ask(placement, 10, true), Placement::kAnywhere);
  EXPECT_EQ(ask(placement, 10, false), first_);
}

TEST_F(PlacementOfWorkers, IsLeftToTheKernelWhileRequestsOverlapThatWaitForADevice) {
  Placement placement(true);
  run_at(first_);
  fuse_in_header fsync{};
  fsync.opcode = FUSE_FSYNC;
  placement.begin(fsync);
  EXPECT_EQ(ask(placement, 300), first_) << "one of them leaves the CPU to the others";
  placement.begin(fsync);
  EXPECT_EQ(ask(placement, 300), Placement::kAnywhere);
  placement.end(fsync);
  EXPECT_EQ(ask(placement, 300), first_);
}

TEST_F(PlacementOfWorkers, StaysWhereItIsForRequestsOfUnknownThreads) {
  Placement placement(true);
  run_at(first_);
  ask(placement, 1);
  fuse_in_header unknown{};
  for (int i = 0; i < 100; ++i) EXPECT_EQ(placement.see(unknown, false), first_);
  unknown.pid = 0x7fffffff;  // no such thread
  for (int i = 0; i < 100; ++i) EXPECT_EQ(placement.see(unknown, false), first_);
}

TEST_F(PlacementOfWorkers, BindsThreadsAndLetsThemGo) {
  Placement placement(true);
  placement.bind(0, last_);
  EXPECT_EQ(sched_getcpu(), last_);
  placement.bind(0, Placement::kAnywhere);
  cpu_set_t now;
  ASSERT_EQ(sched_getaffinity(0, sizeof now, &now), 0);
  EXPECT_TRUE(CPU_EQUAL(&now, &allowed_));
}

}  // namespace
}  // namespace rvmfs
