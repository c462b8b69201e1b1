// SPDX-License-Identifier: BSD-2-Clause
//
// System calls on names, on a real mount: making, linking, moving, removing, listing.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "tests/mount/mount_test_base.h"

namespace rvmfs::test {
namespace {

class Names : public MountTest {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    if (!HasFatalFailure()) format_and_start();
  }
  void TearDown() override {
    if (!HasFatalFailure() && daemon_is_running()) {
      unmount();
      expect_clean();
    }
    MountTest::TearDown();
  }
  struct stat look(const std::string& name) const {
    struct stat status {};
    EXPECT_CALL_OK(lstat(at(name).c_str(), &status)) << name;
    return status;
  }
  int make(const std::string& name, std::string_view content = "") const {
    return write_file(at(name), content, O_EXCL);
  }
  int move(const std::string& from, const std::string& to, unsigned flags = 0) const {
    return static_cast<int>(
        syscall(SYS_renameat2, AT_FDCWD, at(from).c_str(), AT_FDCWD, at(to).c_str(), flags));
  }
  bool exists(const std::string& name) const {
    struct stat status {};
    return lstat(at(name).c_str(), &status) == 0;
  }
};

TEST_F(Names, a_new_file_is_there_once) {
  EXPECT_EQ(make("file"), 0);
  EXPECT_EQ(make("file"), EEXIST);
  EXPECT_TRUE(S_ISREG(look("file").st_mode));
  EXPECT_EQ(look("file").st_nlink, 1u);
}

TEST_F(Names, the_umask_is_applied_once) {
  const mode_t before = umask(027);
  const int fd = open(at("file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
  EXPECT_CALL_OK(mkdir(at("folder").c_str(), 0777));
  umask(before);
  EXPECT_CALL_OK(close(fd));
  EXPECT_EQ(look("file").st_mode & 07777, 0640u);
  EXPECT_EQ(look("folder").st_mode & 07777, 0750u);
}

TEST_F(Names, directories_count_their_subdirectories) {
  EXPECT_CALL_OK(mkdir(at("a").c_str(), 0755));
  EXPECT_CALL_OK(mkdir(at("a/b").c_str(), 0755));
  EXPECT_EQ(look("a").st_nlink, 3u);
  EXPECT_CALL_FAILS(rmdir(at("a").c_str()), ENOTEMPTY);
  EXPECT_CALL_OK(rmdir(at("a/b").c_str()));
  EXPECT_EQ(look("a").st_nlink, 2u);
  EXPECT_CALL_OK(rmdir(at("a").c_str()));
  EXPECT_FALSE(exists("a"));
}

TEST_F(Names, files_and_directories_are_removed_by_their_own_calls) {
  ASSERT_EQ(make("file"), 0);
  ASSERT_CALL_OK(mkdir(at("folder").c_str(), 0755));
  EXPECT_CALL_FAILS(rmdir(at("file").c_str()), ENOTDIR);
  EXPECT_CALL_FAILS(unlink(at("folder").c_str()), EISDIR);
}

TEST_F(Names, symbolic_links_keep_short_and_long_targets) {
  const std::string target = "folder/" + std::string(4000, 'x');
  EXPECT_CALL_OK(symlink("short", at("one").c_str()));
  EXPECT_CALL_OK(symlink(target.c_str(), at("two").c_str()));
  char buffer[5000] = {};
  EXPECT_EQ(readlink(at("one").c_str(), buffer, sizeof buffer), 5);
  EXPECT_EQ(std::string_view(buffer, 5), "short");
  EXPECT_EQ(readlink(at("two").c_str(), buffer, sizeof buffer),
            static_cast<ssize_t>(target.size()));
  EXPECT_EQ(std::string_view(buffer, target.size()), target);
  EXPECT_EQ(look("two").st_size, static_cast<off_t>(target.size()));
}

TEST_F(Names, hard_links_are_the_same_file) {
  ASSERT_EQ(make("one", "content"), 0);
  ASSERT_CALL_OK(link(at("one").c_str(), at("two").c_str()));
  EXPECT_EQ(look("one").st_ino, look("two").st_ino);
  EXPECT_EQ(look("one").st_nlink, 2u);
  EXPECT_CALL_FAILS(link(at("one").c_str(), at("two").c_str()), EEXIST);
  EXPECT_CALL_OK(unlink(at("one").c_str()));
  EXPECT_EQ(look("two").st_nlink, 1u);
  EXPECT_EQ(read_file(at("two")), "content");
}

TEST_F(Names, a_file_that_is_open_lives_on_without_a_name) {
  const Fd fd(open(at("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  ASSERT_CALL_OK(fd);
  ASSERT_EQ(write(fd, "before", 6), 6);
  ASSERT_CALL_OK(unlink(at("file").c_str()));
  EXPECT_FALSE(exists("file"));
  ASSERT_EQ(write(fd, " after", 6), 6);
  char buffer[20] = {};
  EXPECT_EQ(pread(fd, buffer, sizeof buffer, 0), 12);
  EXPECT_STREQ(buffer, "before after");
  struct stat status {};
  EXPECT_CALL_OK(fstat(fd, &status));
  EXPECT_EQ(status.st_nlink, 0u);
  ASSERT_EQ(make("file", "another"), 0);
  EXPECT_NE(look("file").st_ino, status.st_ino);
}

TEST_F(Names, a_directory_that_is_open_lives_on_without_a_name) {
  ASSERT_CALL_OK(mkdir(at("folder").c_str(), 0755));
  const Fd fd(open(at("folder").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_CALL_OK(rmdir(at("folder").c_str()));
  EXPECT_CALL_FAILS(openat(fd, "file", O_CREAT | O_WRONLY, 0644), ENOENT);
  struct stat status {};
  EXPECT_CALL_OK(fstat(fd, &status));
}

TEST_F(Names, a_file_can_begin_without_a_name_and_get_one) {
  const Fd fd(open(mount_point().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_CALL_OK(fd);
  ASSERT_EQ(write(fd, "content", 7), 7);
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  EXPECT_CALL_OK(linkat(AT_FDCWD, self.c_str(), AT_FDCWD, at("file").c_str(), AT_SYMLINK_FOLLOW));
  EXPECT_EQ(read_file(at("file")), "content");
  EXPECT_EQ(look("file").st_mode & 07777, 0600u);
  EXPECT_EQ(look("file").st_nlink, 1u);
}

TEST_F(Names, renaming_replaces_the_target) {
  ASSERT_EQ(make("one", "1"), 0);
  ASSERT_EQ(make("two", "2"), 0);
  EXPECT_CALL_OK(move("one", "two"));
  EXPECT_FALSE(exists("one"));
  EXPECT_EQ(read_file(at("two")), "1");
}

TEST_F(Names, renaming_a_directory_moves_what_is_in_it) {
  ASSERT_CALL_OK(mkdir(at("a").c_str(), 0755));
  ASSERT_CALL_OK(mkdir(at("b").c_str(), 0755));
  ASSERT_EQ(make("a/file", "x"), 0);
  EXPECT_CALL_OK(move("a", "b/c"));
  EXPECT_EQ(read_file(at("b/c/file")), "x");
  EXPECT_EQ(look("b").st_nlink, 3u);
  EXPECT_CALL_FAILS(move("b", "b/c/d"), EINVAL);
  struct stat parent {};
  EXPECT_CALL_OK(stat(at("b/c/..").c_str(), &parent));
  EXPECT_EQ(parent.st_ino, look("b").st_ino);
}

TEST_F(Names, rename_flags_are_honoured) {
  ASSERT_EQ(make("one", "1"), 0);
  ASSERT_EQ(make("two", "2"), 0);
  EXPECT_CALL_FAILS(move("one", "two", RENAME_NOREPLACE), EEXIST);
  EXPECT_CALL_OK(move("one", "two", RENAME_EXCHANGE));
  EXPECT_EQ(read_file(at("one")), "2");
  EXPECT_EQ(read_file(at("two")), "1");
  EXPECT_CALL_OK(move("one", "three", RENAME_NOREPLACE));
  EXPECT_EQ(read_file(at("three")), "2");
  EXPECT_CALL_FAILS(move("one", "two", RENAME_EXCHANGE), ENOENT);
}

TEST_F(Names, special_files_keep_their_type_and_number) {
  EXPECT_CALL_OK(mkfifo(at("fifo").c_str(), 0644));
  EXPECT_TRUE(S_ISFIFO(look("fifo").st_mode));
  EXPECT_CALL_OK(mknod(at("socket").c_str(), S_IFSOCK | 0600, 0));
  EXPECT_TRUE(S_ISSOCK(look("socket").st_mode));
  if (geteuid() != 0) return;  // devices are root's
  EXPECT_CALL_OK(mknod(at("device").c_str(), S_IFBLK | 0600, makedev(259, 70000)));
  EXPECT_TRUE(S_ISBLK(look("device").st_mode));
  EXPECT_EQ(look("device").st_rdev, makedev(259, 70000));
}

TEST_F(Names, names_may_have_255_bytes_and_not_one_more) {
  EXPECT_EQ(make(std::string(255, 'n')), 0);
  EXPECT_EQ(make(std::string(256, 'n')), ENAMETOOLONG);
  EXPECT_CALL_FAILS(access(at(std::string(256, 'n')).c_str(), F_OK), ENAMETOOLONG);
  EXPECT_EQ(make("\xff\x01 *\n"), 0) << "any byte but / and NUL may be in a name";
}

std::set<std::string> list(const std::string& path) {
  std::set<std::string> names;
  DIR* const directory = opendir(path.c_str());
  if (directory == nullptr) return names;
  while (const dirent* entry = readdir(directory)) {
    EXPECT_TRUE(names.insert(entry->d_name).second) << entry->d_name << " comes twice";
  }
  closedir(directory);
  return names;
}

TEST_F(Names, a_directory_of_5000_entries_lists_each_of_them_once) {
  ASSERT_CALL_OK(mkdir(at("folder").c_str(), 0755));
  std::set<std::string> expected = {".", ".."};
  for (int i = 0; i < 5000; ++i) {
    const std::string name = "entry-" + std::to_string(i);
    ASSERT_EQ(make("folder/" + name), 0);
    expected.insert(name);
  }
  EXPECT_EQ(list(at("folder")), expected);
  ASSERT_NO_FATAL_FAILURE(unmount());
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_EQ(list(at("folder")), expected);
}

TEST_F(Names, seekdir_returns_to_a_place_in_a_directory) {
  ASSERT_CALL_OK(mkdir(at("folder").c_str(), 0755));
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(make("folder/" + std::to_string(i)), 0);
  DIR* const directory = opendir(at("folder").c_str());
  ASSERT_NE(directory, nullptr);
  std::map<long, std::string> next_name;  // by the position before it
  for (;;) {
    const long position = telldir(directory);
    const dirent* const entry = readdir(directory);
    if (entry == nullptr) break;
    next_name[position] = entry->d_name;
  }
  EXPECT_EQ(next_name.size(), 1002u);
  for (auto at_place = next_name.rbegin(); at_place != next_name.rend(); ++at_place) {
    seekdir(directory, at_place->first);
    const dirent* const entry = readdir(directory);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->d_name, at_place->second);
  }
  closedir(directory);
}

// What an NFS server has to rely on: a place in a directory means the same for ever.
TEST_F(Names, a_place_in_a_directory_outlives_a_remount) {
  ASSERT_CALL_OK(mkdir(at("folder").c_str(), 0755));
  for (int i = 0; i < 500; ++i) ASSERT_EQ(make("folder/" + std::to_string(i)), 0);
  const auto entries_from = [&](long place) {
    std::vector<std::pair<long, std::string>> entries;  // and the place behind each
    DIR* const directory = opendir(at("folder").c_str());
    if (directory == nullptr) return entries;
    if (place != 0) lseek(dirfd(directory), place, SEEK_SET);
    while (const dirent* entry = readdir(directory)) {
      entries.emplace_back(entry->d_off, entry->d_name);
    }
    closedir(directory);
    return entries;
  };
  const auto before = entries_from(0);
  ASSERT_EQ(before.size(), 502u);
  ASSERT_EQ(make("folder/new"), 0);
  ASSERT_CALL_OK(unlink(at("folder/7").c_str()));
  ASSERT_NO_FATAL_FAILURE(unmount());
  ASSERT_NO_FATAL_FAILURE(start());
  for (const size_t i : {size_t{0}, size_t{1}, size_t{2}, size_t{100}, size_t{499}, size_t{501}}) {
    std::set<std::string> expected;
    for (size_t j = i + 1; j < before.size(); ++j) expected.insert(before[j].second);
    std::set<std::string> found;
    for (const auto& [place, name] : entries_from(before[i].first)) found.insert(name);
    expected.erase("7");
    found.erase("new");
    EXPECT_EQ(found, expected) << "behind " << before[i].second;
  }
}

TEST_F(Names, removing_while_listing_removes_everything) {
  ASSERT_CALL_OK(mkdir(at("folder").c_str(), 0755));
  for (int i = 0; i < 3000; ++i) ASSERT_EQ(make("folder/" + std::to_string(i)), 0);
  DIR* const directory = opendir(at("folder").c_str());
  ASSERT_NE(directory, nullptr);
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] == '.') continue;
    EXPECT_CALL_OK(unlinkat(dirfd(directory), entry->d_name, 0));
  }
  closedir(directory);
  EXPECT_CALL_OK(rmdir(at("folder").c_str()));
}

TEST_F(Names, inode_numbers_in_listings_are_those_of_stat) {
  ASSERT_CALL_OK(mkdir(at("folder").c_str(), 0755));
  ASSERT_EQ(make("folder/file"), 0);
  ASSERT_CALL_OK(symlink("x", at("folder/link").c_str()));
  DIR* const directory = opendir(at("folder").c_str());
  ASSERT_NE(directory, nullptr);
  while (const dirent* entry = readdir(directory)) {
    const struct stat status = look(std::string("folder/") + entry->d_name);
    EXPECT_EQ(entry->d_ino, status.st_ino) << entry->d_name;
    EXPECT_EQ(DTTOIF(entry->d_type), status.st_mode & S_IFMT) << entry->d_name;
  }
  closedir(directory);
}

}  // namespace
}  // namespace rvmfs::test
