// SPDX-License-Identifier: BSD-2-Clause
//
// Helpers of all changes of file contents (fs/file_data.h).
#include "fs/file_data.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "fs/orphans.h"
#include "seeded_bug.h"

namespace rvmfs {

namespace {

using format::kBlockBytes;

constexpr uint64_t kBounceBytesMax = 256 * 1024;  // copied into one buffer to be one write

const std::byte kZeroBlock[kBlockBytes] = {};

// The part of `data` (at file byte `offset`) within file bytes [begin, end).
std::span<const std::byte> part_within(uint64_t offset, std::span<const std::byte> data,
                                       uint64_t begin, uint64_t end) {
  const uint64_t from = std::clamp(begin, offset, offset + data.size());
  const uint64_t to = std::clamp(end, from, offset + data.size());
  return data.subspan(from - offset, to - from);
}

// Noted also when it failed: a part of it may have been written.
Result<void> write_device(VolumeCore& core, uint64_t position, std::span<const std::byte> bytes) {
  Result<void> written = core.device->write(position, bytes);
  core.rvm->note_write(position, bytes.size());
  return written;
}

// One write of whole blocks, with zeros around the data.
Result<void> write_padded(VolumeCore& core, uint64_t position, uint64_t bytes, uint64_t data_at,
                          std::span<const std::byte> data) {
  std::vector<std::byte> buffer(bytes);
  if (RVM_SEEDED_BUG("block_not_padded")) RVM_TRY(core.device->read(position, buffer));
  if (!data.empty()) std::memcpy(buffer.data() + data_at, data.data(), data.size());
  return write_device(core, position, buffer);
}

// Makes at most a block's bytes of the image zeros. Mostly they are already (fresh blocks are
// filled with zeros), and a sector that is not written cannot be torn: its other bytes may be
// durable.
Result<void> make_zeros(VolumeCore& core, uint64_t position, uint64_t bytes) {
  std::byte present[kBlockBytes];
  const std::span<std::byte> part = std::span(present).first(bytes);
  RVM_TRY(read_device(core, position, part));
  if (std::memcmp(present, kZeroBlock, bytes) == 0) return {};
  return write_device(core, position, std::span(kZeroBlock).first(bytes));
}

}  // namespace

Result<format::InodeItem> file_item(VolumeCore& core, Inode inode) {
  RVM_ASSIGN(const format::InodeItem* item, core.inode(inode));
  if (S_ISDIR(item->mode)) return fs_error(FsErrc::is_a_directory, "not a file", inode);
  if (!S_ISREG(item->mode)) return fs_error(FsErrc::bad_argument, "not a file", inode);
  return *item;
}

Result<void> read_device(VolumeCore& core, uint64_t position, std::span<std::byte> out) {
  Result<void> done = core.device->read(position, out);
  if (!done && done.error() == rvm::Errc::out_of_range) {
    return fs_error(FsErrc::damaged, "the image ends before the data", position);
  }
  return done;
}

Result<void> write_blocks(VolumeCore& core, const Extent& where, uint64_t offset,
                          std::span<const std::byte> data) {
  const uint64_t begin = where.first * kBlockBytes;
  const uint64_t end = where.end() * kBlockBytes;
  const uint64_t position = where.block * kBlockBytes;
  data = part_within(offset, data, begin, end);
  offset = std::max(offset, begin);
  if (data.size() == end - begin) return write_device(core, position, data);
  const uint64_t data_at = data.empty() ? 0 : offset - begin;
  if (end - begin <= kBounceBytesMax) {
    return write_padded(core, position, end - begin, data_at, data);
  }
  // Large: the blocks at both edges alone, what lies between them without a copy. A file's fresh
  // blocks are fetched for its data, so at most one block at each edge has bytes that are not data.
  const uint64_t head = (kBlockBytes - data_at % kBlockBytes) % kBlockBytes;
  const uint64_t first_whole = data_at + head;
  const uint64_t tail = (data_at + data.size()) % kBlockBytes;
  const uint64_t whole = data.size() - head - tail;
  if (data_at >= kBlockBytes || end - begin - data_at - data.size() >= kBlockBytes) {
    return fs_error(FsErrc::bad_argument, "data do not fill their blocks", where.first);
  }
  if (head != 0) {
    RVM_TRY(write_padded(core, position, kBlockBytes, data_at, data.first(head)));
  }
  RVM_TRY(write_device(core, position + first_whole, data.subspan(head, whole)));
  if (tail == 0) return {};
  return write_padded(core, position + first_whole + whole, kBlockBytes, 0, data.last(tail));
}

Result<void> write_part(VolumeCore& core, const Extent& where, uint64_t offset,
                        std::span<const std::byte> data) {
  const uint64_t begin = where.first * kBlockBytes;
  data = part_within(offset, data, begin, where.end() * kBlockBytes);
  if (data.empty()) return {};
  return write_device(core, where.block * kBlockBytes + (std::max(offset, begin) - begin), data);
}

Result<void> zero_in_block(VolumeCore& core, Inode inode, uint64_t begin, uint64_t end) {
  if (begin >= end || RVM_SEEDED_BUG("edges_not_zeroed")) return {};
  RVM_ASSIGN(const std::vector<Extent> pieces, core.run_read<std::vector<Extent>>([&] {
    return ExtentMap(core, inode).pieces(begin / kBlockBytes, blocks_up(end), kPiecesMax);
  }));
  for (const Extent& piece : pieces) {
    const uint64_t from = std::max(begin, piece.first * kBlockBytes);
    const uint64_t to = std::min(end, piece.end() * kBlockBytes);
    if (!piece.is_data() || from >= to) continue;
    const uint64_t in_piece = from - piece.first * kBlockBytes;
    RVM_TRY(make_zeros(core, piece.block * kBlockBytes + in_piece, to - from));
  }
  return {};
}

// -- beyond the end ------------------------------------------------------------------------------

Result<BeyondEnd> look_beyond_end(ExtentMap& map, uint64_t size, uint64_t new_size) {
  BeyondEnd beyond;
  const uint64_t in_block = size % kBlockBytes;
  if (in_block != 0) {
    const uint64_t first = size / kBlockBytes;
    RVM_ASSIGN(const std::optional<Extent> extent, map.next(first, first + 1));
    if (extent && extent->is_data()) {
      beyond.gap_position = (extent->block + (first - extent->first)) * kBlockBytes + in_block;
      beyond.gap_bytes = kBlockBytes - in_block;
    }
  }
  const uint64_t end = blocks_up(new_size);
  for (uint64_t first = blocks_up(size); first < end;) {
    RVM_ASSIGN(const std::optional<Extent> extent, map.next(first, end));
    if (!extent) break;
    if (extent->is_data()) {
      beyond.leftover = true;
      break;
    }
    first = extent->end();
  }
  return beyond;
}

Result<void> zero_gap(VolumeCore& core, const BeyondEnd& beyond, uint64_t bytes) {
  bytes = std::min(beyond.gap_bytes, bytes);
  if (bytes == 0 || RVM_SEEDED_BUG("gap_not_zeroed")) return {};
  return make_zeros(core, beyond.gap_position, bytes);
}

Result<void> finish_truncation(VolumeCore& core, Inode inode, uint64_t size) {
  uint32_t weight_max = kStepWeightMax;
  for (;;) {
    const Result<bool> done = core.run_write<bool>([&](Operation& op) -> Result<bool> {
      RVM_ASSIGN(const bool freed, core.free_data_beyond(op, inode, size, weight_max));
      if (freed) RVM_TRY(clear_orphan(op, core, inode, format::kOrphanTruncate));
      return freed;
    });
    if (!done && done.error() == rvm::Errc::too_big && weight_max > 1) {
      weight_max /= 2;  // a small log: smaller steps
      continue;
    }
    if (!done) return done.error();
    if (*done) return {};
  }
}

Result<void> prepare_extension(VolumeCore& core, Inode inode, uint64_t size, uint64_t new_size) {
  RVM_ASSIGN(const BeyondEnd beyond, core.run_read<BeyondEnd>([&] {
    ExtentMap map(core, inode);
    return look_beyond_end(map, size, new_size);
  }));
  if (beyond.leftover) RVM_TRY(finish_truncation(core, inode, size));
  return zero_gap(core, beyond, new_size - size);
}

// -- fresh blocks
// ----------------------------------------------------------------------------------

FreshBlocks::~FreshBlocks() {
  for (size_t i = kept_; i < extents_.size(); ++i) {
    core_.blocks->release({extents_[i].block, static_cast<uint32_t>(extents_[i].count)});
  }
}

uint64_t FreshBlocks::blocks() const {
  uint64_t sum = 0;
  for (const Extent& extent : extents_) sum += extent.count;
  return sum;
}

Result<void> FreshBlocks::cover(const Extent& hole, uint64_t goal) {
  bool made_room = false;
  for (uint64_t first = hole.first; first < hole.end();) {
    const auto wanted = static_cast<uint32_t>(std::min<uint64_t>(hole.end() - first, kGroupBits));
    const uint64_t settled = core_.blocks->settled();
    const Result<BlockRun> run =
        core_.run_read<BlockRun>([&] { return core_.blocks->reserve(goal, wanted); });
    if (!run && is(run.error(), FsErrc::volume_full) && !made_room) {
      RVM_ASSIGN(made_room, core_.blocks->make_room(settled));
      if (made_room) continue;
    }
    if (!run) return run.error();
    extents_.push_back({first, run->count, run->block, false});
    first += run->count;
    goal = run->block + run->count;
  }
  return {};
}

Result<FreshBlocks::Committed> FreshBlocks::commit(Operation& op, ExtentMap& map, size_t first,
                                                   bool unwritten, uint32_t weight_max) {
  Committed committed{first, 0};
  for (uint32_t weight = 0; committed.next < extents_.size() && weight < weight_max;) {
    Extent extent = extents_[committed.next];
    extent.unwritten = unwritten && !RVM_SEEDED_BUG("unwritten_flag_lost");
    if (extent.count > 1 && RVM_SEEDED_BUG("extent_one_block_short")) --extent.count;
    RVM_TRY(core_.blocks->commit_reserved(op, {extent.block, static_cast<uint32_t>(extent.count)}));
    RVM_TRY(map.insert(op, extent));
    weight += extent_weight(extent.count);
    committed.blocks += extent.count;
    ++committed.next;
  }
  return committed;
}

}  // namespace rvmfs
