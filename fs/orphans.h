// SPDX-License-Identifier: BSD-2-Clause
//
// Orphans: inodes on which work is left to do that does not fit the transaction that asked for it.
// An orphan item is written in that transaction, so a crash leaks nothing: the next open finishes.
//
//   kOrphanUnlinked   no name is left: delete the inode when nobody holds it
//   kOrphanTruncate   blocks beyond the size are still to be freed
//
// A deletion goes in steps of a bounded number of items, each a transaction; after any of them a
// crash leaves a smaller orphan. The counts of the volume (inodes_used, blocks_used) follow step by
// step and are exact after each.
#pragma once

#include "fs/core.h"

namespace rvmfs {

inline constexpr uint32_t kOrphanStepItems = 256;

// Adds these flags to the inode's orphan item, or takes them away (the item goes with the last one;
// taking away what is not there is no error). Call inside run_write.
Result<void> add_orphan(Operation& op, VolumeCore& core, Inode inode, uint32_t flags);
Result<void> clear_orphan(Operation& op, VolumeCore& core, Inode inode, uint32_t flags);

// The inode loses its last name in this operation: adds the orphan item, and remembers the inode in
// memory once the operation has succeeded.
Result<void> orphan_unlinked(Operation& op, VolumeCore& core, Inode inode);
// It has a name again.
Result<void> adopt_orphan(Operation& op, VolumeCore& core, Inode inode);

// Does what the orphan item of this inode asks for, in at most `steps_max` transactions; true when
// nothing is left to do (also when the inode is held: then it is not yet time). Takes the data lock
// of the inode for each step; call without locks.
Result<bool> finish_orphan(VolumeCore& core, Inode inode, uint64_t steps_max = UINT64_MAX);

// After an operation that may have taken the last name of `inode`, or the last hold on it: deletes
// it now if it is small or there is no background thread, else in the background. What fails is
// done by the next open; the operation itself has succeeded.
void delete_if_unused(VolumeCore& core, Inode inode);

// At open: finishes every orphan. An orphan that cannot be finished (damage) stays and costs
// nothing but itself. Errors: those that stop everything (failed, read-only).
Result<void> finish_all_orphans(VolumeCore& core);

}  // namespace rvmfs
