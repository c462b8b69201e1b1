// SPDX-License-Identifier: BSD-2-Clause
//
// System calls on attributes, on a real mount: modes, owners, times, extended attributes, flags.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <set>

#include "tests/mount/mount_test_base.h"

namespace rvmfs::test {
namespace {

class AttributesOfFiles : public MountTest {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    if (HasFatalFailure()) return;
    ASSERT_NO_FATAL_FAILURE(format_and_start());
    ASSERT_EQ(write_file(file_, "content"), 0);
  }
  void TearDown() override {
    if (!HasFatalFailure() && daemon_is_running()) {
      unmount();
      expect_clean();
    }
    MountTest::TearDown();
  }
  struct stat look() const {
    struct stat status {};
    EXPECT_CALL_OK(stat(file_.c_str(), &status));
    return status;
  }
  void remount() {
    ASSERT_NO_FATAL_FAILURE(unmount());
    ASSERT_NO_FATAL_FAILURE(start());
  }
  // Runs `body` as nobody, in a child; its result is the exit status. As an ordinary user: as that.
  template <typename Body>
  static int as_nobody(Body body) {
    const pid_t child = fork();
    if (child == 0) {
      if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(100);
      _exit(body());
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  const std::string file_ = at("file");
};

TEST_F(AttributesOfFiles, modes_are_kept) {
  ASSERT_CALL_OK(chmod(file_.c_str(), 06751));
  EXPECT_EQ(look().st_mode, S_IFREG | 06751u);
  ASSERT_NO_FATAL_FAILURE(remount());
  EXPECT_EQ(look().st_mode, S_IFREG | 06751u);
}

TEST_F(AttributesOfFiles, owners_are_kept) {
  const bool is_root = geteuid() == 0;
  const uid_t uid = is_root ? 12345 : geteuid();
  const gid_t gid = is_root ? 0xfffffff0 : getegid();
  ASSERT_CALL_OK(chown(file_.c_str(), uid, gid));
  ASSERT_NO_FATAL_FAILURE(remount());
  EXPECT_EQ(look().st_uid, uid);
  EXPECT_EQ(look().st_gid, gid);
}

TEST_F(AttributesOfFiles, times_are_kept_to_the_nanosecond_and_may_lie_before_1970) {
  const timespec times[2] = {{-1000, 123456789}, {5'000'000'000, 987654321}};
  ASSERT_CALL_OK(utimensat(AT_FDCWD, file_.c_str(), times, 0));
  ASSERT_NO_FATAL_FAILURE(remount());
  const struct stat status = look();
  EXPECT_EQ(status.st_atim.tv_sec, -1000);
  EXPECT_EQ(status.st_atim.tv_nsec, 123456789);
  EXPECT_EQ(status.st_mtim.tv_sec, 5'000'000'000);
  EXPECT_EQ(status.st_mtim.tv_nsec, 987654321);
}

TEST_F(AttributesOfFiles, only_the_named_time_changes) {
  const timespec old[2] = {{1000, 1}, {2000, 2}};
  ASSERT_CALL_OK(utimensat(AT_FDCWD, file_.c_str(), old, 0));
  const timespec now_and_omit[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  ASSERT_CALL_OK(utimensat(AT_FDCWD, file_.c_str(), now_and_omit, 0));
  EXPECT_GT(look().st_atim.tv_sec, 1'000'000'000);
  EXPECT_EQ(look().st_mtim.tv_sec, 2000);
}

TEST_F(AttributesOfFiles, changes_move_the_times_forward) {
  const timespec old[2] = {{1000, 0}, {1000, 0}};
  ASSERT_CALL_OK(utimensat(AT_FDCWD, file_.c_str(), old, 0));
  const auto changed = look().st_ctim;
  sleep_milliseconds(20);
  ASSERT_EQ(write_file(file_, "more", O_APPEND), 0);
  EXPECT_GT(look().st_mtim.tv_sec, 1000);
  EXPECT_TRUE(look().st_ctim.tv_sec > changed.tv_sec || look().st_ctim.tv_nsec > changed.tv_nsec);
  struct stat root {};
  ASSERT_CALL_OK(utimensat(AT_FDCWD, mount_point().c_str(), old, 0));
  ASSERT_EQ(write_file(at("new"), ""), 0);
  ASSERT_CALL_OK(stat(mount_point().c_str(), &root));
  EXPECT_GT(root.st_mtim.tv_sec, 1000);
}

// With O_DIRECT, so that every read reaches the daemon.
TEST_F(AttributesOfFiles, access_times_move_as_the_mount_options_say) {
  ASSERT_EQ(write_file(file_, text(8192, 1)), 0);
  const auto moves_by_reading = [this] {
    alignas(4096) static char buffer[4096];
    const Fd fd(open(file_.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    const timespec before = look().st_atim;
    sleep_milliseconds(20);
    EXPECT_EQ(read(fd, buffer, sizeof buffer), 4096);
    const timespec after = look().st_atim;
    return before.tv_sec != after.tv_sec || before.tv_nsec != after.tv_nsec;
  };
  for (const std::string option : {"strictatime", "noatime", "relatime"}) {
    ASSERT_NO_FATAL_FAILURE(unmount());
    ASSERT_NO_FATAL_FAILURE(start(option));
    const timespec early[2] = {{1000, 0}, {2000, 0}};
    ASSERT_CALL_OK(utimensat(AT_FDCWD, file_.c_str(), early, 0));
    EXPECT_EQ(moves_by_reading(), option != "noatime") << option;
    EXPECT_EQ(moves_by_reading(), option == "strictatime") << option;
  }
}

TEST_F(AttributesOfFiles, files_have_a_birth_time) {
  struct statx status {};
  ASSERT_CALL_OK(statx(AT_FDCWD, file_.c_str(), 0, STATX_BTIME | STATX_BASIC_STATS, &status));
  ASSERT_NE(status.stx_mask & STATX_BTIME, 0u);
  const int64_t born = status.stx_btime.tv_sec;
  EXPECT_GT(born, 1'000'000'000);
  ASSERT_NO_FATAL_FAILURE(remount());
  ASSERT_CALL_OK(statx(AT_FDCWD, file_.c_str(), 0, STATX_BTIME, &status));
  EXPECT_EQ(status.stx_btime.tv_sec, born);
}

TEST_F(AttributesOfFiles, writing_by_an_ordinary_user_clears_setuid) {
  if (geteuid() == 0) {
    ASSERT_CALL_OK(chown(file_.c_str(), 65534, 65534));
  }
  ASSERT_CALL_OK(chmod(file_.c_str(), 06777));
  ASSERT_CALL_OK(chmod(mount_point().c_str(), 0755));
  // The folder of a test is private; the child comes in through a descriptor.
  Fd fd(open(file_.c_str(), O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(as_nobody([&] { return pwrite(fd, "x", 1, 0) == 1 ? 0 : errno; }), 0);
  fd.close();
  EXPECT_EQ(look().st_mode & 07777, 0777u);
  ASSERT_NO_FATAL_FAILURE(remount());
  EXPECT_EQ(look().st_mode & 07777, 0777u);
}

TEST_F(AttributesOfFiles, truncating_by_an_ordinary_user_clears_setuid) {
  if (geteuid() == 0) {
    ASSERT_CALL_OK(chown(file_.c_str(), 65534, 65534));
  }
  ASSERT_CALL_OK(chmod(file_.c_str(), 04777));
  const Fd fd(open(file_.c_str(), O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(as_nobody([&] { return ftruncate(fd, 3) == 0 ? 0 : errno; }), 0);
  EXPECT_EQ(look().st_mode & 07777, 0777u);
  EXPECT_EQ(look().st_size, 3);
}

TEST_F(AttributesOfFiles, the_kernel_enforces_permissions) {
  ASSERT_CALL_OK(mkdir(at("private").c_str(), 0700));
  ASSERT_EQ(write_file(at("private/file"), "secret"), 0);
  const Fd root(open(mount_point().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (geteuid() != 0) {
    ASSERT_CALL_OK(chmod(at("private").c_str(), 0));
  }
  EXPECT_EQ(as_nobody([&] { return openat(root, "private/file", O_RDONLY) < 0 ? errno : 0; }),
            EACCES);
  ASSERT_CALL_OK(chmod(at("private").c_str(), 0755));
  EXPECT_EQ(as_nobody([&] { return openat(root, "private/file", O_RDONLY) < 0 ? errno : 0; }), 0);
}

std::set<std::string> names_of(const std::string& path) {
  char buffer[4096];
  const ssize_t bytes = listxattr(path.c_str(), buffer, sizeof buffer);
  std::set<std::string> names;
  for (ssize_t i = 0; i < bytes; i += static_cast<ssize_t>(strlen(buffer + i)) + 1) {
    names.insert(buffer + i);
  }
  return names;
}

TEST_F(AttributesOfFiles, extended_attributes_are_set_replaced_listed_and_removed) {
  const char* const path = file_.c_str();
  const std::string large = text(5000, 4);
  EXPECT_CALL_OK(setxattr(path, "user.one", "1", 1, 0));
  EXPECT_CALL_OK(setxattr(path, "user.large", large.data(), large.size(), XATTR_CREATE));
  EXPECT_CALL_OK(setxattr(path, "user.empty", "", 0, 0));
  EXPECT_CALL_FAILS(setxattr(path, "user.one", "2", 1, XATTR_CREATE), EEXIST);
  EXPECT_CALL_FAILS(setxattr(path, "user.none", "2", 1, XATTR_REPLACE), ENODATA);
  EXPECT_CALL_OK(setxattr(path, "user.one", "second", 6, XATTR_REPLACE));
  ASSERT_NO_FATAL_FAILURE(remount());
  EXPECT_EQ(names_of(path), (std::set<std::string>{"user.one", "user.large", "user.empty"}));
  char buffer[8192] = {};
  EXPECT_EQ(getxattr(path, "user.one", buffer, sizeof buffer), 6);
  EXPECT_STREQ(buffer, "second");
  EXPECT_EQ(getxattr(path, "user.large", nullptr, 0), 5000);
  EXPECT_CALL_FAILS(getxattr(path, "user.large", buffer, 100), ERANGE);
  EXPECT_EQ(getxattr(path, "user.large", buffer, sizeof buffer), 5000);
  EXPECT_TRUE(std::string(buffer, 5000) == large);
  EXPECT_EQ(getxattr(path, "user.empty", buffer, sizeof buffer), 0);
  EXPECT_CALL_OK(removexattr(path, "user.one"));
  EXPECT_CALL_FAILS(removexattr(path, "user.one"), ENODATA);
  EXPECT_CALL_FAILS(getxattr(path, "user.one", buffer, sizeof buffer), ENODATA);
}

TEST_F(AttributesOfFiles, unknown_ioctls_are_not_for_this_device) {
  const Fd fd(open(file_.c_str(), O_RDONLY | O_CLOEXEC));
  int value = 0;
  EXPECT_CALL_FAILS(ioctl(fd, _IOR('R', 99, int), &value), ENOTTY);
}

TEST_F(AttributesOfFiles, flags_are_kept_and_immutable_is_enforced) {
  const Fd fd(open(file_.c_str(), O_RDONLY | O_CLOEXEC));
  int flags = 0;
  ASSERT_CALL_OK(ioctl(fd, FS_IOC_GETFLAGS, &flags));
  EXPECT_EQ(flags, 0);
  flags = FS_NODUMP_FL;
  ASSERT_CALL_OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
  flags = 0;
  ASSERT_CALL_OK(ioctl(fd, FS_IOC_GETFLAGS, &flags));
  EXPECT_EQ(flags, FS_NODUMP_FL);
  fsxattr extended{};
  ASSERT_CALL_OK(ioctl(fd, FS_IOC_FSGETXATTR, &extended));
  EXPECT_EQ(extended.fsx_xflags, static_cast<uint32_t>(FS_XFLAG_NODUMP));
  if (geteuid() != 0) return;  // immutable is root's
  flags = FS_IMMUTABLE_FL;
  ASSERT_CALL_OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
  EXPECT_EQ(write_file(file_, "x"), EPERM);
  EXPECT_CALL_FAILS(unlink(file_.c_str()), EPERM);
  EXPECT_CALL_FAILS(chmod(file_.c_str(), 0600), EPERM);
  flags = 0;
  ASSERT_CALL_OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
  EXPECT_CALL_OK(chmod(file_.c_str(), 0600));
}

TEST_F(AttributesOfFiles, the_label_can_be_changed_while_mounted) {
  Fd fd(open(mount_point().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  char label[FSLABEL_MAX] = "new name";
  ASSERT_CALL_OK(ioctl(fd, FS_IOC_SETFSLABEL, label));
  fd.close();
  ASSERT_NO_FATAL_FAILURE(remount());
  const Fd again(open(mount_point().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  memset(label, 0, sizeof label);
  ASSERT_CALL_OK(ioctl(again, FS_IOC_GETFSLABEL, label));
  EXPECT_STREQ(label, "new name");
}

TEST_F(AttributesOfFiles, statfs_tells_the_size_and_the_longest_name) {
  struct statvfs status {};
  ASSERT_CALL_OK(statvfs(mount_point().c_str(), &status));
  EXPECT_EQ(status.f_blocks * status.f_frsize, 1ULL << 30);
  EXPECT_LT(status.f_bfree, status.f_blocks);
  EXPECT_GT(status.f_bavail, 0u);
  EXPECT_GT(status.f_ffree, 1000u);
  EXPECT_EQ(status.f_namemax, 255u);
}

TEST_F(AttributesOfFiles, file_handles_outlive_a_remount) {
  if (geteuid() != 0) return;  // open_by_handle_at is root's
  alignas(file_handle) char memory[sizeof(file_handle) + MAX_HANDLE_SZ];
  auto* const handle = reinterpret_cast<file_handle*>(memory);
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  ASSERT_CALL_OK(name_to_handle_at(AT_FDCWD, file_.c_str(), handle, &mount_id, 0));
  ASSERT_NO_FATAL_FAILURE(remount());
  const Fd root(open(mount_point().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const Fd fd(open_by_handle_at(root, handle, O_RDONLY | O_CLOEXEC));
  ASSERT_CALL_OK(fd);
  char buffer[20] = {};
  EXPECT_EQ(read(fd, buffer, sizeof buffer), 7);
  EXPECT_STREQ(buffer, "content");
}

// "not supported" instead of handles that become stale as soon as nobody uses the file.
TEST_F(AttributesOfFiles, file_handles_are_for_identification_only_where_they_are_switched_off) {
  if (!kernel_is_at_least(6, 9)) return;
  constexpr int kOnlyIdentify = 0x200;  // AT_HANDLE_FID
  ASSERT_NO_FATAL_FAILURE(unmount());
  ASSERT_NO_FATAL_FAILURE(start("disable=export_support"));
  alignas(file_handle) char memory[sizeof(file_handle) + MAX_HANDLE_SZ];
  auto* const handle = reinterpret_cast<file_handle*>(memory);
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  EXPECT_CALL_FAILS(name_to_handle_at(AT_FDCWD, file_.c_str(), handle, &mount_id, 0), EOPNOTSUPP);
  EXPECT_CALL_OK(name_to_handle_at(AT_FDCWD, file_.c_str(), handle, &mount_id, kOnlyIdentify));
}

}  // namespace
}  // namespace rvmfs::test
