// SPDX-License-Identifier: BSD-2-Clause
//
// Short sequences of operations, systematically: every operation of the vocabulary alone, every two
// of them, and a sample of three, each with and without fsync between, on a copy of a small
// prepared volume. Every write boundary of what a sequence does is a crash point, with every tear
// of the newest write and, before a flush, every subset of what is pending.
//
// The commit tier takes all single operations and a sample of the pairs that goes on with
// RVMFS_CRASH_SEED; the nightly tier all pairs and a sample of the triples; longer tiers check more
// states of each.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/crash/fs_vocabulary.h"
#include "tests/crash/totals.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

const FsStart& start() {
  static const FsStart prepared = prepared_volume();
  return prepared;
}

// Empty, or what is wrong with one of the sequence's crash states.
std::string check_sequence(const Sequence& sequence, size_t states_a_point) {
  const std::string name = name_of(sequence);
  const Played played = play(start(), sequence);
  if (!played.failure.empty()) return name + ": " + played.failure;
  const CampaignOptions options{.follow_every = 60,
                                .states_per_recovery = 12,
                                .kills = 1,
                                .thorough = states_a_point,
                                .first_point = played.first_new_event};
  Campaign campaign(name, crash_seed(), options,
                    [&](const std::vector<SparseImage>& images, size_t point, bool has_garbage) {
                      return check_fs_state(played.account, images[0], point, has_garbage);
                    });
  return campaign.run(played.account.history);
}

void check_all_alone(Style style) {
  if (!only_one_state().empty()) GTEST_SKIP() << "RVMFS_CRASH_ONLY names one state";
  ASSERT_NE(start().model, nullptr) << "the volume cannot be prepared";
  const size_t states_a_point = by_tier<size_t>(10, 400, 5000);
  size_t number = 0;
  for (const Step& step : all_steps()) {
    if (number++ % slice().count != slice().index) continue;
    ASSERT_EQ(check_sequence({{step}, style}, states_a_point), "");
    show_progress(number, all_steps().size());
  }
}

TEST(FsSequences, EachOperationAloneIsAtomic) { check_all_alone(Style::lazy); }

TEST(FsSequences, EachOperationIsAtomicWhenEveryTransactionIsForced) {
  check_all_alone(Style::eager);
}

TEST(FsSequences, EachOperationIsAtomicWhenItsDataAreNotInTheLog) {
  check_all_alone(Style::unlogged);
}

TEST(FsSequences, EachOperationIsThereWhileItsPagesMoveHome) {
  check_all_alone(Style::incremental);
}

TEST(FsSequences, EachOperationIsThereWhileItsLogMovesHome) { check_all_alone(Style::epoch); }

// The sample goes round all pairs: other seeds, other pairs, until all were there.
TEST(FsSequences, TwoOperationsInARowAreAPrefixOfBoth) {
  if (!only_one_state().empty()) GTEST_SKIP() << "RVMFS_CRASH_ONLY names one state";
  ASSERT_NE(start().model, nullptr) << "the volume cannot be prepared";
  const uint64_t steps = all_steps().size();
  const uint64_t pairs = steps * steps;
  const uint64_t wanted = by_tier<uint64_t>(400, pairs, kStyles * pairs);
  const size_t states_a_point = by_tier<size_t>(8, 8, 24);
  constexpr uint64_t kStride = 1'000'003;  // a prime: every number is met once in `pairs` steps
  ASSERT_NE(pairs % kStride, 0u);
  const uint64_t first = (crash_seed() - first_of_slice(1)) * wanted;
  for (uint64_t i = slice().index; i < wanted; i += slice().count) {
    const uint64_t number = (first + i) % (kStyles * pairs);
    const uint64_t pair = number * kStride % pairs;
    const auto style = static_cast<Style>((number + number / pairs) % kStyles);
    const Sequence sequence{{all_steps()[pair / steps], all_steps()[pair % steps]}, style};
    ASSERT_EQ(check_sequence(sequence, states_a_point), "");
    show_progress(i, wanted);
  }
}

TEST(FsSequences, ThreeOperationsInARowAreAPrefixOfThem) {
  if (!only_one_state().empty()) GTEST_SKIP() << "RVMFS_CRASH_ONLY names one state";
  ASSERT_NE(start().model, nullptr) << "the volume cannot be prepared";
  const uint64_t wanted = share_of_slice(by_tier<uint64_t>(100, 10'000, 100'000));
  std::mt19937_64 random(crash_seed());
  for (uint64_t i = 0; i < wanted; ++i) {
    Sequence sequence;
    for (int step = 0; step < 3; ++step) {
      sequence.steps.push_back(all_steps()[random() % all_steps().size()]);
    }
    sequence.style = static_cast<Style>(random() % kStyles);
    ASSERT_EQ(check_sequence(sequence, by_tier<size_t>(8, 8, 24)), "");
    show_progress(i, wanted);
  }
}

TEST(FsSequences, TheOneThatIsNamedIsRunAgain) {
  const std::string one = only_one_state();
  const Sequence sequence = sequence_named(one.substr(0, one.find(':')));
  if (sequence.steps.empty()) GTEST_SKIP() << "RVMFS_CRASH_ONLY names no sequence";
  EXPECT_EQ(check_sequence(sequence, 1), "");
}

TEST(FsSequences, EveryNameStandsForItsSequence) {
  for (size_t i = 0; i < all_steps().size(); ++i) {
    const Sequence sequence{{all_steps()[i], all_steps()[all_steps().size() - 1 - i]},
                            static_cast<Style>(i % kStyles)};
    ASSERT_EQ(name_of(sequence_named(name_of(sequence))), name_of(sequence));
  }
  EXPECT_TRUE(sequence_named("fs_lazy").steps.empty());
}

// A word that never applies would be counted and prove nothing.
TEST(FsSequences, EveryOperationOfTheVocabularySucceedsAloneOrAfterAnother) {
  const std::set<std::string> need_another = {"link_tmpfile_n", "write_n", "write_held", "hold_b"};
  for (size_t word = 0; word < vocabulary().size(); ++word) {
    Played played = play(start(), {{{word, Sync::none}}, Style::lazy});
    ASSERT_EQ(played.failure, "");
    const bool changed = played.account.texts.front() != played.account.texts[1] ||
                         played.account.states.front().nodes() != played.account.states[1].nodes();
    const std::string& name = vocabulary()[word].name;
    EXPECT_EQ(changed, !need_another.contains(name)) << name;
  }
}

}  // namespace
}  // namespace rvmfs::test
