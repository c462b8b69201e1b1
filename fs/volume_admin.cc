// SPDX-License-Identifier: BSD-2-Clause
//
// The volume as a whole: statfs, growing, label.
//
// Growing: the superblocks first, then the root. A crash between leaves a volume whose root counts
// fewer blocks than the superblock allows, which is a volume of the old size.
#include <algorithm>
#include <cstring>

#include "fs/block_allocator.h"
#include "fs/superblock.h"
#include "seeded_bug.h"

namespace rvmfs {

namespace {

// An inode and its entry take about this much of a block: what statfs says can still be made.
constexpr uint64_t kInodesPerBlock = 16;

}  // namespace

Result<VolumeStatus> Volume::statfs() {
  return core_->run_read<VolumeStatus>([&]() -> Result<VolumeStatus> {
    RVM_ASSIGN(VolumeStatus status, core_->blocks->status());
    RVM_ASSIGN(const format::VolumeRoot root, core_->root());
    status.inodes_used = root.inodes_used;
    status.inodes_free =
        std::min(status.blocks_available * kInodesPerBlock, format::kInodeMax - root.next_inode);
    return status;
  });
}

Result<void> Volume::grow(uint64_t volume_bytes) {
  RVM_TRY(core_->check_writable());
  volume_bytes -= volume_bytes % format::kBlockBytes;
  std::lock_guard one_at_a_time(core_->super_mutex);
  if (volume_bytes < core_->super.volume_bytes || volume_bytes > format::kVolumeBytesMax) {
    return fs_error(FsErrc::bad_argument, "volumes only grow, up to their limit");
  }
  if (!core_->device->can_grow() && volume_bytes > core_->device->size()) {
    return fs_error(FsErrc::bad_argument, "the device is not that large");
  }
  format::Superblock super = core_->super;
  super.volume_bytes = volume_bytes;
  const bool late = RVM_SEEDED_BUG("grow_root_first");
  if (!late) RVM_TRY(write_changed_superblocks(*core_, super));
  RVM_TRY(core_->run_write<void>([&](Operation& op) -> Result<void> {
    RVM_ASSIGN(format::VolumeRoot * root, core_->modify_root(op));
    root->blocks_total = volume_bytes / format::kBlockBytes;
    op.on_success.emplace_back([this, &super](rvm::CommitTicket) { core_->super = super; });
    return {};
  }));
  if (late) {
    RVM_TRY(sync());
    RVM_TRY(write_changed_superblocks(*core_, super));
  }
  return sync();
}

Result<void> Volume::set_label(std::string_view label) {
  RVM_TRY(core_->check_writable());
  if (label.size() > sizeof(format::Superblock::label) || label.find('\0') != label.npos) {
    return fs_error(FsErrc::bad_argument, "the label is too long");
  }
  std::lock_guard one_at_a_time(core_->super_mutex);
  format::Superblock super = core_->super;
  std::memset(super.label, 0, sizeof(super.label));
  std::memcpy(super.label, label.data(), label.size());
  return change_superblocks(*core_, super);
}

Result<void> Volume::shut_down() {
  RVM_TRY(sync());
  if (core_->options.read_only) return {};
  core_->shut_down = true;
  core_->rvm->declare_failed();  // no fsync claims success any more
  return {};
}

}  // namespace rvmfs
