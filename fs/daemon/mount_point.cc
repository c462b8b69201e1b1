// SPDX-License-Identifier: BSD-2-Clause
//
// The directory that is mounted on.
#include "fs/daemon/mount_point.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>

#include "fs/daemon/messages.h"
#include "fs/daemon/mount_table.h"
#include "fs/daemon/signals.h"

namespace rvmfs {
namespace {

constexpr const char* kFusermount = "fusermount3";
constexpr int kCannotExecute = 127;
constexpr const char* kReadaheadKib = "1024";

constexpr auto kPatience = std::chrono::milliseconds(5000);
constexpr auto kRetry = std::chrono::milliseconds(2);

Error system_error(const char* what) { return Error{rvm::Errc::io, errno, 0, what}; }

// The absolute path of a directory that cannot be looked into: its parent's, and its name.
Result<std::string> path_by_parent(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  char resolved[PATH_MAX];
  if (realpath(parent.c_str(), resolved) == nullptr) return system_error("mount point");
  const std::string base = resolved;
  return base == "/" ? base + name : base + "/" + name;
}

// fusermount3 says why it failed only in words; whoever asks for a lazy unmount does not care, and
// everybody else can only try that next: so a failure counts as "in use".
Result<void> run_fusermount(const std::string& mount_point, Detach detach) {
  const pid_t child = fork();
  if (child < 0) return system_error("fork");
  if (child == 0) {
    restore_signals();
    const int null = open("/dev/null", O_WRONLY);
    if (null >= 0) dup2(null, STDERR_FILENO);
    if (detach == Detach::yes) {
      execlp(kFusermount, kFusermount, "-u", "-q", "-z", "--", mount_point.c_str(), nullptr);
    } else {
      execlp(kFusermount, kFusermount, "-u", "-q", "--", mount_point.c_str(), nullptr);
    }
    _exit(kCannotExecute);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return system_error("waiting for fusermount3");
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (WIFEXITED(status) && WEXITSTATUS(status) == kCannotExecute) {
    return Error{rvm::Errc::io, ENOENT, 0, "cannot run fusermount3"};
  }
  return Error{rvm::Errc::io, EBUSY, 0, "fusermount3 cannot unmount"};
}

// Takes away what a dead daemon left there.
Result<void> clear(const std::string& dead, bool any) {
  const std::optional<MountEntry> entry = mount_at(dead);
  if (!any && entry && !is_rvmfs(*entry)) {
    say(Level::error,
        "{} was left behind by a dead daemon of another filesystem ({} of {}): "
        "run '{} {}', or mount with -o clear_dead",
        dead, entry->type, entry->source, geteuid() == 0 ? "umount -l" : "fusermount3 -uz", dead);
    return Error{rvm::Errc::io, ENOTCONN, 0, "mount point"};
  }
  say(Level::notice, "{} was left behind by a daemon that died: unmounting it", dead);
  return unmount(dead, Detach::yes);
}

// Whether the daemon of the mount at this place is dead. The kernel says so with ENOTCONN; a moment
// earlier, while it clears up, with other errors (the last two for requests over io_uring).
bool is_dead_mount(const std::string& path) {
  // statfs is always asked of the daemon; attributes may still be cached.
  struct statfs volume {};
  for (auto left = kPatience; left.count() > 0; left -= kRetry) {
    if (statfs(path.c_str(), &volume) == 0) return false;
    if (errno != ECONNABORTED && errno != ECANCELED && errno != EFAULT) break;
    std::this_thread::sleep_for(kRetry);
  }
  return errno == ENOTCONN;
}

}  // namespace

bool is_descriptor(const std::string& mount_point) {
  return mount_point.compare(0, 8, "/dev/fd/") == 0;
}

Result<std::string> prepare_mount_point(const std::string& path, bool clear_dead) {
  if (is_descriptor(path)) return path;
  if (is_dead_mount(path)) {
    RVM_ASSIGN(const std::string dead, path_by_parent(path));
    RVM_TRY(clear(dead, clear_dead));
  }
  char resolved[PATH_MAX];
  struct stat status {};
  if (realpath(path.c_str(), resolved) == nullptr) return system_error("mount point");
  if (stat(resolved, &status) != 0) return system_error("mount point");
  if (!S_ISDIR(status.st_mode)) return Error{rvm::Errc::io, ENOTDIR, 0, "mount point"};
  return std::string(resolved);
}

// A process that waits for an answer of its own mount and is killed never ends: it waits for
// itself, and keeps the descriptor that its end would close. So a child waits, which has no such
// descriptor. `call` is a system call or two (between fork and exec nothing else is safe), and
// gives an errno.
template <typename Call>
Result<void> in_child(const char* what, const Call& call) {
  const pid_t child = fork();
  if (child < 0) return system_error("fork");
  if (child == 0) {
    close_range(STDERR_FILENO + 1, ~0U, 0);
    _exit(call());
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return system_error("waiting for a child");
  }
  const int number = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
  if (number == 0) return {};
  return Error{rvm::Errc::io, number, 0, what};
}

Result<void> unmount(const std::string& mount_point, Detach detach) {
  if (geteuid() != 0) return run_fusermount(mount_point, detach);
  const int flags = UMOUNT_NOFOLLOW | (detach == Detach::yes ? MNT_DETACH : 0);
  return in_child("cannot unmount",
                  [&] { return umount2(mount_point.c_str(), flags) == 0 ? 0 : errno; });
}

void raise_readahead(const std::string& mount_point) {
  // The number is not asked of the mount itself: killed while it waits for an answer of its own, a
  // daemon would never end, and keep the lock on the image.
  const std::optional<MountEntry> mount = mount_at(mount_point);
  if (geteuid() != 0 || !mount) return;
  const std::string path = fmt::format("/sys/class/bdi/{}/read_ahead_kb", mount->number);
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  [[maybe_unused]] const ssize_t ignored = write(fd, kReadaheadKib, strlen(kReadaheadKib));
  close(fd);
}

void sync_mount(const std::string& mount_point) {
  const Result<void> synced = in_child("cannot write back shared mappings", [&] {
    const int fd = open(mount_point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && syncfs(fd) == 0 ? 0 : errno;
  });
  if (!synced) say(Level::warning, "{}: {}", mount_point, why(synced.error()));
}

}  // namespace rvmfs
