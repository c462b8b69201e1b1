// SPDX-License-Identifier: BSD-2-Clause
//
// Attributes of inodes inside an operation: what setattr changes (but for the size, which is the
// business of fs/file_size.h), access times, and the privileges that a change of the owner or of
// the contents takes away.
#pragma once

#include "fs/core.h"

namespace rvmfs {

// Inode flags (FS_*_FL of linux/fs.h) that this filesystem knows.
inline constexpr uint32_t kFlagSync = 0x8;
inline constexpr uint32_t kFlagImmutable = 0x10;
inline constexpr uint32_t kFlagAppend = 0x20;
inline constexpr uint32_t kFlagNoDump = 0x40;
inline constexpr uint32_t kFlagNoAtime = 0x80;
inline constexpr uint32_t kFlagDirSync = 0x10000;
inline constexpr uint32_t kFlagProjectInherit = 0x20000000;
inline constexpr uint32_t kFlagsSettable = kFlagSync | kFlagImmutable | kFlagAppend | kFlagNoDump |
                                           kFlagNoAtime | kFlagDirSync | kFlagProjectInherit;

// Applies everything in `change` but the size; ctime becomes now unless given. Call inside
// run_write, also when only the size changes: it refuses what the inode's flags forbid. Errors:
// stale, not_permitted (immutable, append-only).
Result<void> apply_change(Operation& op, VolumeCore& core, Inode inode,
                          const AttributeChange& change);

// Takes away file capabilities (always) and, if `suid_gid`, the setuid bit and the setgid bit of a
// group-executable file, as a write by an unprivileged caller does. Touches no time.
Result<void> drop_privileges(Operation& op, VolumeCore& core, Inode inode, bool suid_gid);

// Would a read now move the access time, by the mount's rule (relatime, noatime, strictatime)?
bool wants_atime(const VolumeCore& core, const format::InodeItem& item);
// Moves it, in a transaction of its own, if wants_atime() says so. Call without locks. On a volume
// that cannot be written nothing happens.
Result<void> update_atime(VolumeCore& core, Inode inode);

}  // namespace rvmfs
