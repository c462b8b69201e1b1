// SPDX-License-Identifier: BSD-2-Clause
//
// The program mkfs.rvmfs. Everything is in run_mkfs().
#include <csignal>
#include <iostream>
#include <string>
#include <vector>

#include "mkfs/mkfs.h"
#include "rvm/out_of_memory.h"

int main(int argc, char** argv) {
  rvm::exit_when_out_of_memory("mkfs.rvmfs", 1);
  // Running into RLIMIT_FSIZE is an error of the write, not the end of the program.
  std::signal(SIGXFSZ, SIG_IGN);
  return rvmfs::mkfs::run_mkfs(std::vector<std::string>(argv + 1, argv + argc), std::cout,
                               std::cerr);
}
