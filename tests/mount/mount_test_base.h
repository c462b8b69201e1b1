// SPDX-License-Identifier: BSD-2-Clause
//
// What the tests on real mounts share: an image and a mount point in a folder of their own, the
// three programs as children, and a clean end whatever happened before. Needs /dev/fuse and the
// right to mount (root, or fusermount3); where that is missing, these tests fail and say so.
#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/mount/program.h"
#include "tests/support/temp_dir.h"

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

namespace rvmfs::test {

class MountTest : public ::testing::Test {
 protected:
  // Some containers forbid them, and every chroot does.
  static bool has_user_namespaces();
  void SetUp() override;
  void TearDown() override;

  // Formats image() with mkfs.rvmfs.
  void format(const std::string& size = "1G");
  // `rvmfs -f -o options image mount_point`, and waits until it answers.
  void start(const std::string& options = "");
  // Only starts the daemon; true from wait_for_mount() if it answers, false if it ended instead.
  void launch(const std::string& options = "");
  bool wait_for_mount();
  // format() and start().
  void format_and_start(const std::string& size = "1G", const std::string& options = "");
  // Unmounts from outside and expects the daemon to end well.
  void unmount();
  // kill -9, and takes the dead mount away.
  void kill_daemon();
  // Only the signal.
  Child& daemon() { return *daemon_; }
  bool daemon_is_running() { return daemon_ != nullptr && daemon_->running(); }
  std::string daemon_output() const { return daemon_ ? daemon_->output() : ""; }
  // `fsck.rvmfs -n -f` must find nothing.
  void expect_clean();

  // Another place for the image. Before format().
  void place_image(const std::string& path) { image_ = path; }
  const std::string& image() const { return image_; }
  const std::string& mount_point() const { return mount_point_; }
  // A path inside of the mount.
  std::string at(const std::string& name) const { return mount_point_ + "/" + name; }
  const TempDir& folder() const { return folder_; }

 private:
  TempDir folder_;
  std::string image_ = folder_.file("image");
  std::string mount_point_ = folder_.file("mount");
  std::unique_ptr<Child> daemon_;
};

// True if a FUSE filesystem answers at the path.
bool is_mounted(const std::string& path);
// The line of /proc/self/mounts for the mount point, or an empty string.
std::string mount_line(const std::string& mount_point);
// Unmounts as root or with fusermount3, lazily if `lazy`; true if it worked.
bool unmount_path(const std::string& path, bool lazy);
// True if no process holds a lock on the image.
bool is_free(const std::string& image);

// The version of the running kernel.
bool kernel_is_at_least(int major, int minor);

// Whole files. write_file returns 0 or the errno.
int write_file(const std::string& path, std::string_view content, int flags = 0);
std::string read_file(const std::string& path);
std::string text(size_t bytes, uint64_t seed);  // a pattern, repeatable

// A file descriptor that is closed at the end of the block.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd();
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  operator int() const { return fd_; }  // NOLINT(google-explicit-constructor)
  void close();

 private:
  int fd_;
};

}  // namespace rvmfs::test

// The system call must succeed / fail with this errno; prints the errno in words otherwise.
#define EXPECT_CALL_OK(call) EXPECT_GE((call), 0) << #call << ": " << strerror(errno)
#define ASSERT_CALL_OK(call) ASSERT_GE((call), 0) << #call << ": " << strerror(errno)
#define EXPECT_CALL_FAILS(call, number)                           \
  do {                                                            \
    errno = 0;                                                    \
    EXPECT_EQ((call), -1) << #call;                               \
    EXPECT_EQ(errno, number) << #call << ": " << strerror(errno); \
  } while (false)
