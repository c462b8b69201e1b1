// SPDX-License-Identifier: BSD-2-Clause
//
// The page pool of the space (rvm/space_format.h): chunk headers, page bitmaps, the list of chunks
// with free pages, the pool root.
#pragma once

#include "fsck/check_state.h"

namespace rvmfs::fsck {

// Reads the pool root and the volume root, and finds the chunks. False: nothing else can be
// judged (reported).
bool open_space(CheckState& state);

// After every reference to a page has been claimed: compares the pool with what is in use.
void check_pool(CheckState& state);

}  // namespace rvmfs::fsck
