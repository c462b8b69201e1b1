// SPDX-License-Identifier: BSD-2-Clause
//
// Tests of the tests' tiers: a campaign in slices does what it does in one piece.
#include "tests/support/tier.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace rvmfs::test {
namespace {

class TierTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"RVMFS_TIER", "RVMFS_SLICE"}) {
      if (const char* value = std::getenv(name)) before_.emplace_back(name, value);
      ::unsetenv(name);
    }
  }
  void TearDown() override {
    ::unsetenv("RVMFS_TIER");
    ::unsetenv("RVMFS_SLICE");
    for (const auto& [name, value] : before_) ::setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::vector<std::pair<std::string, std::string>> before_;
};

TEST_F(TierTest, WithoutAWordItIsTheWholeCommitTier) {
  EXPECT_EQ(tier(), Tier::commit);
  EXPECT_EQ(slice().index, 0u);
  EXPECT_EQ(slice().count, 1u);
  EXPECT_EQ(share_of_slice(17), 17u);
}

TEST_F(TierTest, EachTierHasAFigureOfItsOwn) {
  ::setenv("RVMFS_TIER", "nightly", 1);
  EXPECT_EQ(by_tier(1, 2, 3), 2);
  ::setenv("RVMFS_TIER", "release", 1);
  EXPECT_EQ(by_tier(1, 2, 3), 3);
}

TEST_F(TierTest, TheSlicesAddUpToTheWhole) {
  for (const uint64_t whole : {0u, 3u, 10u, 1000003u}) {
    uint64_t sum = 0;
    for (int i = 1; i <= 7; ++i) {
      ::setenv("RVMFS_SLICE", (std::to_string(i) + "/7").c_str(), 1);
      EXPECT_EQ(slice().index, static_cast<uint64_t>(i - 1));
      sum += share_of_slice(whole);
    }
    EXPECT_EQ(sum, whole);
  }
}

TEST_F(TierTest, ATypingErrorIsNoTier) {
  ::setenv("RVMFS_TIER", "nighty", 1);
  EXPECT_EXIT(tier(), ::testing::ExitedWithCode(2), "RVMFS_TIER=nighty");
  for (const char* text : {"0/3", "4/3", "1", "1/3x", "a/b"}) {
    ::setenv("RVMFS_SLICE", text, 1);
    EXPECT_EXIT(slice(), ::testing::ExitedWithCode(2), "RVMFS_SLICE") << text;
  }
}

TEST_F(TierTest, ATotalIsOneLineOfNamesAndNumbers) {
  Total total("example");
  total.add("states", 40);
  total.add("kills");
  total.add("states", 2);
  total.fail();
  EXPECT_EQ(total.line().substr(0, 44), "TOTAL part=example states=42 kills=1 seconds");
  EXPECT_TRUE(total.line().ends_with(" failures=1"));
}

}  // namespace
}  // namespace rvmfs::test
