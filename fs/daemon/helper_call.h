// SPDX-License-Identifier: BSD-2-Clause
//
// What the helpers of mount(8) and umount(8) have in common: their command line, mount namespaces,
// and handing work on to mount(8).
#pragma once

#include <string>
#include <vector>

#include "fs/errors.h"

namespace rvmfs {

inline constexpr int kHelperFailure = 32;  // mount(8): "mount failure"

struct HelperCall {
  std::vector<std::string> operands;
  std::string options;     // of all -o, separated by commas
  std::string name_space;  // -N; a process id or a path
  bool fake = false;       // -f of mount
  bool force = false;      // -f of umount
  bool lazy = false;       // -l
  bool sloppy = false;     // -s
  bool read_only = false;  // -r
  bool verbose = false;    // -v
};

// `letters` as for getopt(3). False after saying what is wrong. -n, -t, -i and -w are taken and
// mean nothing here.
bool parse_helper_call(int argc, char** argv, const char* letters, HelperCall& call);

// From now on this process sees the mounts of that namespace.
Result<void> enter_mount_namespace(const std::string& name_space);

// Becomes `mount -i -o options point`: the kernel's part of mounting, without a helper. Returns the
// exit status if that cannot be done.
int become_plain_mount(const std::string& options, const std::string& point);

}  // namespace rvmfs
