// SPDX-License-Identifier: BSD-2-Clause
//
// The command line of mkfs.rvmfs.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace rvmfs::mkfs {

struct CommandLine {
  std::string image;
  std::optional<uint64_t> volume_bytes;
  std::string label;
  std::string uuid;           // empty: a new one
  std::string populate_from;  // -d
  std::optional<uint64_t> log_bytes;
  std::optional<uint32_t> root_uid, root_gid;
  int force = 0;
  bool dry_run = false, quiet = false, verbose = false, keep_blocks = false;
  std::optional<int64_t> source_date_epoch;  // from the environment
};

struct ParseResult {
  CommandLine command;
  std::optional<int> exit_code;  // set: say no more, and leave with it (help, version, mistakes)
};

ParseResult parse_command_line(const std::vector<std::string>& args, std::ostream& out,
                               std::ostream& err);

}  // namespace rvmfs::mkfs
