// SPDX-License-Identifier: BSD-2-Clause
//
// The program rvmfs from command line to exit status.
#pragma once

#include "fs/daemon/options.h"

namespace rvmfs {

// Mounts, serves until the volume is unmounted, closes it. 0, or 1 after saying what went wrong.
int run_rvmfs(int argc, const char* const* argv);

// The same with options that are known already.
int mount_and_serve(Options options);

}  // namespace rvmfs
