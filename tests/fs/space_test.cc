// SPDX-License-Identifier: BSD-2-Clause
//
// Full volumes, full hosts, and where freed space goes. Every test ends with a check of all
// accounts of space (core_world.h).
#include <fcntl.h>
#include <linux/falloc.h>

#include <random>

#include "tests/fs/core_world.h"

namespace rvmfs::test {
namespace {

using Bytes = std::vector<std::byte>;

class SpaceTest : public VolumeTest {
 protected:
  void SetUp() override {
    volume_bytes_ = 16 << 20;
    VolumeTest::SetUp();
  }
  void TearDown() override {
    if (volume_ != nullptr) EXPECT_OK(volume_->close());
    volume_.reset();
    EXPECT_EQ(SpaceCheck::run(device_), "");
  }
  // Writes files until the volume is full; their names.
  std::vector<std::string> fill(size_t bytes) {
    std::vector<std::string> names;
    for (int i = 0;; ++i) {
      const std::string name = "fill" + std::to_string(i);
      const auto made = volume_->mknod(kRoot, name, S_IFREG | 0644, 0, 0, kUser);
      if (!made) {
        EXPECT_EQ(errno_of(made.error()), ENOSPC) << describe(made.error());
        return names;
      }
      names.push_back(name);
      const auto written = volume_->write(made->inode, 0, Bytes(bytes, std::byte{7}));
      if (!written) {
        EXPECT_EQ(errno_of(written.error()), ENOSPC) << describe(written.error());
      }
      if (!written || *written < bytes) return names;
    }
  }
  void remove_all(const std::vector<std::string>& names) {
    for (const std::string& name : names) ASSERT_OK(volume_->unlink(kRoot, name));
  }
};

TEST_F(SpaceTest, AVolumeThatIsFullOfDataCanBeEmptied) {
  const uint64_t before = status().blocks_free;
  const auto names = fill(300000);
  EXPECT_GT(names.size(), 30u);
  EXPECT_EQ(status().blocks_available, 0u);
  remove_all(names);
  EXPECT_GE(status().blocks_free + 2 * 256, before) << "but for chunks of metadata";
  EXPECT_GE(fill(300000).size() + 4, names.size()) << "space freed a moment ago can be used";
}

TEST_F(SpaceTest, AVolumeThatIsFullOfNamesCanBeEmptied) {
  std::vector<std::string> names = fill(100000);
  for (int i = 0;; ++i) {
    const std::string name = "name-without-any-data-" + std::to_string(i);
    const auto made = volume_->mknod(kRoot, name, S_IFREG | 0644, 0, 0, kUser);
    if (!made) {
      EXPECT_EQ(errno_of(made.error()), ENOSPC) << describe(made.error());
      break;
    }
    names.push_back(name);
  }
  EXPECT_GT(names.size(), 100u);
  remove_all(names);
  EXPECT_TRUE(list(kRoot).empty());
}

TEST_F(SpaceTest, AFullVolumeLosesNothingOverACrash) {
  const auto names = fill(200000);
  ASSERT_OK(volume_->sync());
  crash();
  EXPECT_EQ(list(kRoot).size(), names.size());
  const std::string expected(200000, 7);
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    EXPECT_TRUE(read(find(kRoot, names[i]), 300000) == expected) << names[i];
  }
}

TEST_F(SpaceTest, TruncatingAndPunchingWorkOnAFullVolume) {
  const auto names = fill(1 << 20);
  const Inode first = find(kRoot, names[0]), second = find(kRoot, names[1]);
  for (uint64_t at = 0; at < 1 << 20; at += 16384) {
    ASSERT_OK(volume_->fallocate(first, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, 4096));
  }
  AttributeChange change;
  change.valid = AttributeChange::size_bit;
  change.size = 10;
  ASSERT_OK(volume_->setattr(second, change));
  EXPECT_EQ(get(second).blocks, 8u);
  EXPECT_EQ(get(first).blocks, (256u - 64) * 8);
}

TEST_F(SpaceTest, AnAllocationThatDoesNotFitChangesNothing) {
  const Inode file = make(kRoot, "file");
  write(file, std::string(5000, 'x'));
  const uint64_t before = status().blocks_free;
  EXPECT_FAILS(volume_->fallocate(file, 0, 0, 100 << 20), ENOSPC);
  EXPECT_EQ(status().blocks_free, before);
  EXPECT_EQ(get(file).size, 5000u);
  EXPECT_EQ(get(file).blocks, 16u);
  ASSERT_OK(volume_->fallocate(file, 0, 0, 1 << 20));
}

TEST_F(SpaceTest, AWriteThatDoesNotFitIsCutShort) {
  const Inode file = make(kRoot, "file");
  const auto written = volume_->write(file, 0, Bytes(20 << 20, std::byte{1}));
  ASSERT_TRUE(written.has_value());
  EXPECT_GT(*written, 8u << 20);
  EXPECT_EQ(get(file).size, *written);
  EXPECT_EQ(status().blocks_available, 0u);
  EXPECT_FAILS(volume_->write(file, *written, Bytes(1)), ENOSPC);
  EXPECT_OK(volume_->write(file, 0, Bytes(100000, std::byte{2})));  // what is there can be written
}

TEST_F(SpaceTest, FreedSpaceGoesBackToTheHost) {
  const uint64_t before = device_->snapshot().allocated_bytes();
  const Inode file = make(kRoot, "file");
  write(file, std::string(4 << 20, 'x'));
  EXPECT_GE(device_->snapshot().allocated_bytes(), before + (4 << 20));
  ASSERT_OK(volume_->unlink(kRoot, "file"));
  reopen();
  EXPECT_LE(device_->snapshot().allocated_bytes(), before + (2 << 20));
}

TEST_F(SpaceTest, AFullHostFailsTheWriteAndPoisonsNothing) {
  const Inode file = make(kRoot, "file");
  write(file, std::string(100000, 'x'));
  ASSERT_OK(volume_->sync());
  device_->set_host_bytes_max(device_->snapshot().allocated_bytes() + 50000);
  EXPECT_LE(status().blocks_available, 13u);
  const uint64_t before = status().blocks_free;
  EXPECT_FAILS(volume_->write(file, 100000, Bytes(1 << 20)), ENOSPC);
  EXPECT_FAILS(volume_->fallocate(file, 0, 0, 1 << 20), ENOSPC);
  EXPECT_EQ(status().blocks_free, before);
  EXPECT_TRUE(read(file, 200000) == std::string(100000, 'x'));
  device_->set_host_bytes_max(UINT64_MAX);
  write(file, std::string(1 << 20, 'y'), 100000);
  EXPECT_EQ(get(file).size, 100000u + (1 << 20));
}

// Their blocks are still taken on the host until the removal is durable and they are punched out.
TEST_F(SpaceTest, OnAFullHostTheRoomOfRemovedFilesIsThereAtOnce) {
  const Inode kept = make(kRoot, "kept"), big = make(kRoot, "big");
  write(big, std::string(3 << 20, 'b'));
  write(kept, std::string(100'000, 'k'));
  ASSERT_OK(volume_->sync());
  device_->set_host_bytes_max(device_->snapshot().allocated_bytes());
  EXPECT_FAILS(volume_->write(kept, 100'000, Bytes(1 << 20)), ENOSPC);
  ASSERT_OK(volume_->unlink(kRoot, "big"));
  write(kept, std::string(1 << 20, 'k'), 100'000);
  const Inode more = make(kRoot, "more");
  EXPECT_OK(volume_->fallocate(more, 0, 0, 1 << 20));
  EXPECT_EQ(get(kept).size, 100'000u + (1 << 20));
  EXPECT_FAILS(volume_->fallocate(more, 0, 0, 3 << 20), ENOSPC);
}

TEST_F(SpaceTest, AFileOfManyPiecesIsTruncatedInSteps) {
  const Inode file = make(kRoot, "file"), other = make(kRoot, "other");
  for (uint64_t i = 0; i < 1200; ++i) {
    ASSERT_OK(volume_->write(file, i * 8192, Bytes(4096, std::byte{1})));
    if (i % 3 == 0) ASSERT_OK(volume_->write(other, i * 8192, Bytes(100, std::byte{2})));
  }
  AttributeChange change;
  change.valid = AttributeChange::size_bit;
  change.size = 8192 * 10 + 5;
  const auto cut = volume_->setattr(file, change);
  ASSERT_TRUE(cut.has_value());
  EXPECT_EQ(cut->blocks, 11u * 8);
  change.size = 0;
  EXPECT_EQ(volume_->setattr(file, change)->blocks, 0u);
  ASSERT_OK(volume_->unlink(kRoot, "other"));
}

TEST_F(SpaceTest, ATruncationCutByACrashIsFinishedAtTheNextOpen) {
  const Inode file = make(kRoot, "file");
  for (uint64_t i = 0; i < 1500; ++i) {
    ASSERT_OK(volume_->write(file, i * 8192, Bytes(4096, std::byte{1})));
  }
  ASSERT_OK(volume_->sync());
  AttributeChange change;
  change.valid = AttributeChange::size_bit;
  change.size = 4096;
  ASSERT_OK(volume_->setattr(file, change));
  crash();  // before anything of it is durable
  EXPECT_EQ(get(file).blocks, 1500u * 8);
  ASSERT_OK(volume_->setattr(file, change));
  ASSERT_OK(volume_->sync());
  crash();
  EXPECT_EQ(get(file).blocks, 8u);
  EXPECT_TRUE(read(file) == std::string(4096, 1));
}

TEST_F(SpaceTest, GrowingTheVolumeGivesRoom) {
  const auto names = fill(1 << 20);
  ASSERT_OK(volume_->grow(32 << 20));
  EXPECT_GE(status().blocks_available, 4000u - 256);
  const Inode file = make(kRoot, "more");
  write(file, std::string(8 << 20, 'z'));
}

TEST_F(SpaceTest, RandomChangesOnANearlyFullVolumeKeepAllAccounts) {
  std::mt19937_64 random(5);
  SCOPED_TRACE("seed 5");
  for (int step = 0; step < 600; ++step) {
    const std::string name = "f" + std::to_string(random() % 30);
    const Inode file = find(kRoot, name);
    Result<void> done;
    if (file == 0) {
      const auto made = volume_->mknod(kRoot, name, S_IFREG | 0644, 0, 0, kUser);
      if (!made) done = made.error();
    } else if (random() % 4 == 0) {
      done = volume_->unlink(kRoot, name);
      EXPECT_OK(done);
    } else if (random() % 4 == 0) {
      done = volume_->fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                random() % 1000000, 1 + random() % 300000);
      EXPECT_OK(done);
    } else {
      const auto written =
          volume_->write(file, random() % 1000000, Bytes(1 + random() % 1000000, std::byte{3}));
      if (!written) done = written.error();
    }
    if (!done) EXPECT_EQ(errno_of(done.error()), ENOSPC) << describe(done.error());
    if (random() % 100 == 0) crash();
    if (random() % 40 == 0) ASSERT_OK(volume_->sync());
  }
}

}  // namespace
}  // namespace rvmfs::test
