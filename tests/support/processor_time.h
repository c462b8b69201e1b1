// SPDX-License-Identifier: BSD-2-Clause
//
// How long this program has worked, for limits that a busy machine must not break.
#pragma once

#include <ctime>

namespace rvmfs::test {

// Seconds of processor time, of all threads.
inline double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace rvmfs::test
