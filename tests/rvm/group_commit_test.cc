// SPDX-License-Identifier: BSD-2-Clause
//
// Group commit: threads that come while a force is under way share the next one, and nobody is left
// waiting, whatever becomes of it.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "rvm/rvm.h"
#include "tests/rvm/rvm_world.h"

namespace rvm {
namespace {

using rvmfs::test::DeviceCall;
using rvmfs::test::RvmWorld;

class GroupCommit : public RvmWorld {
 protected:
  static constexpr uint64_t kThreads = 4;

  // The next write of the log lasts until the threads have committed, each in a page of its own,
  // and wait; then it ends like this.
  void when_written(std::function<Result<void>()> end) {
    hooked_->hook = [this, end](DeviceCall kind, uint64_t) -> Result<void> {
      if (kind != DeviceCall::write) return {};
      for (uint64_t number = 1; number <= kThreads; ++number) {
        threads_.emplace_back([this, number] {
          const auto done = try_put(number * kPageBytes, "from a thread", Commit::flush);
          succeeded_ += done.has_value();
          failed_ += !done && done.error().code == Errc::failed;
        });
      }
      while (rvm_->statistics().transactions_committed < committed_ + 1 + kThreads) pause();
      pause();  // what is between the commit and the wait
      hooked_->hook = [](DeviceCall, uint64_t) -> Result<void> { return {}; };
      return end();
    };
    committed_ = rvm_->statistics().transactions_committed;
  }
  void join() {
    for (std::thread& thread : threads_) thread.join();
  }
  static void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }

  std::vector<std::thread> threads_;
  std::atomic<uint64_t> succeeded_{0}, failed_{0};
  uint64_t committed_ = 0;
};

TEST_F(GroupCommit, makes_one_write_of_what_came_meanwhile) {
  when_written([]() -> Result<void> { return {}; });
  const uint64_t forces = rvm_->statistics().forces;
  put(0, "first");
  join();
  EXPECT_EQ(succeeded_, kThreads);
  EXPECT_EQ(rvm_->statistics().forces, forces + 2);
  EXPECT_EQ(rvm_->statistics().force_waiters, kThreads - 1);  // one has led
  ASSERT_TRUE(reopen());
  for (uint64_t number = 1; number <= kThreads; ++number) {
    EXPECT_EQ(get(number * kPageBytes, 13), "from a thread");
  }
}

TEST_F(GroupCommit, that_finds_no_space_once_is_tried_again_by_who_waited) {
  when_written([]() -> Result<void> { return Error{Errc::no_space, ENOSPC, 0, "a full host"}; });
  EXPECT_ERROR(try_put(0, "first", Commit::flush), Errc::no_space);
  join();
  EXPECT_EQ(succeeded_, kThreads);
}

TEST_F(GroupCommit, that_fails_is_told_to_all_who_wait) {
  when_written([]() -> Result<void> { return Error{Errc::io, EIO, 0, "a broken medium"}; });
  EXPECT_ERROR(try_put(0, "first", Commit::flush), Errc::io);
  join();
  EXPECT_EQ(failed_, kThreads);
}

TEST_F(GroupCommit, leaves_nobody_waiting_when_the_instance_fails_for_another_reason) {
  when_written([this]() -> Result<void> {
    rvm_->declare_failed();
    return {};
  });
  EXPECT_ERROR(try_put(0, "first", Commit::flush), Errc::failed);
  join();
  EXPECT_EQ(failed_, kThreads);
}

}  // namespace
}  // namespace rvm
