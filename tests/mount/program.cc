// SPDX-License-Identifier: BSD-2-Clause
//
// Programs as children of a test.
#include "tests/mount/program.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <sstream>

namespace rvmfs::test {
namespace {

constexpr int kCannotExecute = 127;

[[noreturn]] void execute(const std::vector<std::string>& arguments) {
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) {
    pointers.push_back(const_cast<char*>(argument.c_str()));
  }
  pointers.push_back(nullptr);
  execvp(pointers[0], pointers.data());
  _exit(kCannotExecute);
}

int status_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

}  // namespace

Outcome run(const std::vector<std::string>& arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execute(arguments);
  }
  close(ends[1]);
  Outcome outcome;
  std::array<char, 4096> buffer;
  for (ssize_t bytes = 0; (bytes = read(ends[0], buffer.data(), buffer.size())) > 0;) {
    outcome.output.append(buffer.data(), static_cast<size_t>(bytes));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  outcome.status = status_of(status);
  return outcome;
}

Child::Child(const std::vector<std::string>& arguments, const std::string& output_path)
    : pid_(fork()), output_path_(output_path) {
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int out = open(output_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  execute(arguments);
}

Child::~Child() {
  if (!running()) return;
  signal(SIGKILL);
  reap(0);
}

bool Child::reap(int flags) {
  int status = 0;
  if (!reaped_ && waitpid(pid_, &status, flags) == pid_) {
    reaped_ = true;
    status_ = status_of(status);
  }
  return reaped_;
}

bool Child::running() { return !reap(WNOHANG); }

void Child::signal(int number) const {
  if (!reaped_) kill(pid_, number);
}

int Child::wait(int milliseconds) {
  return eventually([&] { return !running(); }, milliseconds) ? status_ : -1;
}

std::string Child::output() const {
  std::ostringstream text;
  text << std::ifstream(output_path_).rdbuf();
  return text.str();
}

void sleep_milliseconds(int milliseconds) {
  timespec left{milliseconds / 1000, milliseconds % 1000 * 1'000'000L};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

}  // namespace rvmfs::test
