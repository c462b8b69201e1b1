// SPDX-License-Identifier: BSD-2-Clause
//
// Phases 2 and 3 of a repair: the page pool and the free space, written anew from what is in use.
#pragma once

#include "fsck/repair_session.h"

namespace rvmfs::fsck {

rvm::Result<void> repair_pool(RepairSession& session);
rvm::Result<void> repair_groups(RepairSession& session);
rvm::Result<void> repair_counters(RepairSession& session);

}  // namespace rvmfs::fsck
