// SPDX-License-Identifier: BSD-2-Clause
//
// Runs the corpus of every fuzzing harness, and what fuzzing has found before, without a fuzzer.
//
//   RVMFS_WRITE_CORPUS=1     writes the seeds into tests/fuzz/corpus first
//   RVMFS_REPLAY_FILE=path   one file (RVMFS_HARNESS names the harness)
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/fuzz/harness.h"
#include "tests/images/hostile_use.h"
#include "tests/support/environment.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kCorpusBytesMax = 500 * 1024;

fs::path corpus_of(const Harness& harness) {
  return fs::path(RVMFS_SOURCE_DIR) / "tests/fuzz/corpus" / harness.name();
}

ByteString read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_seeds(const Harness& harness) {
  fs::create_directories(corpus_of(harness));
  int number = 0;
  for (const ByteString& seed : harness.seeds()) {
    std::ofstream file(corpus_of(harness) / fmt::format("seed-{:02}", number++), std::ios::binary);
    file.write(reinterpret_cast<const char*>(seed.data()),
               static_cast<std::streamsize>(seed.size()));
    ASSERT_TRUE(file.flush().good());
  }
}

class Fuzz : public ::testing::TestWithParam<const char*> {};

TEST_P(Fuzz, the_corpus_and_past_findings_give_no_finding) {
  const Harness* harness = find_harness(GetParam());
  ASSERT_NE(harness, nullptr);
  if (number_from_environment("RVMFS_WRITE_CORPUS", 0) != 0) write_seeds(*harness);
  Total total(std::string("fuzz_replay_") + harness->name());
  uint64_t files = 0;
  for (const auto& entry : fs::directory_iterator(corpus_of(*harness))) {
    const ByteString input = read_file(entry.path());
    EXPECT_LE(input.size(), harness->bytes_max()) << entry.path();
    const std::string wrong = within_limits([&] { return harness->run(input); });
    total.add("inputs");
    ++files;
    if (wrong.empty()) continue;
    total.fail();
    ADD_FAILURE() << entry.path() << ": " << wrong
                  << fmt::format(
                         "\nreproduce: RVMFS_HARNESS={} RVMFS_REPLAY_FILE={} (the test "
                         "FuzzReplay.OneFile)",
                         harness->name(), entry.path().string());
  }
  EXPECT_GE(files, harness->seeds().size()) << "RVMFS_WRITE_CORPUS=1 writes them";
}

INSTANTIATE_TEST_SUITE_P(harness, Fuzz,
                         ::testing::Values("superblock", "log", "image", "fsck", "operations"),
                         [](const auto& info) { return std::string(info.param); });

TEST(FuzzReplay, OneFile) {
  const std::string path = text_from_environment("RVMFS_REPLAY_FILE");
  if (path.empty()) GTEST_SKIP() << "RVMFS_REPLAY_FILE names none";
  const Harness* harness = find_harness(text_from_environment("RVMFS_HARNESS"));
  ASSERT_NE(harness, nullptr);
  EXPECT_EQ(within_limits([&] { return harness->run(read_file(path)); }), "");
}

TEST(FuzzReplay, TheCorpusIsSmall) {
  uint64_t bytes = 0;
  for (const auto& harness : harnesses()) {
    for (const auto& entry : fs::directory_iterator(corpus_of(*harness))) {
      bytes += entry.file_size();
    }
  }
  EXPECT_LE(bytes, kCorpusBytesMax);
  EXPECT_EQ(harnesses().size(), 5u) << "a new harness is to be replayed too";
}

}  // namespace
}  // namespace rvmfs::test
