// SPDX-License-Identifier: BSD-2-Clause
//
// What the tests on real mounts share.
#include "tests/mount/mount_test_base.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <utility>

#include "tests/support/bytes.h"

namespace rvmfs::test {
namespace {

constexpr int kPatience = 20000;  // milliseconds, on a busy machine

}  // namespace

bool MountTest::has_user_namespaces() { return run({"unshare", "-U", "true"}).status == 0; }

void MountTest::SetUp() {
  struct stat status {};
  ASSERT_EQ(stat("/dev/fuse", &status), 0)
      << "/dev/fuse is missing (" << strerror(errno)
      << "): the tests on real mounts need a kernel with FUSE and the right to mount";
  // What libmount notes of mounts; not among the host's own.
  ASSERT_EQ(setenv("LIBMOUNT_UTAB", folder_.file("utab").c_str(), 1), 0);
  ASSERT_CALL_OK(mkdir(mount_point_.c_str(), 0755));
}

void MountTest::TearDown() {
  if (daemon_is_running()) {
    // A test that failed half-way: nothing may stay mounted.
    daemon_->signal(SIGKILL);
    daemon_->wait(kPatience);
  }
  if (!mount_line(mount_point_).empty()) {
    EXPECT_TRUE(unmount_path(mount_point_, true)) << mount_point_ << " is still mounted";
  }
  if (HasFailure()) std::fprintf(stderr, "--- rvmfs said:\n%s---\n", daemon_output().c_str());
}

void MountTest::format(const std::string& size) {
  const Outcome outcome = run({MKFS_PROGRAM, "-q", image_, size});
  ASSERT_EQ(outcome.status, 0) << outcome.output;
}

void MountTest::launch(const std::string& options) {
  ASSERT_TRUE(eventually([&] { return is_free(image_); })) << "the image is still locked";
  std::vector<std::string> arguments = {RVMFS_PROGRAM, "-f"};
  if (!options.empty()) arguments.insert(arguments.end(), {"-o", options});
  arguments.insert(arguments.end(), {image_, mount_point_});
  daemon_ = std::make_unique<Child>(arguments, folder_.file("daemon.output"));
}

bool MountTest::wait_for_mount() {
  const bool answered =
      eventually([&] { return is_mounted(mount_point_) || !daemon_->running(); }, kPatience);
  return answered && daemon_->running();
}

void MountTest::start(const std::string& options) {
  ASSERT_NO_FATAL_FAILURE(launch(options));
  ASSERT_TRUE(wait_for_mount()) << "rvmfs does not mount: " << daemon_output();
  // In the table of mounts it stands a moment before it answers.
  struct statvfs status {};
  ASSERT_EQ(statvfs(mount_point_.c_str(), &status), 0) << strerror(errno) << daemon_output();
}

void MountTest::format_and_start(const std::string& size, const std::string& options) {
  ASSERT_NO_FATAL_FAILURE(format(size));
  ASSERT_NO_FATAL_FAILURE(start(options));
}

void MountTest::unmount() {
  // The kernel may still be letting go of files that were closed just now.
  ASSERT_TRUE(eventually([&] { return unmount_path(mount_point_, false); }))
      << "cannot unmount: " << strerror(errno);
  ASSERT_EQ(daemon_->wait(kPatience), 0) << daemon_output();
}

void MountTest::kill_daemon() {
  daemon_->signal(SIGKILL);
  ASSERT_EQ(daemon_->wait(kPatience), 128 + SIGKILL) << daemon_output();
  ASSERT_TRUE(unmount_path(mount_point_, true)) << strerror(errno);
}

void MountTest::expect_clean() {
  ASSERT_TRUE(eventually([&] { return is_free(image_); })) << "the image is still locked";
  const Outcome outcome = run({FSCK_PROGRAM, "-n", "-f", image_});
  EXPECT_EQ(outcome.status, 0) << outcome.output;
}

bool is_mounted(const std::string& path) {
  struct statfs status {};
  return statfs(path.c_str(), &status) == 0 && status.f_type == FUSE_SUPER_MAGIC;
}

std::string mount_line(const std::string& mount_point) {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    if (line.find(" " + mount_point + " ") != std::string::npos) return line;
  }
  return {};
}

bool unmount_path(const std::string& path, bool lazy) {
  if (geteuid() == 0) return umount2(path.c_str(), lazy ? MNT_DETACH : 0) == 0;
  return run({"fusermount3", lazy ? "-uqz" : "-uq", path}).status == 0;
}

bool is_free(const std::string& image) {
  const Fd fd(open(image.c_str(), O_RDWR | O_CLOEXEC));
  struct flock lock {};
  lock.l_type = F_WRLCK;
  return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

bool kernel_is_at_least(int major, int minor) {
  utsname names{};
  std::pair<int, int> version;
  uname(&names);
  if (sscanf(names.release, "%d.%d", &version.first, &version.second) != 2) return false;
  return version >= std::pair(major, minor);
}

int write_file(const std::string& path, std::string_view content, int flags) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644));
  if (fd < 0) return errno;
  while (!content.empty()) {
    const ssize_t bytes = write(fd, content.data(), content.size());
    if (bytes < 0) return errno;
    content.remove_prefix(static_cast<size_t>(bytes));
  }
  return 0;
}

std::string read_file(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

std::string text(size_t bytes, uint64_t seed) {
  const Bytes source = pattern(bytes, seed);
  return {reinterpret_cast<const char*>(source.data()), source.size()};
}

Fd::~Fd() { close(); }

void Fd::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace rvmfs::test
