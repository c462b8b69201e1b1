// SPDX-License-Identifier: BSD-2-Clause
//
// Inode items in parts: operations declare the bytes that they change and no more, because every
// declared byte goes to the log. A record of the log has a header of 24 bytes, so one range over a
// few unchanged bytes is cheaper than two ranges.
#pragma once

#include <cstddef>

#include "fs/core.h"

namespace rvmfs {

// Bytes of the item, for modify_inode_part.
inline constexpr uint32_t kItemLinks = offsetof(format::InodeItem, nlink);
inline constexpr uint32_t kItemTimes = offsetof(format::InodeItem, atime_seconds);
inline constexpr uint32_t kItemTimesEnd = offsetof(format::InodeItem, btime_nanoseconds);
inline constexpr uint32_t kItemEnd = sizeof(format::InodeItem);

// Declares bytes [from, to) of the item and hands out the whole; change only these.
// Errors: stale, damaged, librvm's.
Result<format::InodeItem*> modify_inode_part(Operation& op, VolumeCore& core, Inode number,
                                             uint32_t from, uint32_t to);

inline void set_mtime(format::InodeItem& item, Time time) {
  item.mtime_seconds = time.seconds;
  item.mtime_nanoseconds = time.nanoseconds;
}
inline void set_ctime(format::InodeItem& item, Time time) {
  item.ctime_seconds = time.seconds;
  item.ctime_nanoseconds = time.nanoseconds;
}
inline void set_atime(format::InodeItem& item, Time time) {
  item.atime_seconds = time.seconds;
  item.atime_nanoseconds = time.nanoseconds;
}

// What a new inode begins with.
struct NewInode {
  uint32_t mode = 0;  // with type
  uint32_t nlink = 1;
  uint64_t size = 0;
  uint32_t rdev_major = 0, rdev_minor = 0;
  Caller caller;
};

// Takes the next inode number and inserts the item; owner, setgid, flags and project as they follow
// from the parent. Regular files and symlinks begin with Layout::inlined and no content.
Result<Inode> create_inode(Operation& op, VolumeCore& core, Inode parent, const NewInode& what);

// One name less (ctime now); with the last one the inode becomes an orphan. (names_remove.cc)
Result<void> drop_link(Operation& op, VolumeCore& core, Inode inode);
// The same for an empty directory that loses its name.
Result<void> drop_directory(Operation& op, VolumeCore& core, Inode inode);

// Erases the item and counts it off. Everything else of the inode must be gone.
Result<void> erase_inode(Operation& op, VolumeCore& core, Inode number);

// Erases at most `items_max` items with keys in [first, last]; how many there were.
Result<uint32_t> erase_items(Operation& op, VolumeCore& core, rvm::Key first, rvm::Key last,
                             uint32_t items_max);

}  // namespace rvmfs
