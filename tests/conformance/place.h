// SPDX-License-Identifier: BSD-2-Clause
//
// What every filesystem of Linux has to do, asserted one by one in places: on a volume and on the
// filesystem of the host, each as root and as a user without rights. An assertion that fails on the
// host says something wrong of Linux, so each is tried there as well.
//
// Each test has an empty folder of its own, which the user of the place owns, and is in it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace rvmfs::test {

enum class Place : uint8_t { volume_as_root, volume_as_user, host_as_root, host_as_user };

inline constexpr uid_t kUser = 65534;      // who runs the tests "as user"
inline constexpr uid_t kStranger = 65533;  // somebody else
inline constexpr gid_t kGroup = 65530;     // a group that the user is in, beside its own (65534)
inline constexpr gid_t kOtherGroup = 65529;

class InPlace : public ::testing::TestWithParam<Place> {
 protected:
  void SetUp() final;
  void TearDown() override;
  // What every test of a suite finds in its folder.
  virtual void prepare() {}

  static bool on_volume() {
    return GetParam() == Place::volume_as_root || GetParam() == Place::volume_as_user;
  }
  static bool as_root() {
    return GetParam() == Place::volume_as_root || GetParam() == Place::host_as_root;
  }

  // Does it as somebody else; for a test that runs as root only with another user's rights.
  static void as(uid_t user, gid_t group, const std::vector<gid_t>& groups,
                 const std::function<void()>& body);
  static void as_superuser(const std::function<void()>& body) { as(0, 0, {}, body); }
  static void as_stranger(const std::function<void()>& body) { as(kStranger, kStranger, {}, body); }

  const std::string& folder() const { return folder_; }
  // One more empty folder for the user of the place, on the host's filesystem.
  const std::string& twin() const { return twin_; }

 private:
  std::string folder_, twin_;
};

// Files, in the current folder.
int make(const std::string& name, std::string_view content = "", mode_t mode = 0644);
// A file with a content, a directory with a file in it, and a symbolic link to the first.
void make_a_few();
std::string content_of(const std::string& name);
struct stat status_of(const std::string& name);  // lstat; all zeros if there is none
bool exists(const std::string& name);
std::string bytes(size_t count, unsigned seed);
bool same_bytes(const std::string& a, const std::string& b);
// Some milliseconds, so that a time that is taken now differs from one taken before.
void let_time_pass();

class File {
 public:
  File(const std::string& name, int flags, mode_t mode = 0644)
      : fd_(open(name.c_str(), flags | O_CLOEXEC, mode)) {}
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  operator int() const { return fd_; }  // NOLINT(google-explicit-constructor)

 private:
  int fd_;
};

// INSTANTIATE_TEST_SUITE_P for all places, those as root, as user, or on a volume (for what the
// host cannot be asked).
std::string name_of(const ::testing::TestParamInfo<Place>& info);
#define IN_ALL_PLACES(Suite)                                                               \
  INSTANTIATE_TEST_SUITE_P(In, Suite,                                                      \
                           ::testing::Values(Place::volume_as_root, Place::volume_as_user, \
                                             Place::host_as_root, Place::host_as_user),    \
                           name_of)
#define AS_ROOT(Suite)                \
  INSTANTIATE_TEST_SUITE_P(In, Suite, \
                           ::testing::Values(Place::volume_as_root, Place::host_as_root), name_of)
#define ON_VOLUME(Suite)    \
  INSTANTIATE_TEST_SUITE_P( \
      In, Suite, ::testing::Values(Place::volume_as_root, Place::volume_as_user), name_of)
#define AS_USER(Suite)                \
  INSTANTIATE_TEST_SUITE_P(In, Suite, \
                           ::testing::Values(Place::volume_as_user, Place::host_as_user), name_of)

}  // namespace rvmfs::test

#define OK(call) EXPECT_NE((call), -1) << strerror(errno)
#define MUST(call) ASSERT_NE((call), -1) << strerror(errno)
#define FAILS(call, number)                                                            \
  do {                                                                                 \
    errno = 0;                                                                         \
    EXPECT_EQ(static_cast<long>(call), -1L);                                           \
    EXPECT_EQ(errno, number) << strerror(errno) << " instead of " << strerror(number); \
  } while (false)
