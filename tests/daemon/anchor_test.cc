// SPDX-License-Identifier: BSD-2-Clause
//
// When a reply is kept back: a program that has changed its CPU with each of its last requests, and
// no other one; longer where that did not help, and ever less often.
#include "fs/daemon/anchor.h"

#include <gtest/gtest.h>

#include <vector>

namespace rvmfs {
namespace {

using std::chrono::microseconds;

constexpr uint32_t kProgram = 4711;

// Requests of a program that moves each time; how many moves there were before each pause.
class Mover {
 public:
  explicit Mover(Anchor& anchor) : anchor_(anchor) { anchor_.see(kProgram, cpu_); }

  int moves_until_pause() {
    for (int moves = 1; moves < 100'000; ++moves) {
      cpu_ ^= 1;
      pause_ = anchor_.see(kProgram, cpu_);
      if (pause_.count() > 0) return moves;
    }
    return -1;
  }
  microseconds pause() const { return pause_; }
  void stay(int requests) {
    for (int i = 0; i < requests; ++i) EXPECT_EQ(anchor_.see(kProgram, cpu_).count(), 0);
  }

 private:
  Anchor& anchor_;
  int cpu_ = 0;
  microseconds pause_{0};
};

TEST(AnchorOfPrograms, StopsOneThatMovesWithEachRequest) {
  Anchor anchor;
  Mover mover(anchor);
  EXPECT_EQ(mover.moves_until_pause(), static_cast<int>(Anchor::kMovesMin));
  EXPECT_EQ(mover.pause(), Anchor::kPauses[0]);
}

TEST(AnchorOfPrograms, PausesLongerWhereThatWasNotEnough) {
  Anchor anchor;
  Mover mover(anchor);
  for (const microseconds expected :
       {Anchor::kPauses[0], Anchor::kPauses[1], Anchor::kPauses[2], Anchor::kPauses[2]}) {
    mover.moves_until_pause();
    EXPECT_EQ(mover.pause(), expected);
  }
}

TEST(AnchorOfPrograms, TriesLessAndLessOftenWhereItNeverHelps) {
  Anchor anchor;
  Mover mover(anchor);
  int last = 0;
  for (int i = 0; i < 40; ++i) {
    const int moves = mover.moves_until_pause();
    EXPECT_GE(moves, last);
    EXPECT_LE(moves, static_cast<int>(Anchor::kMovesMax));
    last = moves;
  }
  EXPECT_EQ(last, static_cast<int>(Anchor::kMovesMax));
}

TEST(AnchorOfPrograms, BeginsAnewAfterTheProgramHasStayed) {
  Anchor anchor;
  Mover mover(anchor);
  for (int i = 0; i < 40; ++i) mover.moves_until_pause();
  mover.stay(Anchor::kStaysMin + 1);
  EXPECT_EQ(mover.moves_until_pause(), static_cast<int>(Anchor::kMovesMin));
  EXPECT_EQ(mover.pause(), Anchor::kPauses[0]);
}

TEST(AnchorOfPrograms, LeavesOneAloneThatStays) {
  Anchor anchor;
  Mover mover(anchor);
  mover.stay(10'000);
}

TEST(AnchorOfPrograms, LeavesSeveralProgramsAlone) {
  Anchor anchor;
  for (uint32_t i = 0; i < 10'000; ++i) {
    EXPECT_EQ(anchor.see(kProgram + i % 2, static_cast<int>(i % 2)).count(), 0);
  }
}

TEST(AnchorOfPrograms, LeavesRequestsOfNobodyAlone) {
  Anchor anchor;
  for (int i = 0; i < 10'000; ++i) EXPECT_EQ(anchor.see(0, i % 2).count(), 0);
}

TEST(AnchorOfPrograms, KnowsWhereTheLastRequestCameFrom) {
  Anchor anchor;
  anchor.see(kProgram, 17);
  EXPECT_EQ(anchor.cpu(), 17);
}

}  // namespace
}  // namespace rvmfs
