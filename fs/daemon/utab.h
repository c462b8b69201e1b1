// SPDX-License-Identifier: BSD-2-Clause
//
// What umount(8) goes by: /run/mount/utab, libmount's list of mounts with options for programs.
//
// For root and an absolute path, umount(8) asks the kernel for the type, hears "fuse" and unmounts
// by itself: it would return before the daemon has let go of the image. A mount with an entry in
// the list is looked up in full: then umount(8) calls umount.rvmfs (or umount.fuse.rvmfs), which
// waits.
//
// An entry that was left behind does no harm: it makes umount(8) look, and it names image and mount
// point, so that it is not taken for another mount's. Without the right to write the list, and
// where it cannot be written, there is no entry, and umount(8) does not wait: that is no error.
#pragma once

#include <string>

namespace rvmfs {

// Once the volume is mounted there. Asks nothing of the mount itself. Root only; does nothing for
// others.
void enter_in_utab(const std::string& image, const std::string& mount_point);

// Once it is not any more. Does nothing where something else is mounted, whose entry it might be.
void remove_from_utab(const std::string& mount_point);

}  // namespace rvmfs
