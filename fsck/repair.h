// SPDX-License-Identifier: BSD-2-Clause
//
// Mends what a check has planned (CheckState::repairs), one phase a call:
//
//   1  superblock copies          written from the good one
//   2  page pool                  headers, free list and root from the pages in use
//   3  space                      block bitmaps, group counters and counters of the root
//   4  items                      dangling entries, broken xattrs, items of no inode: erased
//   5  lost inodes                named in lost+found
//   6  inode fields               links, parents, sizes of directories, block counts
//
// A later phase needs the earlier ones (it may allocate), and changes what they judged; therefore
// repair_one_phase() does the first phase that has something to do, and the caller checks again.
// Everything except the superblock goes through transactions of librvm, so a repair that is cut
// leaves a volume that another fsck goes on with.
//
// This is the only part of fsck that writes, and the only one that uses librvm's own code.
#pragma once

#include <memory>

#include "fsck/check_state.h"

namespace rvmfs::fsck {

// Recovers for good: applies the log and empties it. True if there was something to apply.
rvm::Result<bool> recover(const std::shared_ptr<rvm::Device>& device,
                          const format::Superblock& super);

// False: nothing was planned that this can do.
rvm::Result<bool> repair_one_phase(const std::shared_ptr<rvm::Device>& device,
                                   const CheckState& state);

// Says that nobody has the volume. After everything else.
rvm::Result<void> clear_owner(rvm::Device& device);

}  // namespace rvmfs::fsck
