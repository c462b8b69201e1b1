// SPDX-License-Identifier: BSD-2-Clause
//
// Does with an image, whoever made it, what programs do with images: looks at it with fsck, mounts
// it, reads and changes what is there, repairs it, looks again. Errors are fine answers; what is
// not fine is told:
//
//   - looking wrote to the image, or a mount wrote beyond the volume
//   - fsck says that all is repaired, and the next fsck finds something
//   - a findings' count that does not fit what was reported
//   - more than kHostileMemoryMax of memory, or kHostileSecondsMax
//
// Memory faults and undefined behaviour are the sanitizers' to find; what hangs meets the limit of
// the test or of the fuzzer.
//
// Thread rules: as an int.
#pragma once

#include <functional>
#include <string>

#include "tests/support/sparse_image.h"

namespace rvmfs::test {

inline constexpr uint64_t kHostileMemoryMax = 256 << 20;
inline constexpr double kHostileSecondsMax = 20;  // of processor time, with sanitizers

// Each: empty, or what is wrong.
std::string mount_hostile(const SparseImage& image);
std::string check_hostile(const SparseImage& image);
std::string repair_hostile(const SparseImage& image);

// Runs `use` and adds the limits of memory and time to what it says.
std::string within_limits(const std::function<std::string()>& use);

}  // namespace rvmfs::test
