// SPDX-License-Identifier: BSD-2-Clause
//
// See kill_rounds.h.
#include "tests/mount/kill_rounds.h"

#include "tests/support/environment.h"

namespace rvmfs::test {

void KillRounds::run_rounds(const Plan& plan, const std::function<void()>& round) {
  const uint64_t all = number_from_environment("RVMFS_KILL_ROUNDS",
                                               by_tier(plan.commit, plan.nightly, plan.release));
  const uint64_t rounds = share_of_slice(all);
  const uint64_t seed =
      number_from_environment("RVMFS_KILL_SEED", std::random_device()() + slice().index);
  random_.seed(seed);
  total_ = std::make_unique<Total>(plan.part);
  for (size_t i = 0; i < kWriters; ++i) {
    writers_.push_back(std::make_unique<KillWriter>(at("writer" + std::to_string(i)), random_(),
                                                    plan.may_be_full));
  }
  const std::string reproduce = "reproduce: RVMFS_KILL_SEED=" + std::to_string(seed) +
                                " RVMFS_KILL_ROUNDS=" + std::to_string(all) +
                                " (the same work; the moments are chance)";
  SCOPED_TRACE(reproduce);
  for (uint64_t i = 0; i < rounds; ++i) {
    SCOPED_TRACE("round " + std::to_string(i));
    total_->progress(i, rounds);
    round();
    total_->add("rounds");
    if (!HasFailure()) continue;
    total_->fail();
    std::printf("%s\n", reproduce.c_str());
    break;
  }
  uint64_t acknowledged = 0, refused = 0;
  for (const auto& writer : writers_) {
    acknowledged += writer->acknowledged();
    refused += writer->refused();
  }
  total_->add("acknowledged", acknowledged);
  if (plan.may_be_full) total_->add("refused", refused);
  total_.reset();
  EXPECT_GT(acknowledged, rounds) << "the writers hardly got to work";
}

void KillRounds::begin_work() {
  died_well_.assign(writers_.size(), 0);
  for (size_t i = 0; i < writers_.size(); ++i) {
    threads_.emplace_back([this, i] { died_well_[i] = writers_[i]->run(); });
  }
}

void KillRounds::end_work() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  for (size_t i = 0; i < writers_.size(); ++i) {
    EXPECT_TRUE(died_well_[i]) << "writer " << i << ": " << writers_[i]->problem();
  }
}

void KillRounds::work_a_while(int milliseconds_max) {
  sleep_milliseconds(static_cast<int>(below(static_cast<uint64_t>(milliseconds_max))));
}

void KillRounds::compare() {
  for (const auto& writer : writers_) {
    const std::string wrong = writer->verify();
    ASSERT_EQ(wrong, "");
    writer->adopt();
  }
}

void KillRounds::verify() {
  expect_clean();  // before recovery: fsck replays the log in memory
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_NO_FATAL_FAILURE(compare());
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();  // and after it
}

}  // namespace rvmfs::test
