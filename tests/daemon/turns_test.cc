// SPDX-License-Identifier: BSD-2-Clause
//
// Whose turn it is to receive: one worker's at a time, and never nobody's for long.
#include "fs/daemon/turns.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "fs/daemon/watcher.h"

namespace rvmfs {
namespace {

using namespace std::chrono_literals;

class TurnsOfWorkers : public testing::Test {
 protected:
  // A worker that waits for its turn. What take() said is its answer.
  class Waiter {
   public:
    Waiter(Turns& turns, Turns::Seat& seat)
        : thread_([&turns, &seat, this] { answer_ = turns.take(seat) ? 1 : 0; }) {}
    ~Waiter() { thread_.join(); }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    // -1: it still waits.
    int answer() const {
      for (int i = 0; i < 2000 && answer_ < 0; ++i) std::this_thread::sleep_for(1ms);
      return answer_;
    }
    bool waits() const {
      std::this_thread::sleep_for(20ms);
      return answer_ < 0;
    }

   private:
    std::atomic<int> answer_{-1};
    std::thread thread_;
  };

  void SetUp() override {
    for (Turns::Seat& seat : seats_) turns_.join(seat);
  }

  std::atomic<Turns::Seat*> chosen_{nullptr};
  std::atomic<int> without_takers_{0};
  Turns turns_{1, {[this](Turns::Seat& seat) { chosen_ = &seat; }, [this] { ++without_takers_; }}};
  Turns::Seat seats_[3];
};

TEST_F(TurnsOfWorkers, AreHadByOneAtATime) {
  ASSERT_TRUE(turns_.take(seats_[0]));
  ASSERT_TRUE(turns_.take(seats_[0]));  // has it already
  Waiter second(turns_, seats_[1]);
  EXPECT_TRUE(second.waits());
  EXPECT_EQ(chosen_, nullptr);
  turns_.pass(seats_[0]);
  EXPECT_EQ(second.answer(), 1);
  EXPECT_EQ(chosen_, &seats_[1]);
  turns_.pass(seats_[0]);  // has none any more
  Waiter third(turns_, seats_[2]);
  EXPECT_TRUE(third.waits());
  turns_.pass(seats_[1]);
  EXPECT_EQ(third.answer(), 1);
  EXPECT_EQ(without_takers_, 0);
}

TEST_F(TurnsOfWorkers, ThatNobodyWaitsForAreAnnouncedAndKept) {
  ASSERT_TRUE(turns_.take(seats_[0]));
  turns_.pass(seats_[0]);
  EXPECT_EQ(without_takers_, 1);
  EXPECT_TRUE(turns_.take(seats_[1]));
}

TEST_F(TurnsOfWorkers, ArePassedOnByWhoIsAboutToWait) {
  Turns::pass_mine();  // no worker: nothing
  ASSERT_TRUE(turns_.take(seats_[0]));
  Waiter second(turns_, seats_[1]);
  EXPECT_TRUE(second.waits());
  {
    const Turns::Request request(turns_, seats_[0]);
    Turns::pass_mine();
    EXPECT_EQ(second.answer(), 1);
    Turns::pass_mine();
  }
  Turns::pass_mine();
  EXPECT_EQ(without_takers_, 0);
}

TEST_F(TurnsOfWorkers, AreTakenFromWhoIsTooLongAtOneRequest) {
  Watcher watcher;
  watcher.watch([this] { return turns_.look(); });
  ASSERT_TRUE(watcher.start());
  ASSERT_TRUE(turns_.take(seats_[0]));
  Waiter second(turns_, seats_[1]);
  EXPECT_TRUE(second.waits());  // who has a turn and no request may keep it
  {
    const Turns::Request request(turns_, seats_[0]);
    watcher.wake();
    EXPECT_EQ(second.answer(), 1);
  }
  watcher.stop();
}

TEST_F(TurnsOfWorkers, StayWithWhoWorksThroughManyRequests) {
  ASSERT_TRUE(turns_.take(seats_[0]));
  for (int i = 0; i < 100; ++i) {
    const Turns::Request request(turns_, seats_[0]);
    EXPECT_TRUE(turns_.look());
  }
  EXPECT_FALSE(turns_.look());
  EXPECT_EQ(without_takers_, 0);
}

TEST_F(TurnsOfWorkers, EndForAllWhenTheyAreClosed) {
  ASSERT_TRUE(turns_.take(seats_[0]));
  Waiter second(turns_, seats_[1]);
  Waiter third(turns_, seats_[2]);
  EXPECT_TRUE(third.waits());
  turns_.close();
  EXPECT_EQ(second.answer(), 0);
  EXPECT_EQ(third.answer(), 0);
  turns_.pass(seats_[0]);
  EXPECT_FALSE(turns_.take(seats_[0]));
  EXPECT_EQ(without_takers_, 0);
}

// Many workers that pass their turns on in all ways at once: somebody always comes to receive.
TEST_F(TurnsOfWorkers, NeverGetLost) {
  Watcher watcher;
  watcher.watch([this] { return turns_.look(); });
  ASSERT_TRUE(watcher.start());
  std::atomic<int> received{0};
  std::atomic<bool> enough{false};
  std::vector<std::thread> workers;
  for (Turns::Seat& seat : seats_) {
    workers.emplace_back([&] {
      for (uint64_t i = 0; !enough && turns_.take(seat); ++i) {
        const Turns::Request request(turns_, seat);
        watcher.wake();
        ++received;
        if (i % 3 == 0) Turns::pass_mine();
        if (i % 1000 == 0) std::this_thread::sleep_for(5ms);
      }
      turns_.pass(seat);
    });
  }
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (received < 50'000 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_GE(received, 50'000);
  enough = true;
  turns_.close();
  for (std::thread& worker : workers) worker.join();
  watcher.stop();
}

}  // namespace
}  // namespace rvmfs
