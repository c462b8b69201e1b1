// SPDX-License-Identifier: BSD-2-Clause
//
// Holds: how often each inode is known outside (lookups of the kernel, open files of programs in
// process). In memory only: after a crash nobody holds anything.
//
// An inode may be held only by a caller that sees it exist under meta_lock (at least shared); it is
// deleted only under the exclusive meta_lock when nobody holds it. So a held inode never vanishes.
#include "fs/core.h"
#include "fs/orphans.h"

namespace rvmfs {

void VolumeCore::hold(Inode inode, uint64_t count) {
  std::lock_guard lock(holds_mutex);
  holds.add(inode, count);
}

bool VolumeCore::is_held(Inode inode) {
  std::lock_guard lock(holds_mutex);
  return holds.contains(inode);
}

void Volume::hold(Inode inode) { core_->hold(inode); }

void Volume::forget(Inode inode, uint64_t count) {
  {
    std::lock_guard lock(core_->holds_mutex);
    if (!core_->holds.release(inode, count)) return;
    if (!core_->orphans.contains(inode)) return;
  }
  delete_if_unused(*core_, inode);
}

}  // namespace rvmfs
