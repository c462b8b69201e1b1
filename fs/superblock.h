// SPDX-License-Identifier: BSD-2-Clause
//
// Reading and writing the superblocks and the owner record of a volume (fs/format.h). Each is one
// sector, so a torn write leaves the old one, the new one, or a bad hash; the two superblocks are
// written one after the other with a flush between, so that one of them is always good.
#pragma once

#include "fs/volume.h"

namespace rvmfs {

// Feature bits that this program knows.
inline constexpr uint64_t kKnownRoCompat = 0;
inline constexpr uint64_t kKnownIncompat = 0;

// Sets the hash.
void seal(format::Superblock& super);

// Copy, flush, primary, flush: after the first flush the new one can be read by nobody who finds a
// good primary; the write of the primary is what makes it count.
Result<void> write_superblocks(rvm::Device& device, const format::Superblock& super);

// Seals and writes it, and it counts from then on. Data of files may be waiting for the same
// flushes: where one fails, no fsync may succeed later. Call with super_mutex, without meta_lock.
Result<void> change_superblocks(VolumeCore& core, format::Superblock super);
// Only the writing.
Result<void> write_changed_superblocks(VolumeCore& core, format::Superblock& super);

// Makes both superblocks this one (the one that was read). A crash may have left the other torn; if
// it stayed so, the next change could be cut while the good one is being written.
Result<void> heal_superblocks(rvm::Device& device, const format::Superblock& super);

// Overwrites both superblocks and the owner record with zeros, durably.
Result<void> wipe_superblocks(rvm::Device& device);

// Who has the volume mounted. Advisory: the lock on the image decides.
Result<void> write_owner(rvm::Device& device, bool in_use, Time now);

}  // namespace rvmfs
