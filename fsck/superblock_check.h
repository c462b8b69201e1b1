// SPDX-License-Identifier: BSD-2-Clause
//
// Superblock, its copy, and the owner record (fs/format.h).
#pragma once

#include "fsck/check_state.h"

namespace rvmfs::fsck {

// Features that this fsck knows. A volume with others is refused.
inline constexpr uint64_t kKnownIncompat = 0;
inline constexpr uint64_t kKnownRoCompat = 0;

// Fills state.super from the valid copy. False: the volume cannot be judged (reported).
bool check_superblock(CheckState& state);

// Sets summary.owner_held.
void check_owner(CheckState& state);

}  // namespace rvmfs::fsck
