// SPDX-License-Identifier: BSD-2-Clause
//
// Hard links, files without a name, extended attributes, and handles.
#include <fcntl.h>
#include <sys/xattr.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "tests/conformance/place.h"

namespace rvmfs::test {
namespace {

class LinksOf : public InPlace {};
IN_ALL_PLACES(LinksOf);

TEST_P(LinksOf, a_file_are_the_same_file) {
  MUST(make("one", "content"));
  OK(link("one", "two"));
  EXPECT_EQ(status_of("one").st_ino, status_of("two").st_ino);
  EXPECT_EQ(status_of("two").st_nlink, 2U);
  OK(chmod("two", 0600));
  EXPECT_EQ(status_of("one").st_mode & 0777, 0600U);
  OK(unlink("one"));
  EXPECT_EQ(status_of("two").st_nlink, 1U);
  EXPECT_EQ(content_of("two"), "content");
}

TEST_P(LinksOf, directories_are_refused_and_those_of_symlinks_are_not) {
  MUST(mkdir("dir", 0755));
  FAILS(link("dir", "dir2"), EPERM);
  OK(symlink("dir", "sym"));
  OK(link("sym", "sym2"));
  EXPECT_TRUE(S_ISLNK(status_of("sym2").st_mode));
  EXPECT_EQ(status_of("sym").st_nlink, 2U);
  OK(mknod("pipe", S_IFIFO | 0644, 0));
  OK(link("pipe", "pipe2"));
}

TEST_P(LinksOf, one_file_can_be_many) {
  MUST(make("file"));
  for (int i = 0; i < 2000; ++i) OK(link("file", ("l" + std::to_string(i)).c_str()));
  EXPECT_EQ(status_of("file").st_nlink, 2001U);
}

TEST_P(LinksOf, an_open_file_may_all_go) {
  MUST(make("file", "content"));
  File file("file", O_RDWR);
  OK(unlink("file"));
  EXPECT_FALSE(exists("file"));
  struct stat status {};
  OK(fstat(file, &status));
  EXPECT_EQ(status.st_nlink, 0U);
  OK(pwrite(file, "more", 4, 7));
  char text[12] = {};
  EXPECT_EQ(pread(file, text, sizeof text, 0), 11);
  EXPECT_STREQ(text, "contentmore");
  OK(fchmod(file, 0600));
  OK(ftruncate(file, 100000));
  OK(fsync(file));
  MUST(make("file", "another"));
  OK(pwrite(file, "X", 1, 0));
  EXPECT_EQ(content_of("file"), "another");
}

TEST_P(LinksOf, an_open_directory_may_go) {
  MUST(mkdir("dir", 0755));
  File dir("dir", O_RDONLY | O_DIRECTORY);
  OK(rmdir("dir"));
  FAILS(openat(dir, "x", O_CREAT | O_WRONLY, 0644), ENOENT);
  FAILS(mkdirat(dir, "x", 0755), ENOENT);
  struct stat status {};
  OK(fstat(dir, &status));
  EXPECT_EQ(status.st_nlink, 0U);
}

TEST_P(LinksOf, nothing_is_left_of_unlinked_open_files) {
  MUST(make("file"));
  File file("file", O_RDONLY);
  OK(unlink("file"));
  MUST(mkdir("elsewhere", 0755));
  OK(rmdir("elsewhere"));  // no hidden name stands in the way
  EXPECT_EQ(status_of(".").st_nlink, 2U);
}

TEST_P(LinksOf, a_file_without_a_name_can_be_the_first) {
  File file(".", O_TMPFILE | O_RDWR, 0640);
  ASSERT_GE(int(file), 0) << strerror(errno);
  OK(write(file, "content", 7));
  struct stat status {};
  OK(fstat(file, &status));
  EXPECT_EQ(status.st_nlink, 0U);
  EXPECT_EQ(status.st_mode & 0777, 0640U);
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  OK(linkat(AT_FDCWD, path.c_str(), AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
  EXPECT_EQ(content_of("named"), "content");
  EXPECT_EQ(status_of("named").st_nlink, 1U);
  File exclusive(".", O_TMPFILE | O_EXCL | O_RDWR, 0600);
  ASSERT_GE(int(exclusive), 0);
  const std::string other = "/proc/self/fd/" + std::to_string(exclusive);
  FAILS(linkat(AT_FDCWD, other.c_str(), AT_FDCWD, "never", AT_SYMLINK_FOLLOW), ENOENT);
  FAILS(open("named", O_TMPFILE | O_RDWR, 0600), ENOTDIR);
  FAILS(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
}

// -- extended attributes

class AttributesOf : public InPlace {
 protected:
  void prepare() override { MUST(make("file")); }
};
IN_ALL_PLACES(AttributesOf);

TEST_P(AttributesOf, a_file_are_set_replaced_listed_and_removed) {
  OK(setxattr("file", "user.one", "1", 1, XATTR_CREATE));
  FAILS(setxattr("file", "user.one", "2", 1, XATTR_CREATE), EEXIST);
  FAILS(setxattr("file", "user.two", "2", 1, XATTR_REPLACE), ENODATA);
  OK(setxattr("file", "user.one", "22", 2, XATTR_REPLACE));
  OK(setxattr("file", "user.empty", "", 0, 0));
  char value[16] = {};
  EXPECT_EQ(getxattr("file", "user.one", value, sizeof value), 2);
  EXPECT_EQ(getxattr("file", "user.one", nullptr, 0), 2);
  EXPECT_EQ(getxattr("file", "user.empty", value, sizeof value), 0);
  FAILS(getxattr("file", "user.one", value, 1), ERANGE);
  FAILS(getxattr("file", "user.absent", value, sizeof value), ENODATA);
  char names[64] = {};
  const ssize_t length = listxattr("file", names, sizeof names);
  const std::string list(names, static_cast<size_t>(std::max<ssize_t>(length, 0)));
  EXPECT_NE(list.find(std::string("user.one\0", 9)), std::string::npos);
  EXPECT_NE(list.find(std::string("user.empty\0", 11)), std::string::npos);
  FAILS(listxattr("file", names, 3), ERANGE);
  OK(removexattr("file", "user.one"));
  FAILS(removexattr("file", "user.one"), ENODATA);
}

TEST_P(AttributesOf, unknown_kinds_and_bad_names_are_refused) {
  FAILS(setxattr("file", "other.x", "1", 1, 0), EOPNOTSUPP);
  FAILS(setxattr("file", "noprefix", "1", 1, 0), EOPNOTSUPP);
  FAILS(setxattr("file", "user.", "1", 1, 0), EINVAL);
  FAILS(setxattr("file", "", "1", 1, 0), ERANGE);
  FAILS(setxattr("file", ("user." + std::string(251, 'n')).c_str(), "1", 1, 0), ERANGE);
  OK(setxattr("file", ("user." + std::string(250, 'n')).c_str(), "1", 1, 0));
  FAILS(setxattr("file", "user.x", "1", 1, XATTR_CREATE | XATTR_REPLACE | 8), EINVAL);
}

TEST_P(AttributesOf, a_file_may_be_large_and_many) {
  // ext4 keeps all of a file's attributes in one block.
  const size_t size = on_volume() ? 65536 : 2000;
  const int count = on_volume() ? 2000 : 40;
  const std::string large(size, 'v');
  OK(setxattr("file", "user.large", large.data(), large.size(), 0));
  std::string found(size, '\0');
  EXPECT_EQ(getxattr("file", "user.large", found.data(), found.size()), static_cast<ssize_t>(size));
  EXPECT_EQ(found, large);
  FAILS(setxattr("file", "user.larger", std::string(65537, 'v').data(), 65537, 0), E2BIG);
  for (int i = 0; i < count; ++i) {
    OK(setxattr("file", ("user.n" + std::to_string(i)).c_str(), &i, sizeof i, 0));
  }
  for (int i = 0; i < count; ++i) {
    int value = -1;
    OK(getxattr("file", ("user.n" + std::to_string(i)).c_str(), &value, sizeof value));
    EXPECT_EQ(value, i);
  }
}

TEST_P(AttributesOf, directories_are_kept_too_and_pipes_have_none) {
  MUST(mkdir("dir", 0755));
  OK(setxattr("dir", "user.x", "1", 1, 0));
  OK(rename("dir", "moved"));
  char value[4];
  EXPECT_EQ(getxattr("moved", "user.x", value, sizeof value), 1);
  OK(mknod("pipe", S_IFIFO | 0644, 0));
  FAILS(setxattr("pipe", "user.x", "1", 1, 0), EPERM);
}

class HandlesOf : public InPlace {};
AS_ROOT(HandlesOf);

TEST_P(HandlesOf, files_outlive_a_drop_of_all_caches) {
  MUST(mkdir("dir", 0755));
  std::map<std::string, std::vector<char>> handles;
  int mount_id = 0;
  for (const char* name : {"dir/a", "dir/b", "dir"}) {
    if (std::string(name) != "dir") MUST(make(name, name));
    std::vector<char> bytes(sizeof(file_handle) + MAX_HANDLE_SZ);
    auto* handle = reinterpret_cast<file_handle*>(bytes.data());
    handle->handle_bytes = MAX_HANDLE_SZ;
    MUST(name_to_handle_at(AT_FDCWD, name, handle, &mount_id, 0));
    handles[name] = bytes;
  }
  OK(rename("dir/b", "dir/renamed"));
  sync();
  std::ofstream("/proc/sys/vm/drop_caches") << "3";
  File mount(".", O_RDONLY | O_DIRECTORY);
  const auto reopen = [&](const char* name, int flags) {
    return open_by_handle_at(mount, reinterpret_cast<file_handle*>(handles[name].data()), flags);
  };
  for (const char* name : {"dir/a", "dir/b"}) {
    File file(reopen(name, O_RDONLY));
    ASSERT_GE(int(file), 0) << name << ": " << strerror(errno);
    char text[6] = {};
    EXPECT_EQ(read(file, text, sizeof text), 5);
    EXPECT_STREQ(text, name);
  }
  {
    File dir(reopen("dir", O_RDONLY | O_DIRECTORY));
    ASSERT_GE(int(dir), 0) << strerror(errno);
    EXPECT_EQ(faccessat(dir, "renamed", F_OK, 0), 0);
  }
  OK(unlink("dir/a"));
  std::ofstream("/proc/sys/vm/drop_caches") << "3";
  FAILS(reopen("dir/a", O_RDONLY), ESTALE);
}

}  // namespace
}  // namespace rvmfs::test
