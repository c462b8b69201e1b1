// SPDX-License-Identifier: BSD-2-Clause
//
// Changing the size of a file: truncation and extension, for Volume::setattr.
#pragma once

#include "fs/core.h"

namespace rvmfs {

// Sets the size and applies the other changes of `rest` in the same transaction (mtime and ctime
// move to now unless given). Blocks behind a smaller size are freed in this call, if there are many
// of them in further transactions, which a crash may leave to the next open. Call without locks.
// Errors: stale, is_a_directory, bad_argument (not a file), file_too_big, not_permitted,
// volume_full.
Result<Attributes> change_size(VolumeCore& core, Inode inode, uint64_t size,
                               const AttributeChange& rest);

}  // namespace rvmfs
