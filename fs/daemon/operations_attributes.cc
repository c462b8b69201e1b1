// SPDX-License-Identifier: BSD-2-Clause
//
// Attributes of inodes and of the volume: getattr, setattr, statfs.
#include <sys/statvfs.h>

#include <array>
#include <utility>

#include "fs/daemon/raw_request.h"
#include "fs/daemon/reply.h"

namespace rvmfs {
namespace {

Time to_time(const timespec& time) {
  return {static_cast<int64_t>(time.tv_sec), static_cast<uint32_t>(time.tv_nsec)};
}

uint32_t changed_fields(int to_set) {
  using Change = AttributeChange;
  constexpr std::array<std::pair<int, uint32_t>, 5> kPlain = {{
      {FUSE_SET_ATTR_MODE, Change::mode_bit},
      {FUSE_SET_ATTR_UID, Change::uid_bit},
      {FUSE_SET_ATTR_GID, Change::gid_bit},
      {FUSE_SET_ATTR_SIZE, Change::size_bit},
      {FUSE_SET_ATTR_CTIME, Change::ctime_bit},
  }};
  uint32_t valid = 0;
  for (const auto& [from, to] : kPlain) {
    if ((to_set & from) != 0) valid |= to;
  }
  // The kernel sets the plain bit beside the "now" bit.
  if ((to_set & FUSE_SET_ATTR_ATIME_NOW) != 0) {
    valid |= Change::atime_now_bit;
  } else if ((to_set & FUSE_SET_ATTR_ATIME) != 0) {
    valid |= Change::atime_bit;
  }
  if ((to_set & FUSE_SET_ATTR_MTIME_NOW) != 0) {
    valid |= Change::mtime_now_bit;
  } else if ((to_set & FUSE_SET_ATTR_MTIME) != 0) {
    valid |= Change::mtime_bit;
  }
  return valid;
}

void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  reply_attributes(request, volume_of(request).getattr(inode));
}

void setattr(fuse_req_t request, fuse_ino_t inode, struct stat* wanted, int to_set,
             fuse_file_info*) {
  AttributeChange change;
  change.valid = changed_fields(to_set);
  // Nothing to set: that is chown(-1, -1), which takes setuid away and moves the ctime.
  if (setattr_kills_suid_gid() || change.valid == 0) {
    change.valid |= AttributeChange::kill_suid_gid_bit;
  }
  change.mode = wanted->st_mode;
  change.uid = wanted->st_uid;
  change.gid = wanted->st_gid;
  change.size = static_cast<uint64_t>(wanted->st_size);
  change.atime = to_time(wanted->st_atim);
  change.mtime = to_time(wanted->st_mtim);
  change.ctime = to_time(wanted->st_ctim);
  reply_attributes(request, volume_of(request).setattr(inode, change));
}

void statfs(fuse_req_t request, fuse_ino_t) {
  const Result<VolumeStatus> status = volume_of(request).statfs();
  if (!status) return reply_error(request, status.error());
  struct statvfs out {};
  out.f_bsize = format::kBlockBytes;
  out.f_frsize = format::kBlockBytes;
  out.f_blocks = status->blocks_total;
  out.f_bfree = status->blocks_free;
  out.f_bavail = status->blocks_available;
  out.f_files = status->inodes_used + status->inodes_free;
  out.f_ffree = status->inodes_free;
  out.f_favail = status->inodes_free;
  out.f_namemax = format::kNameBytesMax;
  fuse_reply_statfs(request, &out);
}

}  // namespace

void add_attribute_operations(fuse_lowlevel_ops& table) {
  table.getattr = getattr;
  table.setattr = setattr;
  table.statfs = statfs;
}

}  // namespace rvmfs
