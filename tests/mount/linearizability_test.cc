// SPDX-License-Identifier: BSD-2-Clause
//
// Threads that make system calls on a real mount see one filesystem in which everything happens one
// after the other, whatever kernel and daemon keep in their caches. mount_caller.h says what may be
// seen on any mount and is not asked for.
//
//   RVMFS_LINEARIZE_SEED=n, RVMFS_LINEARIZE_HISTORIES=n   as in tests/model/linearizability_test.cc
#include <sys/stat.h>

#include <filesystem>

#include "tests/mount/mount_caller.h"
#include "tests/mount/mount_test_base.h"
#include "tests/support/environment.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

constexpr size_t kThreads = 8;
constexpr size_t kDirectoriesEach = 2;  // that a thread can move into place

class Linearizable : public MountTest {
 protected:
  // The history's own directories, known to model and callers; their numbers.
  std::vector<Inode> prepare(const std::string& name, FsCallState& start) {
    const std::string base = at(name);
    EXPECT_CALL_OK(mkdir(base.c_str(), 0755));
    std::vector<Inode> shared;
    std::vector<std::string> paths = {base + "/a", base + "/b"};
    for (const std::string& path : paths) EXPECT_CALL_OK(mkdir(path.c_str(), 0755));
    for (size_t i = 0; i < kThreads; ++i) {
      auto& caller = static_cast<MountCaller&>(*callers_[i]);
      caller.forget_all();
      shared.clear();
      for (const std::string& path : paths) shared.push_back(caller.open_directory(path));
      if (i == 0) {
        for (size_t k = 0; k < shared.size(); ++k) start.add_directory(paths[k], shared[k]);
      }
      prepare_nursery(base + "/nursery" + std::to_string(i), caller, start);
    }
    return shared;
  }

  void prepare_nursery(const std::string& path, MountCaller& caller, FsCallState& start) {
    EXPECT_CALL_OK(mkdir(path.c_str(), 0755));
    const Inode nursery = caller.open_directory(path);
    start.add_directory(path, nursery);
    for (size_t i = 0; i < kDirectoriesEach; ++i) {
      const std::string child = path + "/" + std::to_string(i);
      EXPECT_CALL_OK(mkdir(child.c_str(), 0755));
      struct stat status {};
      EXPECT_CALL_OK(stat(child.c_str(), &status));
      start.add_directory(std::to_string(i), status.st_ino, nursery);
    }
    caller.set_nursery(nursery, kDirectoriesEach);
  }

  // When all is quiet, what the kernel keeps of a directory must be true: a reply that raced with a
  // change must not have stayed.
  void expect_true_link_counts(const std::string& name) {
    for (const std::string& path : {at(name + "/a"), at(name + "/b")}) {
      nlink_t links = 2;
      for (const auto& entry : std::filesystem::directory_iterator(path)) {
        if (entry.symlink_status().type() == std::filesystem::file_type::directory) ++links;
      }
      struct stat status {};
      EXPECT_CALL_OK(stat(path.c_str(), &status));
      EXPECT_EQ(status.st_nlink, links) << path;
    }
  }

  std::vector<std::unique_ptr<FsCaller>> callers_;
};

TEST_F(Linearizable, are_the_system_calls_of_eight_threads_on_few_names) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  for (size_t i = 0; i < kThreads; ++i) callers_.push_back(std::make_unique<MountCaller>());
  HistoryOptions options;
  options.generator.io_within_page = true;
  Total total("linearizability_mount");
  const uint64_t whole =
      number_from_environment("RVMFS_LINEARIZE_HISTORIES", by_tier<uint64_t>(200, 20'000, 200'000));
  const uint64_t count = share_of_slice(whole);
  const uint64_t seed = number_from_environment("RVMFS_LINEARIZE_SEED", 1);
  for (uint64_t i = 0; i < count && !HasFailure(); ++i) {
    total.progress(i, count);
    const uint64_t number = seed * 1'000'000'000 + first_of_slice(whole) + i;
    FsCallState start;
    const std::vector<Inode> directories = prepare(std::to_string(number), start);
    ASSERT_FALSE(HasFailure());
    const FsHistory history = make_history(options, number, directories, callers_);
    total.add("histories");
    total.add("calls", history.size());
    total.add("overlaps", overlaps(history));
    expect_true_link_counts(std::to_string(number));
    const std::string wrong = judge(start, history);
    if (wrong.empty()) continue;
    total.fail();
    ADD_FAILURE() << wrong << "reproduce: RVMFS_LINEARIZE_SEED=" << seed
                  << " (the same calls; whether they meet again is chance)";
  }
  callers_.clear();
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();
}

}  // namespace
}  // namespace rvmfs::test
