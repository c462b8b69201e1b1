// SPDX-License-Identifier: BSD-2-Clause
//
// What the operations of a mounted volume see: the userdata of the FUSE session.
#pragma once

#include <functional>

#include "fs/daemon/given_attributes.h"
#include "fs/daemon/init_flags.h"
#include "fs/daemon/options.h"
#include "fs/volume.h"

namespace rvmfs {

class Session;

struct MountState {
  MountState(Volume& the_volume, const Options& the_options)
      : volume(the_volume), options(the_options), init(the_options.disabled) {}

  Volume& volume;
  const Options& options;
  InitFlags init;
  GivenAttributes given_attributes;
  Session* session = nullptr;  // set by the session itself
  // The kernel waits in umount(2) until this has returned (block devices only).
  std::function<void()> on_destroy;
};

}  // namespace rvmfs
