// SPDX-License-Identifier: BSD-2-Clause
//
// Who may do what: modes, owners, sticky directories, setuid and setgid.
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tests/conformance/place.h"

namespace rvmfs::test {
namespace {

mode_t mode_of(const std::string& name) { return status_of(name).st_mode & 07777; }

// access(2) asks for the real user, which is root here.
int may(const std::string& name, int what) {
  return faccessat(AT_FDCWD, name.c_str(), what, AT_EACCESS);
}

class Permissions : public InPlace {};
AS_USER(Permissions);

TEST_P(Permissions, the_owner_is_judged_by_the_owners_bits_only) {
  MUST(make("file"));
  OK(chmod("file", 0077));
  FAILS(open("file", O_RDONLY), EACCES);
  FAILS(open("file", O_WRONLY), EACCES);
  OK(chmod("file", 0400));
  OK(File("file", O_RDONLY));
  FAILS(open("file", O_RDWR), EACCES);
  FAILS(truncate("file", 0), EACCES);
  OK(may("file", R_OK));
}

TEST_P(Permissions, others_are_judged_by_the_others_bits) {
  MUST(make("file", "x", 0604));
  as_stranger([] {
    OK(File("file", O_RDONLY));
    FAILS(open("file", O_WRONLY), EACCES);
    FAILS(open("file", O_RDONLY | O_TRUNC), EACCES);
    FAILS(truncate("file", 0), EACCES);
    FAILS(chmod("file", 0777), EPERM);
    FAILS(chown("file", kStranger, -1), EPERM);
    FAILS(open("file", O_RDONLY | O_NOATIME), EPERM);
  });
  EXPECT_EQ(content_of("file"), "x");
}

TEST_P(Permissions, supplementary_groups_count) {
  MUST(make("file", "x", 0640));
  OK(chown("file", -1, kGroup));
  as(kStranger, kStranger, {kGroup}, [] {
    OK(File("file", O_RDONLY));
    FAILS(open("file", O_WRONLY), EACCES);
  });
  as_stranger([] { FAILS(open("file", O_RDONLY), EACCES); });
}

TEST_P(Permissions, a_directory_needs_x_to_be_passed_and_r_to_be_listed) {
  MUST(mkdir("dir", 0755));
  MUST(make("dir/file", "x"));
  OK(chmod("dir", 0100));
  OK(may("dir/file", R_OK));
  FAILS(open("dir", O_RDONLY), EACCES);
  OK(chmod("dir", 0600));
  OK(File("dir", O_RDONLY | O_DIRECTORY));
  FAILS(may("dir/file", F_OK), EACCES);
  FAILS(open("dir/file", O_RDONLY), EACCES);
  OK(chmod("dir", 0755));
}

TEST_P(Permissions, names_change_only_in_directories_with_w_and_x) {
  MUST(mkdir("dir", 0755));
  MUST(make("dir/file"));
  MUST(make("mine"));
  for (const mode_t mode : {0500, 0400, 0200}) {
    OK(chmod("dir", mode));
    FAILS(open("dir/new", O_CREAT | O_WRONLY, 0644), EACCES);
    FAILS(mkdir("dir/new", 0755), EACCES);
    FAILS(mknod("dir/new", S_IFIFO | 0644, 0), EACCES);
    FAILS(symlink("x", "dir/new"), EACCES);
    FAILS(link("mine", "dir/new"), EACCES);
    FAILS(unlink("dir/file"), EACCES);
    FAILS(rename("dir/file", "out"), EACCES);
    FAILS(rename("mine", "dir/in"), EACCES);
  }
  OK(chmod("dir", 0755));
}

TEST_P(Permissions, in_a_sticky_directory_only_owners_remove_names) {
  OK(chmod(".", 01777));
  MUST(make("mine"));
  MUST(mkdir("my_dir", 0755));
  as_stranger([] {
    FAILS(unlink("mine"), EPERM);
    FAILS(rmdir("my_dir"), EPERM);
    FAILS(rename("mine", "stolen"), EPERM);
    MUST(make("theirs"));
    FAILS(rename("theirs", "mine"), EPERM);
    MUST(mkdir("their_dir", 0755));
  });
  OK(unlink("theirs"));  // the directory's owner may
  OK(rmdir("their_dir"));
  as_stranger([] { MUST(make("theirs")); });
  OK(chmod(".", 0777));
  as_stranger([] { OK(unlink("mine")); });
}

TEST_P(Permissions, only_the_owner_changes_modes_and_nobody_gives_files_away) {
  MUST(make("file"));
  OK(chmod("file", 0600));
  FAILS(chown("file", kStranger, -1), EPERM);
  FAILS(chown("file", -1, kOtherGroup), EPERM);
  OK(chown("file", -1, kGroup));
  EXPECT_EQ(status_of("file").st_gid, kGroup);
  OK(chown("file", kUser, -1));
  OK(chown("file", -1, -1));
}

TEST_P(Permissions, chmod_by_a_stranger_to_the_group_takes_setgid_away) {
  MUST(make("file"));
  as_superuser([] { OK(chown("file", kUser, kOtherGroup)); });
  OK(chmod("file", 02755));
  EXPECT_EQ(mode_of("file"), 0755U);
  OK(chown("file", -1, kGroup));
  OK(chmod("file", 02755));
  EXPECT_EQ(mode_of("file"), 02755U);
}

TEST_P(Permissions, writing_takes_setuid_and_setgid_away) {
  for (const mode_t mode : {04755, 02755, 06755, 06777, 04644}) {
    MUST(make("file", "content"));
    OK(chmod("file", mode));
    File file("file", O_WRONLY);
    OK(write(file, "x", 1));
    EXPECT_EQ(mode_of("file"), mode & 0777) << std::oct << mode;
    OK(unlink("file"));
  }
}

TEST_P(Permissions, every_way_to_change_contents_takes_setuid_away) {
  const std::vector<std::pair<std::string, std::function<void()>>> ways = {
      {"truncate", [] { OK(truncate("file", 2)); }},
      {"ftruncate",
       [] {
         File file("file", O_RDWR);
         OK(ftruncate(file, 3));
       }},
      {"open with O_TRUNC", [] { OK(File("file", O_WRONLY | O_TRUNC)); }},
      {"pwrite",
       [] {
         File file("file", O_WRONLY);
         OK(pwrite(file, "y", 1, 100));
       }},
      {"fallocate",
       [] {
         File file("file", O_WRONLY);
         OK(fallocate(file, 0, 0, 8192));
       }},
      {"punching",
       [] {
         File file("file", O_WRONLY);
         OK(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
       }},
      {"copy_file_range",
       [] {
         MUST(make("source", "content"));
         File in("source", O_RDONLY);
         File out("file", O_WRONLY);
         EXPECT_EQ(copy_file_range(in, nullptr, out, nullptr, 7, 0), 7);
       }},
  };
  for (const auto& [name, change] : ways) {
    MUST(make("file", std::string(5000, 'x')));
    OK(chmod("file", 06755));
    change();
    EXPECT_EQ(mode_of("file"), 0755U) << name;
    OK(unlink("file"));
  }
}

TEST_P(Permissions, chown_takes_setuid_and_executable_setgid_away) {
  MUST(make("file"));
  OK(chmod("file", 06755));
  OK(chown("file", -1, kGroup));
  EXPECT_EQ(mode_of("file"), 0755U);
  OK(chmod("file", 06644));
  OK(chown("file", -1, kUser));
  EXPECT_EQ(mode_of("file") & 04777, 0644U);
  MUST(mkdir("dir", 0755));
  OK(chmod("dir", 02755));
  OK(chown("dir", -1, kGroup));
  EXPECT_EQ(mode_of("dir"), 02755U) << "directories keep it";
}

TEST_P(Permissions, setgid_directories_give_their_group_on) {
  MUST(mkdir("dir", 0755));
  OK(chown("dir", -1, kGroup));
  OK(chmod("dir", 02755));
  MUST(make("dir/file"));
  MUST(mkdir("dir/sub", 0755));
  OK(mknod("dir/pipe", S_IFIFO | 0644, 0));
  OK(symlink("x", "dir/link"));
  for (const char* name : {"dir/file", "dir/sub", "dir/pipe", "dir/link"}) {
    EXPECT_EQ(status_of(name).st_gid, kGroup) << name;
  }
  EXPECT_EQ(mode_of("dir/sub"), 02755U);
  EXPECT_EQ(mode_of("dir/file"), 0644U);
  MUST(make("outside"));
  EXPECT_EQ(status_of("outside").st_gid, kUser);
}

TEST_P(Permissions, the_umask_is_taken_from_new_modes_only) {
  umask(027);
  MUST(make("file", "", 0666));
  MUST(mkdir("dir", 0777));
  OK(mknod("pipe", S_IFIFO | 0666, 0));
  umask(022);
  EXPECT_EQ(mode_of("file"), 0640U);
  EXPECT_EQ(mode_of("dir"), 0750U);
  EXPECT_EQ(mode_of("pipe"), 0640U);
  OK(chmod("file", 0777));
  EXPECT_EQ(mode_of("file"), 0777U);
  EXPECT_EQ(status_of("file").st_uid, kUser);
}

TEST_P(Permissions, an_open_file_keeps_what_it_was_opened_for) {
  MUST(make("file", "content"));
  File file("file", O_RDWR);
  OK(fchmod(file, 0));
  OK(pwrite(file, "C", 1, 0));
  char byte = 0;
  OK(pread(file, &byte, 1, 0));
  EXPECT_EQ(byte, 'C');
  File created("read_only", O_CREAT | O_RDWR, 0400);
  OK(write(created, "x", 1));
}

TEST_P(Permissions, times_may_be_set_to_now_by_writers_and_to_anything_by_the_owner) {
  MUST(make("file", "x", 0666));
  OK(chmod("file", 0666));
  const timespec given[2] = {{1, 2}, {3, 4}};
  OK(utimensat(AT_FDCWD, "file", given, 0));
  as_stranger([&] {
    OK(utimensat(AT_FDCWD, "file", nullptr, 0));
    FAILS(utimensat(AT_FDCWD, "file", given, 0), EPERM);
  });
  OK(chmod("file", 0644));
  as_stranger([&] {
    FAILS(utimensat(AT_FDCWD, "file", nullptr, 0), EACCES);
    const timespec omitted[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    OK(utimensat(AT_FDCWD, "file", omitted, 0));
    const timespec half[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
    FAILS(utimensat(AT_FDCWD, "file", half, 0), EPERM);
  });
}

TEST_P(Permissions, device_files_and_privileged_attributes_are_for_root) {
  FAILS(mknod("device", S_IFCHR | 0644, makedev(1, 3)), EPERM);
  MUST(make("file"));
  FAILS(setxattr("file", "trusted.x", "y", 1, 0), EPERM);
  FAILS(setxattr("file", "security.other", "y", 1, 0), EPERM);
  FAILS(getxattr("file", "trusted.x", nullptr, 0), ENODATA);
}

TEST_P(Permissions, user_attributes_follow_the_modes) {
  MUST(make("file", "", 0644));
  OK(setxattr("file", "user.x", "y", 1, 0));
  as_stranger([] {
    char value[8];
    OK(getxattr("file", "user.x", value, sizeof value));
    FAILS(setxattr("file", "user.x", "z", 1, 0), EACCES);
    FAILS(removexattr("file", "user.x"), EACCES);
  });
  OK(symlink("nowhere", "link"));
  FAILS(lsetxattr("link", "user.x", "y", 1, 0), EPERM);
}

class RootsPermissions : public InPlace {};
AS_ROOT(RootsPermissions);

TEST_P(RootsPermissions, root_may_do_what_modes_forbid) {
  MUST(make("file", "x", 0));
  OK(File("file", O_RDWR));
  MUST(mkdir("dir", 0));
  MUST(make("dir/file"));
  OK(may("dir/file", R_OK | W_OK));
  FAILS(may("file", X_OK), EACCES);
  OK(chmod("file", 0100));
  OK(may("file", X_OK));
}

TEST_P(RootsPermissions, root_gives_files_away_and_setuid_goes) {
  MUST(make("file"));
  OK(chmod("file", 06755));
  OK(chown("file", kStranger, kOtherGroup));
  EXPECT_EQ(status_of("file").st_uid, kStranger);
  EXPECT_EQ(mode_of("file"), 0755U);
  OK(symlink("file", "link"));
  OK(lchown("link", kUser, kGroup));
  EXPECT_EQ(status_of("link").st_uid, kUser);
  EXPECT_EQ(status_of("file").st_uid, kStranger);
}

TEST_P(RootsPermissions, writing_by_root_keeps_setuid) {
  MUST(make("file", "x"));
  OK(chmod("file", 06755));
  File file("file", O_WRONLY);
  OK(write(file, "y", 1));
  EXPECT_EQ(mode_of("file"), 06755U);
}

TEST_P(RootsPermissions, device_numbers_are_kept) {
  OK(mknod("char", S_IFCHR | 0600, makedev(1, 3)));
  OK(mknod("block", S_IFBLK | 0600, makedev(259, 1000000)));
  EXPECT_EQ(status_of("char").st_rdev, makedev(1, 3));
  EXPECT_TRUE(S_ISCHR(status_of("char").st_mode));
  EXPECT_EQ(status_of("block").st_rdev, makedev(259, 1000000));
  File null("char", O_WRONLY);
  EXPECT_EQ(write(null, "x", 1), 1);
}

}  // namespace
}  // namespace rvmfs::test
