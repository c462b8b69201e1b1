// SPDX-License-Identifier: BSD-2-Clause
//
// The daemon ends in ugly ways under the load of eight writers: kill -9 at random moments, during
// recovery, during unmount, with the log full, with the host full, after it was stopped. Promises
// held here (docs/PROMISES.md): what fsync acknowledged survives, rename never leaves the target
// missing, no foreign bytes, and the next mount needs no fsck.
//
//   RVMFS_KILL_ROUNDS=n   rounds of each test (default: by the tier)
//   RVMFS_KILL_SEED=n     seed of what the writers do and of the times between (default: chance)
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "tests/mount/kill_rounds.h"

namespace rvmfs::test {
namespace {

class Kill : public KillRounds {
 protected:
  static constexpr int kWorkMilliseconds = 400;

  // Mounts, works, kills.
  void work_and_kill() {
    ASSERT_NO_FATAL_FAILURE(start());
    begin_work();
    work_a_while(kWorkMilliseconds);
    daemon().signal(SIGKILL);
    end_work();
    ASSERT_NO_FATAL_FAILURE(kill_daemon());
  }
  // Whatever it was doing; it may also have ended by itself.
  void kill_wherever_it_is() {
    daemon().signal(SIGKILL);
    ASSERT_NE(daemon().wait(20000), -1) << daemon_output();
    if (!mount_line(mount_point()).empty()) {
      ASSERT_TRUE(unmount_path(mount_point(), true)) << strerror(errno);
    }
  }
};

TEST_F(Kill, of_the_daemon_at_random_moments_loses_nothing_that_was_fsynced) {
  ASSERT_NO_FATAL_FAILURE(format("2G"));
  run_rounds({"kill", 20, 1000, 10000}, [&] {
    ASSERT_NO_FATAL_FAILURE(work_and_kill());
    ASSERT_NO_FATAL_FAILURE(verify());
  });
}

TEST_F(Kill, during_recovery_loses_nothing_that_was_fsynced) {
  ASSERT_NO_FATAL_FAILURE(format("2G"));
  run_rounds({"kill_in_recovery", 4, 200, 2000}, [&] {
    ASSERT_NO_FATAL_FAILURE(work_and_kill());
    for (uint64_t again = 1 + below(3); again > 0; --again) {
      ASSERT_NO_FATAL_FAILURE(launch());
      sleep_milliseconds(static_cast<int>(below(40)));
      ASSERT_NO_FATAL_FAILURE(kill_wherever_it_is());
      total().add("kills_in_recovery");
    }
    ASSERT_NO_FATAL_FAILURE(verify());
  });
}

TEST_F(Kill, during_unmount_loses_nothing_that_was_fsynced) {
  ASSERT_NO_FATAL_FAILURE(format("2G"));
  run_rounds({"kill_in_unmount", 4, 200, 2000}, [&] {
    ASSERT_NO_FATAL_FAILURE(start());
    begin_work();
    work_a_while(kWorkMilliseconds);
    daemon().signal(below(2) == 0 ? SIGTERM : SIGINT);
    sleep_milliseconds(static_cast<int>(below(30)));
    daemon().signal(SIGKILL);
    end_work();
    ASSERT_NO_FATAL_FAILURE(kill_wherever_it_is());
    ASSERT_NO_FATAL_FAILURE(verify());
  });
}

TEST_F(Kill, with_a_log_that_is_full_all_the_time_loses_nothing_that_was_fsynced) {
  const Outcome made = run({MKFS_PROGRAM, "-q", "-E", "log_size=256K", image(), "2G"});
  ASSERT_EQ(made.status, 0) << made.output;
  run_rounds({"kill_with_full_log", 4, 200, 2000}, [&] {
    ASSERT_NO_FATAL_FAILURE(work_and_kill());
    ASSERT_NO_FATAL_FAILURE(verify());
  });
}

TEST_F(Kill, after_the_daemon_was_stopped_and_continued_loses_nothing_that_was_fsynced) {
  ASSERT_NO_FATAL_FAILURE(format("2G"));
  run_rounds({"kill_after_stop", 4, 200, 2000}, [&] {
    ASSERT_NO_FATAL_FAILURE(start());
    begin_work();
    for (int i = 0; i < 5; ++i) {
      work_a_while(60);
      daemon().signal(SIGSTOP);
      sleep_milliseconds(static_cast<int>(below(30)));
      daemon().signal(SIGCONT);
    }
    if (below(2) == 0) daemon().signal(SIGSTOP);  // and killed as it stands
    daemon().signal(SIGKILL);
    end_work();
    ASSERT_NO_FATAL_FAILURE(kill_daemon());
    ASSERT_NO_FATAL_FAILURE(verify());
  });
}

// The image's host filesystem is full: a small one in memory, with the image and a weight in it
// that can be taken away.
class KillOnFullHost : public Kill {
 protected:
  void SetUp() override {
    Kill::SetUp();
    if (geteuid() != 0) GTEST_SKIP() << "only root can mount a small host filesystem";
    ASSERT_CALL_OK(mkdir(host_.c_str(), 0755));
    ASSERT_CALL_OK(mount("small-host", host_.c_str(), "tmpfs", 0, "size=24m"));
    place_image(host_ + "/image");
  }
  void TearDown() override {
    Kill::TearDown();
    if (!mount_line(host_).empty()) EXPECT_CALL_OK(umount2(host_.c_str(), MNT_DETACH));
  }
  // As much of the weight as there is room for.
  void load_host() {
    const int result = write_file(weight_, text(4 << 20, 1), O_TRUNC);
    ASSERT_TRUE(result == 0 || result == ENOSPC) << strerror(result);
  }
  void relieve_host() { ASSERT_CALL_OK(unlink(weight_.c_str())); }

 private:
  const std::string host_ = folder().file("host"), weight_ = host_ + "/weight";
};

TEST_F(KillOnFullHost, loses_nothing_that_was_fsynced) {
  const Outcome made = run({MKFS_PROGRAM, "-q", "-E", "log_size=1M", image(), "2G"});
  ASSERT_EQ(made.status, 0) << made.output;
  run_rounds({.part = "kill_on_full_host",
              .commit = 4,
              .nightly = 200,
              .release = 2000,
              .may_be_full = true},
             [&] {
               ASSERT_NO_FATAL_FAILURE(load_host());
               ASSERT_NO_FATAL_FAILURE(work_and_kill());
               // With the host as full as it was, the volume mounts, or says that it cannot.
               expect_clean();
               ASSERT_NO_FATAL_FAILURE(launch());
               if (wait_for_mount()) {
                 total().add("mounts_on_full_host");
                 ASSERT_NO_FATAL_FAILURE(kill_daemon());
               } else {
                 EXPECT_NE(daemon_output().find("No space left"), std::string::npos)
                     << daemon_output();
                 ASSERT_NO_FATAL_FAILURE(kill_wherever_it_is());
               }
               ASSERT_NO_FATAL_FAILURE(relieve_host());
               ASSERT_NO_FATAL_FAILURE(verify());
             });
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

TEST_F(Kill, loses_no_write_that_was_asked_to_be_durable_when_it_returns) {
  ASSERT_NO_FATAL_FAILURE(format());
  alignas(4096) static const std::array<char, 4096> kBytes = [] {
    std::array<char, 4096> bytes;
    bytes.fill('d');
    return bytes;
  }();
  const std::pair<const char*, int> kinds[] = {
      {"dsync", O_DSYNC}, {"sync", O_SYNC}, {"direct", O_DIRECT | O_DSYNC}};
  for (const auto& [name, flags] : kinds) {
    ASSERT_NO_FATAL_FAILURE(start("commit=600"));
    Fd fd(open(at(name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644));
    ASSERT_EQ(pwrite(fd, kBytes.data(), kBytes.size(), 0), 4096) << name << strerror(errno);
    ASSERT_NO_FATAL_FAILURE(kill_daemon());
    fd.close();
    ASSERT_NO_FATAL_FAILURE(start());
    EXPECT_EQ(read_file(at(name)), std::string(kBytes.data(), kBytes.size())) << name;
    ASSERT_NO_FATAL_FAILURE(unmount());
  }
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
