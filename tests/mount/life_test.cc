// SPDX-License-Identifier: BSD-2-Clause
//
// The life of a mount: format, mount, use, unmount, mount again; who may mount what; how it ends.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include <chrono>
#include <thread>

#include "tests/mount/mount_test_base.h"

namespace rvmfs::test {
namespace {

using ::testing::Test;

class Life : public MountTest {};

TEST_F(Life, what_was_written_is_there_after_unmounting_and_mounting_again) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  ASSERT_CALL_OK(mkdir(at("folder").c_str(), 0750));
  ASSERT_EQ(write_file(at("folder/small"), "hello"), 0);
  ASSERT_EQ(write_file(at("folder/large"), text(3'000'000, 1)), 0);
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_EQ(read_file(at("folder/small")), "hello");
  EXPECT_TRUE(read_file(at("folder/large")) == text(3'000'000, 1));
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();
}

TEST_F(Life, without_f_the_program_returns_when_the_mount_answers) {
  ASSERT_NO_FATAL_FAILURE(format());
  const Outcome outcome = run({RVMFS_PROGRAM, image(), mount_point()});
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_EQ(outcome.output, "");
  EXPECT_TRUE(is_mounted(mount_point()));
  EXPECT_EQ(write_file(at("file"), "at once"), 0);
  EXPECT_TRUE(eventually([&] { return unmount_path(mount_point(), false); }));
  EXPECT_TRUE(eventually([&] { return is_free(image()); })) << "the daemon lives on";
  expect_clean();
}

// A daemon that waits for an answer of its own can be killed, but does not end then, and keeps the
// image locked until somebody aborts the connection.
TEST_F(Life, the_daemon_asks_nothing_of_its_own_mount) {
  ASSERT_NO_FATAL_FAILURE(format());
  ASSERT_NO_FATAL_FAILURE(launch("debug"));
  ASSERT_TRUE(eventually([&] { return daemon_output().find("INIT") != std::string::npos; }));
  ASSERT_TRUE(eventually([&] { return !mount_line(mount_point()).empty(); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(daemon_output().find("GETATTR"), std::string::npos) << daemon_output();
  EXPECT_EQ(daemon_output().find("LOOKUP"), std::string::npos) << daemon_output();
  ASSERT_NO_FATAL_FAILURE(kill_daemon());
}

TEST_F(Life, the_daemon_can_be_started_with_relative_paths) {
  ASSERT_NO_FATAL_FAILURE(format());
  const std::string script =
      "cd '" + folder().path().string() + "' && exec '" RVMFS_PROGRAM "' image mount";
  const Outcome outcome = run({"sh", "-c", script});
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_EQ(write_file(at("file"), "x"), 0);
  EXPECT_TRUE(eventually([&] { return unmount_path(mount_point(), false); }));
  EXPECT_TRUE(eventually([&] { return is_free(image()); }));
}

TEST_F(Life, proc_mounts_shows_the_image_and_the_type) {
  const std::string odd = folder().file("im,a\\ge x");
  ASSERT_EQ(run({MKFS_PROGRAM, "-q", odd, "100M"}).status, 0);
  const Outcome outcome = run({RVMFS_PROGRAM, odd, mount_point()});
  ASSERT_EQ(outcome.status, 0) << outcome.output;
  const std::string line = mount_line(mount_point());
  const std::string source =
      folder().path().string() + "/im,a\\134ge\\040x ";  // as the kernel writes
  EXPECT_EQ(line.substr(0, source.size()), source) << line;
  EXPECT_NE(line.find(" fuse.rvmfs "), std::string::npos) << line;
  EXPECT_NE(line.find("default_permissions"), std::string::npos) << line;
  EXPECT_TRUE(eventually([&] { return unmount_path(mount_point(), false); }));
  EXPECT_TRUE(eventually([&] { return is_free(odd); }));
}

TEST_F(Life, a_second_mount_of_the_image_is_refused_and_names_the_holder) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  const std::string other = folder().file("other");
  ASSERT_CALL_OK(mkdir(other.c_str(), 0755));
  for (const char* mode : {"rw", "ro"}) {
    const Outcome outcome = run({RVMFS_PROGRAM, "-o", mode, image(), other});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.output.find("in use by process " + std::to_string(daemon().pid())),
              std::string::npos)
        << outcome.output;
    EXPECT_FALSE(is_mounted(other));
  }
  EXPECT_EQ(write_file(at("file"), "still mine"), 0);
  ASSERT_NO_FATAL_FAILURE(unmount());
}

TEST_F(Life, an_image_that_another_program_holds_is_not_blamed_on_a_dead_daemon) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  ASSERT_NO_FATAL_FAILURE(kill_daemon());
  const Fd fd(open(image().c_str(), O_RDWR | O_CLOEXEC));
  struct flock lock {};
  lock.l_type = F_WRLCK;
  ASSERT_CALL_OK(fcntl(fd, F_OFD_SETLK, &lock));
  const Outcome outcome = run({RVMFS_PROGRAM, image(), mount_point()});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.output.find("in use by another program"), std::string::npos) << outcome.output;
}

TEST_F(Life, a_read_only_mount_changes_nothing) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  ASSERT_EQ(write_file(at("file"), "content"), 0);
  ASSERT_NO_FATAL_FAILURE(unmount());
  const std::string before = read_file(image());
  ASSERT_NO_FATAL_FAILURE(start("ro"));
  EXPECT_EQ(read_file(at("file")), "content");
  EXPECT_EQ(write_file(at("new"), "x"), EROFS);
  EXPECT_CALL_FAILS(unlink(at("file").c_str()), EROFS);
  EXPECT_CALL_FAILS(chmod(at("file").c_str(), 0600), EROFS);
  ASSERT_NO_FATAL_FAILURE(unmount());
  EXPECT_TRUE(read_file(image()) == before) << "a read-only mount has written to the image";
}

TEST_F(Life, a_read_only_mount_after_a_crash_replays_in_memory_only) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  ASSERT_EQ(write_file(at("file"), "content", O_SYNC), 0);
  ASSERT_NO_FATAL_FAILURE(kill_daemon());
  const std::string before = read_file(image());
  ASSERT_NO_FATAL_FAILURE(start("ro"));
  EXPECT_EQ(read_file(at("file")), "content");
  ASSERT_NO_FATAL_FAILURE(unmount());
  EXPECT_TRUE(read_file(image()) == before) << "a read-only mount has written to the image";
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_EQ(read_file(at("file")), "content");
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();
}

TEST_F(Life, two_read_only_mounts_may_share_an_image) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  ASSERT_EQ(write_file(at("file"), "content"), 0);
  ASSERT_NO_FATAL_FAILURE(unmount());
  ASSERT_NO_FATAL_FAILURE(start("ro"));
  const std::string other = folder().file("other");
  ASSERT_CALL_OK(mkdir(other.c_str(), 0755));
  const Outcome outcome = run({RVMFS_PROGRAM, "-o", "ro", image(), other});
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_EQ(read_file(other + "/file"), "content");
  EXPECT_TRUE(eventually([&] { return unmount_path(other, false); }));
  ASSERT_NO_FATAL_FAILURE(unmount());
  EXPECT_TRUE(eventually([&] { return is_free(image()); }));
}

class TerminationSignal : public MountTest, public ::testing::WithParamInterface<int> {};

TEST_P(TerminationSignal, unmounts_cleanly_and_nothing_is_lost) {
  ASSERT_NO_FATAL_FAILURE(format_and_start("1G", "commit=60"));
  ASSERT_EQ(write_file(at("file"), "not synced"), 0);
  daemon().signal(GetParam());
  EXPECT_EQ(daemon().wait(20000), 0) << daemon_output();
  EXPECT_EQ(mount_line(mount_point()), "");
  expect_clean();
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_EQ(daemon_output().find("recovered"), std::string::npos) << daemon_output();
  EXPECT_EQ(read_file(at("file")), "not synced");
  ASSERT_NO_FATAL_FAILURE(unmount());
}

INSTANTIATE_TEST_SUITE_P(Signals, TerminationSignal, ::testing::Values(SIGTERM, SIGINT, SIGHUP),
                         [](const auto& info) {
                           return std::string(info.param == SIGTERM  ? "term"
                                              : info.param == SIGINT ? "interrupt"
                                                                     : "hangup");
                         });

TEST_F(Life, a_signal_ends_a_mount_that_is_in_use_and_keeps_shared_mappings) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  const Fd fd(open(at("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  ASSERT_CALL_OK(ftruncate(fd, 8192));
  void* const memory = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ASSERT_NE(memory, MAP_FAILED);
  memcpy(static_cast<char*>(memory) + 5000, "mapped", 6);
  daemon().signal(SIGTERM);
  EXPECT_EQ(daemon().wait(20000), 0) << daemon_output();
  EXPECT_EQ(mount_line(mount_point()), "");
  EXPECT_CALL_FAILS(pwrite(fd, "late", 4, 0), ENOTCONN);
  munmap(memory, 8192);
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_EQ(read_file(at("file")).substr(5000, 6), "mapped");
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();
}

TEST_F(Life, what_a_killed_daemon_left_behind_does_not_stand_in_the_way) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  ASSERT_EQ(write_file(at("file"), "before"), 0);
  {
    const Fd fd(open(at("file").c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_CALL_OK(fsync(fd));
  }
  daemon().signal(SIGKILL);
  ASSERT_EQ(daemon().wait(20000), 128 + SIGKILL);
  struct statvfs status {};
  EXPECT_EQ(statvfs(mount_point().c_str(), &status), -1);
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_NE(daemon_output().find("left behind"), std::string::npos) << daemon_output();
  EXPECT_NE(daemon_output().find("recovered:"), std::string::npos) << daemon_output();
  EXPECT_EQ(read_file(at("file")), "before");
  ASSERT_NO_FATAL_FAILURE(unmount());
}

TEST_F(Life, the_volume_grows_while_mounted_and_stays_grown) {
  ASSERT_NO_FATAL_FAILURE(format_and_start("64M"));
  char value[64] = {};
  ASSERT_CALL_OK(getxattr(mount_point().c_str(), "rvmfs.size", value, sizeof value));
  EXPECT_EQ(std::string(value), std::to_string(64 << 20));
  EXPECT_EQ(write_file(at("big"), text(80 << 20, 3)), ENOSPC);
  ASSERT_CALL_OK(setxattr(mount_point().c_str(), "rvmfs.size", "2T", 2, 0));
  struct statvfs status {};
  ASSERT_CALL_OK(statvfs(mount_point().c_str(), &status));
  EXPECT_EQ(status.f_blocks * status.f_frsize, 2ULL << 40);
  EXPECT_EQ(write_file(at("big"), text(80 << 20, 3), O_TRUNC), 0);
  EXPECT_CALL_FAILS(setxattr(mount_point().c_str(), "rvmfs.size", "1G", 2, 0), EINVAL);
  EXPECT_CALL_FAILS(setxattr(mount_point().c_str(), "rvmfs.size", "huge", 4, 0), EINVAL);
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_CALL_OK(statvfs(mount_point().c_str(), &status));
  EXPECT_EQ(status.f_blocks * status.f_frsize, 2ULL << 40);
  EXPECT_TRUE(read_file(at("big")) == text(80 << 20, 3));
  ASSERT_NO_FATAL_FAILURE(unmount());
}

}  // namespace
}  // namespace rvmfs::test
