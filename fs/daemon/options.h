// SPDX-License-Identifier: BSD-2-Clause
//
// The command line of rvmfs: `rvmfs [-f] [-d] [-s] [-o opt[,opt...]] IMAGE MOUNTPOINT`.
//
// Mount options are of three kinds: our own, those that libfuse and the kernel understand (handed
// on), and those that mount(8) and fstab use among themselves (ignored). Anything else is an error:
// an option that is silently dropped is a promise that is not kept.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/daemon/init_flags.h"
#include "fs/volume.h"

namespace rvmfs {

struct Options {
  std::string image;   // what is opened
  std::string source;  // what messages and /proc/mounts call it; empty: not known yet
  std::string mount_point;
  bool foreground = false;
  bool debug = false;
  uint32_t workers = 8;       // threads that serve requests, at most
  uint32_t receivers = 0;     // of them receive at once (turns.h); 0: by the number of CPUs
  bool clone_fd = false;      // a descriptor of /dev/fuse for each worker
  bool follow_caller = true;  // workers run at the CPU of the program that they serve
  bool allow_other = false;
  bool allow_root = false;
  bool synchronous_names = false;   // dirsync, sync: names are durable when the call returns
  uint64_t offset = 0;              // where in the image the volume begins
  uint64_t size_limit = 0;          // bytes of the image that are used; 0: all
  uint32_t heartbeat_seconds = 10;  // between signs of life in the owner record; 0: none
  bool clear_dead = false;          // take away what any dead daemon left at the mount point
  MountOptions volume;
  FeatureSet disabled;                      // features of FUSE that are not to be used (for tests)
  std::vector<std::string> kernel_options;  // for libfuse and the kernel
};

struct ParsedOptions {
  std::optional<Options> options;  // nothing: the program ends with exit_status
  int exit_status = 0;
};

// Help and version go to `out`, complaints to `err`.
ParsedOptions parse_options(int argc, const char* const* argv, std::ostream& out,
                            std::ostream& err);

// Applies a comma-separated list ("\," is a comma inside of an option). Returns what is wrong with
// it, or an empty string. `sloppy`: unknown options are passed over.
std::string apply_mount_options(std::string_view list, Options& options, bool sloppy = false);

}  // namespace rvmfs
