// SPDX-License-Identifier: BSD-2-Clause
//
// See totals.h. GoogleTest tells a listener when a test ends and when all have.
#include "tests/crash/totals.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

struct Counts {
  size_t states = 0, in_recovery = 0;
};

Counts& counts() {
  static Counts counts;
  return counts;
}

std::unique_ptr<Total>& total() {
  static std::unique_ptr<Total> total;
  return total;
}

class Listener final : public testing::EmptyTestEventListener {
  void OnTestProgramStart(const testing::UnitTest&) override {
    total() = std::make_unique<Total>("crash");
    total()->add("states", 0);
    total()->add("in_recovery", 0);
  }
  void OnTestStart(const testing::TestInfo&) override { counts() = {}; }
  void OnTestEnd(const testing::TestInfo& test) override {
    total()->add("states", counts().states);
    total()->add("in_recovery", counts().in_recovery);
    total()->add("tests", test.result()->Skipped() ? 0 : 1);
    if (test.result()->Failed()) total()->fail();
    if (counts().states == 0) return;
    std::printf("%s.%s: %zu crash states, %zu of them in recovery\n", test.test_suite_name(),
                test.name(), counts().states, counts().in_recovery);
  }
  void OnTestProgramEnd(const testing::UnitTest&) override { total().reset(); }
};

[[maybe_unused]] const bool registered = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new Listener);  // GoogleTest deletes it
  return true;
}();

}  // namespace

void count_crash_states(size_t states, size_t in_recovery) {
  counts().states += states;
  counts().in_recovery += in_recovery;
}

void show_progress(size_t done, size_t of) {
  if (total() != nullptr) total()->progress(done, of);
}

}  // namespace rvmfs::test
