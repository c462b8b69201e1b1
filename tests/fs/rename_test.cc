// SPDX-License-Identifier: BSD-2-Clause
//
// rename in all its forms.
#include <cerrno>

#include "tests/fs/volume_fixture.h"

namespace rvmfs::test {
namespace {

constexpr uint32_t kNoReplace = 1, kExchange = 2, kWhiteout = 4;

class RenameTest : public VolumeTest {
 protected:
  void SetUp() override {
    VolumeTest::SetUp();
    a_ = make_dir(kRoot, "a");
    b_ = make_dir(kRoot, "b");
  }
  Inode a_ = 0, b_ = 0;
};

TEST_F(RenameTest, AFileMovesWithItsInode) {
  const Inode file = make(a_, "f");
  const Time before = get(file).ctime;
  ASSERT_OK(volume_->rename(a_, "f", b_, "g", 0));
  EXPECT_EQ(find(a_, "f"), 0u);
  EXPECT_EQ(find(b_, "g"), file);
  EXPECT_EQ(get(a_).size, 0u);
  EXPECT_EQ(get(b_).size, 1u);
  EXPECT_GT(get(file).ctime, before);
  EXPECT_EQ(get(a_).mtime, get(b_).mtime);
  EXPECT_EQ(get(a_).mtime, get(file).ctime);
}

TEST_F(RenameTest, ADirectoryTakesItsDotDotAlong) {
  const Inode dir = make_dir(a_, "d");
  ASSERT_OK(volume_->rename(a_, "d", b_, "d", 0));
  EXPECT_EQ(find(dir, ".."), b_);
  EXPECT_EQ(get(a_).nlink, 2u);
  EXPECT_EQ(get(b_).nlink, 3u);
  ASSERT_OK(volume_->rename(b_, "d", b_, "e", 0));
  EXPECT_EQ(get(b_).nlink, 3u);
  EXPECT_EQ(find(b_, "e"), dir);
}

TEST_F(RenameTest, AnExistingTargetIsReplacedAndDeleted) {
  const Inode file = make(a_, "f");
  const Inode old = make(b_, "g");
  const uint64_t inodes = status().inodes_used;
  ASSERT_OK(volume_->rename(a_, "f", b_, "g", 0));
  EXPECT_EQ(find(b_, "g"), file);
  EXPECT_FALSE(exists(old));
  EXPECT_EQ(get(b_).size, 1u);
  EXPECT_EQ(status().inodes_used, inodes - 1);
}

TEST_F(RenameTest, AReplacedTargetWithOtherNamesLosesOneLink) {
  make(a_, "f");
  const Inode old = make(b_, "g");
  ASSERT_OK(volume_->link(old, b_, "other"));
  ASSERT_OK(volume_->rename(a_, "f", b_, "g", 0));
  EXPECT_EQ(get(old).nlink, 1u);
  EXPECT_EQ(find(b_, "other"), old);
}

TEST_F(RenameTest, AnEmptyDirectoryIsReplacedByADirectory) {
  const Inode source = make_dir(a_, "d");
  const Inode target = make_dir(b_, "d");
  ASSERT_OK(volume_->rename(a_, "d", b_, "d", 0));
  EXPECT_EQ(find(b_, "d"), source);
  EXPECT_FALSE(exists(target));
  EXPECT_EQ(get(a_).nlink, 2u);
  EXPECT_EQ(get(b_).nlink, 3u);
  make_dir(b_, "e");
  ASSERT_OK(volume_->rename(b_, "d", b_, "e", 0));
  EXPECT_EQ(get(b_).nlink, 3u);
  EXPECT_EQ(get(b_).size, 1u);
}

TEST_F(RenameTest, TypesThatDoNotFitAreRefused) {
  make_dir(a_, "d");
  make(a_, "f");
  const Inode full = make_dir(b_, "full");
  make(full, "x");
  EXPECT_FAILS(volume_->rename(a_, "f", b_, "full", 0), EISDIR);
  EXPECT_FAILS(volume_->rename(a_, "d", b_, "full", 0), ENOTEMPTY);
  make(b_, "file");
  EXPECT_FAILS(volume_->rename(a_, "d", b_, "file", 0), ENOTDIR);
  EXPECT_FAILS(volume_->rename(a_, "absent", b_, "x", 0), ENOENT);
  EXPECT_FAILS(volume_->rename(a_, ".", b_, "x", 0), EINVAL);
  EXPECT_FAILS(volume_->rename(a_, "f", find(a_, "f"), "x", 0), ENOTDIR);
  EXPECT_FAILS(volume_->rename(a_, "f", b_, std::string(256, 'x'), 0), ENAMETOOLONG);
}

TEST_F(RenameTest, ADirectoryCannotMoveBelowItself) {
  const Inode inner = make_dir(a_, "inner");
  const Inode deep = make_dir(inner, "deep");
  EXPECT_FAILS(volume_->rename(kRoot, "a", a_, "x", 0), EINVAL);
  EXPECT_FAILS(volume_->rename(kRoot, "a", deep, "x", 0), EINVAL);
  EXPECT_FAILS(volume_->rename(inner, "deep", kRoot, "a", 0), ENOTEMPTY);
  EXPECT_FAILS(volume_->rename(kRoot, "a", deep, "x", kNoReplace), EINVAL);
  EXPECT_EQ(find(kRoot, "a"), a_);
}

TEST_F(RenameTest, OntoAnotherLinkOfTheSameFileNothingHappens) {
  const Inode file = make(a_, "f");
  ASSERT_OK(volume_->link(file, b_, "g"));
  const Time before = get(a_).mtime;
  ASSERT_OK(volume_->rename(a_, "f", b_, "g", 0));
  EXPECT_EQ(find(a_, "f"), file);
  EXPECT_EQ(find(b_, "g"), file);
  EXPECT_EQ(get(file).nlink, 2u);
  EXPECT_EQ(get(a_).mtime, before);
  ASSERT_OK(volume_->rename(a_, "f", a_, "f", 0));
}

TEST_F(RenameTest, NoReplaceLeavesTheTarget) {
  const Inode file = make(a_, "f");
  const Inode other = make(b_, "g");
  EXPECT_FAILS(volume_->rename(a_, "f", b_, "g", kNoReplace), EEXIST);
  EXPECT_EQ(find(b_, "g"), other);
  ASSERT_OK(volume_->rename(a_, "f", b_, "h", kNoReplace));
  EXPECT_EQ(find(b_, "h"), file);
}

TEST_F(RenameTest, FlagsThatContradictAreRefused) {
  make(a_, "f");
  EXPECT_FAILS(volume_->rename(a_, "f", b_, "g", kExchange | kNoReplace), EINVAL);
  EXPECT_FAILS(volume_->rename(a_, "f", b_, "g", kExchange | kWhiteout), EINVAL);
  EXPECT_FAILS(volume_->rename(a_, "f", b_, "g", 8), EINVAL);
  EXPECT_FAILS(volume_->rename(a_, "f", b_, "g", kExchange), ENOENT);
}

TEST_F(RenameTest, ExchangeSwapsFilesAndDirectories) {
  const Inode file = make(a_, "f");
  const Inode dir = make_dir(b_, "d");
  make(dir, "inside");
  ASSERT_OK(volume_->rename(a_, "f", b_, "d", kExchange));
  EXPECT_EQ(find(a_, "f"), dir);
  EXPECT_EQ(find(b_, "d"), file);
  EXPECT_EQ(find(dir, ".."), a_);
  EXPECT_EQ(get(a_).nlink, 3u);
  EXPECT_EQ(get(b_).nlink, 2u);
  EXPECT_EQ(get(a_).size, 1u);
  const Inode dir2 = make_dir(b_, "d2");
  ASSERT_OK(volume_->rename(a_, "f", b_, "d2", kExchange));
  EXPECT_EQ(find(dir2, ".."), a_);
  EXPECT_EQ(find(dir, ".."), b_);
  EXPECT_EQ(get(a_).nlink, 3u);
  EXPECT_EQ(get(b_).nlink, 3u);
  ASSERT_OK(volume_->rename(b_, "d", b_, "d2", kExchange));
  EXPECT_EQ(find(b_, "d2"), file);
  EXPECT_FAILS(volume_->rename(kRoot, "b", b_, "d", kExchange), EINVAL);
  EXPECT_FAILS(volume_->rename(b_, "d", kRoot, "b", kExchange), EINVAL);
}

TEST_F(RenameTest, WhiteoutLeavesACharacterDeviceBehind) {
  const Inode file = make(a_, "f");
  ASSERT_OK(volume_->rename(a_, "f", b_, "g", kWhiteout));
  EXPECT_EQ(find(b_, "g"), file);
  const Attributes whiteout = get(find(a_, "f"));
  EXPECT_EQ(whiteout.mode, uint32_t{S_IFCHR});
  EXPECT_EQ(whiteout.rdev_major, 0u);
  EXPECT_EQ(whiteout.rdev_minor, 0u);
  EXPECT_EQ(whiteout.nlink, 1u);
  EXPECT_EQ(get(a_).size, 1u);
  make_dir(a_, "d");
  ASSERT_OK(volume_->rename(a_, "d", a_, "e", kWhiteout));
  EXPECT_EQ(get(a_).nlink, 3u);
  EXPECT_EQ(get(a_).size, 3u);
  ASSERT_OK(volume_->unlink(a_, "d"));
}

TEST_F(RenameTest, AReplacedTargetThatIsHeldLivesOn) {
  make(a_, "f");
  const Inode old = make(b_, "g");
  write(old, "still here");
  volume_->hold(old);
  ASSERT_OK(volume_->rename(a_, "f", b_, "g", 0));
  EXPECT_EQ(get(old).nlink, 0u);
  EXPECT_EQ(read(old), "still here");
  volume_->forget(old, 1);
  EXPECT_FALSE(exists(old));
}

TEST_F(RenameTest, TheTargetIsNeverMissingAfterACrash) {
  const Inode first = make(a_, "new");
  ASSERT_OK(volume_->rename(a_, "new", b_, "target", 0));
  ASSERT_OK(volume_->sync());
  const Inode second = make(a_, "new");
  ASSERT_OK(volume_->rename(a_, "new", b_, "target", 0));
  crash();
  EXPECT_EQ(find(b_, "target"), first);
  EXPECT_EQ(find(a_, "new"), 0u);
  const Inode third = make(a_, "new");
  EXPECT_EQ(third, second);  // the operation that had taken the number never happened
  ASSERT_OK(volume_->rename(a_, "new", b_, "target", 0));
  ASSERT_OK(volume_->sync());
  crash();
  EXPECT_EQ(find(b_, "target"), third);
  EXPECT_FALSE(exists(first));
}

}  // namespace
}  // namespace rvmfs::test
