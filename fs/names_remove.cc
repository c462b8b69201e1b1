// SPDX-License-Identifier: BSD-2-Clause
//
// Taking names away: unlink and rmdir. The transaction removes the entry; an inode that loses its
// last name with it becomes an orphan (fs/orphans.h) and is deleted behind it, unless it is held.
#include <sys/stat.h>

#include "fs/attributes.h"
#include "fs/block_allocator.h"
#include "fs/directory.h"
#include "fs/inode.h"
#include "fs/orphans.h"

namespace rvmfs {

namespace {

using format::InodeItem;

// Finds the entry and checks what may be removed by flags.
Result<FoundEntry> entry_to_remove(VolumeCore& core, Inode parent, std::string_view name) {
  RVM_TRY(directory_inode(core, parent));
  RVM_ASSIGN(const FoundEntry entry, find_entry(core, parent, name));
  RVM_TRY(directory_for_remove(core, parent));
  RVM_ASSIGN(const InodeItem* item, core.inode(entry.inode));
  if (item->flags & (kFlagImmutable | kFlagAppend)) {
    return fs_error(FsErrc::not_permitted, "immutable or append-only", entry.inode);
  }
  return entry;
}

Result<Inode> unlink_entry(Operation& op, VolumeCore& core, Inode parent, std::string_view name) {
  RVM_ASSIGN(const FoundEntry entry, entry_to_remove(core, parent, name));
  RVM_ASSIGN(const InodeItem* item, core.inode(entry.inode));
  if (S_ISDIR(item->mode)) return fs_error(FsErrc::is_a_directory, "", entry.inode);
  RVM_TRY(erase_entry(op, core, entry));
  RVM_TRY(change_directory(op, core, parent, -1, 0));
  RVM_TRY(drop_link(op, core, entry.inode));
  return entry.inode;
}

Result<Inode> remove_directory(Operation& op, VolumeCore& core, Inode parent,
                               std::string_view name) {
  RVM_ASSIGN(const FoundEntry entry, entry_to_remove(core, parent, name));
  RVM_TRY(directory_inode(core, entry.inode));
  RVM_ASSIGN(const bool empty, is_empty_directory(core, entry.inode));
  if (!empty) return fs_error(FsErrc::directory_not_empty, "", entry.inode);
  RVM_TRY(erase_entry(op, core, entry));
  RVM_TRY(change_directory(op, core, parent, -1, -1));
  RVM_TRY(drop_directory(op, core, entry.inode));
  return entry.inode;
}

}  // namespace

Result<void> drop_link(Operation& op, VolumeCore& core, Inode inode) {
  RVM_ASSIGN(InodeItem * item, modify_inode_part(op, core, inode, kItemLinks, kItemTimesEnd));
  if (item->nlink == 0) return fs_error(FsErrc::damaged, "link count is too low", inode);
  item->nlink -= 1;
  set_ctime(*item, op.now);
  if (item->nlink > 0) return {};
  return orphan_unlinked(op, core, inode);
}

Result<void> drop_directory(Operation& op, VolumeCore& core, Inode inode) {
  RVM_ASSIGN(InodeItem * item, modify_inode_part(op, core, inode, kItemLinks, kItemTimesEnd));
  item->nlink = 0;
  item->size = 0;
  set_ctime(*item, op.now);
  return orphan_unlinked(op, core, inode);
}

Result<void> Volume::unlink(Inode parent, std::string_view name) {
  RVM_TRY(check_name(name));
  if (is_dot(name)) return fs_error(FsErrc::is_a_directory);
  auto removed = core_->run_write<Inode>([&](Operation& op) {
    const BlockAllocator::LastResort frees_something(*core_->blocks);
    return unlink_entry(op, *core_, parent, name);
  });
  if (!removed) return removed.error();
  delete_if_unused(*core_, *removed);
  return {};
}

Result<void> Volume::rmdir(Inode parent, std::string_view name) {
  RVM_TRY(check_name(name));
  if (name == ".") return fs_error(FsErrc::bad_argument);
  if (name == "..") return fs_error(FsErrc::directory_not_empty);
  auto removed = core_->run_write<Inode>([&](Operation& op) {
    const BlockAllocator::LastResort frees_something(*core_->blocks);
    return remove_directory(op, *core_, parent, name);
  });
  if (!removed) return removed.error();
  delete_if_unused(*core_, *removed);
  return {};
}

}  // namespace rvmfs
