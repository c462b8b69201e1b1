// SPDX-License-Identifier: BSD-2-Clause
//
// Joins a harness (tests/fuzz/harness.h) to libFuzzer. Which one: RVMFS_HARNESS. Linked into
// rvmfs_fuzz where RVMFS_FUZZ is on (docs/TESTING.md); compiled everywhere.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/harness.h"

extern "C" {

size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max, unsigned int seed);

}  // extern "C"

namespace {

const rvmfs::test::Harness& chosen() {
  static const rvmfs::test::Harness* const harness = [] {
    const char* name = std::getenv("RVMFS_HARNESS");
    const auto* found = rvmfs::test::find_harness(name == nullptr ? "" : name);
    if (found == nullptr) {
      std::fprintf(stderr, "RVMFS_HARNESS names no harness; there are:");
      for (const auto& each : rvmfs::test::harnesses()) std::fprintf(stderr, " %s", each->name());
      std::fprintf(stderr, "\n");
      std::exit(2);
    }
    return found;
  }();
  return *harness;
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string wrong = chosen().run({data, size});
  if (wrong.empty()) return 0;
  std::fprintf(stderr, "%s: %s\n", chosen().name(), wrong.c_str());
  std::abort();
}

size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max, unsigned int seed) {
  std::mt19937_64 random(seed);
  const size_t most = std::min(max, chosen().bytes_max());
  return chosen().mutate(data, std::min(size, most), most, random, LLVMFuzzerMutate);
}
