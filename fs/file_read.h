// SPDX-License-Identifier: BSD-2-Clause
//
// Reading file contents with the data lock held, for Volume::read and copy_file_range.
#pragma once

#include "fs/file_data.h"

namespace rvmfs {

// Reads up to the end of the file; the number of bytes, and a copy of the inode item. Call with the
// inode's data lock held (shared is enough) and without meta_lock.
Result<size_t> read_locked(VolumeCore& core, Inode inode, uint64_t offset, std::span<std::byte> out,
                           format::InodeItem& item);

}  // namespace rvmfs
