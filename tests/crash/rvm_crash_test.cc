// SPDX-License-Identifier: BSD-2-Clause
//
// Crash states of librvm alone. Each workload runs once on recorded devices; then power is lost at
// every write boundary, with subsets and tears of what was not flushed, and recovery must give the
// memory after some commit, no older than the last one acknowledged as durable, with every page
// hash right. See campaign.h for the environment variables.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "tests/crash/rvm_rig.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

using rvm::Commit;
using rvm::Truncation;

// For each workload, all slices together.
const size_t kStates = by_tier<size_t>(1200, 10'000, 100'000);

using Workload = void (*)(RvmRig&);

void run_workload(const std::string& name, const RigOptions& options, Workload workload,
                  CampaignOptions campaign_options = {.states = kStates}) {
  if (is_left_out(name)) GTEST_SKIP() << "RVMFS_CRASH_ONLY names another workload";
  const uint64_t seed = crash_seed();
  RigAccount account;
  {
    RvmRig rig(options, seed);
    workload(rig);
    ASSERT_EQ(rig.failure(), "");
    account = rig.account();
  }
  ASSERT_GT(account.hashes.size(), 8u) << "the workload made too few commits";
  ASSERT_GT(account.history.order.size(), 10u) << "the workload wrote too little";
  campaign_options.states = crash_states(share_of_slice(campaign_options.states));
  Campaign campaign(name, seed, campaign_options,
                    [&](const std::vector<SparseImage>& images, size_t point, bool) {
                      return check_rvm_state(account, images, point);
                    });
  const std::string failure = campaign.run(account.history);
  EXPECT_EQ(failure, "");
  std::printf("%zu commits, %zu events\n", account.hashes.size() - 1, account.history.order.size());
}

Commit any_mode(RvmRig& rig) { return rig.random()() % 3 == 0 ? Commit::flush : Commit::no_flush; }

void commit_some(RvmRig& rig, int commits, uint64_t bytes_max) {
  for (int i = 0; i < commits && rig.failure().empty(); ++i) {
    rvm::Transaction tx = rig.begin();
    const uint64_t ranges = 1 + rig.random()() % 4;
    for (uint64_t r = 0; r < ranges; ++r) rig.change_somewhere(tx, bytes_max);
    if (rig.random()() % 8 == 0) {
      rig.abort(std::move(tx));
    } else {
      rig.end(std::move(tx), any_mode(rig));
    }
    if (rig.random()() % 10 == 0) rig.flush();
  }
}

TEST(RvmCrash, SmallCommitsSurviveFromTheLastFlushOnInTheirOrder) {
  run_workload("rvm_small", {}, [](RvmRig& rig) {
    rig.add_region(0, 64 * 1024, true);
    rig.add_region(0, 64 * 1024, false);
    rig.start();
    commit_some(rig, 80, 300);
  });
}

TEST(RvmCrash, CommitsSurviveWithoutTheOptimisations) {
  RigOptions options;
  options.tuning.coalesce_ranges = false;
  options.tuning.coalesce_transactions = false;
  run_workload("rvm_plain", options, [](RvmRig& rig) {
    rig.add_region(0, 64 * 1024, true);
    rig.start();
    commit_some(rig, 80, 300);
  });
}

TEST(RvmCrash, ALogOfSmallBlocksIsRecovered) {
  RigOptions options;
  options.block_bytes = 512;
  run_workload("rvm_block512", options, [](RvmRig& rig) {
    rig.add_region(0, 64 * 1024, true);
    rig.start();
    commit_some(rig, 100, 200);
  });
}

TEST(RvmCrash, ALogThatWrapsAroundAndTruncatesInlineLosesNothing) {
  RigOptions options;
  options.tuning.spool_bytes_max = 32 * 1024;
  run_workload("rvm_wrap", options, [](RvmRig& rig) {
    rig.add_region(0, 128 * 1024, true);
    rig.add_region(0, 32 * 1024, false);
    rig.start();
    commit_some(rig, 120, 12 * 1024);
  });
}

TEST(RvmCrash, EpochTruncationMayBeCutAnywhere) {
  RigOptions options;
  options.tuning.truncate_percent = 101;
  run_workload("rvm_epoch", options, [](RvmRig& rig) {
    rig.add_region(0, 64 * 1024, true);
    rig.start();
    for (int i = 0; i < 6; ++i) {
      commit_some(rig, 8, 2000);
      rig.truncate(Truncation::epoch);
    }
  });
}

TEST(RvmCrash, IncrementalTruncationMayBeCutAnywhere) {
  RigOptions options;
  options.tuning.truncate_percent = 101;
  run_workload("rvm_incremental", options, [](RvmRig& rig) {
    rig.add_region(0, 64 * 1024, true);
    rig.start();
    for (int i = 0; i < 6; ++i) {
      commit_some(rig, 8, 2000);
      rig.truncate(Truncation::incremental);
    }
  });
}

TEST(RvmCrash, TruncationKeepsUncommittedBytesOfOpenTransactionsAway) {
  RigOptions options;
  options.tuning.truncate_percent = 101;
  run_workload("rvm_open_transactions", options, [](RvmRig& rig) {
    rig.add_region(0, 32 * 1024, true);
    rig.start();
    for (int i = 0; i < 8 && rig.failure().empty(); ++i) {
      commit_some(rig, 6, 500);
      rvm::Transaction open = rig.begin();
      rig.change(open, 0, static_cast<uint64_t>(i) * 3000, 3000);
      rig.truncate(i % 2 == 0 ? Truncation::incremental : Truncation::epoch);
      if (i % 3 == 0) {
        rig.abort(std::move(open));
      } else {
        rig.end(std::move(open), Commit::no_flush);
      }
    }
    rig.flush();
  });
}

TEST(RvmCrash, SegmentsOnSeveralDevicesLoseNothingWhenTheyFailTogether) {
  RigOptions options;
  options.devices = 3;
  options.tuning.spool_bytes_max = 32 * 1024;
  run_workload("rvm_segments", options, [](RvmRig& rig) {
    rig.add_region(0, 32 * 1024, true);
    rig.add_region(1, 64 * 1024, true);
    rig.add_region(1, 32 * 1024, false);
    rig.add_region(2, 32 * 1024, false);
    rig.start();
    commit_some(rig, 60, 3000);
    rig.truncate(Truncation::incremental);
    commit_some(rig, 20, 3000);
    rig.truncate(Truncation::epoch);
    commit_some(rig, 10, 3000);
  });
}

TEST(RvmCrash, TransactionsOfManyLogUnitsAreAtomic) {
  RigOptions options;
  options.log_bytes = 1 << 20;  // units of at most 214 KiB
  run_workload("rvm_large", options,
               [](RvmRig& rig) {
                 const size_t big = rig.add_region(0, 512 * 1024, true);
                 rig.start();
                 for (int i = 0; i < 8 && rig.failure().empty(); ++i) {
                   commit_some(rig, 2, 1000);
                   rvm::Transaction tx = rig.begin();
                   rig.change(tx, big, static_cast<uint64_t>(i) * 1000, 350 * 1024);
                   rig.end(std::move(tx), any_mode(rig));
                 }
                 rig.flush();
               },
               {.states = kStates / 4});
}

TEST(RvmCrash, RegionsAreFormattedOnOldBytesAtomically) {
  run_workload("rvm_format", {}, [](RvmRig& rig) {
    rig.add_region(0, 32 * 1024, true);
    rig.start();
    for (int i = 0; i < 6 && rig.failure().empty(); ++i) {
      commit_some(rig, 4, 1000);
      rig.format_region(0, 64 * 1024);
      commit_some(rig, 4, 1000);
      if (i == 2) rig.truncate(Truncation::incremental);
      if (i == 4) rig.truncate(Truncation::epoch);
    }
    rig.flush();
  });
}

TEST(RvmCrash, GrowingFilesMayBeCutAnywhere) {
  RigOptions options;
  options.grows = true;
  options.devices = 2;
  run_workload("rvm_grow", options, [](RvmRig& rig) {
    rig.add_region(0, 32 * 1024, true);
    rig.add_region(1, 32 * 1024, true);
    rig.start();
    for (int i = 0; i < 4 && rig.failure().empty(); ++i) {
      commit_some(rig, 6, 1000);
      rig.format_region(1, 128 * 1024);
      commit_some(rig, 6, 1000);
      rig.truncate(Truncation::incremental);
    }
  });
}

TEST(RvmCrash, ReopeningBetweenCommitsLosesNothing) {
  run_workload("rvm_reopen", {}, [](RvmRig& rig) {
    rig.add_region(0, 64 * 1024, true);
    rig.start();
    for (int i = 0; i < 6 && rig.failure().empty(); ++i) {
      commit_some(rig, 8, 1000);
      rig.reopen();
    }
    commit_some(rig, 4, 1000);
  });
}

TEST(RvmCrash, ThreeCrashesInARowLoseNothing) {
  RigOptions options;
  options.tuning.truncate_percent = 101;
  const CampaignOptions every{
      .states = by_tier<size_t>(50, 200, 1000), .follow_every = 1, .states_per_recovery = 50};
  run_workload(
      "rvm_thrice", options,
      [](RvmRig& rig) {
        rig.add_region(0, 32 * 1024, true);
        rig.start();
        commit_some(rig, 10, 500);
        rig.truncate(Truncation::incremental);
        commit_some(rig, 4, 500);
        rig.flush();
      },
      every);
}

TEST(RvmCrash, RecoveryInSmallStepsOfMemoryGivesTheSame) {
  RigOptions options;
  options.recovery_bytes_max = 16 * 1024;
  options.tuning.truncate_percent = 101;
  run_workload("rvm_little_memory", options, [](RvmRig& rig) {
    rig.add_region(0, 128 * 1024, true);
    rig.start();
    commit_some(rig, 60, 2000);
    rig.flush();
  });
}

// Everything in one: commits of all kinds, transactions left open, both truncations, new regions,
// reopening, on a log that is small for it.
TEST(RvmCrash, RandomSequencesOfEverythingLoseNothing) {
  RigOptions options;
  options.devices = 2;
  options.tuning.spool_bytes_max = 16 * 1024;
  run_workload("rvm_random", options, [](RvmRig& rig) {
    rig.add_region(0, 64 * 1024, true);
    rig.add_region(1, 32 * 1024, true);
    rig.add_region(1, 32 * 1024, false);
    rig.start();
    for (int i = 0; i < 25 && rig.failure().empty(); ++i) {
      commit_some(rig, 6, 200 << (rig.random()() % 6));
      switch (rig.random()() % 6) {
        case 0: rig.truncate(Truncation::incremental); break;
        case 1: rig.truncate(Truncation::epoch); break;
        case 2: rig.flush(); break;
        case 3: rig.reopen(); break;
        case 4: {
          // Open while the log is truncated. Of the first pages, which nothing else changes now.
          rvm::Transaction open = rig.begin();
          rig.change(open, 0, 1000, 5000);
          rig.truncate(Truncation::incremental);
          rig.end(std::move(open), any_mode(rig));
          break;
        }
        default:
          if (i % 7 == 0) rig.format_region(0, 32 * 1024);
          break;
      }
    }
    rig.flush();
  });
}

// Fills the log to the last block again and again, with nobody truncating it in the background.
TEST(RvmCrash, ALogThatIsFilledToTheLastBlockLosesNothing) {
  RigOptions options;
  options.tuning.truncate_percent = 101;
  run_workload("rvm_full", options, [](RvmRig& rig) {
    rig.add_region(0, 32 * 1024, true);
    rig.start();
    for (int i = 0; i < 120 && rig.failure().empty(); ++i) {
      rvm::Transaction tx = rig.begin();
      rig.change_somewhere(tx, i % 5 == 0 ? 6000 : 300);
      rig.end(std::move(tx), Commit::flush);
    }
  });
}

// Units of a group that never became whole lie behind the tail of the next life's log, and must not
// count as what follows its first unit. Such a group has three units, so the log must be large.
TEST(RvmCrash, WhatAnEarlierLifeLeftBehindItsTailNeverConfusesTheNextOne) {
  const std::string name = "rvm_two_lives";
  const uint64_t seed = crash_seed();
  RigOptions options;
  options.log_bytes = 20 << 20;
  options.device_bytes = 32 << 20;
  RvmRig rig(options, seed);
  const size_t big = rig.add_region(0, 9 << 20, true);
  rig.start();
  rvm::Transaction tx = rig.begin();
  bool zeros = true;  // some changes write nothing but zeros, which take no room in a log
  while (zeros && rig.failure().empty()) {
    rig.change(tx, big, 0, 17 << 19);
    const auto bytes = rig.region(big).read(0, 64);
    ASSERT_TRUE(bytes);
    zeros = std::all_of(*bytes, *bytes + 64, [](std::byte b) { return b == std::byte{0}; });
  }
  rig.end(std::move(tx), Commit::flush);
  ASSERT_EQ(rig.failure(), "");
  const RigAccount first = rig.account();
  ASSERT_GE(first.history.order.size(), 6u) << "three units at least, each with its flush";
  EnsembleStates states(first.history);
  size_t lives = 0;
  for (size_t point = 0; point <= states.event_count(); ++point) {
    states.seek(point);
    const std::string life = name + "." + std::to_string(point);
    if (!states.at_flush() || states.pending_count() == 0 || is_left_out(life)) continue;
    RvmRig second(first, states.build(states.interesting(1, seed).front()), seed + point);
    commit_some(second, 3, 3000);
    second.flush();
    ASSERT_EQ(second.failure(), "") << life;
    const RigAccount account = second.account();
    Campaign campaign(life, seed,
                      {.states = share_of_slice(by_tier<size_t>(30, 500, 5000)), .kills = 0},
                      [&](const std::vector<SparseImage>& images, size_t at, bool) {
                        return check_rvm_state(account, images, at);
                      });
    ASSERT_EQ(campaign.run(account.history), "");
    ++lives;
  }
  EXPECT_TRUE(lives >= 3 || !only_one_state().empty()) << lives << " lives";
}

TEST(RvmCrash, AFlippedBitInAHomePageIsFound) {
  RigOptions options;
  RvmRig rig(options, crash_seed());
  rig.add_region(0, 64 * 1024, true);
  rig.start();
  commit_some(rig, 40, 2000);
  rig.truncate(Truncation::incremental);
  ASSERT_EQ(rig.failure(), "");
  const RigAccount account = rig.account();
  EnsembleStates states(account.history);
  states.seek(states.event_count());
  const SparseImage image = states.build(states.interesting(1, 1).front()).front();
  size_t written_pages = 0;
  for (uint64_t page = 0; page < 16; ++page) {
    SparseImage damaged = image;
    const uint64_t offset =
        account.regions[0].offset + page * rvm::kPageBytes + page * 251 % rvm::kPageBytes;
    std::byte byte{};
    damaged.read(offset, {&byte, 1});
    if (damaged.absent_pages(offset, 1) != 0 || byte == std::byte{0xc5}) continue;  // never written
    ++written_pages;
    byte ^= std::byte{0x10};
    damaged.write(offset, {&byte, 1});
    const CheckResult result = check_rvm_state(account, {damaged}, states.event_count());
    EXPECT_NE(result.failure.find("does not match its hash"), std::string::npos)
        << "page " << page << ": " << result.failure;
  }
  EXPECT_GT(written_pages, 8u);
}

}  // namespace
}  // namespace rvmfs::test
