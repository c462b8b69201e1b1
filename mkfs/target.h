// SPDX-License-Identifier: BSD-2-Clause
//
// What mkfs must know of the place that it is about to overwrite: what kind of thing it is, whether
// somebody uses it, and what is on it now. Nothing here writes, except wipe_signatures().
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "rvm/device.h"

namespace rvmfs::mkfs {

struct Target {
  enum class Kind : uint8_t { absent, file, block_device, other } kind = Kind::absent;
  uint64_t bytes = 0;  // length of a file, 0 for what is absent and for devices
  dev_t device = 0;    // of a file: where it lies; of a block device: its own number
  ino_t inode = 0;
};

rvm::Result<Target> look_at(const std::string& path);

// Who uses the target, in words ("mounted at /mnt", "attached to /dev/loop3", "used as swap");
// empty if nobody is known to. `folder` stands for "/" in tests.
std::string user_of(const Target& target, const std::string& folder = "");

// What is there now, in words ("an ext4 filesystem", "a gpt partition table", "an rvmfs volume",
// "data of unknown kind"); empty if nothing. Data of unknown kind are told for files only: a new
// device is often full of something.
rvm::Result<std::string> contents_of(const std::string& path, const Target& target);

// Overwrites every signature that libblkid knows, so that nothing takes the volume for something
// else.
rvm::Result<void> wipe_signatures(const std::string& path);

}  // namespace rvmfs::mkfs
