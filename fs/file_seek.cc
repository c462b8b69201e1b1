// SPDX-License-Identifier: BSD-2-Clause
//
// Volume::lseek: where data and holes are. What was never written (holes, unwritten extents) is a
// hole; an inlined file is data as a whole; behind the end there is one more hole.
#include <unistd.h>

#include <algorithm>

#include "fs/file_data.h"

namespace rvmfs {

namespace {

using format::kBlockBytes;

struct SeekStep {
  uint64_t size = 0;
  bool inlined = false;
  std::vector<Extent> pieces;
};

Result<SeekStep> look(VolumeCore& core, Inode inode, uint64_t offset) {
  SeekStep step;
  RVM_ASSIGN(const format::InodeItem item, file_item(core, inode));
  step.size = item.size;
  step.inlined = item.layout == static_cast<uint8_t>(format::Layout::inlined);
  if (step.inlined || offset >= step.size) return step;
  RVM_ASSIGN(step.pieces,
             ExtentMap(core, inode).pieces(offset / kBlockBytes, blocks_up(step.size), kPiecesMax));
  return step;
}

Error nothing_there(Inode inode) {
  return fs_error(FsErrc::no_data_there, "behind the last data", inode);
}

}  // namespace

Result<uint64_t> Volume::lseek(Inode inode, uint64_t offset, int whence) {
  VolumeCore& core = *core_;
  const bool for_data = whence == SEEK_DATA;
  std::shared_lock data_lock(core.inode_locks.of(inode));
  for (uint64_t at = offset;;) {
    RVM_ASSIGN(const SeekStep step, core.run_read<SeekStep>([&] { return look(core, inode, at); }));
    if (!for_data && whence != SEEK_HOLE) return fs_error(FsErrc::bad_argument, "whence", inode);
    if (offset >= step.size) return nothing_there(inode);
    if (step.inlined) return for_data ? offset : step.size;
    for (const Extent& piece : step.pieces) {
      if (piece.is_data() == for_data) return std::max(offset, piece.first * kBlockBytes);
    }
    at = step.pieces.empty() ? step.size : step.pieces.back().end() * kBlockBytes;
    if (at < step.size) continue;
    if (for_data) return nothing_there(inode);
    return step.size;
  }
}

}  // namespace rvmfs
