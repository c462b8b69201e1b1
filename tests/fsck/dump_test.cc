// SPDX-License-Identifier: BSD-2-Clause
//
// The dump of a tree is canonical text: these tests hold its exact form.
#include <sys/stat.h>
#include <xxhash.h>

#include <fmt/format.h>

#include <sstream>

#include "tests/fsck/image_fixture.h"

namespace rvmfs::test {
namespace {

class DumpTest : public ImageTest {};

std::string hash_of(const std::string& text) {
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

TEST_F(DumpTest, the_tree_is_one_line_a_path_in_the_order_of_path_bytes) {
  make_volume();
  const std::string content = std::string(8192, '\0') + std::string(40'000, 'l');
  const std::string at = " mtime=1700000001.000000005";
  const std::string expected =
      "/ type=d mode=0755 uid=0 gid=0 links=3 size=5" + at + "\n" +
      "/device type=c mode=0600 uid=1000 gid=100 links=1 size=0 rdev=10:200" + at + "\n" +
      "/directory type=d mode=0755 uid=1000 gid=100 links=3 size=2" + at + "\n" +
      "/directory/file type=f mode=0644 uid=1000 gid=100 links=1 size=48192" + at +
      " xattr:user.long=" + hash_of(std::string(5000, 'v')) +
      " xattr:user.note=" + hash_of("a short one") + " data=" + hash_of(content) + "\n" +
      "/directory/sub type=d mode=0700 uid=1000 gid=100 links=2 size=1" + at + "\n" +
      "/directory/sub/small\\040too type=f mode=0600 uid=1000 gid=100 links=2 size=100" + at +
      " data=" + hash_of(std::string(100, 'l')) + "\n" +
      "/pipe type=p mode=0600 uid=1000 gid=100 links=1 size=0" + at + "\n" +
      "/small type=f mode=0600 uid=1000 gid=100 links=2 size=100" + at +
      " data=" + hash_of(std::string(100, 'l')) + "\n" +
      "/symlink type=l mode=0777 uid=1000 gid=100 links=1 size=2000" + at +
      " target=" + std::string(2000, 'x') + "\n";
  EXPECT_EQ(dump(), expected);
}

TEST_F(DumpTest, without_times_two_volumes_of_different_ages_are_equal) {
  make_volume();
  const RunResult with_times = run({"--dump-tree"});
  const RunResult without = run({"--dump-tree", "--no-times"});
  EXPECT_EQ(with_times.code, 0);
  EXPECT_EQ(without.code, 0);
  EXPECT_NE(with_times.out.find("mtime="), std::string::npos);
  EXPECT_EQ(without.out.find("mtime="), std::string::npos);
}

TEST_F(DumpTest, names_that_sort_between_a_directory_and_its_contents_come_between) {
  make_volume();
  use_volume([](Volume& volume) {
    const auto a = volume.mkdir(1, "a", 0755, {0, 0});
    ASSERT_TRUE(a.has_value());
    ASSERT_TRUE(volume.mknod(a->inode, "c", S_IFREG | 0644, 0, 0, {0, 0}).has_value());
    ASSERT_TRUE(volume.mknod(1, "a-b", S_IFREG | 0644, 0, 0, {0, 0}).has_value());
    ASSERT_TRUE(volume.mknod(1, "odd \\=\n\xff", S_IFREG | 0644, 0, 0, {0, 0}).has_value());
  });
  const std::string tree = dump();
  const size_t folder = tree.find("/a type=d");
  const size_t between = tree.find("/a-b type=f");
  const size_t inside = tree.find("/a/c type=f");
  ASSERT_NE(inside, std::string::npos) << tree;
  EXPECT_LT(folder, between);
  EXPECT_LT(between, inside);
  EXPECT_NE(tree.find("/odd\\040\\134\\075\\012\\377 type=f"), std::string::npos) << tree;
}

TEST_F(DumpTest, a_huge_hole_is_hashed_without_reading_it) {
  make_volume();
  uint64_t inode = 0;
  use_volume([&](Volume& volume) {
    const auto made = volume.mknod(1, "huge", S_IFREG | 0644, 0, 0, {0, 0});
    ASSERT_TRUE(made.has_value());
    inode = made->inode;
    AttributeChange change;
    change.valid = AttributeChange::size_bit;
    change.size = 1ull << 50;
    ASSERT_TRUE(volume.setattr(inode, change).has_value());
    const std::vector<std::byte> page(4096, std::byte{7});
    ASSERT_TRUE(volume.write(inode, (1ull << 50) - 4096, page).has_value());
  });
  EXPECT_NE(dump().find("/huge type=f mode=0644 uid=0 gid=0 links=1 size=1125899906842624"),
            std::string::npos);
  EXPECT_NE(dump().find("data=sparse:"), std::string::npos);
}

TEST_F(DumpTest, the_log_is_printed_unit_by_unit) {
  make_volume();
  use_volume(
      [](Volume& volume) {
        for (const char* name : {"one", "two"}) {
          ASSERT_TRUE(volume.mkdir(1, name, 0755, {0, 0}).has_value());
          ASSERT_TRUE(volume.sync().has_value());
        }
      },
      true);
  const RunResult result = run({"--dump-log"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("status counter="), std::string::npos);
  EXPECT_NE(result.out.find("unit lsn="), std::string::npos);
  EXPECT_NE(result.out.find("  bytes at="), std::string::npos);
  EXPECT_NE(result.out.find("end units="), std::string::npos) << result.out;
}

TEST_F(DumpTest, a_damaged_tree_is_not_dumped_in_part_as_if_it_were_whole) {
  make_volume();
  flip(place_of(root().tree.root) + 4000);
  const RunResult result = run({"--dump-tree"});
  EXPECT_EQ(result.code, 8);
  EXPECT_NE(result.err.find("damaged"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace rvmfs::test
