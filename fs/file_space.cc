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
  struct How {
    RangeKind kind;
    bool keep_size, kill_suid_gid;
  };
  RangeChange(VolumeCore& core, Inode inode, How how, uint64_t begin, uint64_t end)
      : core_(core),
        inode_(inode),
        kind_(how.kind),
        keep_size_(how.keep_size),
        kill_suid_gid_(how.kill_suid_gid),
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
    return commit();
  }

 private:
  // How far the transactions of commit() have come.
  struct Progress {
    size_t fresh = 0;     // reserved extents that are the file's
    uint64_t marked = 0;  // file block before which everything is unwritten
    bool done = false;
  };

  bool grows() const { return !keep_size_ && end_ > item_.size; }
  // Where zeros end. What lies behind the end of the file stays as it is: a loss of power may bring
  // back the size before a truncation, and the bytes that were there then.
  uint64_t zeros_end() const { return grows() ? end_ : std::min(end_, item_.size); }

  Result<void> look();
  Result<void> change_item();
  Result<void> reserve_holes();
  Result<void> zero_edges(uint64_t first, uint64_t stop);
  Result<void> commit();
  Result<Progress> commit_step(Operation& op, Progress before, uint32_t weight_max);
  Result<void> punch();
  Result<bool> punch_step(Operation& op, uint64_t first, uint64_t stop, uint32_t weight_max);

  VolumeCore& core_;
  Inode inode_;
  RangeKind kind_;
  bool keep_size_;
  bool kill_suid_gid_;
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
    RVM_TRY(drop_privileges(op, core_, inode_, kill_suid_gid_));
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
    const uint64_t position = extent.block * kBlockBytes;
    RVM_TRY(core_.device->allocate(position, extent.count * kBlockBytes));
    core_.rvm->note_write(position, extent.count * kBlockBytes);
  }
  return {};
}

// The parts of the range that are not in the whole blocks [first, stop).
Result<void> RangeChange::zero_edges(uint64_t first, uint64_t stop) {
  RVM_TRY(zero_in_block(core_, inode_, begin_, std::min(zeros_end(), first * kBlockBytes)));
  if (stop < first) return {};
  return zero_in_block(core_, inode_, stop * kBlockBytes, zeros_end());
}

// Holes get the reserved blocks. To be zeroed, whole blocks become unwritten: their bytes need not
// be written, and they stay the file's; not the one with the end of the file in it, since an
// unwritten block is filled up when it is written. Nearly always this is one transaction. Edges
// come after it, so that a call that is refused for want of space has changed nothing.
Result<void> RangeChange::commit() {
  Progress progress{0, blocks_up(begin_), false};
  while (!progress.done) {
    RVM_ASSIGN(progress, run_step<Progress>(core_, [&](Operation& op, uint32_t weight_max) {
                 return commit_step(op, progress, weight_max);
               }));
    fresh_.keep(progress.fresh);
  }
  if (kind_ != RangeKind::zero) return {};
  return zero_edges(blocks_up(begin_), zeros_end() / kBlockBytes);
}

// The last step sets size and times.
Result<RangeChange::Progress> RangeChange::commit_step(Operation& op, Progress before,
                                                       uint32_t weight_max) {
  RVM_ASSIGN(const FreshBlocks::Committed committed,
             fresh_.commit(op, map_, before.fresh, true, weight_max));
  Progress after{committed.next, before.marked, committed.next == fresh_.extents().size()};
  const uint64_t stop = zeros_end() / kBlockBytes;
  if (kind_ == RangeKind::zero && after.done && after.marked < stop) {
    RVM_ASSIGN(after.marked, map_.mark(op, before.marked, stop, true, weight_max));
    after.done = after.marked >= stop;
  }
  RVM_TRY(drop_privileges(op, core_, inode_, kill_suid_gid_));
  RVM_ASSIGN(InodeItem * item,
             modify_inode_part(op, core_, inode_, offsetof(InodeItem, size), kItemTimesEnd));
  item->blocks += committed.blocks;
  if (after.done && grows()) {
    item->size = end_;
    op.tx.order_after_device_writes();
  }
  if (after.done) set_mtime(*item, op.now);
  if (after.done) set_ctime(*item, op.now);
  return after;
}

Result<void> RangeChange::punch() {
  const uint64_t first = blocks_up(begin_);
  uint64_t stop = end_ / kBlockBytes;
  // Nothing behind the end of the file in its last block is worth keeping.
  if (end_ >= item_.size) stop = std::max(stop, blocks_up(item_.size));
  for (;;) {
    RVM_ASSIGN(const bool done, run_step<bool>(core_, [&](Operation& op, uint32_t weight_max) {
                 return punch_step(op, first, stop, weight_max);
               }));
    if (done) return zero_edges(first, stop);
  }
}

Result<bool> RangeChange::punch_step(Operation& op, uint64_t first, uint64_t stop,
                                     uint32_t weight_max) {
  ExtentMap::Removed removed{0, true};
  if (first < stop) {
    RVM_ASSIGN(removed, map_.remove(op, first, stop, weight_max));
  }
  RVM_TRY(drop_privileges(op, core_, inode_, kill_suid_gid_));
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

Result<void> Volume::fallocate(Inode inode, int mode, uint64_t offset, uint64_t length,
                               bool kill_suid_gid) {
  VolumeCore& core = *core_;
  RVM_TRY(core.check_writable());
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
  const RangeChange::How how{kind, keep_size, kill_suid_gid};
  return with_room(core,
                   [&] { return RangeChange(core, inode, how, offset, offset + length).run(); });
}

}  // namespace rvmfs
