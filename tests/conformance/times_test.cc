// SPDX-License-Identifier: BSD-2-Clause
//
// Which operation changes which time of what: a table of every operation.
#include <sys/mman.h>
#include <sys/xattr.h>

#include <optional>

#include "tests/conformance/place.h"

namespace rvmfs::test {
namespace {

struct Times {
  timespec a, m, c;
};

Times times_of(const std::string& name) {
  const struct stat s = status_of(name);
  return {s.st_atim, s.st_mtim, s.st_ctim};
}

bool differ(const timespec& x, const timespec& y) {
  return x.tv_sec != y.tv_sec || x.tv_nsec != y.tv_nsec;
}

// "amc" for what has changed, '-' for what has not.
std::string changed(const Times& before, const Times& after) {
  return std::string(differ(before.a, after.a) ? "a" : "-") +
         (differ(before.m, after.m) ? "m" : "-") + (differ(before.c, after.c) ? "c" : "-");
}

class TimesOf : public InPlace {
 protected:
  void prepare() override {
    make_a_few();
    MUST(mkdir("dir/sub", 0755));
    MUST(mkdir("other", 0755));
  }

  // What of the named thing changes when it is done.
  static std::string by(const std::string& name, const std::function<void()>& operation) {
    let_time_pass();
    const Times before = times_of(name);
    operation();
    return changed(before, times_of(name));
  }
};
IN_ALL_PLACES(TimesOf);

TEST_P(TimesOf, a_file_change_with_its_contents) {
  EXPECT_EQ(by("file",
               [] {
                 File f("file", O_WRONLY);
                 OK(write(f, "x", 1));
               }),
            "-mc");
  EXPECT_EQ(by("file",
               [] {
                 File f("file", O_WRONLY);
                 OK(write(f, "", 0));
               }),
            "---");
  EXPECT_EQ(by("file",
               [] {
                 File f("file", O_WRONLY);
                 OK(ftruncate(f, 100));
               }),
            "-mc");
  EXPECT_EQ(by("file",
               [] {
                 File f("file", O_WRONLY);
                 OK(ftruncate(f, 100));
               }),
            "-mc");
  EXPECT_EQ(by("file", [] { OK(truncate("file", 50)); }), "-mc");
  EXPECT_EQ(by("file", [] { OK(File("file", O_WRONLY | O_TRUNC)); }), "-mc");
  EXPECT_EQ(by("file", [] { OK(File("file", O_WRONLY)); }), "---");
  EXPECT_EQ(by("file",
               [] {
                 File f("file", O_WRONLY);
                 OK(fallocate(f, 0, 0, 9000));
               }),
            "-mc");
}

TEST_P(TimesOf, a_file_change_when_a_shared_mapping_is_written) {
  MUST(truncate("file", 4096));
  EXPECT_EQ(by("file",
               [] {
                 File f("file", O_RDWR);
                 void* p = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
                 ASSERT_NE(p, MAP_FAILED);
                 static_cast<char*>(p)[0] = 'x';
                 OK(msync(p, 4096, MS_SYNC));
                 munmap(p, 4096);
               })
                .substr(1),
            "mc");
}

TEST_P(TimesOf, a_file_show_changed_attributes_in_ctime_only) {
  EXPECT_EQ(by("file", [] { OK(chmod("file", 0600)); }), "--c");
  EXPECT_EQ(by("file", [] { OK(chmod("file", 0600)); }), "--c");
  EXPECT_EQ(by("file", [] { OK(chown("file", -1, -1)); }), "--c");
  EXPECT_EQ(by("file", [] { OK(chown("file", geteuid(), -1)); }), "--c");
  EXPECT_EQ(by("file", [] { OK(setxattr("file", "user.a", "b", 1, 0)); }), "--c");
  EXPECT_EQ(by("file", [] { OK(removexattr("file", "user.a")); }), "--c");
  EXPECT_EQ(by("file", [] { FAILS(removexattr("file", "user.a"), ENODATA); }), "---");
  EXPECT_EQ(by("file", [] { OK(link("file", "linked")); }), "--c");
  EXPECT_EQ(by("file", [] { OK(unlink("linked")); }), "--c");
  EXPECT_EQ(by("dir", [] { OK(chmod("dir", 0700)); }), "--c");
}

TEST_P(TimesOf, directories_change_with_the_names_in_them) {
  EXPECT_EQ(by("dir", [] { MUST(make("dir/new")); }), "-mc");
  EXPECT_EQ(by("dir", [] { MUST(make("dir/new", "overwritten")); }), "---");
  EXPECT_EQ(by("dir", [] { OK(chmod("dir/new", 0600)); }), "---");
  EXPECT_EQ(by("dir", [] { OK(link("dir/new", "dir/linked")); }), "-mc");
  EXPECT_EQ(by("dir", [] { OK(unlink("dir/linked")); }), "-mc");
  EXPECT_EQ(by("dir", [] { OK(symlink("x", "dir/link")); }), "-mc");
  EXPECT_EQ(by("dir", [] { OK(mkdir("dir/newdir", 0755)); }), "-mc");
  EXPECT_EQ(by("dir", [] { OK(rmdir("dir/newdir")); }), "-mc");
  EXPECT_EQ(by("dir", [] { OK(mknod("dir/pipe", S_IFIFO | 0644, 0)); }), "-mc");
  EXPECT_EQ(by("dir", [] { FAILS(mkdir("dir/new", 0755), EEXIST); }), "---");
  EXPECT_EQ(by("dir", [] { FAILS(unlink("dir/absent"), ENOENT); }), "---");
}

TEST_P(TimesOf, both_directories_change_when_something_moves) {
  EXPECT_EQ(by("dir", [] { OK(rename("dir/inside", "dir/renamed")); }), "-mc");
  const auto move = [](const char* from, const char* to) {
    return [from, to] { OK(rename(from, to)); };
  };
  EXPECT_EQ(by("dir", move("dir/renamed", "other/moved")), "-mc");
  EXPECT_EQ(by("dir", move("other/moved", "dir/back")), "-mc");
  EXPECT_EQ(by("other", move("dir/back", "other/again")), "-mc");
}

TEST_P(TimesOf, what_moves_shows_it_in_ctime) {
  let_time_pass();
  const Times file = times_of("file");
  OK(rename("file", "renamed"));
  EXPECT_EQ(changed(file, times_of("renamed")), "--c");
  const Times replaced = times_of("dir/inside");
  File open_file("dir/inside", O_RDONLY);
  let_time_pass();
  OK(rename("renamed", "dir/inside"));
  struct stat status {};
  OK(fstat(open_file, &status));
  EXPECT_EQ(status.st_nlink, 0U);
  EXPECT_TRUE(differ(replaced.c, status.st_ctim)) << "it has lost its name";
}

TEST_P(TimesOf, reading_moves_atime_once_after_a_change) {
  const auto read_file = [] {
    File f("file", O_RDONLY);
    char b;
    OK(read(f, &b, 1));
  };
  const timespec early[2] = {{1000, 0}, {2000, 0}};
  OK(utimensat(AT_FDCWD, "file", early, 0));
  EXPECT_EQ(by("file", read_file), "a--");
  EXPECT_EQ(by("file", read_file), "---") << "relatime";
  EXPECT_EQ(by("file", [] { OK(File("file", O_RDONLY)); }), "---");
}

TEST_P(TimesOf, an_opening_without_atime_keeps_it) {
  const timespec early[2] = {{1000, 0}, {2000, 0}};
  OK(utimensat(AT_FDCWD, "file", early, 0));
  EXPECT_EQ(by("file",
               [] {
                 File f("file", O_RDONLY | O_NOATIME);
                 char b;
                 OK(read(f, &b, 1));
               }),
            "---");
}

TEST_P(TimesOf, new_things_are_now_and_equal) {
  timespec before{};
  clock_gettime(CLOCK_REALTIME_COARSE, &before);
  let_time_pass();
  MUST(make("new"));
  MUST(mkdir("newdir", 0755));
  OK(symlink("x", "newlink"));
  for (const char* name : {"new", "newdir", "newlink"}) {
    const Times t = times_of(name);
    EXPECT_FALSE(differ(t.a, t.m)) << name;
    EXPECT_FALSE(differ(t.m, t.c)) << name;
    EXPECT_GE(t.c.tv_sec, before.tv_sec) << name;
    EXPECT_LE(t.c.tv_sec, before.tv_sec + 5) << name;
  }
}

TEST_P(TimesOf, given_times_are_kept_to_the_nanosecond) {
  const timespec given[2] = {{1234567890, 123456789}, {987654321, 987654321}};
  let_time_pass();
  const Times before = times_of("file");
  OK(utimensat(AT_FDCWD, "file", given, 0));
  const Times after = times_of("file");
  EXPECT_FALSE(differ(after.a, given[0]));
  EXPECT_FALSE(differ(after.m, given[1]));
  EXPECT_TRUE(differ(after.c, before.c));
  const timespec old[2] = {{-100, 5}, {-2'000'000'000, 7}};
  OK(utimensat(AT_FDCWD, "dir", old, 0));
  EXPECT_FALSE(differ(times_of("dir").a, old[0]));
  EXPECT_FALSE(differ(times_of("dir").m, old[1]));
}

TEST_P(TimesOf, omitted_times_stay) {
  const timespec only_m[2] = {{0, UTIME_OMIT}, {77, 0}};
  EXPECT_EQ(by("file", [&] { OK(utimensat(AT_FDCWD, "file", only_m, 0)); }), "-mc");
  const timespec only_a[2] = {{78, 0}, {0, UTIME_OMIT}};
  EXPECT_EQ(by("file", [&] { OK(utimensat(AT_FDCWD, "file", only_a, 0)); }), "a-c");
  const timespec nothing[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
  EXPECT_EQ(by("file", [&] { OK(utimensat(AT_FDCWD, "file", nothing, 0)); }), "---");
  const timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  EXPECT_EQ(by("file", [&] { OK(utimensat(AT_FDCWD, "file", now, 0)); }), "amc");
  const timespec bad[2] = {{0, 1'000'000'000}, {0, 0}};
  FAILS(utimensat(AT_FDCWD, "file", bad, 0), EINVAL);
}

TEST_P(TimesOf, a_symlink_itself_can_be_set) {
  const timespec given[2] = {{11, 12}, {13, 14}};
  const Times target = times_of("file");
  OK(utimensat(AT_FDCWD, "link", given, AT_SYMLINK_NOFOLLOW));
  EXPECT_FALSE(differ(times_of("link").m, given[1]));
  EXPECT_EQ(changed(target, times_of("file")), "---");
}

TEST_P(TimesOf, the_birth_time_stays) {
  struct statx before {};
  OK(statx(AT_FDCWD, "file", 0, STATX_BTIME, &before));
  ASSERT_TRUE(before.stx_mask & STATX_BTIME);
  let_time_pass();
  MUST(make("file", "new"));
  OK(chmod("file", 0600));
  OK(rename("file", "renamed"));
  struct statx after {};
  OK(statx(AT_FDCWD, "renamed", 0, STATX_BTIME, &after));
  EXPECT_EQ(before.stx_btime.tv_sec, after.stx_btime.tv_sec);
  EXPECT_EQ(before.stx_btime.tv_nsec, after.stx_btime.tv_nsec);
}

}  // namespace
}  // namespace rvmfs::test
