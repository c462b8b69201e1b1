// SPDX-License-Identifier: BSD-2-Clause
//
// Which volume it is, in an image and at a mount point: its UUID as text.
#pragma once

#include <cstdint>
#include <string>

#include "fs/format.h"

namespace rvmfs {

// The extended attribute of a mounted volume's root directory that tells it.
inline constexpr const char* kUuidAttribute = "rvmfs.uuid";

std::string uuid_text(const format::Superblock& super);

// Empty: it cannot be read. The image is opened without a lock.
std::string volume_name(const std::string& image, uint64_t offset);
std::string mounted_volume_name(const std::string& mount_point);

}  // namespace rvmfs
