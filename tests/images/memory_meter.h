// SPDX-License-Identifier: BSD-2-Clause
//
// Counts the memory that this program takes through operator new, and can make the n-th allocation
// find none. The programs that link it have their operators new and delete replaced.
//
// Thread rules: any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rvmfs::test {

// Bytes in use now, and the most since reset_memory_peak().
uint64_t memory_in_use();
uint64_t memory_peak();
void reset_memory_peak();

// Allocations so far.
uint64_t allocations();
// The allocation number `nth` from now on (0: the next) finds no memory, and so does every later
// one, as on a host that has none left.
void fail_allocation(uint64_t nth);
void stop_failing_allocations();

}  // namespace rvmfs::test
