// SPDX-License-Identifier: BSD-2-Clause
//
// Hold counts: exact whatever the order, and small when many neighbours are held.
#include "fs/hold_counts.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace rvmfs::test {
namespace {

TEST(HoldCounts, AnInodeIsHeldUntilAsMuchIsReleasedAsWasAdded) {
  HoldCounts counts;
  EXPECT_FALSE(counts.contains(7));
  counts.add(7, 1);
  counts.add(7, 2);
  EXPECT_TRUE(counts.contains(7));
  EXPECT_FALSE(counts.release(7, 2));
  EXPECT_TRUE(counts.contains(7));
  EXPECT_TRUE(counts.release(7, 1));
  EXPECT_FALSE(counts.contains(7));
}

TEST(HoldCounts, ReleasingMoreThanThereIsEndsTheHoldOnce) {
  HoldCounts counts;
  counts.add(7, 1);
  EXPECT_TRUE(counts.release(7, 100));
  EXPECT_FALSE(counts.release(7, 1));
  EXPECT_FALSE(counts.release(8, 1));
}

TEST(HoldCounts, NeighboursDoNotTouchEachOther) {
  HoldCounts counts;
  counts.add(63, 1);
  counts.add(64, 1);
  EXPECT_FALSE(counts.contains(62));
  EXPECT_FALSE(counts.contains(65));
  EXPECT_TRUE(counts.release(63, 1));
  EXPECT_TRUE(counts.contains(64));
}

TEST(HoldCounts, AddingNothingHoldsNothing) {
  HoldCounts counts;
  counts.add(7, 0);
  EXPECT_FALSE(counts.contains(7));
  EXPECT_EQ(counts.chunks(), 0u);
}

TEST(HoldCounts, ACountThatDoesNotFitIsHeldForGood) {
  HoldCounts counts;
  counts.add(7, UINT32_MAX - 1);
  counts.add(7, 5);
  EXPECT_FALSE(counts.release(7, UINT64_MAX));
  EXPECT_TRUE(counts.contains(7));
  counts.add(8, UINT64_MAX);
  EXPECT_FALSE(counts.release(8, 1));
  EXPECT_TRUE(counts.contains(8));
  counts.clear();
  EXPECT_FALSE(counts.contains(7));
}

TEST(HoldCounts, TheLargestCountThatFitsIsExact) {
  HoldCounts counts;
  counts.add(7, UINT32_MAX - 1);
  EXPECT_FALSE(counts.release(7, UINT32_MAX - 2));
  EXPECT_TRUE(counts.release(7, 1));
}

TEST(HoldCounts, NeighboursShareAChunkAndEmptyChunksGo) {
  HoldCounts counts;
  for (uint64_t inode = 0; inode < 6400; ++inode) counts.add(inode, 1);
  EXPECT_EQ(counts.chunks(), 100u);
  for (uint64_t inode = 0; inode < 6400; ++inode) EXPECT_TRUE(counts.release(inode, 1));
  EXPECT_EQ(counts.chunks(), 0u);
}

TEST(HoldCounts, RandomAddsAndReleasesAgreeWithAMap) {
  HoldCounts counts;
  std::map<uint64_t, uint64_t> model;
  std::mt19937_64 random(11);
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t inode = random() % 300;
    const uint64_t count = 1 + random() % 3;
    if (random() % 2 == 0) {
      counts.add(inode, count);
      model[inode] += count;
    } else {
      const auto found = model.find(inode);
      const bool ends = found != model.end() && found->second <= count;
      if (ends) {
        model.erase(found);
      } else if (found != model.end()) {
        found->second -= count;
      }
      ASSERT_EQ(counts.release(inode, count), ends) << "step " << i;
    }
    ASSERT_EQ(counts.contains(inode), model.contains(inode)) << "step " << i;
  }
}

}  // namespace
}  // namespace rvmfs::test
