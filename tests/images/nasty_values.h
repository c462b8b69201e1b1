// SPDX-License-Identifier: BSD-2-Clause
//
// Values that break arithmetic more often than random ones do.
#pragma once

#include <cstdint>

namespace rvmfs::test {

inline constexpr uint64_t kNastyValues[] = {0,
                                            1,
                                            2,
                                            7,
                                            16,
                                            255,
                                            256,
                                            4095,
                                            4096,
                                            8192,
                                            65535,
                                            1ull << 20,
                                            1ull << 31,
                                            UINT32_MAX,
                                            1ull << 32,
                                            1ull << 56,
                                            INT64_MAX,
                                            1ull << 63,
                                            UINT64_MAX - 4095,
                                            UINT64_MAX};

}  // namespace rvmfs::test
