// SPDX-License-Identifier: BSD-2-Clause
//
// mount.rvmfs: mounts, remounts, and mounts once more.
//
// A volume has one daemon. So a second mount of an image that is mounted already is a bind mount of
// the first; the volume's UUID tells that it is the same, whatever the paths are. A remount is the
// kernel's business alone.
#include "fs/daemon/mount_helper.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "fs/daemon/helper_call.h"
#include "fs/daemon/image.h"
#include "fs/daemon/messages.h"
#include "fs/daemon/mount_point.h"
#include "fs/daemon/mount_table.h"
#include "fs/daemon/run.h"
#include "fs/daemon/utab.h"
#include "fs/daemon/volume_name.h"

namespace rvmfs {
namespace {

// What a mount, as opposed to a filesystem, can be; and what of it a remount may change.
constexpr std::array<std::pair<std::string_view, unsigned long>, 8> kMountFlags = {{
    {"ro", MS_RDONLY},
    {"nosuid", MS_NOSUID},
    {"nodev", MS_NODEV},
    {"noexec", MS_NOEXEC},
    {"noatime", MS_NOATIME},
    {"nodiratime", MS_NODIRATIME},
    {"relatime", MS_RELATIME},
    {"strictatime", MS_STRICTATIME},
}};
constexpr std::array<std::string_view, 10> kOthersOfRemount = {
    "remount", "bind", "rw", "suid", "dev", "exec", "diratime", "sync", "async", "dirsync"};

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> items;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    items.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return items;
}

bool has(const std::vector<std::string>& options, std::string_view wanted) {
  return std::find(options.begin(), options.end(), wanted) != options.end();
}

unsigned long flag_of(std::string_view option) {
  for (const auto& [name, flag] : kMountFlags) {
    if (name == option) return flag;
  }
  return 0;
}

// Our own options cannot be changed while mounted, and fstab's mean nothing to the kernel.
std::string for_remount(const std::vector<std::string>& options, bool read_only) {
  std::string list;
  for (const std::string& option : options) {
    const bool is_other = std::find(kOthersOfRemount.begin(), kOthersOfRemount.end(), option) !=
                          kOthersOfRemount.end();
    if (flag_of(option) == 0 && !is_other) continue;
    if (!list.empty()) list += ',';
    list += option;
  }
  return read_only ? list + ",ro" : list;
}

// A mount of the volume that `options` name, if this process sees one.
std::optional<MountEntry> find_mounted(const Options& options) {
  const std::string wanted = volume_name(options.image, options.offset);
  if (wanted.empty()) return std::nullopt;
  for (MountEntry& entry : read_mount_table()) {
    if (!is_rvmfs(entry) || entry.root != "/" || entry.source != options.source) continue;
    if (mounted_volume_name(entry.point) == wanted) return std::move(entry);
  }
  return std::nullopt;
}

int failed(const std::string& what) {
  say(Level::error, "{}: {}", what, strerror(errno));
  return kHelperFailure;
}

int bind(const MountEntry& entry, const std::string& point,
         const std::vector<std::string>& wanted) {
  unsigned long flags = 0;
  for (const std::string& option : split(entry.options)) flags |= flag_of(option);
  const unsigned long had = flags;
  for (const std::string& option : wanted) flags |= flag_of(option);
  if (mount(entry.point.c_str(), point.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return failed(point);
  }
  const unsigned long again = MS_BIND | MS_REMOUNT | flags;
  if (flags != had && mount(nullptr, point.c_str(), nullptr, again, nullptr) != 0) {
    const int status = failed(point);
    umount2(point.c_str(), UMOUNT_NOFOLLOW);
    return status;
  }
  enter_in_utab(entry.source, point);
  return 0;
}

// Mounts what is mounted elsewhere. Nothing: it is not.
std::optional<int> mount_again(const Options& options, const std::vector<std::string>& wanted) {
  if (geteuid() != 0) return std::nullopt;
  const std::optional<MountEntry> entry = find_mounted(options);
  if (!entry) return std::nullopt;
  if (!options.volume.read_only && entry->is_read_only_filesystem()) {
    say(Level::error, "{} is mounted read-only on {}", options.source, entry->point);
    return kHelperFailure;
  }
  const Result<std::string> point = prepare_mount_point(options.mount_point, options.clear_dead);
  if (!point) {
    say(Level::error, "{}: {}", options.mount_point, why(point.error()));
    return kHelperFailure;
  }
  return bind(*entry, *point, wanted);
}

// The image is opened here and mounted there.
Result<void> change_namespace(Options& options, const std::string& name_space) {
  RVM_TRY(resolve_image(options));
  const int mode = options.volume.read_only ? O_RDONLY : O_RDWR;
  const int fd = open(options.image.c_str(), mode);
  if (fd < 0) return Error{rvm::Errc::io, errno, 0, "image"};
  options.image = "/proc/self/fd/" + std::to_string(fd);  // stays open as long as the daemon lives
  return enter_mount_namespace(name_space);
}

int mount_new(Options options, const HelperCall& call, const std::vector<std::string>& wanted) {
  if (!call.name_space.empty()) {
    const Result<void> changed = change_namespace(options, call.name_space);
    if (!changed) {
      say(Level::error, "{}: {}", call.operands[0], why(changed.error()));
      return kHelperFailure;
    }
  }
  Options resolved = options;
  if (resolve_image(resolved)) {
    const std::optional<int> again = mount_again(resolved, wanted);
    if (again) return *again;
  }
  return mount_and_serve(std::move(options)) == 0 ? 0 : kHelperFailure;
}

}  // namespace

int run_mount_helper(int argc, char** argv) {
  HelperCall call;
  if (!parse_helper_call(argc, argv, "fnsvrwio:N:t:", call)) return kHelperFailure;
  if (call.operands.size() != 2) {
    say(Level::error, "usage: {} image directory [-fnsvrw] [-N namespace] [-o options]", argv[0]);
    return kHelperFailure;
  }
  const std::vector<std::string> wanted = split(call.options);
  if (has(wanted, "remount")) {
    return become_plain_mount(for_remount(wanted, call.read_only), call.operands[1]);
  }
  Options options;
  const std::string wrong = apply_mount_options(call.options, options, call.sloppy);
  if (!wrong.empty()) {
    say(Level::error, "{}", wrong);
    return kHelperFailure;
  }
  if (call.read_only) options.volume.read_only = true;
  options.image = call.operands[0];
  options.mount_point = call.operands[1];
  return call.fake ? 0 : mount_new(std::move(options), call, wanted);
}

}  // namespace rvmfs
