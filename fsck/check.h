// SPDX-License-Identifier: BSD-2-Clause
//
// The order of the passes. check_image() and the repair share it; the repair also wants the plan.
//
//   1  superblock, owner record, log (replayed in memory), pool root, volume root
//   2  the tree: every node and every item
//   3  names: links, directories, what is lost
//   4  space: pages against the pool, blocks against the bitmaps
//
// Each pass runs if the ones before it have read everything that it needs; what is left out because
// of damage is said (not_judged), and nothing is planned for repair then except superblock copies.
#pragma once

#include "fsck/check_state.h"
#include "fsck/log_reader.h"

namespace rvmfs::fsck {

// Passes 1 to 4. The plan is in state.repairs, the counts in state.summary.
void run_checks(CheckState& state);

// Pass 1 alone. False: nothing else can be judged.
bool open_volume(CheckState& state);

}  // namespace rvmfs::fsck
