// SPDX-License-Identifier: BSD-2-Clause
//
// The directory that is mounted on: its absolute path, what a dead daemon left there, unmounting.
#pragma once

#include <string>

#include "fs/errors.h"

namespace rvmfs {

// The absolute path. A mount point left behind by a daemon that was killed answers nothing but
// ENOTCONN; if the daemon was rvmfs, or if `clear_dead`, it is unmounted first, else an error tells
// what to run. "/dev/fd/N" (a descriptor of /dev/fuse, already mounted by a privileged parent)
// stays as it is.
Result<std::string> prepare_mount_point(const std::string& path, bool clear_dead);

// True if the path names an already mounted descriptor of /dev/fuse: unmounting is not ours.
bool is_descriptor(const std::string& mount_point);

enum class Detach : bool { no, yes };  // yes: also when it is in use (lazily)

// As root directly, else through fusermount3. Errors: io with EBUSY if it is in use.
Result<void> unmount(const std::string& mount_point, Detach detach);

// Lets the kernel read ahead as much as one request can carry. Only root may; a hint, so that
// nothing is said if it does not work.
void raise_readahead(const std::string& mount_point);

// Has the kernel write back what programs changed in shared mappings. The mount must be served.
void sync_mount(const std::string& mount_point);

}  // namespace rvmfs
