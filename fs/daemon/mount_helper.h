// SPDX-License-Identifier: BSD-2-Clause
//
// What mount(8) and umount(8) run for this type of filesystem:
//
//   mount.rvmfs  spec dir [-fnsvrw] [-N namespace] [-o options] [-t type]
//   umount.rvmfs dir      [-flnrv]  [-N namespace] [-t type]
//
// Options may stand anywhere. 0, or 32 after saying what went wrong.
#pragma once

namespace rvmfs {

int run_mount_helper(int argc, char** argv);
int run_umount_helper(int argc, char** argv);

}  // namespace rvmfs
