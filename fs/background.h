// SPDX-License-Identifier: BSD-2-Clause
//
// The thread of an open volume: forces lazy commits at the commit interval, lets freed blocks be
// used again, and deletes orphans that are too big to be deleted at once.
#pragma once

#include "fs/core.h"

namespace rvmfs {

void start_background(VolumeCore& core);
// Returns when the thread has ended. Without one nothing happens.
void stop_background(VolumeCore& core);

}  // namespace rvmfs
