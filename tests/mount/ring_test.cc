// SPDX-License-Identifier: BSD-2-Clause
//
// Mounts whose requests come over io_uring. That has to be allowed by root for the whole machine
// (the fuse module's enable_uring), so these tests do it one at a time, and put it back.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "tests/mount/shell_test_base.h"

namespace rvmfs::test {
namespace {

constexpr const char* kSwitch = "/sys/module/fuse/parameters/enable_uring";
constexpr off_t kMiB = 1 << 20;

class RingMount : public ShellTest {
 protected:
  void SetUp() override {
    ShellTest::SetUp();
    SKIP_UNLESS(is_root() && access(kSwitch, W_OK) == 0,
                "needs root, and a kernel with FUSE over io_uring (Linux 6.14)");
    lock_ = open(kSwitch, O_RDONLY | O_CLOEXEC);
    ASSERT_EQ(flock(lock_, LOCK_EX), 0);
    before_ = read_file(kSwitch).substr(0, 1);
    ASSERT_EQ(write_file(kSwitch, "Y", O_TRUNC), 0);
  }
  void TearDown() override {
    ShellTest::TearDown();
    if (!before_.empty()) EXPECT_EQ(write_file(kSwitch, before_, O_TRUNC), 0);
    if (lock_ >= 0) close(lock_);
  }

  // Threads of the daemon that take requests from the ring.
  int ring_workers() {
    int count = 0;
    const std::string tasks = "/proc/" + std::to_string(daemon().pid()) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
      if (read_file(task.path().string() + "/comm").substr(0, 5) == "ring/") ++count;
    }
    return count;
  }

 private:
  int lock_ = -1;
  std::string before_;
};

TEST_F(RingMount, serves_names_and_data_of_all_sizes) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  EXPECT_GE(ring_workers(), 1);
  for (const size_t bytes : {0, 1, 4095, 4096, 4097, 131'072, 1'048'576, 5'000'001}) {
    const std::string name = at("of-" + std::to_string(bytes));
    ASSERT_EQ(write_file(name, text(bytes, bytes)), 0);
  }
  const std::string longest(255, 'n');
  ASSERT_CALL_OK(mkdir(at(longest).c_str(), 0755));
  for (int i = 0; i < 2000; ++i)
    ASSERT_EQ(write_file(at(longest + "/" + std::to_string(i)), ""), 0);
  ASSERT_CALL_OK(symlink(std::string(4000, 's').c_str(), at("link").c_str()));
  const Outcome scripted =
      run({"sh", "-ec",
           "cd " + mount_point() +
               "; setfattr -n user.a -v $(head -c 3000 /dev/zero | tr '\\0' v) of-1"
               "; getfattr -n user.a of-1 | grep -q vvv"
               "; df . >/dev/null; mv of-4095 moved; rm of-4096"
               "; fallocate -l 3M big; truncate -s 1M big"});
  ASSERT_EQ(scripted.status, 0) << scripted.output;
  write_file("/proc/sys/vm/drop_caches", "3", O_TRUNC);
  EXPECT_TRUE(read_file(at("of-5000001")) == text(5'000'001, 5'000'001));
  EXPECT_TRUE(read_file(at("moved")) == text(4095, 4095));
  const Outcome listed = run({"ls", "-l", at(longest)});
  EXPECT_EQ(std::count(listed.output.begin(), listed.output.end(), '\n'), 2001);
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();
}

TEST_F(RingMount, serves_reads_and_writes_past_the_cache_and_mappings) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  const std::string content = text(4 * kMiB, 5);
  {
    const Fd file(open(at("file").c_str(), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0644));
    void* const room = aligned_alloc(4096, content.size());
    memcpy(room, content.data(), content.size());
    EXPECT_EQ(pwrite(file, room, content.size(), 0), static_cast<ssize_t>(content.size()));
    memset(room, 0, content.size());
    EXPECT_EQ(pread(file, room, content.size(), 0), static_cast<ssize_t>(content.size()));
    EXPECT_EQ(memcmp(room, content.data(), content.size()), 0);
    free(room);
    void* const place = mmap(nullptr, kMiB, PROT_READ | PROT_WRITE, MAP_SHARED, file, kMiB);
    ASSERT_NE(place, MAP_FAILED);
    memcpy(place, "mapped", 6);
    EXPECT_CALL_OK(msync(place, kMiB, MS_SYNC));
    munmap(place, kMiB);
  }
  ASSERT_NO_FATAL_FAILURE(unmount());
  ASSERT_NO_FATAL_FAILURE(start());
  const std::string seen = read_file(at("file"));
  ASSERT_EQ(seen.size(), content.size());
  EXPECT_EQ(seen.substr(kMiB, 6), "mapped");
  EXPECT_TRUE(seen.substr(0, kMiB) == content.substr(0, kMiB));
}

// While one worker waits for the device, others of its CPU go on; all files arrive.
TEST_F(RingMount, serves_others_while_some_wait_for_the_device) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  constexpr int kThreads = 8, kFiles = 60;
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < kFiles; ++j) {
        const std::string name = at(std::to_string(i) + "-" + std::to_string(j));
        const Fd file(open(name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
        const std::string content = text(3000, i * kFiles + j);
        if (write(file, content.data(), content.size()) != 3000 || fsync(file) != 0) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_GT(ring_workers(), std::filesystem::exists("/sys/devices/system/cpu/cpu1") ? 2 : 1);
  ASSERT_NO_FATAL_FAILURE(kill_daemon());
  ASSERT_NO_FATAL_FAILURE(start());
  for (int i = 0; i < kThreads * kFiles; ++i) {
    const std::string name = std::to_string(i / kFiles) + "-" + std::to_string(i % kFiles);
    ASSERT_TRUE(read_file(at(name)) == text(3000, i)) << name;
  }
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();
}

// FORGETs, which free the space, come another way than the next write.
TEST_F(RingMount, space_of_deleted_files_is_free_at_once) {
  ASSERT_NO_FATAL_FAILURE(format_and_start("64M"));
  const std::string content(kMiB, 'x');
  for (int i = 0; i < 30; ++i) {
    const Fd big(open(at("big").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    ASSERT_CALL_OK(fallocate(big, 0, 0, 40 * kMiB)) << i;
    ASSERT_CALL_OK(unlink(at("big").c_str()));
  }
  struct statvfs before {};
  struct statvfs after {};
  ASSERT_CALL_OK(statvfs(mount_point().c_str(), &before));
  for (int i = 0; i < 30; ++i) {
    ASSERT_EQ(write_file(at("one"), content), 0);
    ASSERT_CALL_OK(unlink(at("one").c_str()));
    ASSERT_CALL_OK(statvfs(mount_point().c_str(), &after));
    ASSERT_LT(static_cast<int64_t>(before.f_bavail) - static_cast<int64_t>(after.f_bavail), 64)
        << i;
  }
  ASSERT_EQ(write_file(at("too-big"), std::string(100 * kMiB, 'x')), ENOSPC);
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();
}

TEST_F(RingMount, ends_by_a_signal_while_it_is_in_use) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  const Fd file(open(at("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  ASSERT_EQ(write(file, "held", 4), 4);
  daemon().signal(SIGTERM);
  EXPECT_EQ(daemon().wait(10'000), 0) << daemon_output();
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_EQ(read_file(at("file")), "held");
}

TEST_F(RingMount, is_gone_when_the_connection_is_aborted) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  struct stat seen {};
  ASSERT_CALL_OK(stat(mount_point().c_str(), &seen));
  const std::string number = std::to_string(minor(seen.st_dev));
  expect_script(
      "mount -t fusectl none /sys/fs/fuse/connections\n"
      "echo 1 >/sys/fs/fuse/connections/" +
      number + "/abort");
  EXPECT_EQ(daemon().wait(10'000), 0) << daemon_output();
}

TEST_F(RingMount, is_not_used_where_it_is_not_wanted) {
  for (const char* const options : {"disable=io_uring", "workers=1", "clone_fd"}) {
    ASSERT_NO_FATAL_FAILURE(format_and_start("64M", options));
    ASSERT_EQ(write_file(at("file"), "x"), 0);
    EXPECT_EQ(ring_workers(), 0) << options;
    ASSERT_NO_FATAL_FAILURE(unmount());
    ASSERT_EQ(::unlink(image().c_str()), 0);
  }
}

}  // namespace
}  // namespace rvmfs::test
