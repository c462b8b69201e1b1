// SPDX-License-Identifier: BSD-2-Clause
//
// What reading, writing, sizing and allocating of files share. Order of a change of contents, with
// the inode's data lock held exclusively all the time (so that what was planned stays true):
//
//   1. plan            run_read: inode item, extents
//   2. reserve         run_read: fresh blocks, in memory only
//   3. write           no lock but the data lock: bytes that nobody can read yet. Nothing that is
//                      durable refers to fresh blocks or to bytes behind the end of the file.
//   4. commit          run_write: bitmaps, extents, size, times; ordered after the device writes
//   5. overwrite       no lock but the data lock: bytes that could be read before, in place. Last,
//                      so that an operation refused for want of space has changed nothing.
//
// Bytes behind the end of a file in its last block may be anything. Whoever moves the end outward
// past them makes them zeros first (look_beyond_end, zero_gap).
#pragma once

#include <span>
#include <vector>

#include "fs/block_allocator.h"
#include "fs/extents.h"

namespace rvmfs {

inline constexpr uint32_t kStepWeightMax = 512;  // of one transaction, see fs/extents.h
inline constexpr size_t kPiecesMax = 256;

// A copy of the item. Call inside run_read. Errors: stale, is_a_directory, bad_argument (other
// types).
Result<format::InodeItem> file_item(VolumeCore& core, Inode inode);
inline bool is_inlined(const format::InodeItem& item) {
  return item.layout == static_cast<uint8_t>(format::Layout::inlined);
}

// Reads bytes of the image at `position`. Bytes that the image does not have are damage: somebody
// said that they were written.
Result<void> read_device(VolumeCore& core, uint64_t position, std::span<std::byte> out);

// Writes all bytes of the blocks of `where`: those of `data`, which lies at byte `offset` of the
// file, and zeros for the rest.
Result<void> write_blocks(VolumeCore& core, const Extent& where, uint64_t offset,
                          std::span<const std::byte> data);
// Writes what of `data` lies in `where`, and nothing else.
Result<void> write_part(VolumeCore& core, const Extent& where, uint64_t offset,
                        std::span<const std::byte> data);
// Makes bytes [begin, end) of the file zeros, where they are in written blocks. Call without
// meta_lock; for the edges of ranges, at most one block at a time.
Result<void> zero_in_block(VolumeCore& core, Inode inode, uint64_t begin, uint64_t end);

// What stands between the end of the file and a new, greater one.
struct BeyondEnd {
  // Bytes of the image behind the end, up to the end of its block: whatever was there before.
  uint64_t gap_position = 0, gap_bytes = 0;
  bool leftover = false;  // blocks of an unfinished truncation: finish_truncation first
};
// Call inside run_read.
Result<BeyondEnd> look_beyond_end(ExtentMap& map, uint64_t size, uint64_t new_size);
// Makes zeros of what of the gap will be read as zeros: the `bytes` behind the end. No more, for a
// loss of power may bring back the size before a truncation, and the bytes that were there then.
Result<void> zero_gap(VolumeCore& core, const BeyondEnd& beyond, uint64_t bytes);
// Frees everything behind `size` (the file's size), in as many transactions as it takes.
Result<void> finish_truncation(VolumeCore& core, Inode inode, uint64_t size);
// All of the above, for an operation that plans afterwards.
Result<void> prepare_extension(VolumeCore& core, Inode inode, uint64_t size, uint64_t new_size);

// Runs `attempt`, and once more if there was no room on the host but blocks that were freed lately
// can be given back to it. `attempt` must change nothing when there is no room. Call with data
// locks only.
template <typename Attempt>
auto with_room(VolumeCore& core, const Attempt& attempt) {
  const uint64_t settled = core.blocks->settled();
  auto result = attempt();
  if (result || !(result.error() == rvm::Errc::no_space)) return result;
  const Result<bool> made = core.blocks->make_room(settled);
  if (made && *made) result = attempt();
  return result;
}

// Blocks reserved for holes of one file. Gives back what was not committed.
class FreshBlocks {
 public:
  explicit FreshBlocks(VolumeCore& core) : core_(core) {}
  ~FreshBlocks();
  FreshBlocks(const FreshBlocks&) = delete;
  FreshBlocks& operator=(const FreshBlocks&) = delete;

  // Reserves blocks for the hole, the first near `goal` if not 0. On error the hole's start may be
  // covered. Call without meta_lock.
  Result<void> cover(const Extent& hole, uint64_t goal);
  const std::vector<Extent>& extents() const { return extents_; }
  uint64_t blocks() const;

  // Inside run_write: puts reserved extents into the map, from number `first` on, until the weight
  // is reached; tells the number where it stopped and how many blocks that were.
  struct Committed {
    size_t next = 0;
    uint64_t blocks = 0;
  };
  Result<Committed> commit(Operation& op, ExtentMap& map, size_t first, bool unwritten,
                           uint32_t weight_max);
  // After run_write succeeded: the extents before `next` are the file's.
  void keep(size_t next) { kept_ = next; }

 private:
  VolumeCore& core_;
  std::vector<Extent> extents_;
  size_t kept_ = 0;
};

}  // namespace rvmfs
