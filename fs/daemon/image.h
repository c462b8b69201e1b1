// SPDX-License-Identifier: BSD-2-Clause
//
// The image that is mounted: its path and name, who else has it, opening it.
#pragma once

#include <memory>
#include <string>

#include "rvm/device.h"

#include "fs/daemon/options.h"
#include "fs/errors.h"

namespace rvmfs {

// Makes options.image independent of the current directory, and sets options.source to the name
// that messages and /proc/mounts show. "/proc/self/fd/N" and "/dev/fd/N" stay as they are: the file
// may have no name any more, or one that may not be reached.
Result<void> resolve_image(Options& options);

// The image as the volume sees it: all of it, or the part from offset= to sizelimit=. Locked, and
// not in use by another host.
Result<std::shared_ptr<rvm::Device>> open_image(const Options& options);

// A block device, all of it, to be written, and we are root: the kernel can then mount it as it
// mounts other block devices, and tells of sync(2) and umount(2).
bool is_for_fuseblk(const Options& options);

// Says why an image could not be opened; the holder, if there is one.
void complain_about_image(const Options& options, const Error& error);

// As long as it lives, nobody can mount the block device nor claim it otherwise. Nothing for files.
class DeviceClaim {
 public:
  DeviceClaim() = default;
  DeviceClaim(const DeviceClaim&) = delete;
  DeviceClaim& operator=(const DeviceClaim&) = delete;
  ~DeviceClaim() { release(); }
  // Errors: busy.
  Result<void> take(const std::string& path);
  void release();

 private:
  int fd_ = -1;
};

}  // namespace rvmfs
