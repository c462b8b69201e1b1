// SPDX-License-Identifier: BSD-2-Clause
//
// rvmfs: mounts an rvmfs volume.
#include "fs/daemon/run.h"

int main(int argc, char** argv) { return rvmfs::run_rvmfs(argc, argv); }
