// SPDX-License-Identifier: BSD-2-Clause
//
// A thread that looks every 2 ms whether something is stuck, for as long as there is anything to
// watch, and sleeps otherwise.
//
// Thread rules: watch() before start(); wake() from any thread; the rest from the owner's thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

namespace rvmfs {

class Watcher {
 public:
  static constexpr auto kInterval = std::chrono::milliseconds(2);
  // Returns whether there is anything to watch. Called by the watcher's thread only.
  using Look = std::function<bool()>;

  Watcher() = default;
  ~Watcher() { stop(); }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  void watch(Look look) { looks_.push_back(std::move(look)); }
  bool start();  // false: the host gives no thread
  // There is something to watch from now on. Costs nothing while the thread is awake.
  void wake() {
    if (awake_.load() == 0) wake_thread();
  }
  void stop();

 private:
  void run();
  bool look();
  void wake_thread();

  std::vector<Look> looks_;
  std::atomic<uint32_t> awake_{0};  // futex: 0 while the thread sleeps
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace rvmfs
