// SPDX-License-Identifier: BSD-2-Clause
//
// Extended attributes inside an operation. A value lies in pieces of kXattrPieceBytes: the first
// begins with XattrHeader and the name, the others go on with the value.
//
//   key rest = hash40 << 16 | collision << 8 | piece
#pragma once

#include <string>
#include <string_view>

#include "fs/core.h"

namespace rvmfs {

Result<std::string> read_xattr(VolumeCore& core, Inode inode, std::string_view name);
// Sets it, whether there is one or not. Touches no time.
Result<void> put_xattr(Operation& op, VolumeCore& core, Inode inode, std::string_view name,
                       std::string_view value);
// Touches no time. Errors: no_attribute.
Result<void> remove_xattr(Operation& op, VolumeCore& core, Inode inode, std::string_view name);

// Errors: not_permitted (immutable, append-only).
Result<void> check_attributes_changeable(VolumeCore& core, Inode inode);

}  // namespace rvmfs
