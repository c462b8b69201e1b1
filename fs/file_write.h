// SPDX-License-Identifier: BSD-2-Clause
//
// Writing file contents with the data lock held, for Volume::write and copy_file_range.
#pragma once

#include "fs/file_data.h"

namespace rvmfs {

// Writes at most a few MiB of `data` at byte `offset`; the number of bytes written, at least 1.
// Call with the inode's data lock held exclusively and without meta_lock. When space is short
// nothing has changed; after an error of the device, bytes of `data` may be in place.
Result<size_t> write_step(VolumeCore& core, Inode inode, uint64_t offset,
                          std::span<const std::byte> data, bool kill_suid_gid);

}  // namespace rvmfs
