// SPDX-License-Identifier: BSD-2-Clause
//
// getattr, setattr, inode flags and access times. Permission is the kernel's business; immutable
// and append-only are enforced here.
#include "fs/attributes.h"

#include <sys/stat.h>

#include "fs/acl.h"
#include "fs/file_size.h"
#include "fs/inode.h"
#include "fs/xattr.h"

namespace rvmfs {

namespace {

using format::InodeItem;
using Change = AttributeChange;

constexpr uint32_t kTimesGiven = Change::atime_bit | Change::mtime_bit;
constexpr int64_t kRelatimeSeconds = 24 * 60 * 60;

Result<void> check_flags(const InodeItem& item, uint32_t valid, Inode inode) {
  const uint32_t forbidden_if_append =
      Change::mode_bit | Change::uid_bit | Change::gid_bit | Change::size_bit | kTimesGiven;
  if ((item.flags & kFlagImmutable) ||
      ((item.flags & kFlagAppend) && (valid & forbidden_if_append))) {
    return fs_error(FsErrc::not_permitted, "immutable or append-only", inode);
  }
  return {};
}

// What is left of the mode when setuid and (on a group-executable file) setgid are taken away.
uint32_t without_privileges(uint32_t mode) {
  if (!S_ISREG(mode)) return mode;
  return mode & ~(S_ISUID | (mode & S_IXGRP ? S_ISGID : 0));
}

void change_owner_and_mode(InodeItem& item, const Change& change) {
  const bool owner = change.valid & (Change::uid_bit | Change::gid_bit);
  if (change.valid & Change::uid_bit) item.uid = change.uid;
  if (change.valid & Change::gid_bit) item.gid = change.gid;
  if (change.valid & Change::mode_bit) {
    item.mode = (item.mode & S_IFMT) | (change.mode & 07777);
  } else if (owner || (change.valid & Change::kill_suid_gid_bit)) {
    item.mode = without_privileges(item.mode);
  }
}

Time sane(Time time) {
  if (time.nanoseconds >= 1'000'000'000) time.nanoseconds = 999'999'999;
  return time;
}

void change_times(InodeItem& item, const Change& change, Time now) {
  if (change.valid & Change::atime_now_bit) set_atime(item, now);
  if (change.valid & Change::mtime_now_bit) set_mtime(item, now);
  if (change.valid & Change::atime_bit) set_atime(item, sane(change.atime));
  if (change.valid & Change::mtime_bit) set_mtime(item, sane(change.mtime));
  set_ctime(item, change.valid & Change::ctime_bit ? sane(change.ctime) : now);
}

}  // namespace

Result<void> apply_change(Operation& op, VolumeCore& core, Inode inode, const Change& change) {
  RVM_ASSIGN(const InodeItem* before, core.inode(inode));
  RVM_TRY(check_flags(*before, change.valid, inode));
  const bool owner = change.valid & (Change::uid_bit | Change::gid_bit);
  const bool owner_or_mode =
      owner || (change.valid & (Change::mode_bit | Change::kill_suid_gid_bit));
  if (owner && S_ISREG(before->mode)) RVM_TRY(drop_privileges(op, core, inode, false));
  RVM_ASSIGN(InodeItem * item,
             modify_inode_part(op, core, inode, owner_or_mode ? 0 : kItemTimes, kItemTimesEnd));
  if (owner_or_mode) change_owner_and_mode(*item, change);
  change_times(*item, change, op.now);
  if (change.valid & Change::mode_bit) return acl_follows_mode(op, core, inode, change.mode);
  return {};
}

Result<void> drop_privileges(Operation& op, VolumeCore& core, Inode inode, bool suid_gid) {
  Result<void> removed = remove_xattr(op, core, inode, "security.capability");
  if (!removed && !is(removed.error(), FsErrc::no_attribute)) return removed;
  if (!suid_gid) return {};
  RVM_ASSIGN(const InodeItem* item, core.inode(inode));
  const uint32_t mode = without_privileges(item->mode);
  if (mode == item->mode) return {};
  RVM_ASSIGN(InodeItem * changed, modify_inode_part(op, core, inode, 0, offsetof(InodeItem, uid)));
  changed->mode = mode;
  return {};
}

bool wants_atime(const VolumeCore& core, const InodeItem& item) {
  using Atime = MountOptions::Atime;
  if (core.options.read_only || core.options.atime == Atime::noatime) return false;
  if (item.flags & (kFlagNoAtime | kFlagImmutable)) return false;
  if (core.options.atime == Atime::strictatime) return true;
  const Time atime{item.atime_seconds, item.atime_nanoseconds};
  const Time mtime{item.mtime_seconds, item.mtime_nanoseconds};
  const Time ctime{item.ctime_seconds, item.ctime_nanoseconds};
  return atime <= mtime || atime <= ctime ||
         core.now().seconds - item.atime_seconds >= kRelatimeSeconds;
}

Result<void> update_atime(VolumeCore& core, Inode inode) {
  if (core.options.read_only || core.rvm->failed()) return {};
  RVM_ASSIGN(const bool wanted, core.run_read<bool>([&]() -> Result<bool> {
    RVM_ASSIGN(const InodeItem* item, core.inode(inode));
    return wants_atime(core, *item);
  }));
  if (!wanted) return {};
  return core.run_write<void>(
      [&](Operation& op) { return core.touch(op, inode, false, false, true); });
}

Result<Attributes> Volume::getattr(Inode inode) {
  return core_->run_read<Attributes>([&]() -> Result<Attributes> {
    RVM_ASSIGN(const InodeItem* item, core_->inode(inode));
    return VolumeCore::attributes_of(inode, *item);
  });
}

Result<Attributes> Volume::setattr(Inode inode, const AttributeChange& change) {
  if (change.valid == 0) return getattr(inode);
  if (change.valid & Change::size_bit) return change_size(*core_, inode, change.size, change);
  return core_->run_write<Attributes>([&](Operation& op) -> Result<Attributes> {
    RVM_TRY(apply_change(op, *core_, inode, change));
    RVM_ASSIGN(const InodeItem* item, core_->inode(inode));
    return VolumeCore::attributes_of(inode, *item);
  });
}

Result<void> Volume::set_flags(Inode inode, uint32_t flags, uint32_t project) {
  if (flags & ~kFlagsSettable) return fs_error(FsErrc::not_supported, "inode flags");
  return core_->run_write<void>([&](Operation& op) -> Result<void> {
    RVM_ASSIGN(const InodeItem* before, core_->inode(inode));
    if (!S_ISREG(before->mode) && !S_ISDIR(before->mode)) {
      return fs_error(FsErrc::not_supported, "flags of neither a file nor a directory", inode);
    }
    RVM_ASSIGN(InodeItem * item, modify_inode_part(op, *core_, inode, kItemTimes, kItemEnd));
    item->flags = flags;
    item->project = project;
    set_ctime(*item, op.now);
    return {};
  });
}

}  // namespace rvmfs
