// SPDX-License-Identifier: BSD-2-Clause
//
// Entries of libmount's list of mounts.
#include "fs/daemon/utab.h"

#include <libmount.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "fs/daemon/mount_table.h"

namespace rvmfs {
namespace {

struct FreeUpdate {
  void operator()(libmnt_update* update) const { mnt_free_update(update); }
};
struct FreeEntry {
  void operator()(libmnt_fs* entry) const { mnt_unref_fs(entry); }
};
using Update = std::unique_ptr<libmnt_update, FreeUpdate>;
using Entry = std::unique_ptr<libmnt_fs, FreeEntry>;

// Takes and gives back the lock of the list. Failures: see utab.h.
void write(libmnt_update& update) { static_cast<void>(mnt_update_table(&update, nullptr)); }

void remove(const std::string& mount_point) {
  const Update update(mnt_new_update());
  if (!update) return;
  if (mnt_update_set_fs(update.get(), 0, mount_point.c_str(), nullptr) == 0) write(*update);
}

auto mounts_at(const std::string& mount_point) {
  const std::vector<MountEntry> table = read_mount_table();
  return std::count_if(table.begin(), table.end(),
                       [&](const MountEntry& entry) { return entry.point == mount_point; });
}

}  // namespace

void enter_in_utab(const std::string& image, const std::string& mount_point) {
  if (geteuid() != 0) return;
  // What the last mount here left whose daemon was killed, unless it is that of a mount below ours.
  if (mounts_at(mount_point) <= 1) remove(mount_point);
  const Update update(mnt_new_update());
  const Entry entry(mnt_new_fs());
  if (!update || !entry) return;
  const bool filled = mnt_fs_set_source(entry.get(), image.c_str()) == 0 &&
                      mnt_fs_set_target(entry.get(), mount_point.c_str()) == 0 &&
                      mnt_fs_set_root(entry.get(), "/") == 0 &&
                      mnt_fs_set_options(entry.get(), "uhelper=rvmfs") == 0;
  if (filled && mnt_update_set_fs(update.get(), 0, nullptr, entry.get()) == 0) write(*update);
}

void remove_from_utab(const std::string& mount_point) {
  if (geteuid() == 0 && mounts_at(mount_point) == 0) remove(mount_point);
}

}  // namespace rvmfs
