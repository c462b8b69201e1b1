// SPDX-License-Identifier: BSD-2-Clause
//
// Names: what is found, made and removed under which name, and the error number of everything that
// is not.
#include <sys/statfs.h>
#include <climits>

#include "tests/conformance/place.h"

namespace rvmfs::test {
namespace {

class NamesOf : public InPlace {
 protected:
  void prepare() override {
    make_a_few();
    MUST(mkdir("empty", 0755));
    OK(symlink("dir", "dirlink"));
    OK(symlink("nowhere", "dangling"));
    OK(symlink("loop2", "loop1"));
    OK(symlink("loop1", "loop2"));
  }
};
IN_ALL_PLACES(NamesOf);

TEST_P(NamesOf, what_is_absent_is_enoent) {
  FAILS(open("absent", O_RDONLY), ENOENT);
  FAILS(unlink("absent"), ENOENT);
  FAILS(rmdir("absent"), ENOENT);
  FAILS(chmod("absent", 0644), ENOENT);
  FAILS(truncate("absent", 0), ENOENT);
  FAILS(link("absent", "x"), ENOENT);
  FAILS(rename("absent", "x"), ENOENT);
  FAILS(open("absent/x", O_CREAT | O_WRONLY, 0644), ENOENT);
  FAILS(mkdir("absent/x", 0755), ENOENT);
  FAILS(symlink("x", "absent/x"), ENOENT);
  FAILS(mknod("absent/x", S_IFIFO | 0644, 0), ENOENT);
  FAILS(link("file", "absent/x"), ENOENT);
  FAILS(rename("file", "absent/x"), ENOENT);
  FAILS(open("dangling", O_RDONLY), ENOENT);
  FAILS(open("", O_RDONLY), ENOENT);
}

TEST_P(NamesOf, what_exists_is_eexist) {
  for (const char* name : {"file", "dir", "link", "dangling", "dirlink"}) {
    FAILS(open(name, O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
    FAILS(mkdir(name, 0755), EEXIST);
    FAILS(symlink("x", name), EEXIST);
    FAILS(mknod(name, S_IFREG | 0644, 0), EEXIST);
    FAILS(link("file", name), EEXIST);
  }
  FAILS(mkdir(".", 0755), EEXIST);
  FAILS(mkdir("..", 0755), EEXIST);
  FAILS(mkdir("dir/.", 0755), EEXIST);
}

TEST_P(NamesOf, a_file_in_the_middle_of_a_path_is_enotdir) {
  FAILS(open("file/x", O_RDONLY), ENOTDIR);
  FAILS(open("file/x", O_CREAT | O_WRONLY, 0644), ENOTDIR);
  FAILS(mkdir("file/x", 0755), ENOTDIR);
  FAILS(unlink("file/x"), ENOTDIR);
  FAILS(rmdir("file"), ENOTDIR);
  FAILS(rmdir("link"), ENOTDIR);
  FAILS(rmdir("dirlink"), ENOTDIR);
  FAILS(rename("file/x", "y"), ENOTDIR);
  FAILS(rename("dir", "file"), ENOTDIR);
  FAILS(symlink("a", "file/x"), ENOTDIR);
  FAILS(link("file", "file/x"), ENOTDIR);
  FAILS(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
  FAILS(chdir("file"), ENOTDIR);
}

TEST_P(NamesOf, a_directory_where_a_file_is_wanted_is_eisdir) {
  FAILS(open("dir", O_WRONLY), EISDIR);
  FAILS(open("dir", O_RDWR), EISDIR);
  FAILS(open("dir", O_RDONLY | O_TRUNC), EISDIR);
  FAILS(open("dir", O_CREAT | O_RDONLY, 0644), EISDIR);
  FAILS(unlink("dir"), EISDIR);
  FAILS(rename("file", "dir"), EISDIR);
  FAILS(truncate("dir", 0), EISDIR);
  File dir("dir", O_RDONLY);
  char byte = 0;
  FAILS(read(dir, &byte, 1), EISDIR);
}

TEST_P(NamesOf, directories_with_entries_stay) {
  FAILS(rmdir("dir"), ENOTEMPTY);
  FAILS(rename("empty", "dir"), ENOTEMPTY);
  FAILS(rmdir("dir/."), EINVAL);
  FAILS(rmdir("dir/.."), ENOTEMPTY);
  OK(rmdir("empty/"));
  OK(unlink("dir/inside"));
  OK(rmdir("dir"));
}

TEST_P(NamesOf, have_255_bytes_at_most_and_paths_4095) {
  const std::string longest(255, 'n');
  OK(mkdir(longest.c_str(), 0755));
  MUST(make(longest + "/" + longest));
  EXPECT_TRUE(exists(longest + "/" + longest));
  for (const size_t length : {256, 300, 1023, 1024, 1025, 4000}) {
    const std::string name(length, 'n');
    FAILS(open(name.c_str(), O_RDONLY), ENAMETOOLONG);
    FAILS(open(name.c_str(), O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
    FAILS(mkdir(name.c_str(), 0755), ENAMETOOLONG);
    FAILS(mknod(name.c_str(), S_IFIFO | 0644, 0), ENAMETOOLONG);
    FAILS(symlink("x", name.c_str()), ENAMETOOLONG);
    FAILS(link("file", name.c_str()), ENAMETOOLONG);
    FAILS(unlink(name.c_str()), ENAMETOOLONG);
    FAILS(rmdir(name.c_str()), ENAMETOOLONG);
    FAILS(rename("file", name.c_str()), ENAMETOOLONG);
    FAILS(rename(name.c_str(), "x"), ENAMETOOLONG);
    FAILS(chmod(name.c_str(), 0644), ENAMETOOLONG);
    FAILS(truncate(name.c_str(), 0), ENAMETOOLONG);
  }
  std::string path = "dir";
  while (path.size() + 2 < PATH_MAX) path += "/.";
  path.resize(PATH_MAX - 1, '.');
  EXPECT_EQ(open((path + "xx").c_str(), O_RDONLY), -1);
  EXPECT_EQ(errno, ENAMETOOLONG);
  struct statfs volume {};
  OK(statfs(".", &volume));
  EXPECT_EQ(volume.f_namelen, 255);
}

TEST_P(NamesOf, may_have_any_byte_but_slash_and_zero) {
  for (int byte = 1; byte < 256; ++byte) {
    if (byte == '/') continue;
    const std::string name = std::string("x") + static_cast<char>(byte);
    MUST(make(name, name));
    EXPECT_EQ(content_of(name), name);
  }
  MUST(make("...", "dots"));
  MUST(make(" ", "blank"));
  EXPECT_EQ(content_of(" "), "blank");
  EXPECT_TRUE(exists("..."));
}

TEST_P(NamesOf, upper_and_lower_case_differ) {
  MUST(make("FILE", "other"));
  EXPECT_EQ(content_of("file"), "content");
}

TEST_P(NamesOf, symlinks_that_lead_in_circles_are_eloop) {
  FAILS(open("loop1", O_RDONLY), ELOOP);
  FAILS(chmod("loop1", 0644), ELOOP);
  FAILS(mkdir("loop1/x", 0755), ELOOP);
  FAILS(truncate("loop1", 0), ELOOP);
  FAILS(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
  OK(unlink("loop1"));
}

TEST_P(NamesOf, symlinks_keep_every_target_up_to_4095_bytes) {
  for (const size_t length : {1, 59, 60, 61, 255, 1023, 1024, 1025, 4000, 4095}) {
    const std::string target(length, 't');
    OK(symlink(target.c_str(), "long"));
    char found[PATH_MAX + 1];
    EXPECT_EQ(readlink("long", found, sizeof found), ssize_t(length));
    EXPECT_EQ(std::string(found, length), target);
    EXPECT_EQ(status_of("long").st_size, off_t(length));
    OK(unlink("long"));
  }
  FAILS(symlink(std::string(4096, 't').c_str(), "long"), ENAMETOOLONG);
  FAILS(symlink("", "empty_target"), ENOENT);
  char small[3];
  EXPECT_EQ(readlink("link", small, sizeof small), 3);
  FAILS(readlink("file", small, sizeof small), EINVAL);
  FAILS(readlink("dir", small, sizeof small), EINVAL);
}

TEST_P(NamesOf, creating_through_a_dangling_symlink_makes_its_target) {
  const File file("dangling", O_CREAT | O_WRONLY);
  EXPECT_GE(int(file), 0);
  EXPECT_TRUE(S_ISREG(status_of("nowhere").st_mode));
}

TEST_P(NamesOf, a_slash_at_the_end_means_a_directory) {
  FAILS(open("file/", O_RDONLY), ENOTDIR);
  FAILS(unlink("file/"), ENOTDIR);
  FAILS(open("new/", O_CREAT | O_WRONLY, 0644), EISDIR);
  OK(mkdir("new/", 0755));
  FAILS(rename("file", "x/"), ENOTDIR);
  OK(rename("new/", "newer/"));
  FAILS(link("file", "x/"), ENOENT);
  OK(access("dirlink/", F_OK));
}

TEST_P(NamesOf, special_files_keep_their_kind) {
  OK(mknod("pipe", S_IFIFO | 0644, 0));
  OK(mknod("socket", S_IFSOCK | 0644, 0));
  EXPECT_TRUE(S_ISFIFO(status_of("pipe").st_mode));
  EXPECT_TRUE(S_ISSOCK(status_of("socket").st_mode));
  FAILS(open("pipe", O_WRONLY | O_NONBLOCK), ENXIO);
  FAILS(open("socket", O_RDONLY), ENXIO);
  FAILS(mknod("directory", S_IFDIR | 0755, 0), EPERM);
  FAILS(mknod("nothing", 0xf000 | 0644, 0), EINVAL);
}

// -- rename

class RenamesOf : public NamesOf {};
IN_ALL_PLACES(RenamesOf);

int rename2(const char* from, const char* to, unsigned flags) {
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

TEST_P(RenamesOf, replace_files_and_empty_directories_of_their_own_kind) {
  const ino_t file = status_of("file").st_ino;
  MUST(make("other", "other"));
  OK(rename("file", "other"));
  EXPECT_EQ(status_of("other").st_ino, file);
  EXPECT_EQ(content_of("other"), "content");
  EXPECT_FALSE(exists("file"));
  OK(rename("dir", "empty"));
  EXPECT_TRUE(exists("empty/inside"));
  OK(rename("other", "link"));
  EXPECT_TRUE(S_ISREG(status_of("link").st_mode)) << "the link itself is replaced";
  OK(rename("dangling", "dangling2"));
  OK(rename("dangling2", "link"));
  EXPECT_TRUE(S_ISLNK(status_of("link").st_mode));
}

TEST_P(RenamesOf, one_name_to_another_of_the_same_file_do_nothing) {
  OK(link("file", "linked"));
  OK(rename("file", "linked"));
  EXPECT_TRUE(exists("file"));
  EXPECT_TRUE(exists("linked"));
  EXPECT_EQ(status_of("file").st_nlink, 2U);
  OK(rename("file", "file"));
  OK(rename("dir", "dir"));
}

TEST_P(RenamesOf, a_directory_below_itself_are_refused) {
  MUST(mkdir("dir/sub", 0755));
  MUST(mkdir("dir/sub/sub", 0755));
  FAILS(rename("dir", "dir/new"), EINVAL);
  FAILS(rename("dir", "dir/sub/sub/new"), EINVAL);
  FAILS(rename("dir/sub", "dir/sub/sub"), EINVAL);
  FAILS(rename("dir/sub/sub", "dir/sub"), ENOTEMPTY);
  FAILS(rename("dir", "dir/sub"), EINVAL);
  FAILS(rename("dir/.", "x"), EBUSY);
  FAILS(rename("dir", "dir/.."), EBUSY);
}

TEST_P(RenamesOf, across_directories_move_dot_dot_and_link_counts) {
  MUST(mkdir("dir/sub", 0755));
  EXPECT_EQ(status_of("dir").st_nlink, 3U);
  OK(rename("dir/sub", "empty/moved"));
  EXPECT_EQ(status_of("dir").st_nlink, 2U);
  EXPECT_EQ(status_of("empty").st_nlink, 3U);
  EXPECT_EQ(status_of("empty/moved/..").st_ino, status_of("empty").st_ino);
  MUST(mkdir("dir/target", 0755));
  OK(rename("empty/moved", "dir/target"));
  EXPECT_EQ(status_of("dir").st_nlink, 3U);
  EXPECT_EQ(status_of("empty").st_nlink, 2U);
}

TEST_P(RenamesOf, with_noreplace_keep_the_target) {
  FAILS(rename2("file", "dir", RENAME_NOREPLACE), EEXIST);
  FAILS(rename2("file", "dangling", RENAME_NOREPLACE), EEXIST);
  FAILS(rename2("absent", "x", RENAME_NOREPLACE), ENOENT);
  OK(rename2("file", "free", RENAME_NOREPLACE));
  EXPECT_EQ(content_of("free"), "content");
}

TEST_P(RenamesOf, with_exchange_swap_things_of_any_kind) {
  const ino_t file = status_of("file").st_ino;
  const ino_t dir = status_of("dir").st_ino;
  OK(rename2("file", "dir", RENAME_EXCHANGE));
  EXPECT_EQ(status_of("dir").st_ino, file);
  EXPECT_EQ(status_of("file").st_ino, dir);
  EXPECT_TRUE(exists("file/inside"));
  OK(rename2("file/inside", "empty", RENAME_EXCHANGE));
  EXPECT_TRUE(S_ISDIR(status_of("file/inside").st_mode));
  EXPECT_EQ(status_of("file").st_nlink, 3U);
  EXPECT_EQ(status_of("file/inside/..").st_ino, dir);
  FAILS(rename2("dir", "absent", RENAME_EXCHANGE), ENOENT);
  FAILS(rename2("file", "file/inside", RENAME_EXCHANGE), EINVAL);
  FAILS(rename2("dir", "link", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
  FAILS(rename2("dir", "link", 0x80), EINVAL);
}

TEST_P(RenamesOf, over_an_open_file_leave_it_readable) {
  MUST(make("victim", "old"));
  File open_file("victim", O_RDWR);
  OK(rename("file", "victim"));
  char text[4] = {};
  EXPECT_EQ(pread(open_file, text, 3, 0), 3);
  EXPECT_STREQ(text, "old");
  OK(pwrite(open_file, "new", 3, 0));
  struct stat status {};
  OK(fstat(open_file, &status));
  EXPECT_EQ(status.st_nlink, 0U);
  EXPECT_EQ(content_of("victim"), "content");
}

class RootsRenames : public NamesOf {};
AS_ROOT(RootsRenames);

TEST_P(RootsRenames, with_whiteout_leave_a_character_device) {
  OK(rename2("file", "moved", RENAME_WHITEOUT));
  EXPECT_TRUE(S_ISCHR(status_of("file").st_mode));
  EXPECT_EQ(status_of("file").st_rdev, 0U);
  EXPECT_EQ(content_of("moved"), "content");
  OK(rename2("dir", "moved_dir", RENAME_WHITEOUT | RENAME_NOREPLACE));
  EXPECT_TRUE(S_ISCHR(status_of("dir").st_mode));
  EXPECT_TRUE(exists("moved_dir/inside"));
  FAILS(rename2("moved", "x", RENAME_WHITEOUT | RENAME_EXCHANGE), EINVAL);
}

}  // namespace
}  // namespace rvmfs::test
