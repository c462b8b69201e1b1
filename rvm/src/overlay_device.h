// SPDX-License-Identifier: BSD-2-Clause
//
// A device whose writes stay in memory: what is underneath is never changed. Recovery of a
// read-only instance runs on it unchanged.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "rvm/device.h"

namespace rvm {

std::shared_ptr<Device> make_overlay_device(std::shared_ptr<Device> base);

}  // namespace rvm
