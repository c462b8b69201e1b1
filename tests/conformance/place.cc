// SPDX-License-Identifier: BSD-2-Clause
//
// Places to run assertions in: see place.h. The volume is mounted once, when it is first needed,
// and checked at the end of the program.
#include "tests/conformance/place.h"

#include <grp.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "tests/mount/mount_test_base.h"

namespace rvmfs::test {
namespace {

namespace fs = std::filesystem;

// A mounted volume beside a folder of the host.
class Places {
 public:
  Places() {
    fs::permissions(folder_.path(), fs::perms(0755));
    fs::create_directory(mount());
    fs::create_directory(host());
    problem_ = start();
  }
  ~Places() {
    if (!daemon_) return;
    eventually([&] { return unmount_path(mount(), false); });
    if (daemon_->wait(20000) != 0) unmount_path(mount(), true);
  }

  // Empty, or why there is no volume.
  const std::string& problem() const { return problem_; }
  std::string mount() const { return folder_.file("mount"); }
  std::string host() const { return folder_.file("host"); }

  // Unmounts; what the daemon or fsck complains about.
  std::string finish() {
    if (!daemon_) return {};
    if (!eventually([&] { return unmount_path(mount(), false); })) return "cannot unmount";
    if (daemon_->wait(20000) != 0) return "the daemon said: " + daemon_->output();
    daemon_.reset();
    const Outcome checked = run({FSCK_PROGRAM, "-n", "-f", folder_.file("image")});
    return checked.status == 0 ? "" : "fsck found: " + checked.output;
  }

 private:
  std::string start() {
    const std::string image = folder_.file("image");
    const Outcome made = run({MKFS_PROGRAM, "-q", image, "4G"});
    if (made.status != 0) return made.output;
    const std::vector<std::string> command = {RVMFS_PROGRAM,          "-f",  "-o",
                                              "allow_other,suid,dev", image, mount()};
    daemon_ = std::make_unique<Child>(command, folder_.file("output"));
    if (!eventually([&] { return is_mounted(mount()); }, 20000)) return daemon_->output();
    return {};
  }

  TempDir folder_;
  std::unique_ptr<Child> daemon_;
  std::string problem_;
};

std::unique_ptr<Places> places;  // NOLINT: lives as long as the program's tests

class EndOfPlaces : public ::testing::Environment {
 public:
  void TearDown() override {
    if (places) EXPECT_EQ(places->finish(), "");
    places.reset();
  }
};

[[maybe_unused]] ::testing::Environment* const environment =
    ::testing::AddGlobalTestEnvironment(new EndOfPlaces);

void become(uid_t user, gid_t group, const std::vector<gid_t>& groups) {
  if (seteuid(0) != 0 || setgroups(groups.size(), groups.data()) != 0 || setegid(group) != 0 ||
      seteuid(user) != 0) {
    std::abort();
  }
}

}  // namespace

void InPlace::SetUp() {
  if (getuid() != 0) GTEST_SKIP() << "two users are needed, and so root";
  if (!places) places = std::make_unique<Places>();
  ASSERT_EQ(places->problem(), "");
  static int count = 0;
  folder_ = (on_volume() ? places->mount() : places->host()) + "/" + std::to_string(++count);
  twin_ = places->host() + "/twin" + std::to_string(count);
  for (const std::string& path : {folder_, twin_}) {
    MUST(mkdir(path.c_str(), 0755));
    if (!as_root()) MUST(chown(path.c_str(), kUser, kUser));
  }
  MUST(chdir(folder_.c_str()));
  umask(022);
  if (!as_root()) become(kUser, kUser, {kUser, kGroup});
  prepare();
}

void InPlace::TearDown() {
  if (getuid() != 0) return;
  become(0, 0, {0});
  umask(022);
  OK(chdir("/"));
  std::error_code error;
  for (const std::string& path : {folder_, twin_}) {
    fs::remove_all(path, error);
    EXPECT_FALSE(error) << error.message();
  }
}

void InPlace::as(uid_t user, gid_t group, const std::vector<gid_t>& groups,
                 const std::function<void()>& body) {
  become(user, group, groups);
  body();
  if (as_root()) {
    become(0, 0, {0});
  } else {
    become(kUser, kUser, {kUser, kGroup});
  }
}

int make(const std::string& name, std::string_view content, mode_t mode) {
  const File file(name, O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (file < 0) return -1;
  return write(file, content.data(), content.size()) == ssize_t(content.size()) ? 0 : -1;
}

void make_a_few() {
  MUST(make("file", "content"));
  MUST(mkdir("dir", 0755));
  MUST(make("dir/inside", "x"));
  OK(symlink("file", "link"));
}

std::string content_of(const std::string& name) {
  std::ostringstream out;
  out << std::ifstream(name, std::ios::binary).rdbuf();
  return out.str();
}

struct stat status_of(const std::string& name) {
  struct stat status {};
  if (lstat(name.c_str(), &status) != 0) memset(&status, 0, sizeof status);
  return status;
}

bool exists(const std::string& name) { return status_of(name).st_ino != 0; }

std::string bytes(size_t count, unsigned seed) { return text(count, seed); }

bool same_bytes(const std::string& a, const std::string& b) { return a == b; }

void let_time_pass() { sleep_milliseconds(12); }

std::string name_of(const ::testing::TestParamInfo<Place>& info) {
  switch (info.param) {
    case Place::volume_as_root: return "volume_as_root";
    case Place::volume_as_user: return "volume_as_user";
    case Place::host_as_root: return "host_as_root";
    case Place::host_as_user: return "host_as_user";
  }
  return "";
}

}  // namespace rvmfs::test
