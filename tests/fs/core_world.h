// SPDX-License-Identifier: BSD-2-Clause
//
// The inside of a volume for tests of its rooms: a VolumeCore over a memory device, without Volume
// around it, and a check of all accounts of space (bitmaps, counters, extents, chunks, inode
// items).
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "fs/block_allocator.h"
#include "fs/extents.h"
#include "tests/fs/volume_fixture.h"

namespace rvmfs::test {

inline std::unique_ptr<VolumeCore> open_core(std::shared_ptr<rvm::Device> device, bool read_only) {
  auto core = std::make_unique<VolumeCore>();
  core->device = device;
  core->options.background = false;
  core->options.read_only = read_only;
  core->super = *read_superblock(*device);
  rvm::Options options;
  options.log_device = device;
  options.log_offset = core->super.log_offset;
  options.background = false;
  options.read_only = read_only;
  auto instance = rvm::Rvm::initialize(std::move(options));
  EXPECT_TRUE(instance.has_value());
  core->rvm = std::move(*instance);
  core->space = std::move(*rvm::Space::open(*core->rvm, *core, 1ULL << 36));
  core->pool = std::make_unique<rvm::PagePool>(*core->space);
  core->tree = std::make_unique<rvm::Tree>(
      *core->pool, VolumeCore::kRootOffset + offsetof(format::VolumeRoot, tree));
  core->blocks = std::make_unique<BlockAllocator>(*core);
  return core;
}

// All accounts of space of the image, as recovery finds them: "" if they agree, else what does not.
class SpaceCheck {
 public:
  static std::string run(std::shared_ptr<rvm::Device> device) {
    SpaceCheck check(open_core(std::move(device), true));
    const Result<void> done = check.look();
    if (!done) check.complain("cannot be read: " + std::string(done.error().what));
    check.core_->rvm->abandon();
    return check.complaints_;
  }

 private:
  explicit SpaceCheck(std::unique_ptr<VolumeCore> core) : core_(std::move(core)) {}

  void complain(const std::string& what) { complaints_ += what + "\n"; }

  void claim(uint64_t block, uint64_t count, const std::string& owner) {
    for (uint64_t i = block; i < block + count; ++i) {
      const auto [place, is_new] = owners_.emplace(i, owner);
      if (!is_new) complain("block " + std::to_string(i) + ": " + place->second + " and " + owner);
    }
  }

  Result<void> look() {
    RVM_ASSIGN(const format::VolumeRoot root, core_->root());
    claim(0, (core_->super.chunk0_offset + rvm::format::kChunkBytes) / format::kBlockBytes,
          "start");
    RVM_ASSIGN(const rvm::format::PoolRoot pool, core_->pool->root());
    for (uint64_t i = 1; i < pool.chunk_count; ++i) {
      RVM_ASSIGN(const rvm::ChunkPlace place, core_->locate(i));
      claim(place.offset / format::kBlockBytes, 256, "chunk " + std::to_string(i));
    }
    RVM_TRY(look_at_items());
    return compare_bitmaps(root);
  }

  Result<void> look_at_items() {
    std::map<Inode, uint64_t> blocks;
    rvm::Tree::Cursor cursor(*core_->tree);
    RVM_TRY(cursor.seek({1, 0}));
    for (; cursor.valid();) {
      const Inode inode = cursor.key().high;
      const auto type = static_cast<format::ItemType>(cursor.key().low >> format::kTypeShift);
      if (type == format::ItemType::inode) {
        const auto* item = reinterpret_cast<const format::InodeItem*>(cursor.value().data());
        if (item->blocks > 0) blocks[inode] = item->blocks;
      }
      if (type == format::ItemType::extent) {
        const auto* item = reinterpret_cast<const format::ExtentItem*>(cursor.value().data());
        claim(item->block, item->count, "inode " + std::to_string(inode));
        extents_[inode] += item->count;
      }
      RVM_TRY(cursor.next());
    }
    if (blocks != extents_) complain("inode items count other blocks than their extents");
    return {};
  }

  Result<void> compare_bitmaps(const format::VolumeRoot& root) {
    BlockGroups groups(*core_->space, *core_->pool);
    RVM_ASSIGN(const BlockGroups::Totals totals, groups.totals());
    uint64_t used = 0;
    for (uint64_t group = 0; group < totals.groups(); ++group) {
      RVM_ASSIGN(const BlockGroups::View view, groups.view(group));
      uint32_t in_group = 0;
      for (uint32_t bit = 0; bit < kGroupBits && view.words != nullptr; ++bit) {
        const bool is_used = any_set(view.words, bit, 1);
        in_group += is_used;
        const uint64_t block = group * kGroupBits + bit;
        if (is_used != owners_.contains(block)) {
          complain("block " + std::to_string(block) + (is_used ? " leaked" : " used but free"));
        }
      }
      if (in_group != view.used) complain("group counts other blocks than its bitmap");
      used += in_group;
    }
    if (used != root.blocks_used) complain("root counts other blocks than the bitmaps");
    if (used != owners_.size()) complain("more blocks have owners than are used");
    return {};
  }

  std::unique_ptr<VolumeCore> core_;
  std::map<uint64_t, std::string> owners_;
  std::map<Inode, uint64_t> extents_;
  std::string complaints_;
};

// A formatted volume's core, for tests that call the rooms themselves.
class CoreTest : public ::testing::Test {
 protected:
  void format(uint64_t volume_bytes, uint64_t log_bytes = 0) {
    device_ = MemoryDevice::disk(volume_bytes);
    FormatOptions options;
    options.volume_bytes = volume_bytes;
    options.log_bytes = log_bytes;
    options.now = {1'000'000, 0};
    ASSERT_OK(format_volume(device_, options));
    core_ = open_core(device_, false);
  }
  void TearDown() override {
    if (core_ == nullptr) return;
    EXPECT_OK(core_->rvm->flush());
    EXPECT_OK(core_->rvm->close());
    core_.reset();
    EXPECT_EQ(SpaceCheck::run(device_), "");
  }

  Result<BlockRun> reserve(uint64_t goal, uint32_t wanted) {
    return core_->run_read<BlockRun>([&] { return core_->blocks->reserve(goal, wanted); });
  }
  // As an unwritten extent of inode 100 at `first`, so that the accounts balance.
  Result<void> give(BlockRun run, uint64_t first) {
    return core_->run_write<void>([&](Operation& op) -> Result<void> {
      RVM_TRY(core_->blocks->commit_reserved(op, run));
      RVM_TRY(ExtentMap(*core_, kFile).insert(op, {first, run.count, run.block, true}));
      return change_blocks(op, run.count);
    });
  }
  Result<void> take_away(uint64_t first, uint64_t end) {
    return core_->run_write<void>([&](Operation& op) -> Result<void> {
      RVM_ASSIGN(const ExtentMap::Removed removed,
                 ExtentMap(*core_, kFile).remove(op, first, end, UINT32_MAX));
      return change_blocks(op, -static_cast<int64_t>(removed.blocks));
    });
  }
  // The file need not exist as a file.
  Result<void> change_blocks(Operation& op, int64_t change) {
    const rvm::Key key = item_key(kFile, format::ItemType::inode);
    format::InodeItem item{};
    auto found = core_->tree->find(key);
    if (found) std::memcpy(&item, found->data(), sizeof item);
    item.mode = S_IFREG;
    item.blocks += static_cast<uint64_t>(change);
    return core_->tree->put(op.tx, key, std::as_bytes(std::span(&item, 1)));
  }
  std::vector<Extent> map_of(uint64_t first, uint64_t end) {
    auto pieces = core_->run_read<std::vector<Extent>>(
        [&] { return ExtentMap(*core_, kFile).pieces(first, end, 10000); });
    EXPECT_TRUE(pieces.has_value());
    return pieces ? *pieces : std::vector<Extent>();
  }

  static constexpr Inode kFile = 100;
  std::shared_ptr<MemoryDevice> device_;
  std::unique_ptr<VolumeCore> core_;
};

}  // namespace rvmfs::test
