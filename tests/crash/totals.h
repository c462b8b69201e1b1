// SPDX-License-Identifier: BSD-2-Clause
//
// Counts what the crash tests check. Every campaign adds its states; at the end of each test its
// own figure is printed, and at the end of the program one TOTAL line (tests/support/tier.h):
//
//   TOTAL part=crash states=104211 in_recovery=9120 tests=41 seconds=48.0 failures=0
//
// Thread rules: as an int.
#pragma once

#include <cstddef>

namespace rvmfs::test {

void count_crash_states(size_t states, size_t in_recovery);

// For tests that take long: what is done of what is to be done, now and then (longer tiers only).
void show_progress(size_t done, size_t of);

}  // namespace rvmfs::test
