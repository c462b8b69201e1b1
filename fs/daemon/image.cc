// SPDX-License-Identifier: BSD-2-Clause
//
// The image that is mounted.
#include "fs/daemon/image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "fs/daemon/messages.h"
#include "fs/daemon/owner.h"

namespace rvmfs {
namespace {

Error system_error(const char* what) { return Error{rvm::Errc::io, errno, 0, what}; }

bool is_descriptor_path(std::string_view path) {
  return path.starts_with("/proc/self/fd/") || path.starts_with("/dev/fd/");
}

// Where such a path leads: what the kernel says, be it a path or not ("/memfd:x (deleted)").
std::string target_of(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t length = readlink(path.c_str(), target, sizeof target);
  return length > 0 ? std::string(target, static_cast<size_t>(length)) : path;
}

bool is_block_device(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISBLK(status.st_mode);
}

// Root of a container is not: its users are mapped.
bool is_real_root() {
  if (geteuid() != 0) return false;
  uint64_t inside = 1;
  uint64_t outside = 1;
  uint64_t count = 0;
  std::ifstream map("/proc/self/uid_map");
  return (map >> inside >> outside >> count) && inside == 0 && outside == 0 && count == UINT32_MAX;
}

}  // namespace

Result<void> resolve_image(Options& options) {
  struct stat status {};
  if (stat(options.image.c_str(), &status) != 0) return system_error("image");
  if (is_descriptor_path(options.image)) {
    if (options.source.empty()) options.source = target_of(options.image);
    return {};
  }
  char resolved[PATH_MAX];
  if (realpath(options.image.c_str(), resolved) == nullptr) return system_error("image");
  options.image = resolved;
  if (options.source.empty()) options.source = options.image;
  return {};
}

Result<std::shared_ptr<rvm::Device>> open_image(const Options& options) {
  rvm::FileOptions file;
  file.read_only = options.volume.read_only;
  file.claim = false;  // DeviceClaim does
  file.lock_offset = options.offset;
  file.lock_bytes = options.size_limit;
  RVM_ASSIGN(std::shared_ptr<rvm::Device> device, rvm::open_file_device(options.image, file));
  RVM_TRY(check_other_hosts(options.image, options.offset, options.heartbeat_seconds));
  if (options.offset == 0 && options.size_limit == 0) return device;
  const uint64_t size = device->size();
  if (options.offset >= size) return fs_error(FsErrc::bad_argument, "offset= beyond the image");
  uint64_t length = (size - options.offset) / format::kBlockBytes * format::kBlockBytes;
  if (options.size_limit != 0) length = std::min(length, options.size_limit);
  return rvm::make_range_device(std::move(device), options.offset, length);
}

bool is_for_fuseblk(const Options& options) {
  // Read-only, several daemons may share the device, which "fuseblk" does not let them.
  return !options.disabled.has(Feature::fuseblk) && !options.volume.read_only &&
         options.offset == 0 && options.size_limit == 0 && is_real_root() &&
         is_block_device(options.image);
}

void complain_about_image(const Options& options, const Error& error) {
  const bool may_read = access(options.image.c_str(), R_OK) == 0;
  if (error == rvm::Errc::busy) {
    say(Level::error, "{} is in use by {}", options.source,
        describe_holder(options.image, options.offset));
  } else if (!options.volume.read_only && may_read &&
             (error.os_errno == EACCES || error.os_errno == EROFS || error.os_errno == EPERM)) {
    say(Level::error, "{} cannot be written ({}): mount it with -o ro", options.source,
        explain(error));
  } else {
    say(Level::error, "{}: {}", options.source, explain(error));
  }
}

Result<void> DeviceClaim::take(const std::string& path) {
  if (!is_block_device(path)) return {};
  fd_ = open(path.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC);
  if (fd_ >= 0) return {};
  if (errno == EBUSY) return Error{rvm::Errc::busy, EBUSY, 0, "the device is mounted or in use"};
  return system_error("cannot claim the device");
}

void DeviceClaim::release() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

}  // namespace rvmfs
