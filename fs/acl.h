// SPDX-License-Identifier: BSD-2-Clause
//
// POSIX access control lists (IEEE 1003.1e draft 17; acl(5)). They are stored as the extended
// attributes by which Linux knows them, and the kernel enforces them; what happens here is what
// keeps them in step with the mode:
//
//   - setting an access list sets the mode; one that says no more than a mode is not stored
//   - chmod changes the list: owner, others, and the mask (the group's bits, if there is no mask)
//   - what is made in a directory with a default list begins with it, cut down by the mode that was
//     asked for; the umask does not count then
//
// A volume on which no list was ever set has no kCompatAcl in its superblock, and pays nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/core.h"

namespace rvmfs {

inline constexpr std::string_view kAccessAcl = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAcl = "system.posix_acl_default";

inline bool is_acl_name(std::string_view name) { return name == kAccessAcl || name == kDefaultAcl; }

// Whether the volume may have lists at all.
inline bool may_have_acls(const VolumeCore& core) {
  return (core.super.features_compat & format::kCompatAcl) != 0;
}

// Sets the list, or removes it if the value is empty or has no entries. Errors: bad_argument (not a
// list), not_permitted (flags of the inode; a default list of what is no directory).
Result<void> set_acl(Operation& op, VolumeCore& core, Inode inode, std::string_view name,
                     std::string_view value, bool kill_sgid);

// chmod: the access list, if there is one, follows the mode.
Result<void> acl_follows_mode(Operation& op, VolumeCore& core, Inode inode, uint32_t mode);

// What a new inode gets from the directory's default list.
struct InheritedAcl {
  uint32_t mode = 0;
  std::string access;        // to be stored; empty: the mode says it all
  std::string default_list;  // the same for a new directory
};

// Nothing if the directory has no default list: then the umask counts.
Result<std::optional<InheritedAcl>> inherited_acl(VolumeCore& core, Inode directory, uint32_t mode);

// Stores what a new inode inherits.
Result<void> give_acl(Operation& op, VolumeCore& core, Inode inode, const InheritedAcl& acl);

}  // namespace rvmfs
