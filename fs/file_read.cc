// SPDX-License-Identifier: BSD-2-Clause
//
// Volume::read. The data lock is held shared from looking up the extents until the device has
// answered, so no block is freed, and perhaps given to another file, in between. Holes and
// unwritten blocks read as zeros without asking the device.
#include <algorithm>
#include <cstring>

#include "fs/attributes.h"
#include "fs/file_read.h"
#include "fs/inlined_data.h"

namespace rvmfs {

namespace {

using format::InodeItem;
using format::kBlockBytes;

struct ReadPlan {
  InodeItem item{};
  size_t bytes = 0;  // that can be read
  size_t done = 0;   // of them, copied while planning
  std::vector<Extent> pieces;
};

Result<ReadPlan> plan_read(VolumeCore& core, Inode inode, uint64_t offset,
                           std::span<std::byte> out) {
  ReadPlan plan;
  RVM_ASSIGN(plan.item, file_item(core, inode));
  const uint64_t size = plan.item.size;
  plan.bytes = offset < size ? std::min<uint64_t>(out.size(), size - offset) : 0;
  if (plan.bytes == 0) return plan;
  if (is_inlined(plan.item)) {
    RVM_ASSIGN(const std::span<const std::byte> content, read_inlined(core, inode, plan.item));
    std::memcpy(out.data(), content.data() + offset, plan.bytes);
    plan.done = plan.bytes;
    return plan;
  }
  RVM_ASSIGN(plan.pieces,
             ExtentMap(core, inode)
                 .pieces(offset / kBlockBytes, blocks_up(offset + plan.bytes), kPiecesMax));
  return plan;
}

// Reads what the plan's pieces hold of out; less than all of it if there were too many pieces.
Result<size_t> read_pieces(VolumeCore& core, const std::vector<Extent>& pieces, uint64_t offset,
                           std::span<std::byte> out) {
  size_t done = 0;
  for (const Extent& piece : pieces) {
    const uint64_t at = offset + done;
    const uint64_t in_piece = at - piece.first * kBlockBytes;
    const auto bytes = std::min<uint64_t>(out.size() - done, piece.end() * kBlockBytes - at);
    const std::span<std::byte> part = out.subspan(done, bytes);
    if (piece.is_data()) {
      RVM_TRY(read_device(core, piece.block * kBlockBytes + in_piece, part));
    } else {
      std::memset(part.data(), 0, part.size());
    }
    done += bytes;
  }
  return done;
}

}  // namespace

Result<size_t> read_locked(VolumeCore& core, Inode inode, uint64_t offset, std::span<std::byte> out,
                           InodeItem& item) {
  size_t done = 0;
  for (;;) {
    const std::span<std::byte> rest = out.subspan(done);
    RVM_ASSIGN(const ReadPlan plan, core.run_read<ReadPlan>([&] {
      return plan_read(core, inode, offset + done, rest);
    }));
    item = plan.item;
    if (plan.done == plan.bytes) return done + plan.done;
    RVM_ASSIGN(const size_t bytes,
               read_pieces(core, plan.pieces, offset + done, rest.first(plan.bytes)));
    done += bytes;
    if (bytes == plan.bytes) return done;
  }
}

Result<size_t> Volume::read(Inode inode, uint64_t offset, std::span<std::byte> out, bool no_atime) {
  VolumeCore& core = *core_;
  InodeItem item{};
  size_t bytes = 0;
  {
    std::shared_lock data_lock(core.inode_locks.of(inode));
    RVM_ASSIGN(bytes, read_locked(core, inode, offset, out, item));
  }
  if (!out.empty() && !no_atime && wants_atime(core, item)) {
    // The bytes were read: a time that cannot be moved must not take them away from the caller.
    // What stood in the way (a failed log, damage) is the answer to the next change or fsync.
    static_cast<void>(update_atime(core, inode));
  }
  return bytes;
}

}  // namespace rvmfs
