// SPDX-License-Identifier: BSD-2-Clause
//
// Runs of bits in the bitmap of one block group: kGroupBlocks bits in words of 64, bit b in word
// b / 64. Plain functions on memory; bounds are the caller's.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "fs/format.h"

namespace rvmfs {

inline constexpr uint32_t kGroupBits = static_cast<uint32_t>(format::kGroupBlocks);
inline constexpr uint32_t kGroupWords = kGroupBits / 64;
static_assert(std::endian::native == std::endian::little, "bitmaps are read as 64-bit words");

// Calls visit(word, mask) for every word that holds bits of [first, first + count).
template <typename Visit>
void visit_words(uint32_t first, uint32_t count, const Visit& visit) {
  const uint32_t end = first + count;
  for (uint32_t bit = first; bit < end;) {
    const uint32_t low = bit % 64;
    const uint32_t bits = std::min(64 - low, end - bit);
    visit(bit / 64, ~uint64_t{0} >> (64 - bits) << low);
    bit += bits;
  }
}

inline bool any_set(const uint64_t* words, uint32_t first, uint32_t count) {
  bool any = false;
  visit_words(first, count,
              [&](uint32_t word, uint64_t mask) { any |= (words[word] & mask) != 0; });
  return any;
}

inline bool all_set(const uint64_t* words, uint32_t first, uint32_t count) {
  bool all = true;
  visit_words(first, count,
              [&](uint32_t word, uint64_t mask) { all &= (words[word] & mask) == mask; });
  return all;
}

inline void set_bits(uint64_t* words, uint32_t first, uint32_t count, bool value) {
  visit_words(first, count, [&](uint32_t word, uint64_t mask) {
    words[word] = value ? words[word] | mask : words[word] & ~mask;
  });
}

// Up to three bitmaps seen as one: a bit is taken if it is set in any of them (nullptr: in none) or
// lies at or behind `limit`.
struct TakenBits {
  const uint64_t* maps[3] = {};
  uint32_t limit = kGroupBits;

  uint64_t word(uint32_t index) const {
    uint64_t bits = 0;
    for (const uint64_t* map : maps) {
      if (map != nullptr) bits |= map[index];
    }
    return bits;
  }
  // The first free bit at or behind `from`; `limit` if there is none.
  uint32_t next_free(uint32_t from) const {
    return next(from, limit, [this](uint32_t index) { return ~word(index); });
  }
  // The first taken bit at or behind `from`, not behind `stop`.
  uint32_t next_taken(uint32_t from, uint32_t stop) const {
    return next(from, std::min(stop, limit), [this](uint32_t index) { return word(index); });
  }

 private:
  template <typename Word>
  static uint32_t next(uint32_t from, uint32_t stop, const Word& word) {
    while (from < stop) {
      const uint64_t bits = word(from / 64) >> (from % 64);
      if (bits != 0) return std::min(stop, from + static_cast<uint32_t>(std::countr_zero(bits)));
      from = (from / 64 + 1) * 64;
    }
    return stop;
  }
};

struct BitRun {
  uint32_t first = 0;
  uint32_t count = 0;
};

// The first run of `wanted` free bits at or behind `from` (then from the start on). If there is
// none: the longest run there is. A found run is cut to `wanted`.
inline BitRun find_free_run(const TakenBits& taken, uint32_t from, uint32_t wanted) {
  BitRun best;
  const auto search = [&](uint32_t begin, uint32_t end) {
    for (uint32_t bit = taken.next_free(begin); bit < end && best.count < wanted;) {
      const uint32_t stop = taken.next_taken(bit, bit + wanted);
      if (stop - bit > best.count) best = {bit, stop - bit};
      bit = taken.next_free(stop);
    }
  };
  search(from, taken.limit);
  if (best.count < wanted) search(0, std::min(from, taken.limit));
  return best;
}

}  // namespace rvmfs
