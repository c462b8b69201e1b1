// SPDX-License-Identifier: BSD-2-Clause
//
// Volume::fallocate: allocating blocks without data, punching holes, zeroing ranges.
//
// Allocated blocks are unwritten extents: they read as zeros and need no device write; the host is
// asked for the space, so that a later write does not meet a full host. Edges of a range that share
// a block with other bytes are zeroed in place. A call that finds no space changes nothing; one
// that is cut by a crash may have done a part of its range.
#include <fcntl.h>
#include <linux/falloc.h>

#include <algorithm>

#include "fs/attributes.h"
#include "fs/file_data.h"
#include "fs/inlined_data.h"
#include "fs/inode.h"

namespace rvmfs {

namespace {

using format::InodeItem;
using format::kBlockBytes;

enum class RangeKind { allocate, punch, zero };

class RangeChange {
 public:
  RangeChange(VolumeCore& core, Inode inode, RangeKind kind, bool keep_size, uint64_t begin,
              uint64_t end)
      : core_(core),
        inode_(inode),
        kind_(kind),
        keep_size_(keep_size),
        begin_(begin),
        end_(end),
        map_(core, inode),
        fresh_(core) {}

  Result<void> run() {
    RVM_TRY(look());
    if (is_inlined(item_)) {
      if (kind_ == RangeKind::punch || end_ <= format::kInlineFileBytesMax) return change_item();
      RVM_TRY(convert_inlined(core_, inode_));
    }
    if (kind_ == RangeKind::punch) return punch();
    if (grows()) RVM_TRY(prepare_extension(core_, inode_, item_.size, end_));
    RVM_TRY(reserve_holes());
    if (kind_ == RangeKind::zero) RVM_TRY(zero_what_is_there());
    return commit();
  }

 private:
  bool grows() const { return !keep_size_ && end_ > item_.size; }

  Result<void> look();
  Result<void> change_item();
  Result<void> reserve_holes();
  Result<void> zero_edges(uint64_t first, uint64_t stop);
  Result<void> zero_what_is_there();
  Result<void> commit();
  Result<size_t> commit_step(Operation& op, size_t next, uint32_t weight_max);
  Result<void> punch();
  Result<bool> punch_step(Operation& op, uint64_t first, uint64_t stop, uint32_t weight_max);

  VolumeCore& core_;
  Inode inode_;
  RangeKind kind_;
  bool keep_size_;
  uint64_t begin_, end_;
  ExtentMap map_;
  FreshBlocks fresh_;
  InodeItem item_{};
};

// Runs a transaction that does at most a weight of work; with less where the log is small.
template <typename T, typename Body>
Result<T> run_step(VolumeCore& core, const Body& body) {
  for (uint32_t weight_max = kStepWeightMax;; weight_max /= 2) {
    Result<T> result =
        core.run_write<T>([&](Operation& op) -> Result<T> { return body(op, weight_max); });
    if (result || !(result.error() == rvm::Errc::too_big) || weight_max == 1) return result;
  }
}

Result<void> RangeChange::look() {
  RVM_ASSIGN(item_, core_.run_read<InodeItem>([this] { return file_item(core_, inode_); }));
  const bool append_only = (item_.flags & kFlagAppend) != 0 && kind_ != RangeKind::allocate;
  if ((item_.flags & kFlagImmutable) != 0 || append_only) {
    return fs_error(FsErrc::not_permitted, "immutable or append-only", inode_);
  }
  return {};
}

Result<void> RangeChange::change_item() {
  return core_.run_write<void>([this](Operation& op) -> Result<void> {
    const uint64_t end_there = std::min(end_, item_.size);
    if (kind_ != RangeKind::allocate && begin_ < end_there) {
      const std::vector<std::byte> zeros(end_there - begin_);
      RVM_TRY(write_inlined(op, core_, inode_, begin_, zeros));
    }
    if (grows()) RVM_TRY(resize_inlined(op, core_, inode_, end_));
    RVM_TRY(drop_privileges(op, core_, inode_, false));
    return core_.touch(op, inode_, true, true, false);
  });
}

Result<void> RangeChange::reserve_holes() {
  const uint64_t end = blocks_up(end_);
  for (uint64_t first = begin_ / kBlockBytes; first < end;) {
    RVM_ASSIGN(const std::vector<Extent> pieces, core_.run_read<std::vector<Extent>>([&] {
      return map_.pieces(first, end, kPiecesMax);
    }));
    for (const Extent& piece : pieces) {
      if (!piece.is_hole()) continue;
      RVM_ASSIGN(const uint64_t goal,
                 core_.run_read<uint64_t>([&] { return map_.goal(piece.first); }));
      RVM_TRY(fresh_.cover(piece, goal));
    }
    first = pieces.back().end();
  }
  for (const Extent& extent : fresh_.extents()) {
    RVM_TRY(core_.device->allocate(extent.block * kBlockBytes, extent.count * kBlockBytes));
  }
  return {};
}

// The parts of the range that are not in the whole blocks [first, stop).
Result<void> RangeChange::zero_edges(uint64_t first, uint64_t stop) {
  RVM_TRY(zero_in_block(core_, inode_, begin_, std::min(end_, first * kBlockBytes)));
  if (stop < first) return {};
  return zero_in_block(core_, inode_, stop * kBlockBytes, end_);
}

// Whole blocks become unwritten: their bytes need not be written, and they stay the file's.
Result<void> RangeChange::zero_what_is_there() {
  const uint64_t stop = end_ / kBlockBytes;
  uint64_t first = blocks_up(begin_);
  RVM_TRY(zero_edges(first, stop));
  while (first < stop) {
    RVM_ASSIGN(first, run_step<uint64_t>(core_, [&](Operation& op, uint32_t weight_max) {
                 return map_.mark(op, first, stop, true, weight_max);
               }));
  }
  return {};
}

Result<void> RangeChange::commit() {
  size_t next = 0;
  do {
    RVM_ASSIGN(next, run_step<size_t>(core_, [&](Operation& op, uint32_t weight_max) {
                 return commit_step(op, next, weight_max);
               }));
    fresh_.keep(next);
  } while (next < fresh_.extents().size());
  return {};
}

// The last step sets size and times.
Result<size_t> RangeChange::commit_step(Operation& op, size_t next, uint32_t weight_max) {
  RVM_ASSIGN(const FreshBlocks::Committed done, fresh_.commit(op, map_, next, true, weight_max));
  const bool is_last = done.next == fresh_.extents().size();
  RVM_TRY(drop_privileges(op, core_, inode_, false));
  RVM_ASSIGN(InodeItem * item,
             modify_inode_part(op, core_, inode_, offsetof(InodeItem, size), kItemTimesEnd));
  item->blocks += done.blocks;
  if (is_last && grows()) {
    item->size = end_;
    op.tx.order_after_device_writes();
  }
  if (is_last) set_mtime(*item, op.now);
  if (is_last) set_ctime(*item, op.now);
  return done.next;
}

Result<void> RangeChange::punch() {
  const uint64_t first = blocks_up(begin_);
  uint64_t stop = end_ / kBlockBytes;
  // Nothing behind the end of the file in its last block is worth keeping.
  if (end_ >= item_.size) stop = std::max(stop, blocks_up(item_.size));
  RVM_TRY(zero_edges(first, stop));
  for (;;) {
    RVM_ASSIGN(const bool done, run_step<bool>(core_, [&](Operation& op, uint32_t weight_max) {
                 return punch_step(op, first, stop, weight_max);
               }));
    if (done) return {};
  }
}

Result<bool> RangeChange::punch_step(Operation& op, uint64_t first, uint64_t stop,
                                     uint32_t weight_max) {
  ExtentMap::Removed removed{0, true};
  if (first < stop) {
    RVM_ASSIGN(removed, map_.remove(op, first, stop, weight_max));
  }
  RVM_TRY(drop_privileges(op, core_, inode_, false));
  RVM_ASSIGN(InodeItem * item,
             modify_inode_part(op, core_, inode_, offsetof(InodeItem, blocks), kItemTimesEnd));
  if (item->blocks < removed.blocks) {
    return fs_error(FsErrc::damaged, "file counts fewer blocks than it has", inode_);
  }
  item->blocks -= removed.blocks;
  set_mtime(*item, op.now);
  set_ctime(*item, op.now);
  return removed.done;
}

Result<RangeKind> kind_of(int mode) {
  switch (mode & ~FALLOC_FL_KEEP_SIZE) {
    case 0: return RangeKind::allocate;
    case FALLOC_FL_ZERO_RANGE: return RangeKind::zero;
    case FALLOC_FL_PUNCH_HOLE:
      if ((mode & FALLOC_FL_KEEP_SIZE) != 0) return RangeKind::punch;
      break;
    default: break;
  }
  return fs_error(FsErrc::not_supported, "mode of fallocate");
}

}  // namespace

Result<void> Volume::fallocate(Inode inode, int mode, uint64_t offset, uint64_t length) {
  VolumeCore& core = *core_;
  if (core.options.read_only) return fs_error(FsErrc::read_only_volume, "mounted read-only");
  RVM_TRY(core.run_read<void>([&]() -> Result<void> {
    RVM_TRY(file_item(core, inode));
    return {};
  }));
  RVM_ASSIGN(const RangeKind kind, kind_of(mode));
  if (length == 0) return fs_error(FsErrc::bad_argument, "empty range", inode);
  if (offset >= format::kFileBytesMax || length > format::kFileBytesMax - offset) {
    return fs_error(FsErrc::file_too_big, "behind the largest size", inode);
  }
  const bool keep_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  std::unique_lock data_lock(core.inode_locks.of(inode));
  return RangeChange(core, inode, kind, keep_size, offset, offset + length).run();
}

}  // namespace rvmfs
