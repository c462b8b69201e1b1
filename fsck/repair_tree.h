// SPDX-License-Identifier: BSD-2-Clause
//
// Phases 4 to 6 of a repair: items of the tree, lost inodes, fields of inodes.
#pragma once

#include "fsck/repair_session.h"

namespace rvmfs::fsck {

rvm::Result<void> repair_items(RepairSession& session);
rvm::Result<void> attach_lost(RepairSession& session);
rvm::Result<void> repair_inode_fields(RepairSession& session);

inline constexpr const char* kLostAndFound = "lost+found";

}  // namespace rvmfs::fsck
