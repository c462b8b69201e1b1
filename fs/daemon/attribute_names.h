// SPDX-License-Identifier: BSD-2-Clause
//
// Setting an extended attribute, be it one that is stored or one that does something
// (operations_xattr.cc), for requests that libfuse decodes and those that it does not.
#pragma once

#include <string_view>

#include "fs/daemon/state.h"

namespace rvmfs {

// For the requester (requester.h).
Result<void> set_attribute(MountState& state, Inode inode, std::string_view name,
                           std::string_view value, int flags, bool kill_sgid);

}  // namespace rvmfs
