// SPDX-License-Identifier: BSD-2-Clause
//
// The owner record (fs/format.h): who has the volume mounted. On one host it decides nothing, the
// lock on the image does; it lets a refused second mount name the holder. On a network filesystem
// whose locks do not reach other hosts, the heartbeat in it tells that the holder lives. No clock
// is compared: what counts is that the record changes.
#pragma once

#include <chrono>
#include <string>

#include "rvm/device.h"

#include "fs/errors.h"

namespace rvmfs {

// "process 1234 on host h since 2026-01-31 12:00:00", or what else can be said about an image that
// is locked by somebody. Opens the image without a lock.
std::string describe_holder(const std::string& image, uint64_t volume_offset);

// How long it is worth waiting for the holder to let go: it was killed and is not gone yet (on a
// busy machine that may take seconds), or it has taken its name out already. Zero if neither.
std::chrono::milliseconds patience_with_holder(const std::string& image, uint64_t volume_offset);

// Nobody on this host has it mounted: the lock says so. If the record names a process on another
// host, where the lock may not reach, watches for some heartbeats whether it is alive. Errors: busy
// if it is.
Result<void> check_other_hosts(const std::string& image, uint64_t volume_offset,
                               uint32_t heartbeat_seconds);

// This process has it mounted, since that time, and is alive. Not flushed: what matters is what
// others see, not what outlives a loss of power.
Result<void> write_owner(rvm::Device& device, int64_t since_seconds);
Result<void> clear_owner(rvm::Device& device);

}  // namespace rvmfs
