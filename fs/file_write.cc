// SPDX-License-Identifier: BSD-2-Clause
//
// Volume::write. Bytes of blocks that are the file's and written already go to them in place. Holes
// get fresh blocks, which are written whole (zeros around the data), as are unwritten blocks. Then
// one transaction makes them the file's, with size and times; it is ordered after the device
// writes, so a file never refers to blocks whose bytes are not its own.
#include "fs/file_write.h"

#include <algorithm>

#include "fs/attributes.h"
#include "fs/inlined_data.h"
#include "fs/inode.h"
#include "seeded_bug.h"

namespace rvmfs {

namespace {

using format::InodeItem;
using format::kBlockBytes;

constexpr uint64_t kStepBytesMax = 8 << 20;

struct WritePlan {
  InodeItem item{};
  BeyondEnd beyond;
  std::vector<Extent> pieces;
  uint64_t goal = 0;
};

bool has_time(const InodeItem& item, Time now) {
  return Time{item.mtime_seconds, item.mtime_nanoseconds} == now &&
         Time{item.ctime_seconds, item.ctime_nanoseconds} == now;
}

Result<void> check_flags(const InodeItem& item, uint64_t offset) {
  if ((item.flags & kFlagImmutable) != 0) {
    return fs_error(FsErrc::not_permitted, "the file is immutable");
  }
  if ((item.flags & kFlagAppend) != 0 && offset < item.size) {
    return fs_error(FsErrc::not_permitted, "the file can only be appended to");
  }
  return {};
}

// One write: what it needs to know, and what it did so far.
class WriteStep {
 public:
  WriteStep(VolumeCore& core, Inode inode, uint64_t offset, std::span<const std::byte> data,
            bool kill_suid_gid)
      : core_(core),
        inode_(inode),
        offset_(offset),
        data_(data.first(std::min<uint64_t>(data.size(), kStepBytesMax))),
        kill_suid_gid_(kill_suid_gid),
        fresh_(core) {}

  Result<size_t> run() {
    RVM_TRY(plan());
    if (is_inlined(plan_.item) && end() <= format::kInlineFileBytesMax) return write_to_item();
    if (is_inlined(plan_.item) && plan_.item.size > 0) {
      RVM_TRY(convert_inlined(core_, inode_));
      RVM_TRY(plan());
    }
    if (plan_.beyond.leftover) {
      RVM_TRY(finish_truncation(core_, inode_, plan_.item.size));
      RVM_TRY(plan());
    }
    RVM_TRY(reserve());
    if (offset_ > plan_.item.size) {
      RVM_TRY(zero_gap(core_, plan_.beyond, offset_ - plan_.item.size));
    }
    RVM_TRY(write_unseen());
    if (needs_commit()) RVM_TRY(commit());
    fresh_.keep(fresh_.extents().size());
    RVM_TRY(overwrite());
    return data_.size();
  }

 private:
  uint64_t end() const { return offset_ + data_.size(); }
  void shorten(uint64_t end) { data_ = data_.first(std::min(end, this->end()) - offset_); }
  bool needs_commit() const;

  Result<void> plan();
  Result<void> reserve();
  Result<void> write_unseen();
  Result<void> overwrite();
  Result<void> commit();
  Result<void> commit_body(Operation& op);
  Result<size_t> write_to_item();

  VolumeCore& core_;
  Inode inode_;
  uint64_t offset_;
  std::span<const std::byte> data_;
  bool kill_suid_gid_;
  FreshBlocks fresh_;
  WritePlan plan_;
};

Result<void> WriteStep::plan() {
  RVM_ASSIGN(plan_, core_.run_read<WritePlan>([this]() -> Result<WritePlan> {
    WritePlan plan;
    RVM_ASSIGN(plan.item, file_item(core_, inode_));
    RVM_TRY(check_flags(plan.item, offset_));
    if (is_inlined(plan.item) && plan.item.size > 0) return plan;
    ExtentMap map(core_, inode_);
    if (end() > plan.item.size) {
      RVM_ASSIGN(plan.beyond, look_beyond_end(map, plan.item.size, end()));
    }
    const uint64_t first = offset_ / kBlockBytes;
    RVM_ASSIGN(plan.pieces, map.pieces(first, blocks_up(end()), kPiecesMax));
    if (plan.pieces.front().is_hole()) {
      RVM_ASSIGN(plan.goal, map.goal(first));
    }
    return plan;
  }));
  if (!plan_.pieces.empty()) shorten(plan_.pieces.back().end() * kBlockBytes);
  return {};
}

// When the volume is full after a part of it, the part is written: a short write.
Result<void> WriteStep::reserve() {
  uint64_t goal = plan_.goal;
  for (size_t i = 0; i < plan_.pieces.size(); ++i) {
    const Extent& piece = plan_.pieces[i];
    if (!piece.is_hole()) {
      goal = piece.block + piece.count;
      continue;
    }
    const Result<void> covered = fresh_.cover(piece, goal);
    if (covered) {
      goal = fresh_.extents().back().block + fresh_.extents().back().count;
      continue;
    }
    const bool some = !fresh_.extents().empty() && fresh_.extents().back().end() > piece.first;
    const uint64_t reached = some ? fresh_.extents().back().end() : piece.first;
    if (is(covered.error(), FsErrc::volume_full) && RVM_SEEDED_BUG("enospc_swallowed")) return {};
    if (!is(covered.error(), FsErrc::volume_full) || reached * kBlockBytes <= offset_) {
      return covered;
    }
    shorten(reached * kBlockBytes);
    plan_.pieces.resize(i);
    return {};
  }
  return {};
}

// What nobody can read before the commit: fresh and unwritten blocks, and bytes behind the end.
Result<void> WriteStep::write_unseen() {
  const uint64_t skipped =
      std::min<uint64_t>(data_.size(), plan_.item.size - std::min(plan_.item.size, offset_));
  for (const Extent& piece : plan_.pieces) {
    if (piece.is_hole()) continue;
    RVM_TRY(piece.unwritten ? write_blocks(core_, piece, offset_, data_)
                            : write_part(core_, piece, offset_ + skipped, data_.subspan(skipped)));
  }
  for (const Extent& extent : fresh_.extents()) {
    RVM_TRY(write_blocks(core_, extent, offset_, data_));
  }
  return {};
}

// What can be read already. Comes last, so that a write that is refused for want of space has
// changed nothing.
Result<void> WriteStep::overwrite() {
  if (offset_ >= plan_.item.size) return {};
  const auto seen = data_.first(std::min<uint64_t>(data_.size(), plan_.item.size - offset_));
  for (const Extent& piece : plan_.pieces) {
    if (piece.is_data()) RVM_TRY(write_part(core_, piece, offset_, seen));
  }
  return {};
}

// An overwrite within one tick of the clock changes nothing in the metadata. (What an unprivileged
// write takes away matters on executables only.)
bool WriteStep::needs_commit() const {
  if (!fresh_.extents().empty() || end() > plan_.item.size || is_inlined(plan_.item)) return true;
  for (const Extent& piece : plan_.pieces) {
    if (piece.unwritten) return true;
  }
  return (plan_.item.mode & 0111) != 0 || kill_suid_gid_ || !has_time(plan_.item, core_.now());
}

Result<void> WriteStep::commit() {
  return core_.run_write<void>([this](Operation& op) { return commit_body(op); });
}

Result<void> WriteStep::commit_body(Operation& op) {
  ExtentMap map(core_, inode_);
  bool exposes = !fresh_.extents().empty() || end() > plan_.item.size;
  RVM_ASSIGN(const FreshBlocks::Committed committed, fresh_.commit(op, map, 0, false, UINT32_MAX));
  for (const Extent& piece : plan_.pieces) {
    if (!piece.unwritten) continue;
    exposes = true;
    RVM_TRY(map.mark(op, piece.first, piece.end(), false, UINT32_MAX).map([](uint64_t) {}));
  }
  RVM_TRY(drop_privileges(op, core_, inode_, kill_suid_gid_));
  if (!exposes) return core_.touch(op, inode_, true, true, false);
  if (!RVM_SEEDED_BUG("data_not_ordered")) op.tx.order_after_device_writes();
  const uint32_t end_of_times = RVM_SEEDED_BUG("mtime_not_logged") ? kItemTimes : kItemTimesEnd;
  const uint32_t to = is_inlined(plan_.item) ? kItemEnd : end_of_times;
  RVM_ASSIGN(InodeItem * item, modify_inode_part(op, core_, inode_, offsetof(InodeItem, size), to));
  if (is_inlined(*item)) item->layout = static_cast<uint8_t>(format::Layout::extents);
  item->size = std::max(item->size, end());
  item->blocks += committed.blocks;
  set_mtime(*item, op.now);
  set_ctime(*item, op.now);
  return {};
}

Result<size_t> WriteStep::write_to_item() {
  RVM_TRY(core_.run_write<void>([this](Operation& op) -> Result<void> {
    RVM_TRY(write_inlined(op, core_, inode_, offset_, data_));
    RVM_TRY(drop_privileges(op, core_, inode_, kill_suid_gid_));
    return core_.touch(op, inode_, true, true, false);
  }));
  return data_.size();
}

}  // namespace

Result<size_t> write_step(VolumeCore& core, Inode inode, uint64_t offset,
                          std::span<const std::byte> data, bool kill_suid_gid) {
  return with_room(core, [&] { return WriteStep(core, inode, offset, data, kill_suid_gid).run(); });
}

Result<size_t> Volume::write(Inode inode, uint64_t offset, std::span<const std::byte> in,
                             bool kill_suid_gid) {
  VolumeCore& core = *core_;
  RVM_TRY(core.check_writable());
  if (offset >= format::kFileBytesMax && !in.empty()) {
    return fs_error(FsErrc::file_too_big, "behind the largest size", inode);
  }
  // As much as there is room for, as with any limit.
  if (!in.empty()) in = in.first(std::min<uint64_t>(in.size(), format::kFileBytesMax - offset));
  std::unique_lock data_lock(core.inode_locks.of(inode));
  if (in.empty()) {
    return core.run_read<size_t>([&]() -> Result<size_t> {
      RVM_TRY(file_item(core, inode));
      return size_t{0};
    });
  }
  size_t written = 0;
  while (written < in.size()) {
    const Result<size_t> step =
        write_step(core, inode, offset + written, in.subspan(written), kill_suid_gid);
    // What was written before an error stays, as after a short write(2).
    if (!step) return written > 0 ? Result<size_t>(written) : step;
    written += *step;
    kill_suid_gid = false;
  }
  return written;
}

}  // namespace rvmfs
