// SPDX-License-Identifier: BSD-2-Clause
//
// umount.rvmfs: unmounts, and returns when the daemon has made everything durable and has let go of
// the image. The kernel does not wait for the daemon of a FUSE mount; whoever copies or detaches
// the image right after umount wants that.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>

#include "fs/daemon/helper_call.h"
#include "fs/daemon/messages.h"
#include "fs/daemon/mount_helper.h"
#include "fs/daemon/mount_point.h"
#include "fs/daemon/mount_table.h"
#include "fs/daemon/utab.h"

namespace rvmfs {
namespace {

constexpr timespec kPause{0, 5'000'000};
// By then it is somebody else who has locked the image.
constexpr time_t kPatienceSeconds = 300;

std::string absolute(const std::string& path) {
  char resolved[PATH_MAX];
  // A dead mount point cannot be resolved; it is named as it stands in the table, then.
  return realpath(path.c_str(), resolved) != nullptr ? resolved : path;
}

// By its mount point, or by its image.
std::optional<MountEntry> find_mount(const std::string& operand) {
  const std::string path = absolute(operand);
  if (auto entry = mount_at(path)) return entry;
  std::optional<MountEntry> found;
  for (MountEntry& entry : read_mount_table()) {
    if (is_rvmfs(entry) && entry.source == path) found = std::move(entry);
  }
  return found;
}

Result<void> unmount_as(const HelperCall& call, const std::string& point) {
  if (geteuid() != 0) return unmount(point, call.lazy ? Detach::yes : Detach::no);
  int flags = UMOUNT_NOFOLLOW;
  if (call.lazy) flags |= MNT_DETACH;
  if (call.force) flags |= MNT_FORCE;
  if (umount2(point.c_str(), flags) == 0) return {};
  const int number = errno;
  return Error{rvm::Errc::io, number, 0, "cannot unmount"};
}

bool is_locked(int image) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return fcntl(image, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

// Mounts of the same image that stay: read-only ones, parts of it, or one that was made just now.
bool is_mounted_elsewhere(const MountEntry& gone) {
  for (const MountEntry& entry : read_mount_table()) {
    if (is_rvmfs(entry) && entry.source == gone.source) return true;
  }
  return false;
}

void wait_until_released(const MountEntry& entry) {
  // Still in use (lazily unmounted, or a copy in another namespace): the daemon goes on.
  if (is_alive(entry) || is_mounted_elsewhere(entry)) return;
  const int image = open(entry.source.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (image < 0) return;  // not ours to see, or without a name
  const time_t end = time(nullptr) + kPatienceSeconds;
  while (is_locked(image) && !is_mounted_elsewhere(entry) && time(nullptr) < end) {
    nanosleep(&kPause, nullptr);
  }
  close(image);
}

}  // namespace

int run_umount_helper(int argc, char** argv) {
  HelperCall call;
  if (!parse_helper_call(argc, argv, "flnrviN:t:", call)) return kHelperFailure;
  if (call.operands.size() != 1) {
    say(Level::error, "usage: {} directory [-flnrv] [-N namespace]", argv[0]);
    return kHelperFailure;
  }
  if (!call.name_space.empty()) {
    const Result<void> entered = enter_mount_namespace(call.name_space);
    if (!entered) return say(Level::error, "{}", why(entered.error())), kHelperFailure;
  }
  const std::optional<MountEntry> entry = find_mount(call.operands[0]);
  if (!entry || !is_rvmfs(*entry)) {
    say(Level::error, "{}: not a mount of rvmfs", call.operands[0]);
    return kHelperFailure;
  }
  const Result<void> gone = unmount_as(call, entry->point);
  if (!gone && gone.error().os_errno == EBUSY && call.read_only) {
    return become_plain_mount("remount,ro", entry->point);
  }
  if (!gone) {
    say(Level::error, "{}: {}", entry->point, why(gone.error()));
    return kHelperFailure;
  }
  remove_from_utab(entry->point);
  wait_until_released(*entry);
  if (call.verbose) say(Level::notice, "{} unmounted", entry->point);
  return 0;
}

}  // namespace rvmfs
