// SPDX-License-Identifier: BSD-2-Clause
//
// getattr, setattr, inode flags, access times.
#include <cerrno>

#include "tests/fs/volume_fixture.h"

namespace rvmfs::test {
namespace {

using Change = AttributeChange;

class AttributesTest : public VolumeTest {
 protected:
  void SetUp() override {
    VolumeTest::SetUp();
    file_ = make(kRoot, "f");
  }
  Attributes set(Inode inode, const Change& change) {
    auto result = volume_->setattr(inode, change);
    EXPECT_TRUE(result.has_value()) << explain(result.error());
    return result ? *result : Attributes{};
  }
  Inode file_ = 0;
};

TEST_F(AttributesTest, ModeOwnerAndGroupChangeAndMoveCtimeOnly) {
  const Attributes before = get(file_);
  const Attributes after =
      set(file_, {.valid = Change::mode_bit | Change::uid_bit | Change::gid_bit,
                  .mode = 0600,
                  .uid = 5,
                  .gid = 6});
  EXPECT_EQ(after.mode, S_IFREG | 0600u);
  EXPECT_EQ(after.uid, 5u);
  EXPECT_EQ(after.gid, 6u);
  EXPECT_EQ(after.mtime, before.mtime);
  EXPECT_EQ(after.atime, before.atime);
  EXPECT_GT(after.ctime, before.ctime);
  reopen();
  EXPECT_EQ(get(file_).uid, 5u);
  EXPECT_EQ(get(file_).ctime, after.ctime);
}

TEST_F(AttributesTest, TheTypeCannotBeChanged) {
  const Attributes after = set(file_, {.valid = Change::mode_bit, .mode = S_IFDIR | 04711});
  EXPECT_EQ(after.mode, S_IFREG | 04711u);
}

TEST_F(AttributesTest, TimesHaveNanosecondsAndMayLieBefore1970) {
  const Time atime{-5, 999'999'999}, mtime{1ll << 40, 1};
  const Attributes after =
      set(file_, {.valid = Change::atime_bit | Change::mtime_bit, .atime = atime, .mtime = mtime});
  EXPECT_EQ(after.atime, atime);
  EXPECT_EQ(after.mtime, mtime);
  reopen();
  EXPECT_EQ(get(file_).atime, atime);
  EXPECT_EQ(get(file_).mtime, mtime);
}

TEST_F(AttributesTest, TimesNowAreTheVolumesOwn) {
  const Attributes after = set(file_, {.valid = Change::atime_now_bit | Change::mtime_now_bit});
  EXPECT_EQ(after.atime, after.mtime);
  EXPECT_EQ(after.atime, after.ctime);
  EXPECT_GT(after.atime, after.btime);
}

TEST_F(AttributesTest, CtimeCanBeGiven) {
  const Attributes after = set(file_, {.valid = Change::ctime_bit, .ctime = {77, 7}});
  EXPECT_EQ(after.ctime, (Time{77, 7}));
}

TEST_F(AttributesTest, AClockThatIsCorrectedALittleMakesNoChangeLookOlderOrAsOld) {
  const Time before = get(file_).ctime;
  seconds_ -= 2;
  const Time after = set(file_, {.valid = Change::mode_bit, .mode = 0600}).ctime;
  EXPECT_GT(after, before);
  EXPECT_GT(set(file_, {.valid = Change::mode_bit, .mode = 0640}).ctime, after);
}

TEST_F(AttributesTest, AClockThatWasSetBackIsFollowed) {
  seconds_ = 5;
  EXPECT_LE(set(file_, {.valid = Change::mode_bit, .mode = 0600}).ctime, (Time{20, 0}));
}

TEST_F(AttributesTest, AChangeOfOwnerTakesSetuidAway) {
  set(file_, {.valid = Change::mode_bit, .mode = 06755});
  EXPECT_EQ(set(file_, {.valid = Change::uid_bit, .uid = 3}).mode, S_IFREG | 0755u);
  set(file_, {.valid = Change::mode_bit, .mode = 02644});  // mandatory locking, not setgid
  EXPECT_EQ(set(file_, {.valid = Change::gid_bit, .gid = 3}).mode, S_IFREG | 02644u);
  const Inode dir = make_dir(kRoot, "d");
  set(dir, {.valid = Change::mode_bit, .mode = 02775});
  EXPECT_EQ(set(dir, {.valid = Change::gid_bit, .gid = 3}).mode, S_IFDIR | 02775u);
}

TEST_F(AttributesTest, AChangeOfOwnerTakesFileCapabilitiesAway) {
  ASSERT_OK(volume_->setxattr(file_, "security.capability", "caps", 0));
  ASSERT_OK(volume_->setxattr(file_, "user.kept", "x", 0));
  set(file_, {.valid = Change::uid_bit, .uid = 3});
  EXPECT_FAILS(volume_->getxattr(file_, "security.capability"), ENODATA);
  EXPECT_OK(volume_->getxattr(file_, "user.kept"));
}

TEST_F(AttributesTest, TheSizeChangesTogetherWithTheRest) {
  write(file_, "hello world");
  const Attributes after =
      set(file_, {.valid = Change::size_bit | Change::mode_bit, .mode = 0600, .size = 5});
  EXPECT_EQ(after.size, 5u);
  EXPECT_EQ(after.mode, S_IFREG | 0600u);
  EXPECT_EQ(read(file_), "hello");
}

TEST_F(AttributesTest, ImmutableAndAppendOnlyRefuseChanges) {
  constexpr uint32_t kImmutable = 0x10, kAppend = 0x20;
  ASSERT_OK(volume_->set_flags(file_, kImmutable, 0));
  EXPECT_FAILS(volume_->setattr(file_, {.valid = Change::mode_bit, .mode = 0}), EPERM);
  EXPECT_FAILS(volume_->setattr(file_, {.valid = Change::mtime_now_bit}), EPERM);
  EXPECT_FAILS(volume_->setattr(file_, {.valid = Change::size_bit, .size = 0}), EPERM);
  EXPECT_FAILS(volume_->setxattr(file_, "user.a", "b", 0), EPERM);
  ASSERT_OK(volume_->set_flags(file_, kAppend, 0));
  EXPECT_OK(volume_->setattr(file_, {.valid = Change::mtime_now_bit}));
  EXPECT_FAILS(volume_->setattr(file_, {.valid = Change::mtime_bit}), EPERM);
  EXPECT_FAILS(volume_->setattr(file_, {.valid = Change::size_bit, .size = 0}), EPERM);
  ASSERT_OK(volume_->set_flags(file_, 0, 9));
  EXPECT_OK(volume_->setattr(file_, {.valid = Change::mode_bit, .mode = 0}));
  EXPECT_EQ(get(file_).project, 9u);
}

TEST_F(AttributesTest, FlagsThatNobodyKeepsAreRefused) {
  EXPECT_FAILS(volume_->set_flags(file_, 0x4 /* compress */, 0), EOPNOTSUPP);
  const Inode fifo = make(kRoot, "fifo", S_IFIFO | 0600);
  EXPECT_FAILS(volume_->set_flags(fifo, 0x10, 0), EOPNOTSUPP);
}

TEST_F(AttributesTest, SetattrOfNothingChangesNothing) {
  const Attributes before = get(file_);
  EXPECT_EQ(set(file_, {}).ctime, before.ctime);
  EXPECT_FAILS(volume_->setattr(999, {.valid = Change::mode_bit}), ESTALE);
}

TEST_F(AttributesTest, ReadingADirectoryMovesItsAccessTimeOnceAfterAChange) {
  const Inode dir = make_dir(kRoot, "d");
  make(dir, "x");
  const Time before = get(dir).atime;
  list(dir);
  const Time after = get(dir).atime;
  EXPECT_GT(after, before);
  list(dir);
  EXPECT_EQ(get(dir).atime, after);  // relatime
  seconds_ += 24 * 60 * 60;
  list(dir);
  EXPECT_GT(get(dir).atime, after);
}

TEST_F(AttributesTest, ErrorsOfTheFilesystemAndOfLibrvmHaveTheirErrno) {
  EXPECT_EQ(errno_of(fs_error(FsErrc::volume_full)), ENOSPC);
  EXPECT_EQ(errno_of(Error{rvm::Errc::io, ENOSPC}), ENOSPC);
  EXPECT_EQ(errno_of(Error{rvm::Errc::io, EDQUOT}), EDQUOT);
  EXPECT_EQ(errno_of(Error{rvm::Errc::io, EBADF}), EIO);
  EXPECT_EQ(errno_of(Error{rvm::Errc::damaged_page}), EIO);
  EXPECT_EQ(errno_of(Error{rvm::Errc::no_space}), ENOSPC);
  EXPECT_EQ(explain(fs_error(FsErrc::no_entry)), "no such file or directory");
  EXPECT_NE(explain(Error{rvm::Errc::damaged_page, 0, 4096}), "");
}

}  // namespace
}  // namespace rvmfs::test
