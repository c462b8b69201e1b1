// SPDX-License-Identifier: BSD-2-Clause
//
// The command line of fsck.rvmfs.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace rvmfs::fsck {

struct CommandLine {
  enum class Answer : uint8_t { ask, yes, no };
  std::string image;
  Answer repair = Answer::ask;  // -a, -p, -y: yes; -n: no
  bool force = false, verbose = false;
  bool dump_tree = false, dump_log = false, no_times = false;
  int progress_fd = -1;
};

struct ParseResult {
  CommandLine command;
  std::optional<int> exit_code;  // set: say no more, and leave with it
};

ParseResult parse_command_line(const std::vector<std::string>& args, std::ostream& out,
                               std::ostream& err);

}  // namespace rvmfs::fsck
