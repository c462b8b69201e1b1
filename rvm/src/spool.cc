// SPDX-License-Identifier: BSD-2-Clause
//
// Byte bookkeeping of spooled pages (see spool.h).

#include "spool.h"

#include <algorithm>
#include <bit>

namespace rvm {
namespace {

// Bits [begin, end) of one 64-bit word, begin < end <= 64.
uint64_t mask(uint64_t begin, uint64_t end) {
  const uint64_t upto = end == 64 ? ~uint64_t{0} : (uint64_t{1} << end) - 1;
  return upto & ~((uint64_t{1} << begin) - 1);
}

}  // namespace

uint64_t SpoolPage::put(uint64_t begin, std::span<const std::byte> from) {
  const uint64_t end = begin + from.size();
  uint64_t fresh = 0;
  for (uint64_t word = begin / 64; word * 64 < end; ++word) {
    const uint64_t low = std::max(begin, word * 64) - word * 64;
    const uint64_t high = std::min(end, word * 64 + 64) - word * 64;
    const uint64_t bits = mask(low, high);
    fresh += static_cast<uint64_t>(std::popcount(bits & ~declared[word]));
    declared[word] |= bits;
  }
  std::copy(from.begin(), from.end(), bytes.begin() + static_cast<ptrdiff_t>(begin));
  return fresh;
}

void SpoolPage::merge_older(const SpoolPage& older) {
  older.for_each_run([&](uint64_t begin, uint64_t end) {
    for (uint64_t i = begin; i < end; ++i) {
      const uint64_t bit = uint64_t{1} << (i % 64);
      if ((declared[i / 64] & bit) != 0) continue;
      declared[i / 64] |= bit;
      bytes[i] = older.bytes[i];
    }
  });
}

}  // namespace rvm
