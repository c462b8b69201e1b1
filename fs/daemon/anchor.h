// SPDX-License-Identifier: BSD-2-Clause
//
// Stops a program that changes its CPU with every request.
//
// A reply wakes the program while the worker that sent it is still running. So the scheduler looks
// for another CPU, and takes one that has become idle only just; with the next reply it goes back,
// and so on. Each time costs an interrupt for a CPU that was about to sleep. In a virtual machine a
// CPU is not taken if the host has put it to sleep (Linux: vcpu_is_preempted), so a program that
// stays once, stays until something else wakes the other CPU. Hence: when a program has moved with
// each of its last requests, one reply is kept back for as long as it takes for the other CPU to
// fall asleep. If that was not enough, the next time is longer; where it never is (a physical
// machine), it is tried less and less often.
//
// Thread rules: any thread. Figures are approximate under races; nothing depends on them but speed.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace rvmfs {

class Anchor {
 public:
  // Hosts look for work for 200 us before they put a CPU to sleep (KVM: halt_poll_ns). It was
  // enough with every second try; 2 ms nearly always.
  static constexpr std::chrono::microseconds kPauses[] = {std::chrono::microseconds(500),
                                                          std::chrono::microseconds(1000),
                                                          std::chrono::microseconds(2000)};
  static constexpr uint32_t kMovesMin = 3;
  static constexpr uint32_t kMovesMax = 1 << 14;
  static constexpr uint32_t kFailuresMax = 8;  // then kMovesMin is doubled with each one
  static constexpr uint32_t kStaysMin = 16;    // in a row: it works

  // A request of a program (0: of nobody in particular) has come in at a CPU. Returns for how long
  // its reply should wait.
  std::chrono::microseconds see(uint32_t program, int cpu);
  // Of the last request.
  int cpu() const { return static_cast<uint16_t>(last_.load(std::memory_order_relaxed)); }

 private:
  static uint32_t moves_before_pause(uint32_t failures);

  std::atomic<uint64_t> last_{0};   // program and CPU of the last request
  std::atomic<uint32_t> moves_{0};  // in a row, by the same program
  std::atomic<uint32_t> stays_{0};  // in a row
  std::atomic<uint32_t> failures_{0};
};

}  // namespace rvmfs
