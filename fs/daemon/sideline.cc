// SPDX-License-Identifier: BSD-2-Clause
//
// See sideline.h.
#include "fs/daemon/sideline.h"

#include <poll.h>

#include <thread>

namespace rvmfs {
namespace {

constexpr auto kRetry = std::chrono::microseconds(20);
constexpr int kForever = -1;  // of poll(2)

// Not for a connection that has ended: there is nothing to wait for.
bool readable(int fd, int milliseconds) {
  pollfd event{fd, POLLIN, 0};
  return poll(&event, 1, milliseconds) > 0 && (event.revents & POLLIN) != 0;
}

// Also when the connection has ended, which read(2) will tell.
bool has_news(int fd) {
  pollfd event{fd, POLLIN, 0};
  return poll(&event, 1, kForever) > 0;
}

}  // namespace

bool Sideline::await(int fd) {
  reading_.lock();
  {
    std::unique_lock lock(mutex_);
    hurry_.wait_for(lock, kInterval, [this] { return hurried_; });
    hurried_ = false;
  }
  if (!has_news(fd)) {
    reading_.unlock();
    return false;
  }
  ++busy_;  // before anything is read: drain() looks in the opposite order
  return true;
}

void Sideline::done() {
  ++rounds_;
  --busy_;
}

void Sideline::drain(int fd) {
  const uint64_t end = rounds_ + kRoundsMax;
  while (!closed_ && rounds_ < end && (readable(fd, 0) || busy_ > 0)) {
    {
      const std::lock_guard lock(mutex_);
      hurried_ = true;
    }
    hurry_.notify_one();
    std::this_thread::sleep_for(kRetry);
  }
}

}  // namespace rvmfs
