// SPDX-License-Identifier: BSD-2-Clause
//
// Signals.
#include "fs/daemon/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace rvmfs {
namespace {

sigset_t termination_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  return set;
}

void do_nothing(int) {}

Error system_error(const char* what) { return Error{rvm::Errc::io, errno, 0, what}; }

}  // namespace

Result<void> prepare_signals() {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  struct sigaction wake {};  // without SA_RESTART: the read is to end
  wake.sa_handler = do_nothing;
  if (sigaction(SIGPIPE, &ignore, nullptr) != 0 || sigaction(SIGXFSZ, &ignore, nullptr) != 0 ||
      sigaction(kWakeSignal, &wake, nullptr) != 0) {
    return system_error("sigaction");
  }
  const sigset_t set = termination_signals();
  const int result = pthread_sigmask(SIG_BLOCK, &set, nullptr);
  if (result != 0) return Error{rvm::Errc::io, result, 0, "pthread_sigmask"};
  return {};
}

void restore_signals() {
  const sigset_t set = termination_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGXFSZ, SIG_DFL);
}

Result<SignalEvents> SignalEvents::open() {
  const sigset_t set = termination_signals();
  const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return system_error("signalfd");
  return SignalEvents(fd);
}

SignalEvents::~SignalEvents() {
  if (fd_ >= 0) close(fd_);
}

int SignalEvents::take() const {
  signalfd_siginfo info{};
  if (read(fd_, &info, sizeof info) != sizeof info) return 0;
  return static_cast<int>(info.ssi_signo);
}

}  // namespace rvmfs
