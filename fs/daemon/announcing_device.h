// SPDX-License-Identifier: BSD-2-Clause
//
// A device that tells when its caller may have to wait for the medium.
#pragma once

#include <memory>

#include "rvm/device.h"

namespace rvmfs {

// `about_to_wait` is called by the thread that makes the call, before everything but reads that the
// host has in its cache, and small writes, which go there, while nothing is being made durable. It
// may be called without a wait to follow.
std::shared_ptr<rvm::Device> make_announcing_device(std::shared_ptr<rvm::Device> base,
                                                    void (*about_to_wait)());

}  // namespace rvmfs
