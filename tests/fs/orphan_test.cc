// SPDX-License-Identifier: BSD-2-Clause
//
// Inodes without a name: held ones live on, the others are deleted at once, in steps, or by the
// next open; nothing leaks.
#include <cerrno>
#include <chrono>
#include <thread>

#include "tests/fs/volume_fixture.h"

namespace rvmfs::test {
namespace {

class OrphanTest : public VolumeTest {
 protected:
  // A file of `count` extents: every other block is written.
  void write_fragments(Inode inode, int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_NO_FATAL_FAILURE(write(inode, "x", static_cast<uint64_t>(i) * 8192));
    }
  }
  uint64_t blocks_used() {
    const VolumeStatus now = status();
    return now.blocks_total - now.blocks_free;
  }
};

TEST_F(OrphanTest, AHeldFileLivesUntilItIsForgotten) {
  const Inode file = make(kRoot, "f");
  write(file, "content");
  volume_->hold(file);
  volume_->hold(file);
  ASSERT_OK(volume_->unlink(kRoot, "f"));
  EXPECT_EQ(get(file).nlink, 0u);
  EXPECT_EQ(read(file), "content");
  write(file, "CON");
  volume_->forget(file, 1);
  EXPECT_EQ(read(file), "CONtent");
  volume_->forget(file, 1);
  EXPECT_FALSE(exists(file));
  EXPECT_EQ(status().inodes_used, 1u);
}

TEST_F(OrphanTest, ACrashDeletesWhatWasHeld) {
  const Inode file = make(kRoot, "f");
  const Inode dir = make_dir(kRoot, "d");
  volume_->hold(file);
  volume_->hold(dir);
  ASSERT_OK(volume_->unlink(kRoot, "f"));
  ASSERT_OK(volume_->rmdir(kRoot, "d"));
  ASSERT_OK(volume_->sync());
  EXPECT_EQ(status().inodes_used, 3u);
  crash();
  EXPECT_FALSE(exists(file));
  EXPECT_FALSE(exists(dir));
  EXPECT_EQ(status().inodes_used, 1u);
}

TEST_F(OrphanTest, CloseDeletesWhatWasHeld) {
  const Inode file = make(kRoot, "f");
  volume_->hold(file);
  ASSERT_OK(volume_->unlink(kRoot, "f"));
  ASSERT_OK(volume_->close());
  read_only_ = true;
  open();
  EXPECT_FALSE(exists(file));
  EXPECT_EQ(status().inodes_used, 1u);
}

TEST_F(OrphanTest, ATemporaryFileCanBeGivenAName) {
  auto made = volume_->tmpfile(kRoot, 0600, kUser);
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(made->nlink, 0u);
  EXPECT_EQ(made->mode, S_IFREG | 0600u);
  write(made->inode, "data");
  EXPECT_EQ(get(kRoot).size, 0u);
  auto linked = volume_->link(made->inode, kRoot, "named");
  ASSERT_TRUE(linked.has_value()) << explain(linked.error());
  EXPECT_EQ(linked->nlink, 1u);
  ASSERT_OK(volume_->sync());
  crash();
  EXPECT_EQ(find(kRoot, "named"), made->inode);
  EXPECT_EQ(read(made->inode), "data");
}

TEST_F(OrphanTest, ATemporaryFileWithoutANameGoesWithACrash) {
  auto made = volume_->tmpfile(kRoot, 0600, kUser);
  ASSERT_TRUE(made.has_value());
  ASSERT_OK(volume_->sync());
  crash();
  EXPECT_FALSE(exists(made->inode));
  EXPECT_EQ(status().inodes_used, 1u);
}

TEST_F(OrphanTest, AFileOfManyExtentsIsDeletedInSteps) {
  const uint64_t before = blocks_used();
  const Inode file = make(kRoot, "f");
  write_fragments(file, 3000);
  ASSERT_OK(volume_->sync());
  EXPECT_GE(blocks_used(), before + 3000);
  ASSERT_OK(volume_->unlink(kRoot, "f"));
  EXPECT_FALSE(exists(file));
  ASSERT_OK(volume_->sync());
  reopen();
  EXPECT_LE(blocks_used(), before + 1024);  // chunks of metadata stay
  EXPECT_EQ(status().inodes_used, 1u);
}

TEST_F(OrphanTest, AnInterruptedDeletionIsFinishedByTheNextOpen) {
  const Inode file = make(kRoot, "f");
  write_fragments(file, 2000);
  volume_->hold(file);
  ASSERT_OK(volume_->unlink(kRoot, "f"));
  ASSERT_OK(volume_->sync());
  const SparseImage interrupted = device_->snapshot();
  crash();
  const uint64_t used = blocks_used();
  EXPECT_FALSE(exists(file));
  EXPECT_EQ(status().inodes_used, 1u);
  // The same again from the same state: recovery and deletion are repeatable.
  volume_->abandon();
  device_ = std::make_shared<MemoryDevice>(interrupted);
  open();
  EXPECT_FALSE(exists(file));
  EXPECT_EQ(blocks_used(), used);
}

TEST_F(OrphanTest, TheBackgroundThreadFinishesLargeDeletions) {
  ASSERT_OK(volume_->close());
  MountOptions options;
  options.commit_seconds = 1;
  volume_ = std::move(*Volume::open(device_, options));
  const Inode file = make(kRoot, "f");
  write_fragments(file, 2000);
  ASSERT_OK(volume_->unlink(kRoot, "f"));
  for (int i = 0; i < 1000 && exists(file); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(exists(file));
  EXPECT_EQ(status().inodes_used, 1u);
}

class CountedOrphanTest : public OrphanTest {
 protected:
  CountedOrphanTest() { count_lookups_ = true; }
};

TEST_F(CountedOrphanTest, EveryAnswerHoldsTheInodeOnce) {
  const Inode file = make(kRoot, "f");                    // 1
  EXPECT_EQ(find(kRoot, "f"), file);                      // 2
  ASSERT_OK(volume_->link(file, kRoot, "g"));             // 3
  EXPECT_FAILS(volume_->link(file, kRoot, "g"), EEXIST);  // failed: no hold
  ASSERT_OK(volume_->unlink(kRoot, "f"));
  ASSERT_OK(volume_->unlink(kRoot, "g"));
  volume_->forget(file, 2);
  EXPECT_TRUE(exists(file));
  volume_->forget(file, 1);
  EXPECT_FALSE(exists(file));
}

TEST_F(CountedOrphanTest, ATemporaryFileGoesWhenItIsForgotten) {
  auto made = volume_->tmpfile(kRoot, 0600, kUser);
  ASSERT_TRUE(made.has_value());
  EXPECT_TRUE(exists(made->inode));
  volume_->forget(made->inode, 1);
  EXPECT_FALSE(exists(made->inode));
}

TEST_F(CountedOrphanTest, ForgettingNamedInodesDeletesNothing) {
  const Inode file = make(kRoot, "f");
  volume_->forget(file, 1);
  volume_->forget(file, 1);  // one too many
  EXPECT_TRUE(exists(file));
}

}  // namespace
}  // namespace rvmfs::test
