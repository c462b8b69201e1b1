// SPDX-License-Identifier: BSD-2-Clause
//
// Going to the background.
#include "fs/daemon/daemonize.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "fs/daemon/messages.h"

namespace rvmfs {
namespace {

constexpr int kFailure = 1;

Error system_error(const char* what) { return Error{rvm::Errc::io, errno, 0, what}; }

// The child's verdict: 0 when it reported, else its exit status.
int wait_for_child(int report_fd, pid_t child) {
  char byte = 0;
  ssize_t result = 0;
  do {
    result = read(report_fd, &byte, 1);
  } while (result < 0 && errno == EINTR);
  if (result == 1) return 0;
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return kFailure;
  }
  if (WIFSIGNALED(status)) {
    say(Level::error, "the daemon was killed by signal {} before it had mounted", WTERMSIG(status));
  }
  return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : kFailure;
}

}  // namespace

Result<Background> Background::enter(std::optional<int>& parent_status) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return system_error("pipe");
  const pid_t child = fork();
  if (child < 0) {
    const Error error = system_error("fork");
    close(ends[0]);
    close(ends[1]);
    return error;
  }
  Background background;
  if (child > 0) {
    close(ends[1]);
    parent_status = wait_for_child(ends[0], child);
    close(ends[0]);
    return background;
  }
  close(ends[0]);
  background.report_fd_ = ends[1];
  setsid();  // cannot fail: a child is never a group leader
  use_syslog();
  return background;
}

Background& Background::operator=(Background&& other) noexcept {
  std::swap(report_fd_, other.report_fd_);
  return *this;
}

Background::~Background() {
  if (report_fd_ >= 0) close(report_fd_);
}

void Background::detach() {
  if (report_fd_ < 0) return;
  if (chdir("/") != 0) say(Level::warning, "cannot change to /: the caller's folder stays in use");
  detach_messages();
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (null >= 0) dup2(null, fd);
  }
  if (null > STDERR_FILENO) close(null);
  const char byte = 0;
  // If the parent is gone, nobody waits for the verdict.
  [[maybe_unused]] const ssize_t ignored = write(report_fd_, &byte, 1);
  close(report_fd_);
  report_fd_ = -1;
}

}  // namespace rvmfs
