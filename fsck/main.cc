// SPDX-License-Identifier: BSD-2-Clause
//
// The program fsck.rvmfs. Everything is in run_fsck(), except what a signal does: everything that
// fsck writes can be cut anywhere, so an interrupt may end it on the spot.
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <string>
#include <vector>

#include "fsck/fsck.h"
#include "rvm/out_of_memory.h"

namespace {

extern "C" void on_cancel(int) { ::_exit(rvmfs::fsck::kExitCancelled); }

}  // namespace

int main(int argc, char** argv) {
  rvm::exit_when_out_of_memory("fsck.rvmfs", rvmfs::fsck::kExitOperational);
  std::signal(SIGINT, on_cancel);
  std::signal(SIGTERM, on_cancel);
  std::signal(SIGXFSZ, SIG_IGN);
  return rvmfs::fsck::run_fsck(std::vector<std::string>(argv + 1, argv + argc), std::cout,
                               std::cerr);
}
