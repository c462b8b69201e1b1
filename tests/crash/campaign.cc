// SPDX-License-Identifier: BSD-2-Clause
//
// See campaign.h. Budget: a flush point gets most of it, since the subsets of what is pending there
// contain those of the points before it; every other point gets two states, so that what was
// acknowledged there is checked too. Where points are too many, they are sampled evenly.
#include "tests/crash/campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "tests/crash/totals.h"
#include "tests/support/environment.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

constexpr size_t kDepthMax = 2;  // crash, crash in recovery, crash in the recovery after it

bool holds_garbage(const EnsembleChoice& choice) {
  for (const CrashChoice& device : choice) {
    for (const ChangeFate& change : device.changes) {
      for (const SectorFate fate : change.sectors) {
        if (fate == SectorFate::garbage) return true;
      }
    }
  }
  return false;
}

}  // namespace

std::string only_one_state() { return text_from_environment("RVMFS_CRASH_ONLY"); }

uint64_t crash_seed() {
  const std::string one = only_one_state();
  const size_t colon = one.find(':');
  if (colon != std::string::npos) return std::strtoull(one.c_str() + colon + 1, nullptr, 10);
  return number_from_environment("RVMFS_CRASH_SEED", 1) + first_of_slice(1);
}

size_t crash_states(size_t otherwise) {
  return number_from_environment("RVMFS_CRASH_STATES", otherwise);
}

bool is_left_out(const std::string& workload) {
  return !only_one_state().empty() && !only_one_state().starts_with(workload + ":");
}

Campaign::Campaign(std::string workload, uint64_t seed, const CampaignOptions& options,
                   StateCheck check)
    : workload_(std::move(workload)),
      seed_(seed),
      options_(options),
      check_(std::move(check)),
      follow_phase_(std::hash<std::string>()(workload_)) {}

std::string Campaign::run(EnsembleHistory history) {
  const std::string one = only_one_state();
  if (!one.empty()) return replay(std::move(history), one.substr(one.rfind(':') + 1));
  std::string failure = options_.thorough > 0
                            ? walk_thoroughly(history)
                            : walk(history, options_.states, 0, options_.first_point);
  if (failure.empty()) failure = kill_here_and_there(history);
  count_crash_states(states_, states_in_recovery_);
  return failure;
}

std::string Campaign::kill_here_and_there(const EnsembleHistory& history) {
  // Kills are most telling right before a flush, where most is not durable yet.
  std::vector<size_t> points;
  EnsembleStates states(history);
  for (size_t point = options_.first_point; point < states.event_count(); ++point) {
    states.seek(point);
    if (states.at_flush() && states.pending_count() > 0) points.push_back(point);
  }
  std::string failure;
  const size_t kills = std::min(options_.kills, points.size());
  for (size_t i = 0; i < kills && failure.empty(); ++i) {
    failure = kill_and_walk(history, points[points.size() * (2 * i + 1) / (2 * kills)]);
  }
  return failure;
}

std::string Campaign::kill_and_walk(const EnsembleHistory& history, size_t point) {
  EnsembleStates states(history);
  states.seek(point);
  outer_point_ = point;
  ++states_;
  CheckResult result = check_(states.build(states.all_kept()), point, false);
  path_.assign(1, {point, 0, 0});
  if (!result.failure.empty()) {
    return fmt::format("{}\n  killed after {} events\n  reproduce: {}", result.failure, point,
                       reproduction());
  }
  std::string failure;
  if (result.recovery) {
    failure = walk(after_kill(history, point, *result.recovery), options_.states_per_recovery, 1,
                   point + 1);
  }
  path_.clear();
  return failure;
}

std::string Campaign::reproduction() const {
  std::string text = fmt::format("RVMFS_CRASH_ONLY={}:{}:", workload_, seed_);
  for (size_t i = 0; i < path_.size(); ++i) {
    text += fmt::format("{}{}.{}.{}", i == 0 ? "" : "/", path_[i].point, path_[i].choice,
                        path_[i].limit);
  }
  return text;
}

std::string Campaign::walk(EnsembleHistory history, size_t wanted, size_t depth, size_t first) {
  EnsembleStates states(std::move(history));
  size_t flushes = 0;
  for (size_t point = first; point <= states.event_count(); ++point) {
    states.seek(point);
    flushes += states.at_flush() ? 1 : 0;
  }
  const size_t others =
      states.event_count() + 1 - std::min(first + flushes, states.event_count() + 1);
  const size_t others_wanted = std::min(2 * others, wanted / 2);
  const size_t limit = std::max<size_t>(4, (wanted - others_wanted) / std::max<size_t>(flushes, 1));
  // Sampling: with too few states for all points, each point is taken with the same share.
  const size_t cost = 2 * others + limit * flushes;
  size_t credit = 0;
  for (size_t point = first; point <= states.event_count(); ++point) {
    credit += wanted;
    states.seek(point);
    const bool must = depth == 0 && states.at_flush();
    if (credit < cost && !must && point != states.event_count()) continue;
    credit = credit >= cost ? credit - cost : 0;
    if (depth == 0) outer_point_ = point;
    std::string failure = check_point(states, states.at_flush() ? limit : 2, depth);
    if (!failure.empty()) return failure;
  }
  return "";
}

std::string Campaign::walk_thoroughly(const EnsembleHistory& history) {
  EnsembleStates states(history);
  for (size_t point = options_.first_point; point <= states.event_count(); ++point) {
    states.seek(point);
    outer_point_ = point;
    std::string failure = check_point(states, options_.thorough, 0);
    if (!failure.empty()) return failure;
  }
  return "";
}

// A failure's numbers mean the same choices again.
std::vector<EnsembleChoice> Campaign::choices(const EnsembleStates& states, size_t limit,
                                              size_t depth) const {
  if (limit == 0) return {states.all_kept()};  // killed
  return depth == 0 && options_.thorough > 0 ? states.thorough(limit, seed_)
                                             : states.interesting(limit, seed_);
}

std::string Campaign::check_point(EnsembleStates& states, size_t limit, size_t depth) {
  const std::vector<EnsembleChoice> here = choices(states, limit, depth);
  for (size_t i = 0; i < here.size(); ++i) {
    path_.push_back({states.point(), i, limit});
    std::string failure = check_one(states, here[i], depth);
    if (!failure.empty()) {
      return fmt::format("{}\n  {}\n  reproduce: {}", failure, states.describe(here[i]),
                         reproduction());
    }
    path_.pop_back();
  }
  return "";
}

std::string Campaign::check_one(const EnsembleStates& states, const EnsembleChoice& choice,
                                size_t depth) {
  ++states_;
  if (depth > 0) ++states_in_recovery_;
  const bool garbage_before = outer_garbage_;
  outer_garbage_ |= holds_garbage(choice);
  std::string failure = check_and_follow(states.build(choice), depth);
  outer_garbage_ = garbage_before;
  return failure;
}

std::string Campaign::check_and_follow(const std::vector<SparseImage>& images, size_t depth) {
  CheckResult result = check_(images, outer_point_, outer_garbage_);
  if (!result.failure.empty() || !result.recovery || depth == kDepthMax) return result.failure;
  if ((states_ + follow_phase_) % options_.follow_every != 0 || !only_one_state().empty())
    return "";
  return walk(std::move(*result.recovery), depth == 0 ? options_.states_per_recovery : 8,
              depth + 1);
}

std::string Campaign::replay(EnsembleHistory history, const std::string& steps) {
  size_t depth = 0;
  for (size_t at = 0; at < steps.size(); ++depth) {
    Step step{};
    const size_t end = std::min(steps.find('/', at), steps.size());
    if (std::sscanf(steps.substr(at, end - at).c_str(), "%zu.%zu.%zu", &step.point, &step.choice,
                    &step.limit) != 3) {
      return "RVMFS_CRASH_ONLY cannot be understood: " + steps;
    }
    at = end + 1;
    const EnsembleHistory whole = std::move(history);
    EnsembleStates states(whole);
    states.seek(step.point);
    if (depth == 0) outer_point_ = step.point;
    const bool killed = step.limit == 0;
    const std::vector<EnsembleChoice> here = choices(states, step.limit, depth);
    if (step.choice >= here.size()) return "RVMFS_CRASH_ONLY names a choice that is not there";
    std::fprintf(stderr, "%s\n", states.describe(here[step.choice]).c_str());
    outer_garbage_ |= holds_garbage(here[step.choice]);
    CheckResult result = check_(states.build(here[step.choice]), outer_point_, outer_garbage_);
    ++states_;
    if (!result.failure.empty()) return result.failure;
    if (!result.recovery) break;
    history =
        killed ? after_kill(whole, step.point, *result.recovery) : std::move(*result.recovery);
  }
  return "";
}

}  // namespace rvmfs::test
