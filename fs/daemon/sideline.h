// SPDX-License-Identifier: BSD-2-Clause
//
// What the kernel still sends over /dev/fuse beside a ring (ring.h): FORGETs, and INTERRUPTs, which
// change nothing for us.
//
// Nobody waits for a FORGET, so they are left to gather for a moment: one read takes many, and no
// program is moved from its CPU by a thread that wakes for each. But they free space, and the
// program that deleted a file expects it free, so who is asked for it can have them read at once.
//
// Thread rules: drain() is not for a thread that reads; otherwise any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace rvmfs {

class Sideline {
 public:
  static constexpr auto kInterval = std::chrono::milliseconds(2);

  // A thread that reads calls these in turn. await() returns when there is something to read, and
  // not sooner than kInterval after the last time unless somebody drains; false: a signal came, and
  // nothing is to be read. has_read() is for after the read, done() for after the work.
  bool await(int fd);
  void has_read() { reading_.unlock(); }
  void done();

  // Everything that the kernel had sent by now has been worked on when it returns. What comes later
  // does not hold it up: one read takes all FORGETs that are there, so a few rounds are enough.
  static constexpr uint64_t kRoundsMax = 8;
  void drain(int fd);
  // How often something has been worked on so far.
  uint64_t rounds() const { return rounds_; }
  // Nobody reads any more: drain() does not wait.
  void close() { closed_ = true; }

 private:
  std::atomic<bool> closed_{false};
  std::atomic<int> busy_{0};  // at what they have read, or about to read
  std::atomic<uint64_t> rounds_{0};
  std::mutex reading_;  // from await() to has_read()
  std::mutex mutex_;
  std::condition_variable hurry_;
  bool hurried_ = false;  // with mutex_
};

}  // namespace rvmfs
