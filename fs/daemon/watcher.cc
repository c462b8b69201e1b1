// SPDX-License-Identifier: BSD-2-Clause
//
// See watcher.h.
#include "fs/daemon/watcher.h"

#include <system_error>

#include "fs/daemon/futex.h"

namespace rvmfs {
namespace {

constexpr int kQuietIntervals = 25;  // then the thread sleeps

}  // namespace

bool Watcher::start() {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

void Watcher::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  wake_thread();
  thread_.join();
}

void Watcher::wake_thread() {
  awake_ = 1;
  futex_wake(awake_);
}

bool Watcher::look() {
  bool any = false;
  for (const Look& look : looks_) any |= look();
  return any;
}

void Watcher::run() {
  int quiet = 0;
  while (!stopping_) {
    std::this_thread::sleep_for(kInterval);
    quiet = look() ? 0 : quiet + 1;
    if (quiet < kQuietIntervals) continue;
    awake_ = 0;
    // What came before `awake_` was set is seen now, what comes later wakes us.
    if (!look() && !stopping_) futex_wait(awake_, 0);
    awake_ = 1;
    quiet = 0;
  }
}

}  // namespace rvmfs
