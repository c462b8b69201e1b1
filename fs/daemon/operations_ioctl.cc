// SPDX-License-Identifier: BSD-2-Clause
//
// ioctls: flags as of chattr(1), the volume label, fstrim and shutting down. The kernel has checked
// who may change flags. An unknown ioctl is ENOTTY, as everywhere; programs take other answers for
// failures.
#include <linux/fs.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "fs/daemon/messages.h"
#include "fs/daemon/reply.h"
#include "fs/daemon/requester.h"

namespace rvmfs {
namespace {

// A request and its buffers, as FUSE passes them.
struct Ioctl {
  fuse_req_t request;
  Inode inode;
  const void* in;
  size_t in_bytes;
  size_t out_bytes;

  template <typename T>
  std::optional<T> value() const {
    T value{};
    if (in == nullptr || in_bytes < sizeof value) return std::nullopt;
    memcpy(&value, in, sizeof value);
    return value;
  }
  template <typename T>
  void reply(const T& value) const {
    fuse_reply_ioctl(request, 0, &value, sizeof value);
  }
  void reply(const Result<void>& result) const {
    if (!result) return reply_error(request, result.error());
    fuse_reply_ioctl(request, 0, nullptr, 0);
  }
  void bad_argument() const { fuse_reply_err(request, EINVAL); }
};

// The two names that each flag has: FS_IOC_GETFLAGS's and FS_IOC_FSGETXATTR's.
constexpr std::array<std::pair<uint32_t, uint32_t>, 6> kFlagNames = {{
    {FS_SYNC_FL, FS_XFLAG_SYNC},
    {FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE},
    {FS_APPEND_FL, FS_XFLAG_APPEND},
    {FS_NODUMP_FL, FS_XFLAG_NODUMP},
    {FS_NOATIME_FL, FS_XFLAG_NOATIME},
    {FS_PROJINHERIT_FL, FS_XFLAG_PROJINHERIT},
}};
// Declared by the kernel for XFS first; the flags word behind it does not reach us.
constexpr unsigned kShutDown = _IOR('X', 125, uint32_t);

void get_flags(const Ioctl& call) {
  const Result<Attributes> attributes = volume_of(call.request).getattr(call.inode);
  if (!attributes) return reply_error(call.request, attributes.error());
  // Declared with a long, in truth an int: programs and the kernel pass either.
  if (call.out_bytes >= sizeof(uint64_t)) {
    call.reply(static_cast<uint64_t>(attributes->flags));
  } else {
    call.reply(attributes->flags);
  }
}

void set_flags(const Ioctl& call) {
  const auto flags = call.value<uint32_t>();
  if (!flags) return call.bad_argument();
  Volume& volume = volume_of(call.request);
  const Result<Attributes> now = volume.getattr(call.inode);
  if (!now) return reply_error(call.request, now.error());
  call.reply(volume.set_flags(call.inode, *flags, now->project));
}

void get_extended_flags(const Ioctl& call) {
  const Result<Attributes> attributes = volume_of(call.request).getattr(call.inode);
  if (!attributes) return reply_error(call.request, attributes.error());
  fsxattr out{};
  for (const auto& [flag, extended] : kFlagNames) {
    if ((attributes->flags & flag) != 0) out.fsx_xflags |= extended;
  }
  out.fsx_projid = attributes->project;
  call.reply(out);
}

void set_extended_flags(const Ioctl& call) {
  const auto wanted = call.value<fsxattr>();
  if (!wanted) return call.bad_argument();
  Volume& volume = volume_of(call.request);
  const Result<Attributes> now = volume.getattr(call.inode);
  if (!now) return reply_error(call.request, now.error());
  uint32_t flags = now->flags;
  uint32_t known = 0;
  for (const auto& [flag, extended] : kFlagNames) {
    known |= extended;
    flags = (wanted->fsx_xflags & extended) != 0 ? flags | flag : flags & ~flag;
  }
  if ((wanted->fsx_xflags & ~known) != 0) {
    fuse_reply_err(call.request, EOPNOTSUPP);
    return;
  }
  call.reply(volume.set_flags(call.inode, flags, wanted->fsx_projid));
}

using Label = std::array<char, FSLABEL_MAX>;

void get_label(const Ioctl& call) {
  const format::Superblock super = volume_of(call.request).superblock();
  Label label{};
  memcpy(label.data(), super.label, std::min(sizeof super.label, label.size() - 1));
  call.reply(label);
}

// Says no by itself.
bool may_administer(const Ioctl& call) {
  if (requester_may_administer()) return true;
  fuse_reply_err(call.request, EPERM);
  return false;
}

void set_label(const Ioctl& call) {
  if (!may_administer(call)) return;
  const auto label = call.value<Label>();
  if (!label) return call.bad_argument();
  const std::string_view text(label->data(), strnlen(label->data(), label->size()));
  call.reply(volume_of(call.request).set_label(text));
}

void trim(const Ioctl& call) {
  if (!may_administer(call)) return;
  auto range = call.value<fstrim_range>();
  if (!range) return call.bad_argument();
  Volume& volume = volume_of(call.request);
  if (range->start >= volume.superblock().volume_bytes) return call.bad_argument();
  const Result<uint64_t> trimmed = volume.trim(range->start, range->len, range->minlen);
  if (!trimmed) return reply_error(call.request, trimmed.error());
  range->len = *trimmed;
  call.reply(*range);
}

void shut_down(const Ioctl& call) {
  if (!may_administer(call)) return;
  const Result<void> result = volume_of(call.request).shut_down();
  if (result) say(Level::notice, "the volume was shut down: nothing can be changed any more");
  call.reply(result);
}

void ioctl(fuse_req_t request, fuse_ino_t inode, unsigned command, void*, fuse_file_info*,
           unsigned flags, const void* in, size_t in_bytes, size_t out_bytes) {
  const Ioctl call{request, inode, in, in_bytes, out_bytes};
  const bool is_compat = (flags & FUSE_IOCTL_COMPAT) != 0;
  switch (is_compat ? 0 : command) {
    case FS_IOC_GETFLAGS: return get_flags(call);
    case FS_IOC_SETFLAGS: return set_flags(call);
    case FS_IOC_FSGETXATTR: return get_extended_flags(call);
    case FS_IOC_FSSETXATTR: return set_extended_flags(call);
    case FS_IOC_GETFSLABEL: return get_label(call);
    case FS_IOC_SETFSLABEL: return set_label(call);
    case FITRIM: return trim(call);
    case kShutDown: return shut_down(call);
    default: fuse_reply_err(request, ENOTTY);
  }
}

}  // namespace

void add_ioctl_operations(fuse_lowlevel_ops& table) { table.ioctl = ioctl; }

}  // namespace rvmfs
