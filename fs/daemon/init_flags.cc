// SPDX-License-Identifier: BSD-2-Clause
//
// What is agreed with the kernel when the session begins.
#include "fs/daemon/init_flags.h"

#include <linux/fuse.h>

#include <array>
#include <cstddef>
#include <cstring>

namespace rvmfs {
namespace {

// Flags by the numbers of the kernel's protocol, which is what `offered_` holds. Written out
// because the distribution's headers are older than its kernels. Zero: not a matter of a flag.
struct FeatureRow {
  Feature feature;
  std::string_view name;
  uint64_t kernel_flag;
  unsigned libfuse_flag;  // to want; 0: none, or not by libfuse
};

constexpr uint64_t kKillprivV2 = 1ULL << 28;
constexpr uint64_t kSetxattrExt = 1ULL << 29;
constexpr uint32_t kMaxBackground = 64;
constexpr uint32_t kCongestionThreshold = 48;

constexpr std::array kFeatures = {
    FeatureRow{Feature::killpriv_v2, "killpriv_v2", kKillprivV2, 0},
    FeatureRow{Feature::no_open, "no_open", 1ULL << 17, 0},
    FeatureRow{Feature::no_opendir, "no_opendir", 1ULL << 24, 0},
    FeatureRow{Feature::no_create, "no_create", 1ULL << 17, 0},
    FeatureRow{Feature::readdirplus, "readdirplus", 1ULL << 13, FUSE_CAP_READDIRPLUS},
    FeatureRow{Feature::readdirplus_always, "readdirplus_always", 1ULL << 13, 0},
    FeatureRow{Feature::parallel_dirops, "parallel_dirops", 1ULL << 18, FUSE_CAP_PARALLEL_DIROPS},
    FeatureRow{Feature::export_support, "export_support", 1ULL << 4, FUSE_CAP_EXPORT_SUPPORT},
    FeatureRow{Feature::cache_symlinks, "cache_symlinks", 1ULL << 23, FUSE_CAP_CACHE_SYMLINKS},
    FeatureRow{Feature::tmpfile, "tmpfile", 0, 0},
    FeatureRow{Feature::statx, "statx", 0, 0},
    FeatureRow{Feature::acl, "acl", 1ULL << 20, FUSE_CAP_POSIX_ACL},
    FeatureRow{Feature::setxattr_ext, "setxattr_ext", kSetxattrExt, 0},
    FeatureRow{Feature::fuseblk, "fuseblk", 0, 0},
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
  // fuse_in_header, then fuse_init_in: major, minor, max_readahead, flags and, from 7.36 on,
  // flags2.
  constexpr size_t kFlags = sizeof(fuse_in_header) + 12;
  constexpr size_t kFlags2 = kFlags + 4;
  if (request.size() < kFlags + sizeof(uint32_t)) return;
  fuse_in_header header{};
  memcpy(&header, request.data(), sizeof header);
  uint32_t low = 0;
  uint32_t high = 0;
  memcpy(&low, request.data() + kFlags, sizeof low);
  if (request.size() >= kFlags2 + sizeof high) {
    memcpy(&high, request.data() + kFlags2, sizeof high);
  }
  unique_ = header.unique;
  offered_ = low | static_cast<uint64_t>(high) << 32;
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

void InitFlags::edit_reply(std::span<std::byte> body) const {
  if (body.size() < offsetof(fuse_init_out, flags) + sizeof(uint32_t)) return;
  uint32_t flags = 0;
  std::byte* const place = body.data() + offsetof(fuse_init_out, flags);
  memcpy(&flags, place, sizeof flags);
  if (enabled(Feature::killpriv_v2)) flags |= static_cast<uint32_t>(kKillprivV2);
  if (enabled(Feature::setxattr_ext)) flags |= static_cast<uint32_t>(kSetxattrExt);
  memcpy(place, &flags, sizeof flags);
}

}  // namespace rvmfs
