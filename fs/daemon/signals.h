// SPDX-License-Identifier: BSD-2-Clause
//
// Signals: SIGTERM, SIGINT and SIGHUP ask for a clean unmount and arrive at a descriptor, in order,
// between other events of the main thread; SIGPIPE and SIGXFSZ are ignored (write(2) tells); and
// kWakeSignal gets a worker out of a blocking read and does nothing else.
#pragma once

#include <csignal>

#include "fs/errors.h"

namespace rvmfs {

inline constexpr int kWakeSignal = SIGUSR1;

// Before any thread is started: threads inherit what is blocked here.
Result<void> prepare_signals();

// Owns the descriptor at which the termination signals arrive.
class SignalEvents {
 public:
  static Result<SignalEvents> open();
  SignalEvents(SignalEvents&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  SignalEvents& operator=(SignalEvents&&) = delete;
  ~SignalEvents();

  int fd() const { return fd_; }
  // The next signal that has arrived; 0: none.
  int take() const;

 private:
  explicit SignalEvents(int fd) : fd_(fd) {}
  int fd_;
};

// In a forked child that runs another program: signals as they were for the caller.
void restore_signals();

}  // namespace rvmfs
