// SPDX-License-Identifier: BSD-2-Clause
//
// Formatting, superblocks, opening.
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "fs/superblock.h"
#include "tests/fs/volume_fixture.h"

namespace rvmfs::test {
namespace {

FormatOptions small() {
  FormatOptions options;
  options.volume_bytes = 16 << 20;
  options.label = "small";
  options.now = {1'000'000, 0};
  return options;
}

MountOptions quiet() {
  MountOptions options;
  options.background = false;
  return options;
}

void damage(rvm::Device& device, uint64_t offset) {
  const std::byte bytes[16] = {std::byte{1}, std::byte{2}};
  ASSERT_OK(device.write(offset, bytes));
}

TEST(Format, AnEmptyVolumeHasARootDirectoryAndNothingElse) {
  auto device = MemoryDevice::file();
  ASSERT_OK(format_volume(device, small()));
  auto volume = Volume::open(device, quiet());
  ASSERT_TRUE(volume.has_value()) << explain(volume.error());
  const auto root = (*volume)->getattr(kRoot);
  ASSERT_TRUE(root.has_value());
  EXPECT_EQ(root->mode, S_IFDIR | 0755u);
  EXPECT_EQ(root->nlink, 2u);
  EXPECT_EQ(root->mtime, (Time{1'000'000, 0}));
  const auto status = (*volume)->statfs();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->inodes_used, 1u);
  EXPECT_EQ(status->blocks_total, (16u << 20) / 4096);
  EXPECT_EQ(std::string((*volume)->superblock().label), "small");
  EXPECT_FALSE((*volume)->recovery().was_needed);
  ASSERT_OK((*volume)->close());
}

TEST(Format, DoesNotRelyOnWhatTheDeviceHolds) {
  auto device = MemoryDevice::disk(16 << 20, std::byte{0xc5});
  ASSERT_OK(format_volume(device, small()));
  for (int session = 0; session < 3; ++session) {
    auto volume = Volume::open(device, quiet());
    ASSERT_TRUE(volume.has_value()) << explain(volume.error());
    const std::string name = "d" + std::to_string(session);
    ASSERT_OK((*volume)->mkdir(kRoot, name, 0755, {}));
    ASSERT_OK((*volume)->close());
  }
}

TEST(Format, ATebibyteCostsNoMoreHostSpaceThanItsLogAndOneChunk) {
  auto device = MemoryDevice::file();
  FormatOptions options = small();
  options.volume_bytes = 1ull << 40;
  ASSERT_OK(format_volume(device, options));
  const uint64_t log = default_log_bytes(options.volume_bytes);
  EXPECT_LE(device->snapshot().allocated_bytes(), log + (3u << 20));
  EXPECT_LE(device->size(), log + (3u << 20));
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer leaves no room for the addresses of a volume of this size";
#endif
  auto volume = Volume::open(device, quiet());
  ASSERT_TRUE(volume.has_value()) << explain(volume.error());
  EXPECT_EQ((*volume)->statfs()->blocks_total, (1ull << 40) / 4096);
  ASSERT_OK((*volume)->mkdir(kRoot, "d", 0755, {}));
  ASSERT_OK((*volume)->close());
}

TEST(Format, ALogOfSeveralGroupsIsAccountedFor) {
  auto device = MemoryDevice::file();
  FormatOptions options = small();
  options.volume_bytes = 1ull << 30;
  options.log_bytes = 300 << 20;
  ASSERT_OK(format_volume(device, options));
  auto volume = Volume::open(device, quiet());
  ASSERT_TRUE(volume.has_value()) << explain(volume.error());
  const VolumeStatus status = *(*volume)->statfs();
  EXPECT_EQ(status.blocks_total - status.blocks_free, (302u << 20) / 4096);
}

TEST(Format, RefusesSizesThatNoVolumeCanHave) {
  auto device = MemoryDevice::file();
  FormatOptions options = small();
  options.volume_bytes = format::kVolumeBytesMin - 4096;
  EXPECT_FAILS(format_volume(device, options), EINVAL);
  options.volume_bytes = format::kVolumeBytesMax + 4096;
  EXPECT_FAILS(format_volume(device, options), EINVAL);
  options = small();
  options.log_bytes = 15 << 20;
  EXPECT_FAILS(format_volume(device, options), EINVAL);
  EXPECT_FAILS(format_volume(MemoryDevice::disk(8 << 20), small()), EINVAL);
  options = small();
  options.label = std::string(65, 'x');
  EXPECT_FAILS(format_volume(device, options), EINVAL);
}

TEST(Format, TheSameOptionsMakeTheSameImage) {
  auto first = MemoryDevice::file();
  auto second = MemoryDevice::file(1 << 20);  // an old file
  damage(*second, (1 << 20) - 16);
  ASSERT_OK(format_volume(first, small()));
  ASSERT_OK(format_volume(second, small()));
  EXPECT_EQ(SparseImage::difference(first->snapshot(), second->snapshot()), "");
}

TEST(Format, FormattingAgainLeavesNothingOfTheOldVolume) {
  auto device = MemoryDevice::file();
  ASSERT_OK(format_volume(device, small()));
  {
    auto volume = Volume::open(device, quiet());
    ASSERT_TRUE(volume.has_value());
    ASSERT_OK((*volume)->mkdir(kRoot, "old", 0755, {}));
    ASSERT_OK((*volume)->sync());
    (*volume)->abandon();
  }
  ASSERT_OK(format_volume(device, small()));
  auto volume = Volume::open(device, quiet());
  ASSERT_TRUE(volume.has_value()) << explain(volume.error());
  EXPECT_FALSE((*volume)->recovery().was_needed);
  EXPECT_FAILS((*volume)->lookup(kRoot, "old"), ENOENT);
}

TEST(Open, ADeviceWithoutAVolumeIsRefused) {
  EXPECT_FAILS(Volume::open(MemoryDevice::file(), quiet()), EINVAL);
  EXPECT_FAILS(Volume::open(MemoryDevice::file(16 << 20), quiet()), EINVAL);
  auto result = Volume::open(MemoryDevice::disk(16 << 20), quiet());
  ASSERT_FALSE(result.has_value());
  EXPECT_TRUE(is(result.error(), FsErrc::not_rvmfs));
}

TEST(Open, TheSuperblockCopyStepsIn) {
  auto device = MemoryDevice::file();
  ASSERT_OK(format_volume(device, small()));
  damage(*device, format::kSuperblockOffset + 40);
  EXPECT_OK(read_superblock(*device));
  EXPECT_OK(Volume::open(device, quiet()));
  // That open has mended the first one, so the copy may go now; but not both.
  damage(*device, format::kSuperblockCopyOffset + 40);
  EXPECT_OK(Volume::open(device, quiet()));
  damage(*device, format::kSuperblockOffset + 40);
  damage(*device, format::kSuperblockCopyOffset + 40);
  EXPECT_FAILS(Volume::open(device, quiet()), EIO);
}

TEST(Open, UnknownFeaturesAreRefusedAsTheirKindDemands) {
  auto device = MemoryDevice::file();
  ASSERT_OK(format_volume(device, small()));
  const format::Superblock good = *read_superblock(*device);
  format::Superblock super = good;
  super.features_compat = ~0ull;
  seal(super);
  ASSERT_OK(write_superblocks(*device, super));
  EXPECT_OK(Volume::open(device, quiet()));

  super = good;
  super.features_ro_compat = 1;
  seal(super);
  ASSERT_OK(write_superblocks(*device, super));
  EXPECT_FAILS(Volume::open(device, quiet()), EINVAL);
  MountOptions read_only = quiet();
  read_only.read_only = true;
  EXPECT_OK(Volume::open(device, read_only));

  super = good;
  super.features_incompat = 1;
  seal(super);
  ASSERT_OK(write_superblocks(*device, super));
  auto refused = Volume::open(device, read_only);
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(is(refused.error(), FsErrc::unknown_features));
}

TEST(Open, GeometryThatDoesNotFitIsDamage) {
  auto device = MemoryDevice::file();
  ASSERT_OK(format_volume(device, small()));
  const format::Superblock good = *read_superblock(*device);
  const auto try_with = [&](auto change) {
    format::Superblock super = good;
    change(super);
    seal(super);
    EXPECT_TRUE(write_superblocks(*device, super).has_value());
    auto opened = Volume::open(device, quiet());
    EXPECT_FALSE(opened.has_value());
    return opened ? 0 : errno_of(opened.error());
  };
  EXPECT_EQ(try_with([](auto& s) { s.block_bytes = 512; }), EIO);
  EXPECT_EQ(try_with([](auto& s) { s.volume_bytes = ~0ull; }), EIO);
  EXPECT_EQ(try_with([](auto& s) { s.log_offset = 4096; }), EIO);
  EXPECT_EQ(try_with([](auto& s) { s.log_bytes = ~0ull << 12; }), EIO);
  EXPECT_EQ(try_with([](auto& s) { s.chunk0_offset = ~0ull << 20; }), EIO);
  EXPECT_EQ(try_with([](auto& s) { s.chunk0_offset += 512; }), EIO);
  EXPECT_EQ(try_with([](auto& s) { s.version = 0; }), EIO);
}

TEST(Open, ReadOnlyWritesNothing) {
  auto device = MemoryDevice::file();
  ASSERT_OK(format_volume(device, small()));
  {
    auto volume = Volume::open(device, quiet());
    ASSERT_TRUE(volume.has_value());
    ASSERT_OK((*volume)->mkdir(kRoot, "d", 0755, {}));
    ASSERT_OK((*volume)->sync());
    (*volume)->abandon();  // the log has work for recovery
  }
  const SparseImage before = device->snapshot();
  MountOptions options = quiet();
  options.read_only = true;
  {
    auto volume = Volume::open(device, options);
    ASSERT_TRUE(volume.has_value()) << explain(volume.error());
    EXPECT_OK((*volume)->lookup(kRoot, "d"));
    EXPECT_FAILS((*volume)->mkdir(kRoot, "e", 0755, {}), EROFS);
    EXPECT_FAILS((*volume)->set_label("x"), EROFS);
    EXPECT_OK((*volume)->fsync(kRoot, false));
    ASSERT_OK((*volume)->close());
  }
  EXPECT_EQ(SparseImage::difference(before, device->snapshot()), "");
}

TEST(Open, TheOwnerRecordSaysWhetherTheVolumeIsInUse) {
  auto device = MemoryDevice::file();
  ASSERT_OK(format_volume(device, small()));
  const auto owner = [&] {
    format::OwnerRecord record;
    EXPECT_OK(device->read(format::kOwnerOffset, std::as_writable_bytes(std::span(&record, 1))));
    return record;
  };
  EXPECT_EQ(owner().magic, 0u);
  auto volume = Volume::open(device, quiet());
  ASSERT_TRUE(volume.has_value());
  EXPECT_EQ(owner().magic, format::kOwnerMagic);
  EXPECT_NE(owner().pid, 0u);
  ASSERT_OK((*volume)->close());
  EXPECT_EQ(owner().pid, 0u);
}

class AdminTest : public VolumeTest {};

TEST_F(AdminTest, TheLabelOutlivesTheSession) {
  ASSERT_OK(volume_->set_label("a label"));
  EXPECT_FAILS(volume_->set_label(std::string(65, 'x')), EINVAL);
  reopen();
  EXPECT_EQ(std::string(volume_->superblock().label), "a label");
}

TEST_F(AdminTest, AVolumeGrowsWhileMounted) {
  const uint64_t before = status().blocks_total;
  ASSERT_OK(volume_->grow(volume_bytes_ * 2));
  EXPECT_EQ(status().blocks_total, before * 2);
  EXPECT_FAILS(volume_->grow(volume_bytes_), EINVAL);
  crash();
  EXPECT_EQ(status().blocks_total, before * 2);
  EXPECT_EQ(volume_->superblock().volume_bytes, volume_bytes_ * 2);
}

TEST_F(AdminTest, CloseMakesEverythingDurableWithoutRecovery) {
  make_dir(kRoot, "d");
  reopen();
  EXPECT_FALSE(volume_->recovery().was_needed);
  EXPECT_NE(find(kRoot, "d"), 0u);
}

TEST_F(AdminTest, WhatWasNotSyncedIsLostAsAWhole) {
  make_dir(kRoot, "kept");
  ASSERT_OK(volume_->fsync(kRoot, false));
  make_dir(kRoot, "lost");
  crash();
  EXPECT_TRUE(volume_->recovery().was_needed);
  EXPECT_NE(find(kRoot, "kept"), 0u);
  EXPECT_EQ(find(kRoot, "lost"), 0u);
  EXPECT_EQ(get(kRoot).nlink, 3u);
}

TEST_F(AdminTest, TheBackgroundThreadCommitsByItself) {
  ASSERT_OK(volume_->close());
  MountOptions options;
  options.commit_seconds = 1;
  volume_ = std::move(*Volume::open(device_, options));
  make_dir(kRoot, "d");
  for (int i = 0;
       i < 400 && volume_->rvm().query().last_durable < volume_->rvm().query().last_commit; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  crash();
  EXPECT_NE(find(kRoot, "d"), 0u);
}

}  // namespace
}  // namespace rvmfs::test
