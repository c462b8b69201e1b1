// SPDX-License-Identifier: BSD-2-Clause
//
// The low-level FUSE operations: a thin translation of requests into calls of Volume, and of its
// results into replies. They keep no state: a node id is an inode number, and an open file is
// nothing to the daemon. What lives longer than a request are the volume's hold counts.
#pragma once

#include <fuse3/fuse_lowlevel.h>

namespace rvmfs {

// The table for fuse_session_new. Its userdata is a MountState.
const fuse_lowlevel_ops& operations();

}  // namespace rvmfs
