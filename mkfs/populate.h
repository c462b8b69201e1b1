// SPDX-License-Identifier: BSD-2-Clause
//
// Copies a folder of the host into a new volume, as cp -a would: types, modes, owners, times,
// links, xattrs, holes. Names are taken in byte order, so that the same folder gives the same
// volume.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "rvm/device.h"

namespace rvmfs::mkfs {

struct Populated {
  uint64_t files = 0;  // of any type, the root of the folder not counted
};

// With `time`, no time of the volume is later than it. The error names the path.
tl::expected<Populated, std::string> populate(const std::shared_ptr<rvm::Device>& device,
                                              const std::string& folder,
                                              std::optional<int64_t> time);

}  // namespace rvmfs::mkfs
