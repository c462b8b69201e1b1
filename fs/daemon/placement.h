// SPDX-License-Identifier: BSD-2-Clause
//
// Where workers run: at the CPU of the program that sends the requests.
//
// A program and the worker that serves it take turns, so two CPUs gain them nothing; but waking the
// other one on an idle CPU is what the scheduler does, and it costs more than the work
// (reply_lanes.h). So workers are bound to the CPU at which requests come from, as far as samples
// show, and follow when the program moves. They are left to the scheduler where that is better:
// requests overlap with others that wait for a device (several programs that fsync, read-ahead),
// for then more than one CPU is of use; and replies got stuck in a lane, for then other work wants
// that CPU.
//
// Thread rules: any worker. Figures are approximate under races; nothing depends on them but speed.
#pragma once

#include <linux/fuse.h>
#include <sched.h>

#include <atomic>
#include <cstdint>

namespace rvmfs {

class Placement {
 public:
  static constexpr int kAnywhere = -1;
  static constexpr int kUnknown = -2;  // of a thread that was not bound yet: as who started it

  explicit Placement(bool follows);

  // A request was read. Returns the CPU that workers should be bound to, or kAnywhere.
  int see(const fuse_in_header& request, bool lanes_closed);

  // Binds a thread of this process (0: the caller), or lets it go anywhere it may. If the host does
  // not allow it, nobody is followed any more.
  void bind(pid_t thread, int cpu);

  bool follows() const { return follows_; }
  // Requests wait for a device at once: workers go where the scheduler wants them.
  bool spreads() const { return spread_; }

  // Around the work on a request.
  void begin(const fuse_in_header& request);
  void end(const fuse_in_header& request);

 private:
  std::atomic<bool> follows_;
  cpu_set_t allowed_{};
  std::atomic<int> home_{kAnywhere};   // where the last sample was
  std::atomic<int> countdown_{0};      // requests until the next one
  std::atomic<int> waiting_{0};        // requests under way that may wait for a device
  std::atomic<uint32_t> requests_{0};  // in this window
  std::atomic<uint32_t> overlaps_{0};
  std::atomic<bool> spread_{false};
};

}  // namespace rvmfs
