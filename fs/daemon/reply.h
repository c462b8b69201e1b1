// SPDX-License-Identifier: BSD-2-Clause
//
// Shared by the rooms of operations_*.cc: from libfuse's types to the volume's and back.
//
// Replies have no time limit: the daemon is the only one who changes the volume, and every change
// is asked for by the kernel, so what the kernel knows stays true.
#pragma once

#include <fuse3/fuse_lowlevel.h>
#include <sys/stat.h>

#include "fs/daemon/state.h"

namespace rvmfs {

inline constexpr double kForever = 1e9;     // seconds
inline constexpr uint64_t kGeneration = 1;  // inode numbers are never used twice

inline MountState& state_of(fuse_req_t request) {
  return *static_cast<MountState*>(fuse_req_userdata(request));
}
inline Volume& volume_of(fuse_req_t request) { return state_of(request).volume; }
Caller caller_of(fuse_req_t request);

struct stat to_stat(const Attributes& attributes);
fuse_entry_param to_entry(const Attributes& attributes);

// The errno for the program; what only people can mend goes to the log as well.
int report(const Error& error);

// Beside every reply with attributes, and before every reply to a change of a directory
// (given_attributes.h).
void note_given(MountState& state, const Attributes& attributes, uint32_t pid);
void directory_changed(fuse_req_t request, fuse_ino_t directory);

void reply_error(fuse_req_t request, const Error& error);
// Success or the error.
void reply_result(fuse_req_t request, const Result<void>& result);
// An entry that the volume holds for the kernel; released again if the kernel does not get it.
void reply_entry(fuse_req_t request, const Result<Attributes>& result);
void reply_attributes(fuse_req_t request, const Result<Attributes>& result);

// After a change of names with -o dirsync: waits until it is durable.
Result<void> settle(MountState& state);
// The same for operations that return something; an entry that cannot settle is released.
Result<Attributes> settle(MountState& state, Result<Attributes> result);
Result<void> settle(MountState& state, Result<void> result);

// Each room puts its own into the table.
void add_name_operations(fuse_lowlevel_ops& table);
void add_directory_operations(fuse_lowlevel_ops& table);
void add_attribute_operations(fuse_lowlevel_ops& table);
void add_xattr_operations(fuse_lowlevel_ops& table);
void add_data_operations(fuse_lowlevel_ops& table);
void add_ioctl_operations(fuse_lowlevel_ops& table);

}  // namespace rvmfs
