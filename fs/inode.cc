// SPDX-License-Identifier: BSD-2-Clause
//
// Inode items: read and checked, changed in parts, created and erased. Inode numbers only grow and
// are never used twice.
#include "fs/inode.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "fs/acl.h"
#include "fs/attributes.h"

namespace rvmfs {

namespace {

using format::InodeItem;
using format::ItemType;
using format::VolumeRoot;

Error item_error(const Error& error, Inode number) {
  if (error == rvm::Errc::not_found) return fs_error(FsErrc::stale, "no such inode", number);
  if (error == rvm::Errc::out_of_range) {
    return fs_error(FsErrc::damaged, "inode item of wrong length", number);
  }
  return error;
}

bool is_sound(const InodeItem& item) {
  switch (item.mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK: break;
    default: return false;
  }
  return item.size <= format::kFileBytesMax && item.layout <= uint8_t(format::Layout::inlined) &&
         item.atime_nanoseconds < 1'000'000'000 && item.mtime_nanoseconds < 1'000'000'000 &&
         item.ctime_nanoseconds < 1'000'000'000 && item.btime_nanoseconds < 1'000'000'000;
}

// next_inode and inodes_used lie side by side, and change together.
struct Counters {
  uint64_t next_inode, inodes_used;
};
static_assert(offsetof(VolumeRoot, inodes_used) == offsetof(VolumeRoot, next_inode) + 8);

Result<Counters*> modify_counters(Operation& op, VolumeCore& core) {
  RVM_ASSIGN(std::byte * bytes,
             core.space->modify(op.tx, VolumeCore::kRootOffset + offsetof(VolumeRoot, next_inode),
                                sizeof(Counters)));
  return reinterpret_cast<Counters*>(bytes);
}

void inherit(const InodeItem& parent, InodeItem& item) {
  if (parent.mode & S_ISGID) {
    item.gid = parent.gid;
    if (S_ISDIR(item.mode)) item.mode |= S_ISGID;
  }
  constexpr uint32_t kInherited =
      kFlagSync | kFlagNoDump | kFlagNoAtime | kFlagDirSync | kFlagProjectInherit;
  if (S_ISDIR(item.mode)) {
    item.flags = parent.flags & kInherited;
  } else if (S_ISREG(item.mode)) {
    item.flags = parent.flags & (kInherited & ~(kFlagDirSync | kFlagProjectInherit));
  }
  if (parent.flags & kFlagProjectInherit) item.project = parent.project;
}

InodeItem new_item(const InodeItem& parent, Inode parent_number, const NewInode& what, Time now) {
  InodeItem item{};
  item.mode = what.mode;
  item.uid = what.caller.uid;
  item.gid = what.caller.gid;
  item.nlink = what.nlink;
  item.size = what.size;
  item.rdev_major = what.rdev_major;
  item.rdev_minor = what.rdev_minor;
  set_atime(item, now);
  set_mtime(item, now);
  set_ctime(item, now);
  item.btime_seconds = now.seconds;
  item.btime_nanoseconds = now.nanoseconds;
  if (S_ISDIR(what.mode)) item.parent = parent_number;
  if (S_ISREG(what.mode) || S_ISLNK(what.mode)) item.layout = uint8_t(format::Layout::inlined);
  inherit(parent, item);
  return item;
}

}  // namespace

Result<const InodeItem*> VolumeCore::inode(Inode number) {
  if (number == 0 || number > format::kInodeMax) {
    return fs_error(FsErrc::stale, "no such inode", number);
  }
  auto found = tree->find(item_key(number, ItemType::inode));
  if (!found) return item_error(found.error(), number);
  if (found->size() != sizeof(InodeItem)) {
    return fs_error(FsErrc::damaged, "inode item of wrong length", number);
  }
  const auto* item = reinterpret_cast<const InodeItem*>(found->data());
  if (!is_sound(*item)) return fs_error(FsErrc::damaged, "inode item contradicts itself", number);
  return item;
}

Result<InodeItem*> modify_inode_part(Operation& op, VolumeCore& core, Inode number, uint32_t from,
                                     uint32_t to) {
  auto bytes = core.tree->modify(op.tx, item_key(number, ItemType::inode), from, to - from);
  if (!bytes) return item_error(bytes.error(), number);
  return reinterpret_cast<InodeItem*>(bytes->data() - from);
}

Result<InodeItem*> VolumeCore::modify_inode(Operation& op, Inode number) {
  return modify_inode_part(op, *this, number, 0, kItemEnd);
}

Result<void> VolumeCore::touch(Operation& op, Inode number, bool mtime, bool ctime, bool atime) {
  if (!mtime && !ctime && !atime) return {};
  const uint32_t from = atime   ? offsetof(InodeItem, atime_seconds)
                        : mtime ? offsetof(InodeItem, mtime_seconds)
                                : offsetof(InodeItem, ctime_seconds);
  const uint32_t to = ctime   ? offsetof(InodeItem, btime_nanoseconds)
                      : mtime ? offsetof(InodeItem, ctime_nanoseconds)
                              : offsetof(InodeItem, mtime_nanoseconds);
  RVM_ASSIGN(InodeItem * item, modify_inode_part(op, *this, number, from, to));
  if (atime) set_atime(*item, op.now);
  if (mtime) set_mtime(*item, op.now);
  if (ctime) set_ctime(*item, op.now);
  return {};
}

Attributes VolumeCore::attributes_of(Inode number, const InodeItem& item) {
  Attributes result;
  result.inode = number;
  result.mode = item.mode;
  result.uid = item.uid;
  result.gid = item.gid;
  result.nlink = item.nlink;
  result.size = item.size;
  result.blocks = item.blocks * (format::kBlockBytes / 512);
  result.atime = {item.atime_seconds, item.atime_nanoseconds};
  result.mtime = {item.mtime_seconds, item.mtime_nanoseconds};
  result.ctime = {item.ctime_seconds, item.ctime_nanoseconds};
  result.btime = {item.btime_seconds, item.btime_nanoseconds};
  result.rdev_major = item.rdev_major;
  result.rdev_minor = item.rdev_minor;
  result.flags = item.flags;
  result.project = item.project;
  return result;
}

Result<Inode> create_inode(Operation& op, VolumeCore& core, Inode parent, const NewInode& what) {
  RVM_ASSIGN(const InodeItem* parent_item, core.inode(parent));
  InodeItem item = new_item(*parent_item, parent, what, op.now);
  RVM_ASSIGN(const auto acl, inherited_acl(core, parent, item.mode));
  if (acl) {
    item.mode = acl->mode;
  } else if (!S_ISLNK(item.mode)) {
    item.mode &= ~(what.caller.umask & 0777);
  }
  RVM_ASSIGN(Counters * counters, modify_counters(op, core));
  const Inode number = counters->next_inode;
  if (number < format::kFirstFreeInode || number >= format::kInodeMax) {
    return fs_error(FsErrc::volume_full, "no inode numbers left");
  }
  counters->next_inode = number + 1;
  counters->inodes_used += 1;
  RVM_TRY(core.tree->insert(op.tx, item_key(number, ItemType::inode),
                            std::as_bytes(std::span(&item, 1))));
  if (acl) RVM_TRY(give_acl(op, core, number, *acl));
  return number;
}

Result<void> erase_inode(Operation& op, VolumeCore& core, Inode number) {
  auto erased = core.tree->erase(op.tx, item_key(number, ItemType::inode));
  if (!erased) return item_error(erased.error(), number);
  RVM_ASSIGN(Counters * counters, modify_counters(op, core));
  if (counters->inodes_used == 0) {
    return fs_error(FsErrc::damaged, "count of inodes is too low", number);
  }
  counters->inodes_used -= 1;
  return {};
}

Result<uint32_t> erase_items(Operation& op, VolumeCore& core, rvm::Key first, rvm::Key last,
                             uint32_t items_max) {
  uint32_t erased = 0;
  while (erased < items_max) {
    RVM_ASSIGN(const auto entry, core.tree->first_at_or_after(first, last));
    if (!entry) break;
    RVM_TRY(core.tree->erase(op.tx, entry->key));
    ++erased;
  }
  return erased;
}

Result<VolumeRoot> VolumeCore::root() {
  RVM_ASSIGN(const VolumeRoot* found, space->get(rvm::Ref<VolumeRoot>{kRootOffset}));
  if (found->magic != format::kVolumeRootMagic) {
    return fs_error(FsErrc::damaged, "root page without its magic", kRootOffset);
  }
  return *found;
}

Result<VolumeRoot*> VolumeCore::modify_root(Operation& op) {
  RVM_ASSIGN(std::byte * bytes,
             space->modify(op.tx, kRootOffset, offsetof(VolumeRoot, chunk_table)));
  return reinterpret_cast<VolumeRoot*>(bytes);
}

}  // namespace rvmfs
