// SPDX-License-Identifier: BSD-2-Clause
//
// UUID, hash seed and time of a new volume. With SOURCE_DATE_EPOCH nothing is random and nothing is
// read from a clock: the same command line gives the same bytes.
#pragma once

#include "fs/volume.h"
#include "mkfs/options.h"

namespace rvmfs::mkfs {

// Fills uuid, name_hash_seed and now. Errors: invalid_argument (not a UUID).
rvm::Result<void> set_identity(const CommandLine& command, FormatOptions& options);

std::string uuid_text(const uint8_t (&uuid)[16]);

}  // namespace rvmfs::mkfs
