// SPDX-License-Identifier: BSD-2-Clause
//
// Making names: mknod, mkdir, symlink, link, tmpfile. Each is one transaction: inode item, entry,
// and the parent's counts and times.
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "fs/attributes.h"
#include "fs/directory.h"
#include "fs/inode.h"
#include "fs/orphans.h"

namespace rvmfs {

namespace {

using format::InodeItem;
using format::ItemType;

Result<void> check_new_name(std::string_view name) {
  RVM_TRY(check_name(name));
  if (is_dot(name)) return fs_error(FsErrc::entry_exists);
  return {};
}

// The attributes that a successful operation returns, with the hold that goes with them.
Result<Attributes> answer(Operation& op, VolumeCore& core, Inode inode) {
  RVM_ASSIGN(const InodeItem* item, core.inode(inode));
  if (core.options.count_lookups) {
    op.on_success.emplace_back([&core, inode](rvm::CommitTicket) { core.hold(inode); });
  }
  return VolumeCore::attributes_of(inode, *item);
}

// The common part of mknod, mkdir and symlink.
Result<Inode> create_named(Operation& op, VolumeCore& core, Inode parent, std::string_view name,
                           const NewInode& what) {
  RVM_TRY(directory_for_insert(core, parent));
  RVM_ASSIGN(const Inode inode, create_inode(op, core, parent, what));
  RVM_TRY(insert_entry(op, core, parent, name, inode, entry_type(what.mode)));
  RVM_TRY(change_directory(op, core, parent, 1, S_ISDIR(what.mode) ? 1 : 0));
  return inode;
}

Result<void> write_target(Operation& op, VolumeCore& core, Inode inode, std::string_view target) {
  for (size_t offset = 0; offset < target.size(); offset += format::kInlinePieceBytes) {
    const std::string_view piece = target.substr(offset, format::kInlinePieceBytes);
    RVM_TRY(core.tree->insert(op.tx, item_key(inode, ItemType::inlined, offset),
                              std::as_bytes(std::span(piece))));
  }
  return {};
}

Result<uint32_t> node_mode(uint32_t mode) {
  switch (mode & S_IFMT) {
    case 0: return S_IFREG | (mode & 07777);
    case S_IFREG:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK: return mode & (S_IFMT | 07777);
    case S_IFDIR: return fs_error(FsErrc::not_permitted, "mknod of a directory");
    default: return fs_error(FsErrc::bad_argument, "mknod of no such type");
  }
}

}  // namespace

Result<Attributes> Volume::mknod(Inode parent, std::string_view name, uint32_t mode,
                                 uint32_t rdev_major, uint32_t rdev_minor, Caller caller) {
  RVM_TRY(check_new_name(name));
  NewInode what{.caller = caller};
  RVM_ASSIGN(what.mode, node_mode(mode));
  if (S_ISCHR(what.mode) || S_ISBLK(what.mode)) {
    what.rdev_major = rdev_major;
    what.rdev_minor = rdev_minor;
  }
  return core_->run_write<Attributes>([&](Operation& op) -> Result<Attributes> {
    RVM_ASSIGN(const Inode inode, create_named(op, *core_, parent, name, what));
    return answer(op, *core_, inode);
  });
}

Result<Attributes> Volume::mkdir(Inode parent, std::string_view name, uint32_t mode,
                                 Caller caller) {
  RVM_TRY(check_new_name(name));
  const NewInode what{.mode = S_IFDIR | (mode & 07777), .nlink = 2, .caller = caller};
  return core_->run_write<Attributes>([&](Operation& op) -> Result<Attributes> {
    RVM_ASSIGN(const Inode inode, create_named(op, *core_, parent, name, what));
    return answer(op, *core_, inode);
  });
}

Result<Attributes> Volume::symlink(Inode parent, std::string_view name, std::string_view target,
                                   Caller caller) {
  RVM_TRY(check_new_name(name));
  if (target.empty()) return fs_error(FsErrc::no_entry, "empty symlink target");
  if (target.size() > format::kSymlinkBytesMax) return fs_error(FsErrc::name_too_long);
  if (target.find('\0') != target.npos) return fs_error(FsErrc::bad_argument, "NUL in a target");
  const NewInode what{.mode = S_IFLNK | 0777, .size = target.size(), .caller = caller};
  return core_->run_write<Attributes>([&](Operation& op) -> Result<Attributes> {
    RVM_ASSIGN(const Inode inode, create_named(op, *core_, parent, name, what));
    RVM_TRY(write_target(op, *core_, inode, target));
    return answer(op, *core_, inode);
  });
}

Result<Attributes> Volume::link(Inode inode, Inode new_parent, std::string_view new_name) {
  RVM_TRY(check_new_name(new_name));
  VolumeCore& core = *core_;
  return core.run_write<Attributes>([&](Operation& op) -> Result<Attributes> {
    RVM_ASSIGN(const InodeItem* found, core.inode(inode));
    const uint32_t mode = found->mode;
    if (S_ISDIR(mode)) return fs_error(FsErrc::not_permitted, "link to a directory", inode);
    if (found->flags & (kFlagImmutable | kFlagAppend)) {
      return fs_error(FsErrc::not_permitted, "immutable or append-only", inode);
    }
    if (found->nlink >= format::kLinkMax) return fs_error(FsErrc::too_many_links, "", inode);
    if (found->nlink == 0) RVM_TRY(adopt_orphan(op, core, inode));
    RVM_TRY(directory_for_insert(core, new_parent));
    RVM_TRY(insert_entry(op, core, new_parent, new_name, inode, entry_type(mode)));
    RVM_TRY(change_directory(op, core, new_parent, 1, 0));
    RVM_ASSIGN(InodeItem * item, modify_inode_part(op, core, inode, kItemLinks, kItemTimesEnd));
    item->nlink += 1;
    set_ctime(*item, op.now);
    return answer(op, core, inode);
  });
}

Result<Attributes> Volume::tmpfile(Inode parent, uint32_t mode, Caller caller) {
  const NewInode what{.mode = S_IFREG | (mode & 07777), .nlink = 0, .caller = caller};
  return core_->run_write<Attributes>([&](Operation& op) -> Result<Attributes> {
    RVM_TRY(directory_for_insert(*core_, parent));
    RVM_ASSIGN(const Inode inode, create_inode(op, *core_, parent, what));
    RVM_TRY(orphan_unlinked(op, *core_, inode));
    return answer(op, *core_, inode);
  });
}

}  // namespace rvmfs
