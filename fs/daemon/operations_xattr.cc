// SPDX-License-Identifier: BSD-2-Clause
//
// Extended attributes. Two of them are not stored: "rvmfs.size" of the root directory is the
// volume's nominal size as text; setting it (by root, or by whoever mounted the volume) to a larger
// size, such as "2T", grows the mounted volume. "rvmfs.uuid" tells which volume it is.
//
// Of the system namespace, ACLs are taken if the kernel enforces them: storing what nobody enforces
// would be a lie.
#include <fmt/format.h>

#include <cerrno>
#include <string_view>

#include "fs/daemon/attribute_names.h"
#include "fs/daemon/reply.h"
#include "fs/daemon/requester.h"
#include "fs/daemon/size_text.h"
#include "fs/daemon/volume_name.h"

namespace rvmfs {
namespace {

constexpr std::string_view kSizeName = "rvmfs.size";
constexpr std::string_view kSystemPrefix = "system.";
constexpr std::string_view kOwnPrefix = "rvmfs.";

bool is_size(fuse_ino_t inode, std::string_view name) {
  return inode == FUSE_ROOT_ID && name == kSizeName;
}

bool is_uuid(fuse_ino_t inode, std::string_view name) {
  return inode == FUSE_ROOT_ID && name == kUuidAttribute;
}

bool is_acl(std::string_view name) {
  return name == "system.posix_acl_access" || name == "system.posix_acl_default";
}

bool is_refused(const MountState& state, std::string_view name) {
  if (is_acl(name)) return !state.init.enabled(Feature::acl);
  return name.starts_with(kSystemPrefix) || name.starts_with(kOwnPrefix);  // of the root, above
}

Result<std::string> size_text(Volume& volume) {
  RVM_ASSIGN(const VolumeStatus status, volume.statfs());
  return fmt::format("{}", status.blocks_total * format::kBlockBytes);
}

Result<void> grow(MountState& state, std::string_view value) {
  if (!requester_may_administer()) return fs_error(FsErrc::not_permitted, "growing the volume");
  while (!value.empty() && (value.back() == '\n' || value.back() == '\0')) value.remove_suffix(1);
  const auto bytes = parse_size(value);
  if (!bytes) return fs_error(FsErrc::bad_argument, "not a size");
  return state.volume.grow(*bytes);
}

// A value, or its size if the program asks for that first.
void reply_value(fuse_req_t request, const Result<std::string>& value, size_t room) {
  if (!value) return reply_error(request, value.error());
  if (room == 0) {
    fuse_reply_xattr(request, value->size());
  } else if (value->size() > room) {
    fuse_reply_err(request, ERANGE);
  } else {
    fuse_reply_buf(request, value->data(), value->size());
  }
}

void getxattr(fuse_req_t request, fuse_ino_t inode, const char* name, size_t size) {
  Volume& volume = volume_of(request);
  if (is_size(inode, name)) return reply_value(request, size_text(volume), size);
  if (is_uuid(inode, name)) return reply_value(request, uuid_text(volume.superblock()), size);
  if (is_refused(state_of(request), name)) {
    fuse_reply_err(request, EOPNOTSUPP);
    return;
  }
  reply_value(request, volume.getxattr(inode, name), size);
}

void setxattr(fuse_req_t request, fuse_ino_t inode, const char* name, const char* value,
              size_t size, int flags) {
  reply_result(request, set_attribute(state_of(request), inode, name, {value, size}, flags, false));
}

void removexattr(fuse_req_t request, fuse_ino_t inode, const char* name) {
  if (is_size(inode, name) || is_refused(state_of(request), name)) {
    fuse_reply_err(request, EOPNOTSUPP);
    return;
  }
  reply_result(request, volume_of(request).removexattr(inode, name));
}

void listxattr(fuse_req_t request, fuse_ino_t inode, size_t size) {
  reply_value(request, volume_of(request).listxattr(inode), size);
}

}  // namespace

Result<void> set_attribute(MountState& state, Inode inode, std::string_view name,
                           std::string_view value, int flags, bool kill_sgid) {
  if (is_size(inode, name)) return grow(state, value);
  if (is_refused(state, name)) return fs_error(FsErrc::not_supported, "attribute name", inode);
  return state.volume.setxattr(inode, name, value, flags, kill_sgid);
}

void add_xattr_operations(fuse_lowlevel_ops& table) {
  table.getxattr = getxattr;
  table.setxattr = setxattr;
  table.removexattr = removexattr;
  table.listxattr = listxattr;
}

}  // namespace rvmfs
