// SPDX-License-Identifier: BSD-2-Clause
//
// See anchor.h.
#include "fs/daemon/anchor.h"

#include <algorithm>
#include <iterator>

namespace rvmfs {
namespace {

constexpr int kCpuBits = 16;
constexpr uint32_t kDoublingsMax = 16;
constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

uint32_t Anchor::moves_before_pause(uint32_t failures) {
  if (failures <= kFailuresMax) return kMovesMin;
  return std::min(kMovesMin << std::min(failures - kFailuresMax, kDoublingsMax), kMovesMax);
}

std::chrono::microseconds Anchor::see(uint32_t program, int cpu) {
  constexpr auto none = std::chrono::microseconds(0);
  const uint64_t now = uint64_t{program} << kCpuBits | static_cast<uint16_t>(cpu);
  const uint64_t before = last_.exchange(now, kRelaxed);
  const bool moved = program != 0 && now != before && now >> kCpuBits == before >> kCpuBits;
  if (!moved) {
    moves_.store(0, kRelaxed);
    if (stays_.fetch_add(1, kRelaxed) == kStaysMin) failures_.store(0, kRelaxed);
    return none;
  }
  stays_.store(0, kRelaxed);
  const uint32_t failures = failures_.load(kRelaxed);
  if (moves_.fetch_add(1, kRelaxed) + 1 < moves_before_pause(failures)) return none;
  moves_.store(0, kRelaxed);
  failures_.store(failures + 1, kRelaxed);
  return kPauses[std::min<size_t>(failures, std::size(kPauses) - 1)];
}

}  // namespace rvmfs
