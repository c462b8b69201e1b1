// SPDX-License-Identifier: BSD-2-Clause
//
// Walks the crash states of a recorded history and checks each: every write boundary, and at each
// flush, where most is open, many subsets and tears. The check recovers; what recovery wrote was
// recorded too, so some states are followed into a crash during recovery, and from there into
// another.
//
//   RVMFS_TIER, RVMFS_SLICE how much, and which part of it (tests/support/tier.h); each slice has a
//                           seed of its own
//   RVMFS_CRASH_STATES=n    about so many states for each workload (default: the tier's)
//   RVMFS_CRASH_SEED=n      seed of the workloads and of the random subsets (default 1)
//   RVMFS_CRASH_ONLY=text   exactly one state, as a failure prints it:
//                           workload:seed:point.choice.limit[/point.choice.limit ...]
//                           (limit 0: the process was killed there, and the power stayed)
//
// Thread rules: as an int.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "tests/crash/ensemble.h"

namespace rvmfs::test {

struct CheckResult {
  std::string failure;                      // empty: the state is as promised
  std::optional<EnsembleHistory> recovery;  // what recovery did to the devices
};

// Images after a crash at `point` of the workload's own history (also for crashes in recovery).
// has_garbage: some sector that was being written holds garbage.
using StateCheck = std::function<CheckResult(const std::vector<SparseImage>& images, size_t point,
                                             bool has_garbage)>;

struct CampaignOptions {
  size_t states = 1000;             // wanted, about
  size_t follow_every = 40;         // every so many states the recovery is followed into a crash
  size_t states_per_recovery = 24;  // of a recovery that is followed
  size_t kills = 20;                // points at which the process is killed first
  // For short histories: instead of `states` in all, up to `thorough` at every point, by
  // CrashStates::thorough.
  size_t thorough = 0;
  size_t first_point = 0;  // points before it were checked elsewhere
};

class Campaign {
 public:
  Campaign(std::string workload, uint64_t seed, const CampaignOptions& options, StateCheck check);

  // Checks about as many states as wanted; at the first failure stops and returns it, with the line
  // that reproduces it. With RVMFS_CRASH_ONLY for this workload: that state alone.
  std::string run(EnsembleHistory history);
  size_t states() const { return states_; }

 private:
  struct Step {
    size_t point, choice, limit;
  };
  std::string walk(EnsembleHistory history, size_t wanted, size_t depth, size_t first = 0);
  std::string walk_thoroughly(const EnsembleHistory& history);
  std::vector<EnsembleChoice> choices(const EnsembleStates& states, size_t limit,
                                      size_t depth) const;
  std::string kill_here_and_there(const EnsembleHistory& history);
  std::string kill_and_walk(const EnsembleHistory& history, size_t point);
  std::string check_point(EnsembleStates& states, size_t limit, size_t depth);
  std::string check_one(const EnsembleStates& states, const EnsembleChoice& choice, size_t depth);
  std::string check_and_follow(const std::vector<SparseImage>& images, size_t depth);
  std::string replay(EnsembleHistory history, const std::string& steps);
  std::string reproduction() const;

  std::string workload_;
  uint64_t seed_;
  CampaignOptions options_;
  StateCheck check_;
  size_t follow_phase_;     // so that short histories are followed too, each at another state
  std::vector<Step> path_;  // the state being checked: a step for each depth
  size_t outer_point_ = 0;
  bool outer_garbage_ = false;  // in one of the crashes before this one
  size_t states_ = 0, states_in_recovery_ = 0;
};

// Numbers from the environment, for tests. Each slice of a tier has its own seed.
uint64_t crash_seed();
size_t crash_states(size_t otherwise);
std::string only_one_state();  // RVMFS_CRASH_ONLY
// True if RVMFS_CRASH_ONLY names another workload.
bool is_left_out(const std::string& workload);

}  // namespace rvmfs::test
