// SPDX-License-Identifier: BSD-2-Clause
//
// Pass 3: names against inodes. Every entry leads to an inode of its type; every directory has one
// name and is reached from the root; links are counted right; what has no name is an orphan or
// lost.
#pragma once

#include "fsck/check_state.h"

namespace rvmfs::fsck {

void check_names(CheckState& state);

}  // namespace rvmfs::fsck
