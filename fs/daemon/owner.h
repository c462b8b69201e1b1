// SPDX-License-Identifier: BSD-2-Clause
//
// The owner record (fs/format.h): who has the volume mounted. It decides nothing, the lock on the
// image does; it lets a refused second mount name the holder.
#pragma once

#include <string>

#include "rvm/device.h"

#include "fs/errors.h"

namespace rvmfs {

// "process 1234 on host h since 2026-01-31 12:00:00", or what else can be said about an image that
// is locked by somebody. Opens the image without a lock.
std::string describe_holder(const std::string& image, uint64_t volume_offset);

// This process has it mounted now. Not flushed: what matters is what a process on this host sees.
Result<void> write_owner(rvm::Device& device);
Result<void> clear_owner(rvm::Device& device);

}  // namespace rvmfs
