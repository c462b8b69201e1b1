// SPDX-License-Identifier: BSD-2-Clause
//
// Truncation and extension (fs/file_size.h), and freeing the data of a file in steps. The first
// transaction of a truncation sets the size and frees what it can; if blocks are left, an orphan
// item says so until they are freed.
#include "fs/file_size.h"

#include "fs/attributes.h"
#include "fs/file_data.h"
#include "fs/inlined_data.h"
#include "fs/inode.h"
#include "fs/orphans.h"
#include "seeded_bug.h"

namespace rvmfs {

namespace {

using format::InodeItem;

struct Outcome {
  Attributes attributes;
  bool done = true;  // no blocks are left to be freed
};

Result<void> set_size(Operation& op, VolumeCore& core, Inode inode, uint64_t size) {
  RVM_ASSIGN(InodeItem * item,
             modify_inode_part(op, core, inode, offsetof(InodeItem, size), kItemTimesEnd));
  item->size = size;
  set_mtime(*item, op.now);
  set_ctime(*item, op.now);
  return {};
}

// A file without any content is inlined, as a new one.
Result<void> make_inlined(Operation& op, VolumeCore& core, Inode inode) {
  RVM_ASSIGN(InodeItem * item, modify_inode_part(op, core, inode, offsetof(InodeItem, layout),
                                                 offsetof(InodeItem, layout) + 1));
  item->layout = static_cast<uint8_t>(format::Layout::inlined);
  return {};
}

// The transaction that is the change of the size.
Result<Outcome> resize(Operation& op, VolumeCore& core, Inode inode, uint64_t size,
                       const AttributeChange& rest, uint32_t weight_max) {
  BlockAllocator::LastResort last_resort(*core.blocks);
  Outcome outcome;
  RVM_ASSIGN(const InodeItem* before, core.inode(inode));
  const bool inlined = is_inlined(*before);
  const uint64_t old_size = before->size;
  if (inlined) RVM_TRY(resize_inlined(op, core, inode, size));
  RVM_TRY(set_size(op, core, inode, size));
  if (!inlined && size <= old_size) {
    RVM_ASSIGN(outcome.done, core.free_data_beyond(op, inode, size, weight_max));
    if (!outcome.done) RVM_TRY(add_orphan(op, core, inode, format::kOrphanTruncate));
    if (outcome.done && size == 0) RVM_TRY(make_inlined(op, core, inode));
  }
  if (size > old_size) op.tx.order_after_device_writes();
  RVM_TRY(drop_privileges(op, core, inode, false));
  RVM_TRY(apply_change(op, core, inode, rest));
  RVM_ASSIGN(const InodeItem* after, core.inode(inode));
  outcome.attributes = VolumeCore::attributes_of(inode, *after);
  return outcome;
}

Result<Attributes> finish_resize(VolumeCore& core, Inode inode, uint64_t size) {
  RVM_TRY(finish_truncation(core, inode, size));
  return core.run_write<Attributes>([&](Operation& op) -> Result<Attributes> {
    if (size == 0) RVM_TRY(make_inlined(op, core, inode));
    RVM_ASSIGN(const InodeItem* item, core.inode(inode));
    return VolumeCore::attributes_of(inode, *item);
  });
}

Result<void> prepare(VolumeCore& core, Inode inode, uint64_t size) {
  RVM_ASSIGN(const InodeItem item, core.run_read<InodeItem>([&]() -> Result<InodeItem> {
    RVM_ASSIGN(const InodeItem found, file_item(core, inode));
    if ((found.flags & (kFlagImmutable | kFlagAppend)) != 0) {
      return fs_error(FsErrc::not_permitted, "the file must not be truncated", inode);
    }
    return found;
  }));
  if (is_inlined(item)) {
    return size <= format::kInlineFileBytesMax ? Result<void>() : convert_inlined(core, inode);
  }
  return size > item.size ? prepare_extension(core, inode, item.size, size) : Result<void>();
}

// The seeded bug: the blocks go, and the size still says that they are there.
Result<void> free_early(VolumeCore& core, Inode inode, uint64_t size) {
  return core.run_write<void>([&](Operation& op) -> Result<void> {
    RVM_ASSIGN(const InodeItem* item, core.inode(inode));
    if (is_inlined(*item)) return {};
    RVM_TRY(core.free_data_beyond(op, inode, size, UINT32_MAX));
    return {};
  });
}

}  // namespace

Result<Attributes> change_size(VolumeCore& core, Inode inode, uint64_t size,
                               const AttributeChange& rest) {
  if (size > format::kFileBytesMax) {
    return fs_error(FsErrc::file_too_big, "behind the largest size", inode);
  }
  RVM_TRY(core.check_writable());
  AttributeChange others = rest;
  others.valid &= ~AttributeChange::size_bit;
  std::unique_lock data_lock(core.inode_locks.of(inode));
  RVM_TRY(prepare(core, inode, size));
  if (RVM_SEEDED_BUG("truncate_in_two_transactions")) RVM_TRY(free_early(core, inode, size));
  for (uint32_t weight_max = kStepWeightMax;; weight_max /= 2) {
    const Result<Outcome> outcome = core.run_write<Outcome>(
        [&](Operation& op) { return resize(op, core, inode, size, others, weight_max); });
    if (!outcome && outcome.error() == rvm::Errc::too_big && weight_max > 1) continue;
    if (!outcome) return outcome.error();
    return outcome->done ? Result<Attributes>(outcome->attributes)
                         : finish_resize(core, inode, size);
  }
}

Result<bool> VolumeCore::free_data_beyond(Operation& op, Inode number, uint64_t size,
                                          uint32_t items_max) {
  RVM_ASSIGN(const InodeItem* item, inode(number));
  if (is_inlined(*item)) return free_inlined(op, *this, number, size, items_max);
  ExtentMap map(*this, number);
  RVM_ASSIGN(const ExtentMap::Removed removed,
             map.remove(op, blocks_up(size), kFileBlocksMax, items_max));
  if (removed.blocks == 0) return removed.done;
  constexpr uint32_t kAt = offsetof(InodeItem, blocks);
  RVM_ASSIGN(InodeItem * changed, modify_inode_part(op, *this, number, kAt, kAt + 8));
  if (changed->blocks < removed.blocks) {
    return fs_error(FsErrc::damaged, "file counts fewer blocks than it has", number);
  }
  changed->blocks -= removed.blocks;
  return removed.done;
}

}  // namespace rvmfs
