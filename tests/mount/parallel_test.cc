// SPDX-License-Identifier: BSD-2-Clause
//
// Many threads at once in the same few directories, on a real mount: no unexpected error, no
// deadlock, a volume that fsck finds clean, and the same tree after a remount as before it.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "tests/mount/mount_test_base.h"

namespace rvmfs::test {
namespace {

constexpr int kThreads = 8;
constexpr int kStepsEach = 1500;
constexpr int kNames = 12;  // few, so that the threads meet

class Parallel : public MountTest {};

// One thread's random steps; remembers the first error that cannot come from a lost race.
class Walker {
 public:
  Walker(std::string root, uint64_t seed) : root_(std::move(root)), random_(seed) {}

  void run() {
    for (int i = 0; i < kStepsEach && problem_.empty(); ++i) step();
  }
  const std::string& problem() const { return problem_; }

 private:
  std::string any_path() {
    const std::string folder = random_() % 3 == 0 ? "" : "/d" + std::to_string(random_() % kNames);
    const char kind = random_() % 3 == 0 ? 'd' : 'f';
    return root_ + folder + "/" + kind + std::to_string(random_() % kNames);
  }

  void expect(const char* what, int result) {
    static const std::set<int> lost_race = {ENOENT, EEXIST, ENOTEMPTY, EISDIR, ENOTDIR,
                                            EINVAL, EXDEV,  EBUSY,     EPERM};
    if (result < 0 && lost_race.count(errno) == 0) {
      problem_ = std::string(what) + ": " + strerror(errno);
    }
  }

  void step() {
    const std::string path = any_path();
    switch (random_() % 9) {
      case 0: return expect("mkdir", mkdir(path.c_str(), 0755));
      case 1: return expect("rmdir", rmdir(path.c_str()));
      case 2: return expect("unlink", unlink(path.c_str()));
      case 3: return expect("rename", rename(path.c_str(), any_path().c_str()));
      case 4: return expect("link", link(path.c_str(), any_path().c_str()));
      case 5: return read(path);
      case 6: return list(path);
      default: return write(path);
    }
  }

  void write(const std::string& path) {
    const Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    expect("open for writing", fd);
    if (fd < 0) return;
    const std::string content = text(random_() % 30'000, random_());
    expect("pwrite", static_cast<int>(pwrite(fd, content.data(), content.size(),
                                             static_cast<off_t>(random_() % 50'000))));
    if (random_() % 4 == 0) expect("ftruncate", ftruncate(fd, 7000));
    if (random_() % 8 == 0) expect("fsync", fsync(fd));
  }

  void read(const std::string& path) {
    const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    expect("open", fd);
    char buffer[4096];
    if (fd >= 0) expect("read", static_cast<int>(::read(fd, buffer, sizeof buffer)));
  }

  void list(const std::string& path) {
    DIR* const directory = opendir(path.c_str());
    expect("opendir", directory == nullptr ? -1 : 0);
    if (directory == nullptr) return;
    std::set<std::string> names;
    while (const dirent* entry = readdir(directory)) names.insert(entry->d_name);
    closedir(directory);
    if (names.empty()) return;  // removed meanwhile
    if (names.count(".") == 0 || names.count("..") == 0) problem_ = "a listing without . or ..";
  }

  std::string root_;
  std::mt19937_64 random_;
  std::string problem_;
};

TEST_F(Parallel, threads_in_the_same_directories_leave_a_consistent_tree) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  std::vector<Walker> walkers;
  for (int i = 0; i < kThreads; ++i) walkers.emplace_back(mount_point(), 100 + i);
  std::vector<std::thread> threads;
  for (Walker& walker : walkers) threads.emplace_back([&] { walker.run(); });
  for (std::thread& thread : threads) thread.join();
  for (const Walker& walker : walkers) EXPECT_EQ(walker.problem(), "");
  const std::vector<std::string> list_all = {
      "sh", "-c",
      "cd '" + mount_point() +
          "' && find . -printf '%p %i %y %m %n %s %T@\\n' | sort; "
          "find . -type f -exec sha256sum {} + | sort"};
  const Outcome before = run(list_all);
  EXPECT_EQ(before.status, 0) << before.output;
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();
  ASSERT_NO_FATAL_FAILURE(start());
  const Outcome after = run(list_all);
  EXPECT_TRUE(before.output == after.output) << before.output << "--- became\n" << after.output;
  ASSERT_NO_FATAL_FAILURE(unmount());
}

TEST_F(Parallel, many_waiting_fsyncs_do_not_starve_other_requests) {
  ASSERT_NO_FATAL_FAILURE(format_and_start("1G", "workers=4"));
  std::atomic<bool> stop{false};
  std::atomic<int> synced{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const Fd fd(
          open(at("sync" + std::to_string(i)).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
      while (!stop) {
        if (write(fd, "x", 1) != 1 || fsync(fd) != 0) ADD_FAILURE() << strerror(errno);
        ++synced;
      }
    });
  }
  for (int i = 0; i < 200; ++i) EXPECT_EQ(write_file(at("file" + std::to_string(i)), "y"), 0);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(synced, 8);
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();
}

}  // namespace
}  // namespace rvmfs::test
