// SPDX-License-Identifier: BSD-2-Clause
//
// The mounts of this process's namespace (/proc/self/mountinfo).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rvmfs {

struct MountEntry {
  std::string number;  // major:minor of the filesystem
  std::string root;    // which part of it: "/" if all
  std::string point;
  std::string options;  // of this mount: "rw,nosuid,..."
  std::string type;     // "fuse.rvmfs"
  std::string source;
  std::string super_options;  // of the filesystem

  bool has(std::string_view option) const;  // one of `options`
  bool is_read_only_filesystem() const;     // "ro" among super_options
};

// Later mounts come later. Empty if the table cannot be read.
std::vector<MountEntry> read_mount_table();

// The mount that is seen at the path (of several, the last), if the path is a mount point.
std::optional<MountEntry> mount_at(const std::string& point);

// "fuse.rvmfs" or "fuseblk.rvmfs".
bool is_rvmfs(const MountEntry& entry);

// True as long as the kernel knows the filesystem, wherever it may be mounted or in use still.
bool is_alive(const MountEntry& entry);

}  // namespace rvmfs
