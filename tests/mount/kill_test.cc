// SPDX-License-Identifier: BSD-2-Clause
//
// kill -9 of the daemon at random moments under load. Promises held here (docs/PROMISES.md): what
// fsync acknowledged survives, rename never leaves the target missing, no foreign bytes, and the
// next mount needs no fsck. RVMFS_KILL_ROUNDS sets the number of rounds, RVMFS_KILL_SEED the seed.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>

#include "tests/mount/kill_writer.h"
#include "tests/mount/mount_test_base.h"

namespace rvmfs::test {
namespace {

constexpr int kWriters = 4;

class Kill : public MountTest {
 protected:
  // Lets all writers work, and kills the daemon in the middle of it.
  void work_and_kill(std::vector<std::unique_ptr<KillWriter>>& writers, int milliseconds) {
    std::vector<std::thread> threads;
    std::vector<char> died_well(writers.size());
    for (size_t i = 0; i < writers.size(); ++i) {
      threads.emplace_back([&, i] { died_well[i] = writers[i]->run(); });
    }
    sleep_milliseconds(milliseconds);
    daemon().signal(SIGKILL);
    for (std::thread& thread : threads) thread.join();
    for (size_t i = 0; i < writers.size(); ++i) {
      EXPECT_TRUE(died_well[i]) << "writer " << i << ": " << writers[i]->problem();
    }
    ASSERT_NO_FATAL_FAILURE(kill_daemon());
  }
};

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* const value = getenv(name);
  return value == nullptr ? otherwise : strtoull(value, nullptr, 10);
}

TEST_F(Kill, of_the_daemon_at_random_moments_loses_nothing_that_was_fsynced) {
  const uint64_t rounds = from_environment("RVMFS_KILL_ROUNDS", 5);
  const uint64_t seed = from_environment("RVMFS_KILL_SEED", std::random_device()());
  SCOPED_TRACE("again with RVMFS_KILL_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  ASSERT_NO_FATAL_FAILURE(format("2G"));
  std::vector<std::unique_ptr<KillWriter>> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.push_back(std::make_unique<KillWriter>(at("writer" + std::to_string(i)), random()));
  }
  for (uint64_t round = 0; round < rounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    ASSERT_NO_FATAL_FAILURE(start());
    ASSERT_NO_FATAL_FAILURE(work_and_kill(writers, static_cast<int>(100 + random() % 900)));
    expect_clean();  // before recovery: fsck replays the log in memory
    ASSERT_NO_FATAL_FAILURE(start());
    for (const auto& writer : writers) {
      const std::string wrong = writer->verify();
      ASSERT_EQ(wrong, "");
      writer->adopt();
    }
    ASSERT_NO_FATAL_FAILURE(unmount());
    expect_clean();  // and after it
  }
  uint64_t acknowledged = 0;
  for (const auto& writer : writers) acknowledged += writer->acknowledged();
  EXPECT_GT(acknowledged, rounds) << "the writers hardly got to work";
  RecordProperty("acknowledged_steps", std::to_string(acknowledged));
}

TEST_F(Kill, a_moment_after_an_operation_loses_at_most_the_commit_interval) {
  ASSERT_NO_FATAL_FAILURE(format_and_start("1G", "commit=1"));
  ASSERT_EQ(write_file(at("file"), text(50'000, 1)), 0);
  sleep_milliseconds(3000);
  ASSERT_EQ(write_file(at("late"), "x"), 0);
  ASSERT_NO_FATAL_FAILURE(kill_daemon());
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_TRUE(read_file(at("file")) == text(50'000, 1));
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();
}

TEST_F(Kill, frees_the_space_of_files_that_were_open_and_had_no_name) {
  ASSERT_NO_FATAL_FAILURE(format_and_start("200M"));
  {
    const Fd fd(open(at("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    const std::string content = text(100 << 20, 1);
    ASSERT_EQ(write_file(at("file"), content), 0);
    ASSERT_CALL_OK(unlink(at("file").c_str()));
    ASSERT_CALL_OK(fsync(fd));
    ASSERT_NO_FATAL_FAILURE(kill_daemon());
  }
  expect_clean();
  ASSERT_NO_FATAL_FAILURE(start());
  const auto fits = [&] { return write_file(at("next"), text(150 << 20, 2), O_TRUNC) == 0; };
  EXPECT_TRUE(eventually(fits)) << "the space is still taken";
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();
}

}  // namespace
}  // namespace rvmfs::test
