// SPDX-License-Identifier: BSD-2-Clause
//
// The suite `run`: any program, measured like the client's own phases. What it prints is dropped;
// that it fails is an error.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "bench/client/client.h"

namespace bench {
namespace {

pid_t start(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& part : command) arguments.push_back(const_cast<char*>(part.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  errno = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  check(errno == 0 ? 0 : -1, "start", command[0]);
  return child;
}

}  // namespace

void run_program(const Settings& settings, Meter& meter) {
  if (settings.command.empty()) fail("run: no program given");
  int status = 0;
  meter.phase("run", 1, [&] {
    const pid_t child = start(settings.command);
    while (waitpid(child, &status, 0) < 0) check(errno == EINTR ? 0 : -1, "waitpid", "");
  });
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fail(settings.command[0] + " failed: status " + std::to_string(status));
  }
}

}  // namespace bench
