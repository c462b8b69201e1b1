// SPDX-License-Identifier: BSD-2-Clause
//
// An ordinary user formats, mounts, uses and unmounts without root's help, through fusermount3.
// Run by root, the test becomes nobody. Where not everybody may open /dev/fuse, as on ordinary
// machines, it does so in a mount namespace of its own, with such a /dev/fuse. The programs are
// copied, for nobody may not be allowed to look into the build folder.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/mount/mount_test_base.h"

namespace rvmfs::test {
namespace {

class OrdinaryUser : public MountTest {
 protected:
  // A shell script, run as an ordinary user in the folder of the test.
  Outcome run_script(const std::string& body) {
    const std::string script = folder().file("script");
    std::ofstream(script) << "set -e\ncd '" << folder().path().string() << "'\n"
                          << "trap 'fusermount3 -uqz mount || true' EXIT\n"  // whatever happens
                          << body;
    if (geteuid() != 0) return run({"sh", script});
    std::filesystem::permissions(folder().path(), std::filesystem::perms(0755));
    EXPECT_CALL_OK(chown(folder().path().c_str(), kNobody, kNobody));
    EXPECT_CALL_OK(chown(mount_point().c_str(), kNobody, kNobody));
    const std::string as_nobody =
        "exec setpriv --reuid=65534 --regid=65534 --clear-groups sh " + script;
    if (everybody_may_open_fuse()) return run({"sh", "-c", as_nobody});
    const std::string device = folder().file("dev");
    EXPECT_CALL_OK(mkdir(device.c_str(), 0755));
    const std::string root_part = "mount -t tmpfs tmpfs " + device + " && mknod -m 666 " + device +
                                  "/fuse c 10 229 && " + "mount --bind " + device +
                                  "/fuse /dev/fuse && " + as_nobody;
    return run({"unshare", "-m", "sh", "-c", root_part});
  }

  void SetUp() override {
    MountTest::SetUp();
    for (const char* program : {MKFS_PROGRAM, RVMFS_PROGRAM}) {
      const std::filesystem::path from = program;
      std::filesystem::copy_file(from, folder().path() / from.filename());
    }
  }

  static bool everybody_may_open_fuse() {
    struct stat device {};
    constexpr mode_t kReadAndWrite = S_IROTH | S_IWOTH;
    return stat("/dev/fuse", &device) == 0 && (device.st_mode & kReadAndWrite) == kReadAndWrite;
  }
  static constexpr uid_t kNobody = 65534;
};

TEST_F(OrdinaryUser, formats_mounts_writes_and_unmounts) {
  const Outcome outcome = run_script(
      "./mkfs.rvmfs -q image 1G\n"
      "./rvmfs image mount\n"
      "echo hello > mount/file\n"
      "grep -q \"$PWD/image $PWD/mount fuse.rvmfs\" /proc/self/mounts\n"
      "stat -c 'owner %u' mount/file\n"
      "cat mount/file\n"
      "fusermount3 -u mount\n");
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  const uid_t user = geteuid() == 0 ? kNobody : geteuid();
  EXPECT_EQ(outcome.output, "owner " + std::to_string(user) + "\nhello\n");
  expect_clean();
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_EQ(read_file(at("file")), "hello\n");
  ASSERT_NO_FATAL_FAILURE(unmount());
}

TEST_F(OrdinaryUser, ends_the_daemon_with_a_signal) {
  const Outcome outcome = run_script(
      "./mkfs.rvmfs -q image 1G\n"
      "./rvmfs -f image mount &\n"
      "daemon=$!\n"
      "until grep -q \"$PWD/mount fuse.rvmfs\" /proc/self/mounts; do sleep 0.05; done\n"
      "echo hello > mount/file\n"
      "kill $daemon\n"
      "wait $daemon\n"
      "! grep \"$PWD/mount\" /proc/self/mounts\n");
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_EQ(outcome.output, "");
  expect_clean();
}

TEST_F(OrdinaryUser, takes_away_what_a_killed_daemon_left_behind) {
  const Outcome outcome = run_script(
      "./mkfs.rvmfs -q image 1G\n"
      "./rvmfs -f image mount &\n"
      "daemon=$!\n"
      "until grep -q \"$PWD/mount fuse.rvmfs\" /proc/self/mounts; do sleep 0.05; done\n"
      "echo hello > mount/file\n"
      "sync mount/file\n"
      "kill -9 $daemon\n"
      "wait $daemon || true\n"
      "./rvmfs image mount\n"
      "cat mount/file\n"
      "fusermount3 -u mount\n");
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_NE(outcome.output.find("recovered:"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("hello\n"), std::string::npos) << outcome.output;
}

}  // namespace
}  // namespace rvmfs::test
