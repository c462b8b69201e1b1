// SPDX-License-Identifier: BSD-2-Clause
//
// The command line of rvmfs: what it understands, what it ignores, and what it says to the rest.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "tests/mount/mount_test_base.h"

namespace rvmfs::test {
namespace {

class CommandLine : public MountTest {
 protected:
  void expect_refused(std::vector<std::string> arguments, const std::string& complaint) {
    arguments.insert(arguments.begin(), RVMFS_PROGRAM);
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 1) << outcome.output;
    EXPECT_NE(outcome.output.find(complaint), std::string::npos) << outcome.output;
    EXPECT_FALSE(is_mounted(mount_point()));
  }
};

TEST_F(CommandLine, help_and_version_are_printed_and_end_with_success) {
  const Outcome help = run({RVMFS_PROGRAM, "-h"});
  EXPECT_EQ(help.status, 0);
  EXPECT_NE(help.output.find("MOUNTPOINT"), std::string::npos) << help.output;
  const Outcome version = run({RVMFS_PROGRAM, "-V"});
  EXPECT_EQ(version.status, 0);
  EXPECT_EQ(version.output.substr(0, 6), "rvmfs ") << version.output;
}

TEST_F(CommandLine, missing_operands_are_named) {
  expect_refused({}, "no image given");
  expect_refused({image()}, "no mount point given");
}

TEST_F(CommandLine, unknown_options_are_refused) {
  ASSERT_NO_FATAL_FAILURE(format());
  expect_refused({"-o", "frobnicate", image(), mount_point()}, "unknown mount option 'frobnicate'");
  expect_refused({"-o", "rw,frobnicate=3", image(), mount_point()},
                 "unknown mount option 'frobnicate=3'");
  expect_refused({"-z", image(), mount_point()}, "-z");
  expect_refused({image(), mount_point(), "surplus"}, "surplus");
}

TEST_F(CommandLine, bad_values_are_refused_with_what_would_be_right) {
  ASSERT_NO_FATAL_FAILURE(format());
  expect_refused({"-o", "commit", image(), mount_point()}, "needs a value");
  expect_refused({"-o", "commit=soon", image(), mount_point()}, "a number of seconds");
  expect_refused({"-o", "ro=yes", image(), mount_point()}, "takes no value");
  expect_refused({"-o", "workers=0", image(), mount_point()}, "from 1 to 256");
  expect_refused({"-o", "receivers=0", image(), mount_point()}, "from 1 to 256");
  expect_refused({"-o", "metadata_memory=12X", image(), mount_point()}, "a size");
  expect_refused({"-o", "disable=gravity", image(), mount_point()}, "killpriv_v2");
  expect_refused({"-o", "allow_other,allow_root", image(), mount_point()}, "exclude each other");
}

TEST_F(CommandLine, missing_files_are_named) {
  ASSERT_NO_FATAL_FAILURE(format());
  expect_refused({folder().file("absent"), mount_point()}, "No such file or directory");
  expect_refused({image(), folder().file("absent")}, "No such file or directory");
  expect_refused({image(), image()}, "Not a directory");
}

TEST_F(CommandLine, what_is_no_volume_is_refused_in_the_background_too) {
  ASSERT_EQ(write_file(image(), text(10 << 20, 5)), 0);
  expect_refused({image(), mount_point()}, image());
  expect_refused({"-f", image(), mount_point()}, image());
}

TEST_F(CommandLine, options_of_fstab_and_of_the_kernel_are_taken) {
  ASSERT_NO_FATAL_FAILURE(format());
  const std::string options =
      "defaults,nofail,_netdev,user,noauto,x-systemd.automount,x-anything=1,rw,noexec,nosuid,nodev,"
      "noatime,commit=5,metadata_memory=64M,workers=3,receivers=2,nodiscard";
  ASSERT_NO_FATAL_FAILURE(start(options));
  const std::string line = mount_line(mount_point());
  EXPECT_NE(line.find("noexec"), std::string::npos) << line;
  EXPECT_NE(line.find("nosuid"), std::string::npos) << line;
  EXPECT_EQ(write_file(at("file"), "x"), 0);
  ASSERT_NO_FATAL_FAILURE(unmount());
}

TEST_F(CommandLine, operands_may_come_before_options) {
  ASSERT_NO_FATAL_FAILURE(format());
  const Outcome outcome = run({RVMFS_PROGRAM, image(), mount_point(), "-o", "noatime", "-s"});
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_EQ(write_file(at("file"), "x"), 0);
  EXPECT_TRUE(eventually([&] { return unmount_path(mount_point(), false); }));
  EXPECT_TRUE(eventually([&] { return is_free(image()); }));
}

// Every feature that is agreed with the kernel can be switched off, and all works without it.
class WithoutFeature : public MountTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(WithoutFeature, files_and_directories_still_work) {
  ASSERT_NO_FATAL_FAILURE(format_and_start("200M", GetParam()));
  ASSERT_CALL_OK(mkdir(at("folder").c_str(), 0755));
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(write_file(at("folder/" + std::to_string(i)), text(5000, i)), 0);
  }
  ASSERT_EQ(write_file(at("folder/7"), "short", O_TRUNC), 0);
  ASSERT_CALL_OK(symlink("folder/8", at("link").c_str()));
  {
    const Fd direct(open(at("folder/9").c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
    void* const place = mmap(nullptr, 5000, PROT_READ | PROT_WRITE, MAP_SHARED, direct, 0);
    ASSERT_NE(place, MAP_FAILED) << strerror(errno);
    EXPECT_EQ(memcmp(place, text(5000, 9).data(), 5000), 0);
    memcpy(place, "mapped", 6);
    EXPECT_CALL_OK(msync(place, 5000, MS_SYNC));
    munmap(place, 5000);
  }
  EXPECT_EQ(read_file(at("folder/9")), "mapped" + text(5000, 9).substr(6));
  const Outcome listed = run({"ls", "-l", at("folder")});
  EXPECT_EQ(std::count(listed.output.begin(), listed.output.end(), '\n'), 51) << listed.output;
  EXPECT_EQ(read_file(at("folder/7")), "short");
  EXPECT_TRUE(read_file(at("link")) == text(5000, 8));
  ASSERT_NO_FATAL_FAILURE(unmount());
  expect_clean();
}

INSTANTIATE_TEST_SUITE_P(
    Options, WithoutFeature,
    ::testing::Values("disable=killpriv_v2", "disable=no_open", "disable=no_opendir",
                      "disable=no_create", "disable=readdirplus", "disable=readdirplus_always",
                      "disable=parallel_dirops", "disable=export_support", "disable=cache_symlinks",
                      "disable=tmpfile", "disable=statx", "disable=acl", "disable=setxattr_ext",
                      "disable=copy_range_64", "disable=direct_io_mmap", "disable=idmap",
                      "disable=io_uring", "workers=1", "clone_fd", "dirsync", "sync"),
    [](const auto& info) {
      std::string name = info.param;
      for (char& c : name) c = c == '=' ? '_' : c;
      return name;
    });

}  // namespace
}  // namespace rvmfs::test
