// SPDX-License-Identifier: BSD-2-Clause
//
// How much a test does, and how it tells what it did.
//
// Three tiers: `commit` runs with every change and takes minutes in all, `nightly` hours, `release`
// days. RVMFS_TIER names the tier (default: commit), RVMFS_SLICE=k/n asks for the k-th of n equal
// parts of its work (1/1), so that a long campaign can be divided, stopped and taken up again: the
// slices of one tier together do what the tier does, each with seeds of its own.
//
// A part of the laboratory prints one line at its end, failed or not, which scripts/campaign.py
// reads and adds up:
//
//   TOTAL part=fs_crash states=50000 in_recovery=1200 seconds=61.2 failures=0
//
// Name=value pairs between blanks; values are numbers without units (of names that are counted) or
// words. `part` is first, `seconds` and `failures` are last. A failure also prints one line that
// contains "reproduce: " and, after it, what runs exactly this failure again. A part that takes
// long prints now and then "PROGRESS part=... done=... of=...".
//
// Thread rules: as an int.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace rvmfs::test {

enum class Tier : uint8_t { commit, nightly, release };

// RVMFS_TIER. A name that is none ends the program: a nightly run with a typing error in it must
// not pass as one.
Tier tier();

// RVMFS_SLICE, counted from 0 here: {2, 10} for "3/10".
struct Slice {
  uint64_t index = 0, count = 1;
};
Slice slice();

// This tier's figure, all slices together.
template <typename T>
T by_tier(T commit, T nightly, T release) {
  return tier() == Tier::commit ? commit : tier() == Tier::nightly ? nightly : release;
}

// This slice's share of `whole`; the shares of all slices add up to it.
uint64_t share_of_slice(uint64_t whole);

// This slice's first number, if every slice has `each` of them: seeds, for example.
inline uint64_t first_of_slice(uint64_t each) { return slice().index * each; }

// Collects the figures of a part and prints its TOTAL line when it goes.
class Total {
 public:
  explicit Total(std::string part);
  ~Total();
  Total(const Total&) = delete;
  Total& operator=(const Total&) = delete;

  void add(const std::string& name, uint64_t count = 1);
  void fail() { ++failures_; }
  // Call it as often as you like; prints every few seconds, and in longer tiers only.
  void progress(uint64_t done, uint64_t of);
  // The line as it stands now.
  std::string line() const;

 private:
  double seconds() const;

  std::string part_;
  std::vector<std::pair<std::string, uint64_t>> figures_;  // in the order of their first mention
  uint64_t failures_ = 0;
  std::chrono::steady_clock::time_point begin_, last_progress_;
};

}  // namespace rvmfs::test
