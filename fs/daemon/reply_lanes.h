// SPDX-License-Identifier: BSD-2-Clause
//
// Sends replies so that the program which waits for them goes on at the same CPU.
//
// When a reply wakes a program, the scheduler sees that the CPU is busy (with the worker that sends
// the reply and is about to sleep) and moves the program to an idle one, as it then moves the
// worker with the next request. Each such move is an interrupt for another CPU, which may be
// halted: it costs more than everything else in a round trip together, in a virtual machine several
// times as much. A CPU on which only a thread of the idle class runs, however, counts as idle. So a
// worker hands its reply to the lane of its CPU, a thread of the idle class that is bound to this
// CPU. The lane gets its turn as soon as the worker sleeps, and the program stays where it was.
//
// A thread of the idle class waits for as long as others want its CPU, so it may hold nothing that
// others wait for, and it may not be the only one to send a reply. Hence: lanes do nothing but
// sending; the kernel takes a second copy of a reply for nothing (ENOENT); and the watcher looks
// whether a reply is stuck in a lane, sends it itself, and closes the lanes for a while (longer
// each time).
//
// Thread rules: any thread, except where said.
#pragma once

#include <sys/uio.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>

#include "fs/daemon/watcher.h"

namespace rvmfs {

class ReplyLanes {
 public:
  // Larger replies are not worth a copy.
  static constexpr size_t kReplyBytesMax = 16 << 10;

  // The watcher, which is not started yet, looks at the lanes from now on.
  explicit ReplyLanes(Watcher& watcher);
  ~ReplyLanes();  // as stop()
  ReplyLanes(const ReplyLanes&) = delete;
  ReplyLanes& operator=(const ReplyLanes&) = delete;

  // Hands a reply to the lane of `cpu`, which writes it to `fd` (valid until stop() has returned).
  // False: the caller has to send it.
  bool send(int cpu, int fd, std::span<const iovec> parts);

  // Replies were stuck a moment ago: the CPUs are wanted by others.
  bool closed() const;

  // Every reply has been sent when it returns, and the threads are gone. One thread, once no other
  // one sends and the watcher has stopped.
  void stop();

  // How often the watcher had to send a reply (for tests).
  uint64_t rescues() const { return rescues_; }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int kCpus = 256;  // those with higher numbers have no lanes
  struct Slot;
  struct Lane;

  Lane* lane_of(int cpu);
  Lane* make_lane(int cpu);
  void run(Lane& lane);
  static bool send_ready(Lane& lane);
  static void wake(Lane& lane);
  bool look_at_lanes();
  bool look_at(Lane& lane, Slot& slot);
  void rescue(Lane& lane, Slot& slot);

  std::array<std::atomic<Lane*>, kCpus> lanes_{};
  std::mutex make_mutex_;
  std::atomic<bool> stopping_{false};
  std::atomic<Clock::rep> closed_until_{0};
  std::atomic<uint64_t> rescues_{0};
  Clock::duration pause_{};    // the watcher's: how long lanes are closed next time
  Clock::time_point rescued_;  // the watcher's: when it last had to
  Watcher& watcher_;
};

}  // namespace rvmfs
