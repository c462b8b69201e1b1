// SPDX-License-Identifier: BSD-2-Clause
//
// What /proc says of a thread. The threads that are asked about wait for our reply, so they are
// there, unless they were killed.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace rvmfs {

// The beginning of /proc/<thread>/<file>, as much as there is room for; empty if it cannot be read.
std::string_view read_thread_file(uint32_t thread, const char* file, std::span<char> room);

}  // namespace rvmfs
