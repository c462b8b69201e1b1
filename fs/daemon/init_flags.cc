// SPDX-License-Identifier: BSD-2-Clause
//
// What is agreed with the kernel when the session begins.
#include "fs/daemon/init_flags.h"

#include <linux/fuse.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "fs/daemon/fuse_protocol.h"

namespace rvmfs {
namespace {

// Flags by the numbers of the kernel's protocol, which is what `offered_` holds. Zero: not a matter
// of a flag.
struct FeatureRow {
  Feature feature;
  std::string_view name;
  uint64_t kernel_flag;
  unsigned libfuse_flag;  // to want; 0: none, or not by libfuse
  uint64_t reply_flag;    // to put into libfuse's reply
};

constexpr uint32_t kMaxBackground = 64;
constexpr uint32_t kCongestionThreshold = 48;

using namespace protocol;  // NOLINT(google-build-using-namespace): for this table

constexpr std::array kFeatures = {
    FeatureRow{Feature::killpriv_v2, "killpriv_v2", kKillprivV2, 0, kKillprivV2},
    FeatureRow{Feature::no_open, "no_open", kNoOpenSupport, 0, 0},
    FeatureRow{Feature::no_opendir, "no_opendir", kNoOpendirSupport, 0, 0},
    FeatureRow{Feature::no_create, "no_create", kNoOpenSupport, 0, 0},
    FeatureRow{Feature::readdirplus, "readdirplus", kReaddirplus, FUSE_CAP_READDIRPLUS, 0},
    FeatureRow{Feature::readdirplus_always, "readdirplus_always", kReaddirplus, 0, 0},
    FeatureRow{Feature::parallel_dirops, "parallel_dirops", kParallelDirops,
               FUSE_CAP_PARALLEL_DIROPS, 0},
    FeatureRow{Feature::export_support, "export_support", kExportSupport, FUSE_CAP_EXPORT_SUPPORT,
               0},
    FeatureRow{Feature::cache_symlinks, "cache_symlinks", kCacheSymlinks, FUSE_CAP_CACHE_SYMLINKS,
               0},
    FeatureRow{Feature::tmpfile, "tmpfile", 0, 0, 0},
    FeatureRow{Feature::statx, "statx", 0, 0, 0},
    FeatureRow{Feature::copy_range_64, "copy_range_64", 0, 0, 0},
    FeatureRow{Feature::acl, "acl", kPosixAcl, FUSE_CAP_POSIX_ACL, 0},
    FeatureRow{Feature::setxattr_ext, "setxattr_ext", kSetxattrExt, 0, kSetxattrExt},
    FeatureRow{Feature::direct_io_mmap, "direct_io_mmap", kDirectIoAllowMmap, 0,
               kDirectIoAllowMmap},
    FeatureRow{Feature::idmap, "idmap", kAllowIdmap, 0, kAllowIdmap},
    FeatureRow{Feature::io_uring, "io_uring", kOverIoUring, 0, kOverIoUring},
    FeatureRow{Feature::fuseblk, "fuseblk", 0, 0, 0},
};

}  // namespace

std::optional<Feature> feature_by_name(std::string_view name) {
  for (const FeatureRow& row : kFeatures) {
    if (row.name == name) return row.feature;
  }
  return std::nullopt;
}

std::string feature_names() {
  std::string names;
  for (const FeatureRow& row : kFeatures) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

void InitFlags::see_request(std::span<const std::byte> request) {
  fuse_in_header header{};
  InitIn in{};
  if (request.size() < sizeof header + offsetof(InitIn, flags2))
    return;  // without flags2 it may be
  memcpy(&header, request.data(), sizeof header);
  request = request.subspan(sizeof header);
  memcpy(&in, request.data(), std::min(request.size(), sizeof in));
  unique_ = header.unique;
  offered_ = in.flags;
  if ((offered_ & kInitExt) != 0) offered_ |= static_cast<uint64_t>(in.flags2) << 32;
  seen_ = true;
}

bool InitFlags::enabled(Feature feature) const {
  if (disabled_.has(feature)) return false;
  // Without a stateless open there would be a file handle to make up in CREATE.
  if (feature == Feature::no_create && disabled_.has(Feature::no_open)) return false;
  for (const FeatureRow& row : kFeatures) {
    if (row.feature == feature) return (offered_ & row.kernel_flag) == row.kernel_flag;
  }
  return false;
}

void InitFlags::choose(fuse_conn_info& connection) const {
  // Chosen one by one, not taken from libfuse's defaults. Off on purpose:
  //   ATOMIC_O_TRUNC    with a stateless open nobody would truncate
  //   AUTO_INVAL_DATA   would drop cached pages when our own writes change the times
  //   locks             the kernel does them locally and right
  //   WRITEBACK_CACHE   more messages for small files
  //   SECURITY_CTX, CREATE_SUPP_GROUP   for daemons that check or label by themselves
  //   HAS_EXPIRE_ONLY   we never make the kernel forget names
  //   REQUEST_TIMEOUT   would end a mount whose host is slow
  // PASSTHROUGH, SUBMOUNTS, INODE_DAX and MAP_ALIGNMENT are for filesystems of another kind.
  const unsigned always = FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_IOCTL_DIR;
  connection.want = always & connection.capable;
  for (const FeatureRow& row : kFeatures) {
    if (enabled(row.feature)) connection.want |= row.libfuse_flag & connection.capable;
  }
  // Else the kernel guesses: attributes come with the first names only, unless they are asked for
  // in between. find, git and du ask for them after they have read all names: one LOOKUP a file.
  if (enabled(Feature::readdirplus) && !enabled(Feature::readdirplus_always)) {
    connection.want |= FUSE_CAP_READDIRPLUS_AUTO & connection.capable;
  }
  // Where a directory has a default ACL the umask does not count: then it is for us to apply it.
  if (enabled(Feature::acl)) connection.want |= FUSE_CAP_DONT_MASK & connection.capable;
  connection.max_background = kMaxBackground;
  connection.congestion_threshold = kCongestionThreshold;
}

uint64_t InitFlags::added_to_reply() const {
  uint64_t flags = 0;
  for (const FeatureRow& row : kFeatures) {
    if (enabled(row.feature)) flags |= row.reply_flag;
  }
  // Without it the kernel would make file handles that lead nowhere once an inode is not cached.
  if (!enabled(Feature::export_support)) flags |= offered_ & kNoExportSupport;
  return flags;
}

void InitFlags::edit_reply(std::span<std::byte> body) const {
  InitOut reply{};
  if (body.size() < offsetof(InitOut, max_background)) return;
  const size_t bytes = std::min(body.size(), sizeof reply);
  memcpy(&reply, body.data(), bytes);
  uint64_t flags = added_to_reply();
  if (bytes < offsetof(InitOut, rest)) flags &= UINT32_MAX;
  if (flags > UINT32_MAX) {
    flags |= kInitExt;
    reply.minor = std::max(reply.minor, kMinorOfFlags2);
  }
  reply.flags |= static_cast<uint32_t>(flags);
  reply.flags2 |= static_cast<uint32_t>(flags >> 32);
  memcpy(body.data(), &reply, bytes);
}

}  // namespace rvmfs
