// SPDX-License-Identifier: BSD-2-Clause
//
// The program rvmfs from command line to exit status.
#pragma once

namespace rvmfs {

// Mounts, serves until the volume is unmounted, closes it. 0, or 1 after saying what went wrong.
int run_rvmfs(int argc, const char* const* argv);

}  // namespace rvmfs
