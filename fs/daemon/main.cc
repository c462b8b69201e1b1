// SPDX-License-Identifier: BSD-2-Clause
//
// rvmfs: mounts an rvmfs volume. Under the names that mount(8) and umount(8) call ("mount.rvmfs"
// and the like) it is their helper.
#include <string_view>

#include "fs/daemon/mount_helper.h"
#include "fs/daemon/run.h"
#include "rvm/out_of_memory.h"

int main(int argc, char** argv) {
  rvm::exit_when_out_of_memory("rvmfs", 1);
  std::string_view name = argc > 0 ? argv[0] : "";
  name.remove_prefix(name.rfind('/') + 1);
  if (name.starts_with("mount.")) return rvmfs::run_mount_helper(argc, argv);
  if (name.starts_with("umount.")) return rvmfs::run_umount_helper(argc, argv);
  return rvmfs::run_rvmfs(argc, argv);
}
