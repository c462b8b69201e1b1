// SPDX-License-Identifier: BSD-2-Clause
//
// Who asks. A request of a mount that may be idmapped names its user only if it makes an inode: the
// kernel has checked all permissions with the ids that the mount translates, and the filesystem is
// not to do so again. The few things that the kernel leaves to us go by the thread that asks, then.
//
// Thread rules: they speak of the request that the calling thread works on.
#pragma once

#include <cstdint>
#include <optional>

#include "fs/daemon/state.h"

namespace rvmfs {

// As counted in this process's user namespace; nullopt if it cannot be known (a thread of another
// process namespace, or one that is gone).
std::optional<uint32_t> requesting_user();

// Root, and who mounted the volume.
bool requester_may_administer();

// Do setuid and setgid have to go when the requester changes the contents of the inode? With writes
// the kernel tells; with fallocate and copy_file_range it leaves that to us.
bool requester_takes_suid_away(Volume& volume, Inode inode);

}  // namespace rvmfs
