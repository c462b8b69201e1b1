// SPDX-License-Identifier: BSD-2-Clause
//
// Extended attributes. Two of them are not stored: "rvmfs.size" of the root directory is the
// volume's nominal size as text; setting it (by root, or by whoever mounted the volume) to a larger
// size, such as "2T", grows the mounted volume. "rvmfs.uuid" tells which volume it is.
//
// Names of the system namespace are refused: they are the kernel's business (ACLs), and storing
// what nobody enforces would be a lie.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "fs/daemon/reply.h"
#include "fs/daemon/size_text.h"
#include "fs/daemon/volume_name.h"

namespace rvmfs {
namespace {

constexpr std::string_view kSizeName = "rvmfs.size";
constexpr std::string_view kSystemPrefix = "system.";

bool is_size(fuse_ino_t inode, std::string_view name) {
  return inode == FUSE_ROOT_ID && name == kSizeName;
}

bool is_uuid(fuse_ino_t inode, std::string_view name) {
  return inode == FUSE_ROOT_ID && name == kUuidAttribute;
}

bool is_refused(std::string_view name) {
  return name.substr(0, kSystemPrefix.size()) == kSystemPrefix ||
         (name == kSizeName);  // of anything but the root
}

bool may_administer(fuse_req_t request) {
  const uid_t uid = fuse_req_ctx(request)->uid;
  return uid == 0 || uid == getuid();
}

Result<std::string> size_text(Volume& volume) {
  RVM_ASSIGN(const VolumeStatus status, volume.statfs());
  return fmt::format("{}", status.blocks_total * format::kBlockBytes);
}

Result<void> grow(fuse_req_t request, std::string_view value) {
  if (!may_administer(request)) return fs_error(FsErrc::not_permitted, "growing the volume");
  while (!value.empty() && (value.back() == '\n' || value.back() == '\0')) value.remove_suffix(1);
  const auto bytes = parse_size(value);
  if (!bytes) return fs_error(FsErrc::bad_argument, "not a size");
  return volume_of(request).grow(*bytes);
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
  if (is_refused(name)) {
    fuse_reply_err(request, EOPNOTSUPP);
    return;
  }
  reply_value(request, volume.getxattr(inode, name), size);
}

void setxattr(fuse_req_t request, fuse_ino_t inode, const char* name, const char* value,
              size_t size, int flags) {
  const std::string_view bytes(value, size);
  if (is_size(inode, name)) return reply_result(request, grow(request, bytes));
  if (is_refused(name)) {
    fuse_reply_err(request, EOPNOTSUPP);
    return;
  }
  reply_result(request, volume_of(request).setxattr(inode, name, bytes, flags));
}

void removexattr(fuse_req_t request, fuse_ino_t inode, const char* name) {
  if (is_size(inode, name) || is_refused(name)) {
    fuse_reply_err(request, EOPNOTSUPP);
    return;
  }
  reply_result(request, volume_of(request).removexattr(inode, name));
}

void listxattr(fuse_req_t request, fuse_ino_t inode, size_t size) {
  reply_value(request, volume_of(request).listxattr(inode), size);
}

}  // namespace

void add_xattr_operations(fuse_lowlevel_ops& table) {
  table.getxattr = getxattr;
  table.setxattr = setxattr;
  table.removexattr = removexattr;
  table.listxattr = listxattr;
}

}  // namespace rvmfs
