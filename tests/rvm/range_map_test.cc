// SPDX-License-Identifier: BSD-2-Clause
//
// Ranges with values, against an array that has one value a byte.
#include "range_map.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <random>

namespace rvm {
namespace {

constexpr uint64_t kEnd = 64;
using Model = std::array<std::optional<int>, kEnd>;

void expect_same(const RangeMap<int>& map, const Model& model) {
  Model found;
  uint64_t bytes = 0;
  for (const auto& [begin, rest] : map.ranges()) {
    ASSERT_LT(begin, rest.end);
    for (uint64_t at = begin; at < rest.end; ++at) found[at] = rest.value;
    bytes += rest.end - begin;
  }
  EXPECT_EQ(found, model);
  EXPECT_EQ(map.bytes(), bytes);
  EXPECT_EQ(map.empty(), bytes == 0);
}

TEST(RangeMap, joins_neighbours_of_the_same_value_and_no_others) {
  RangeMap<int> map;
  map.set(10, 20, 1);
  map.set(20, 30, 1);
  map.set(5, 10, 1);
  EXPECT_EQ(map.count(), 1u);
  map.set(30, 40, 2);
  map.set(0, 5, 2);
  EXPECT_EQ(map.count(), 3u);
  map.set(12, 14, 3);  // a hole in the middle
  EXPECT_EQ(map.count(), 5u);
  map.set(12, 14, 1);
  EXPECT_EQ(map.count(), 3u);
}

TEST(RangeMap, leaves_empty_ranges_alone) {
  RangeMap<int> map;
  map.set(5, 5, 1);
  map.set(6, 5, 1);
  EXPECT_TRUE(map.empty());
  map.set(0, 10, 1);
  map.erase(5, 5);
  EXPECT_EQ(map.bytes(), 10u);
}

TEST(RangeMap, agrees_with_an_array_whatever_is_done) {
  std::mt19937_64 random(5);
  RangeMap<int> map;
  Model model;
  for (int step = 0; step < 20'000; ++step) {
    const uint64_t begin = random() % kEnd;
    const uint64_t end = begin + random() % (kEnd - begin + 1);
    const int value = static_cast<int>(random() % 3);
    switch (random() % 8) {
      case 0:
      case 1:
        map.erase(begin, end);
        for (uint64_t at = begin; at < end; ++at) model[at].reset();
        break;
      case 2:
        map.erase_if([&](int other) { return other == value; });
        for (auto& byte : model) {
          if (byte == value) byte.reset();
        }
        break;
      case 3: {
        Model found;
        map.for_each_within(begin, end, [&](uint64_t from, uint64_t to, int here) {
          for (uint64_t at = from; at < to; ++at) found[at] = here;
        });
        Model expected;
        for (uint64_t at = begin; at < end; ++at) expected[at] = model[at];
        ASSERT_EQ(found, expected);
        break;
      }
      default:
        map.set(begin, end, value);
        for (uint64_t at = begin; at < end; ++at) model[at] = value;
    }
    expect_same(map, model);
  }
}

}  // namespace
}  // namespace rvm
