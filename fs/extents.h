// SPDX-License-Identifier: BSD-2-Clause
//
// The extent map of one file: which blocks of the volume hold which blocks of the file. One tree
// item an extent (fs/format.h), by first file block; what no extent covers is a hole. Neighbours
// that continue each other are one item.
//
// Every item that is read is checked (count, place, no overlap with the one before where both are
// seen); a contradiction is FsErrc::damaged.
//
// Changes keep the bitmaps in step where blocks are freed (remove); allocating is the caller's. The
// inode item's count of blocks is the caller's too: remove() says how many were freed. Work is
// bounded by a weight, in units of about 300 bytes of log.
//
// Thread rules: reading needs meta_lock shared; calls with an Operation need it exclusive, and the
// inode's data lock.
#pragma once

#include <optional>
#include <vector>

#include "fs/core.h"

namespace rvmfs {

inline constexpr uint64_t kFileBlocksMax = format::kFileBytesMax / format::kBlockBytes;

constexpr uint64_t blocks_up(uint64_t bytes) {
  return bytes / format::kBlockBytes + (bytes % format::kBlockBytes != 0 ? 1 : 0);
}

struct Extent {
  uint64_t first = 0;  // file block
  uint64_t count = 0;
  uint64_t block = 0;  // volume block; 0: a hole (in pieces() only)
  bool unwritten = false;

  uint64_t end() const { return first + count; }
  bool is_hole() const { return block == 0; }
  bool is_data() const { return block != 0 && !unwritten; }
};

class ExtentMap {
 public:
  ExtentMap(VolumeCore& core, Inode inode) : core_(core), inode_(inode) {}

  // The extent that holds `first`, or else the next one behind it that begins before `end`; not
  // cut.
  Result<std::optional<Extent>> next(uint64_t first, uint64_t end);
  // The last extent that begins before `end` and reaches behind `first`; not cut.
  Result<std::optional<Extent>> last(uint64_t first, uint64_t end);

  // Extents and holes that cover [first, end) without a gap, cut to it. At most `pieces_max`: then
  // they end before `end`.
  Result<std::vector<Extent>> pieces(uint64_t first, uint64_t end, size_t pieces_max);

  // The volume block where a new block for `first` continues the extent before it; 0 without one.
  Result<uint64_t> goal(uint64_t first);

  // Adds an extent over a hole; joins it with its neighbours. Of any length.
  Result<void> insert(Operation& op, Extent extent);

  struct Removed {
    uint64_t blocks = 0;
    bool done = false;  // nothing is left in the range
  };
  // Cuts [first, end) out of the map and frees the blocks, from the end on.
  Result<Removed> remove(Operation& op, uint64_t first, uint64_t end, uint32_t weight_max);

  // Makes the extents in [first, end) written or unwritten, from the start on. Returns the file
  // block up to which that was done.
  Result<uint64_t> mark(Operation& op, uint64_t first, uint64_t end, bool unwritten,
                        uint32_t weight_max);

 private:
  rvm::Key key(uint64_t first) const { return item_key(inode_, format::ItemType::extent, first); }
  Result<Extent> decode(rvm::Key key, std::span<const std::byte> value);
  Result<void> put(Operation& op, const Extent& extent);
  Result<void> set_count(Operation& op, uint64_t first, uint64_t count);
  Result<void> insert_one(Operation& op, Extent extent);
  Result<void> cut(Operation& op, const Extent& extent, uint64_t begin, uint64_t end);

  VolumeCore& core_;
  Inode inode_;
};

// The weight of freeing or allocating that many blocks in one piece.
constexpr uint32_t extent_weight(uint64_t blocks) {
  return static_cast<uint32_t>(1 + blocks / 2048);
}

}  // namespace rvmfs
