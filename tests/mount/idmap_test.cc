// SPDX-License-Identifier: BSD-2-Clause
//
// Idmapped mounts: a second mount of the volume at which users have other numbers, as containers
// and home folders use it. Here user 1000 of the volume is seen as 2000, and root as root.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>

#include "tests/mount/shell_test_base.h"

namespace rvmfs::test {
namespace {

// Newer than the distribution's headers may be.
constexpr uint64_t kAttributeIdmap = 0x00100000;
constexpr unsigned kCloneTree = 1;
constexpr unsigned kFromEmptyPath = 4;
struct MountAttributes {
  uint64_t set, clear, propagation, user_namespace;
};

constexpr uid_t kOnVolume = 1000;
constexpr uid_t kAtMount = 2000;
constexpr uid_t kStranger = 2500;
constexpr uid_t kUnmapped = 3000;
constexpr const char* kMap =
    "1000 2000 1\n1500 2500 1\n0 0 1\n";  // of the volume, at the mount, how many

// A descriptor of a user namespace with that map.
int make_user_namespace() {
  int begun[2];
  if (pipe2(begun, O_CLOEXEC) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    const bool made = unshare(CLONE_NEWUSER) == 0;
    if (!made || write(begun[1], "", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  close(begun[1]);
  char byte = 0;
  const bool made = read(begun[0], &byte, 1) == 1;
  close(begun[0]);
  const std::string base = "/proc/" + std::to_string(child);
  std::ofstream(base + "/uid_map") << kMap;
  std::ofstream(base + "/gid_map") << kMap;
  const int fd = made ? open((base + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC) : -1;
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return fd;
}

class Idmapped : public MountTest {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    SKIP_UNLESS(geteuid() == 0, "only root can make idmapped mounts");
    SKIP_UNLESS(has_user_namespaces(), "user namespaces are not allowed here");
    ASSERT_CALL_OK(chmod(folder().path().c_str(), 0755));
    ASSERT_CALL_OK(mkdir(second_.c_str(), 0755));
  }
  void TearDown() override {
    umount2(second_.c_str(), MNT_DETACH);
    MountTest::TearDown();
  }

  // 0, or the errno of the step that failed.
  int mount_mapped() {
    const Fd names(make_user_namespace());
    if (names < 0) return errno;
    const Fd tree(static_cast<int>(
        syscall(SYS_open_tree, AT_FDCWD, mount_point().c_str(), kCloneTree | O_CLOEXEC)));
    if (tree < 0) return errno;
    MountAttributes wanted{kAttributeIdmap, 0, 0, static_cast<uint64_t>(int{names})};
    if (syscall(SYS_mount_setattr, int{tree}, "", AT_EMPTY_PATH, &wanted, sizeof wanted) != 0) {
      return errno;
    }
    const long moved =
        syscall(SYS_move_mount, int{tree}, "", AT_FDCWD, second_.c_str(), kFromEmptyPath);
    return moved == 0 ? 0 : errno;
  }
  // A volume with a folder of user 1000, mounted a second time.
  void start_mapped() {
    ASSERT_NO_FATAL_FAILURE(format_and_start("200M", "suid,dev"));
    ASSERT_CALL_OK(mkdir(at("home").c_str(), 0755));
    ASSERT_CALL_OK(chown(at("home").c_str(), kOnVolume, kOnVolume));
    const int problem = mount_mapped();
    SKIP_UNLESS(problem != EINVAL || kernel_is_at_least(6, 12),
                "idmapped FUSE mounts need Linux 6.12");
    ASSERT_EQ(problem, 0) << strerror(problem);
  }

  std::string mapped(const std::string& name) const { return second_ + "/" + name; }
  const std::string& second() const { return second_; }

  static void as(uid_t user, const std::function<void()>& body) {
    ASSERT_EQ(setegid(user), 0);
    ASSERT_EQ(seteuid(user), 0);
    body();
    ASSERT_EQ(seteuid(0), 0);
    ASSERT_EQ(setegid(0), 0);
  }

 private:
  std::string second_ = folder().file("second");
};

struct stat status(const std::string& path) {
  struct stat status {};
  EXPECT_CALL_OK(lstat(path.c_str(), &status)) << path;
  return status;
}

TEST_F(Idmapped, mounts_show_and_make_files_of_other_users) {
  ASSERT_NO_FATAL_FAILURE(start_mapped());
  EXPECT_EQ(status(mapped("home")).st_uid, kAtMount);
  EXPECT_EQ(status(at("home")).st_uid, kOnVolume);
  as(kAtMount, [&] {
    EXPECT_EQ(write_file(mapped("home/file"), "mine"), 0);
    EXPECT_CALL_OK(mkdir(mapped("home/folder").c_str(), 0755));
    EXPECT_CALL_OK(symlink("file", mapped("home/symlink").c_str()));
    EXPECT_CALL_OK(mkfifo(mapped("home/fifo").c_str(), 0644));
    const Fd nameless(open(mapped("home").c_str(), O_TMPFILE | O_RDWR, 0600));
    EXPECT_CALL_OK(nameless);
    const std::string path = "/proc/self/fd/" + std::to_string(nameless);
    EXPECT_CALL_OK(
        linkat(AT_FDCWD, path.c_str(), AT_FDCWD, mapped("home/late").c_str(), AT_SYMLINK_FOLLOW));
    EXPECT_CALL_OK(rename(mapped("home/folder").c_str(), mapped("home/moved").c_str()));
    EXPECT_EQ(write_file(mapped("home/file"), "mine, still"), 0);
  });
  for (const char* name : {"home/file", "home/moved", "home/symlink", "home/fifo", "home/late"}) {
    EXPECT_EQ(status(mapped(name)).st_uid, kAtMount) << name;
    EXPECT_EQ(status(mapped(name)).st_gid, kAtMount) << name;
    EXPECT_EQ(status(at(name)).st_uid, kOnVolume) << name;
    EXPECT_EQ(status(at(name)).st_gid, kOnVolume) << name;
  }
  // Giving away is translated too, both ways.
  EXPECT_EQ(write_file(at("home/roots"), ""), 0);
  EXPECT_CALL_OK(chown(mapped("home/roots").c_str(), kAtMount, 0));
  EXPECT_EQ(status(at("home/roots")).st_uid, kOnVolume);
  EXPECT_CALL_FAILS(chown(mapped("home/roots").c_str(), kUnmapped, -1), EOVERFLOW);
}

TEST_F(Idmapped, mounts_judge_by_the_translated_user) {
  ASSERT_NO_FATAL_FAILURE(start_mapped());
  as(kStranger, [&] { EXPECT_EQ(write_file(mapped("home/file"), ""), EACCES); });
  as(kOnVolume, [&] { EXPECT_EQ(write_file(at("home/file"), ""), 0); });
  ASSERT_CALL_OK(chmod(at("home").c_str(), 0777));
  as(kUnmapped, [&] { EXPECT_EQ(write_file(mapped("home/other"), ""), EOVERFLOW); });
  const Outcome acl = run({"setfacl", "-m", "u:2000:r", mapped("home/file")});
  EXPECT_EQ(acl.status, 0) << acl.output;
  EXPECT_NE(run({"getfacl", "-nc", at("home/file")}).output.find("user:1000:r--"),
            std::string::npos);
}

// Of a mount that may be idmapped the kernel does not tell who changes contents.
TEST_F(Idmapped, mounts_take_setuid_away_from_what_users_change_and_not_from_what_root_does) {
  ASSERT_NO_FATAL_FAILURE(start_mapped());
  ASSERT_EQ(write_file(at("source"), text(100000, 1)), 0);
  const auto change = [&](const std::string& path, bool copy) {
    const Fd file(open(path.c_str(), O_RDWR));
    const Fd source(open(at("source").c_str(), O_RDONLY));
    EXPECT_CALL_OK(file);
    if (copy) {
      EXPECT_EQ(copy_file_range(source, nullptr, file, nullptr, 5000, 0), 5000);
    } else {
      EXPECT_CALL_OK(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    }
  };
  ASSERT_EQ(write_file(at("home/file"), text(20000, 2)), 0);
  ASSERT_CALL_OK(chown(at("home/file").c_str(), kOnVolume, kOnVolume));
  for (const std::string& path : {at("home/file"), mapped("home/file")}) {
    for (const bool copy : {false, true}) {
      ASSERT_CALL_OK(chmod(path.c_str(), 06755));
      change(path, copy);
      EXPECT_EQ(status(path).st_mode & 07777, 06755U) << path << copy;
      as(path == at("home/file") ? kOnVolume : kAtMount, [&] { change(path, copy); });
      EXPECT_EQ(status(path).st_mode & 07777, 0755U) << path << copy;
    }
  }
}

TEST_F(Idmapped, mounts_let_root_and_nobody_else_administer) {
  ASSERT_NO_FATAL_FAILURE(start_mapped());
  ASSERT_CALL_OK(chmod(mount_point().c_str(), 0777));
  const std::string size = "300M";
  as(kAtMount, [&] { EXPECT_NE(run({"fstrim", second()}).status, 0); });
  EXPECT_EQ(run({"fstrim", second()}).status, 0);
  EXPECT_EQ(run({"setfattr", "-n", "rvmfs.size", "-v", size, second()}).status, 0);
}

TEST_F(Idmapped, mounts_are_refused_where_that_is_switched_off) {
  ASSERT_NO_FATAL_FAILURE(format_and_start("200M", "disable=idmap"));
  EXPECT_EQ(mount_mapped(), EINVAL);
  EXPECT_EQ(write_file(at("file"), "x"), 0);
}

}  // namespace
}  // namespace rvmfs::test
