// SPDX-License-Identifier: BSD-2-Clause
//
// The program mkfs.rvmfs as a function, so that tests run it in process. main.cc is all that the
// program adds. What the options mean is in docs/man/mkfs.rvmfs.8.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace rvmfs::mkfs {

// `args` without the program's name. Exit code: 0 done, 1 not done (the reason is in `err`).
int run_mkfs(const std::vector<std::string>& args, std::ostream& out, std::ostream& err);

}  // namespace rvmfs::mkfs
