// SPDX-License-Identifier: BSD-2-Clause
//
// rvmfs: mounts an rvmfs volume.
#include "fs/daemon/run.h"
#include "rvm/out_of_memory.h"

int main(int argc, char** argv) {
  rvm::exit_when_out_of_memory("rvmfs", 1);
  return rvmfs::run_rvmfs(argc, argv);
}
