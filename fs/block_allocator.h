// SPDX-License-Identifier: BSD-2-Clause
//
// The free space of a volume: which blocks are in use (fs/block_groups.h), which are reserved in
// memory for writes under way, and which were freed by a transaction that is not durable yet (they
// must not be used again before that).
//
// Life of a block: free -> reserve() (volatile) -> data written -> commit_reserved() (in the
// transaction that refers to it) -> free() (in a transaction) -> pending until that is durable
// -> discarded on the host -> free.
//
// A few chunks' worth of free space is kept back from data, aligned so that metadata can grow into
// it; the last of these chunks is for operations that free something (LastResort), so that a full
// volume can always be emptied. What is kept back is not written anywhere.
//
// Low addresses are used first, so that an image file stays short.
//
// Thread rules: the allocator's own mutex guards what it keeps in memory. reserve() needs meta_lock
// at least shared; calls with an Operation or a Transaction need it exclusive; the others take no
// lock of the caller's.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "fs/block_groups.h"
#include "fs/busy_blocks.h"
#include "fs/core.h"

namespace rvmfs {

class BlockAllocator {
 public:
  explicit BlockAllocator(VolumeCore& core) : core_(core) {}

  // Finds up to `wanted` adjacent free blocks near `goal` (0: anywhere) and reserves them in
  // memory. At least 1 block; all in one group. Errors: volume_full, damaged, and the space's.
  Result<BlockRun> reserve(uint64_t goal, uint32_t wanted);
  // Gives a reservation back.
  void release(BlockRun run);
  // Marks reserved blocks as used in the operation's transaction; the reservation ends when it
  // commits.
  Result<void> commit_reserved(Operation& op, BlockRun run);
  // Frees used blocks in the transaction. Errors: damaged (not all of them were in use).
  Result<void> free(Operation& op, BlockRun run);

  // Byte offset of kChunkBytes, aligned to kChunkBytes: host space allocated, and marked used in
  // `tx`. Called by PagePool's growth. Errors: no_space (nothing was changed), io, and the space's.
  Result<uint64_t> allocate_chunk(rvm::Transaction& tx);

  // While one lives, allocate_chunk may take the last chunk. For bodies of run_write that free
  // something, and therefore under the exclusive meta_lock.
  class LastResort {
   public:
    explicit LastResort(BlockAllocator& blocks) : blocks_(blocks) { ++blocks_.last_resorts_; }
    ~LastResort() { --blocks_.last_resorts_; }
    LastResort(const LastResort&) = delete;
    LastResort& operator=(const LastResort&) = delete;

   private:
    BlockAllocator& blocks_;
  };

  // Lets blocks whose freeing is durable be used again; discards them on the host first. Called by
  // the background thread and when space is short. Errors: io of the discard (the blocks are free
  // all the same).
  Result<void> settle_freed();
  // When space was short, in the volume or on the host: makes pending frees durable and settles
  // them. False if there were none, and nothing was settled since `since`, which is settled() from
  // before the attempt. Waits for the device: no locks but the inode's data lock.
  Result<bool> make_room(uint64_t since);
  // How often freed blocks became usable so far.
  uint64_t settled() const { return settled_; }

  // Discards free blocks of [first, end), in runs of at least `run_min`, whatever the mount options
  // say. Each run is reserved meanwhile, a small part of what is free. How many they were.
  Result<uint64_t> trim(uint64_t first, uint64_t end, uint64_t run_min);

  // The numbers of blocks. Available are the free ones without those kept back, as far as the host
  // has room for them. Call inside run_read.
  Result<VolumeStatus> status();

 private:
  struct Pending {
    rvm::CommitTicket ticket = 0;
    uint64_t block = 0, count = 0;
  };
  struct Span {
    uint64_t block = 0, count = 0;
  };

  uint64_t kept_blocks(uint64_t blocks_total);
  // Takes its mutex. Needs meta_lock shared.
  Result<std::optional<BlockRun>> reserve_to_trim(uint64_t first, uint64_t end, uint64_t run_min);

  // All below: mutex_ held.
  Result<BlockGroups::Totals> look_around(BlockGroups& groups);
  Result<std::optional<BlockRun>> search_at(BlockGroups& groups, const BlockGroups::Totals& totals,
                                            uint64_t goal, uint32_t wanted);
  Result<std::optional<BlockRun>> search_everywhere(BlockGroups& groups,
                                                    const BlockGroups::Totals& totals,
                                                    uint64_t goal, uint32_t wanted);
  Result<BitRun> search_group(BlockGroups& groups, const BlockGroups::Totals& totals,
                              uint64_t group, uint32_t from, uint32_t wanted);
  uint32_t longest_run_in(uint64_t group) const;
  Result<void> keep_chunks(BlockGroups& groups, const BlockGroups::Totals& totals);
  Result<std::optional<uint64_t>> find_chunk(BlockGroups& groups,
                                             const BlockGroups::Totals& totals);
  Result<std::optional<uint64_t>> find_kept_chunk(BlockGroups& groups);
  void forget_hints(uint64_t block, uint64_t count);
  void add_pending(rvm::CommitTicket ticket, BlockRun run);
  std::vector<Span> take_durable();

  VolumeCore& core_;
  std::mutex settle_mutex_;  // one settle_freed at a time; before mutex_
  std::mutex mutex_;
  BusyBlocks busy_;       // reserved, kept or pending: free in the bitmaps, not to be handed out
  BusyBlocks freed_now_;  // freed by the transaction that is open; perhaps by one that aborted
  std::deque<Pending> pending_;       // in commit order
  bool settling_ = false;             // settle_freed is about to make some usable
  std::atomic<uint64_t> settled_{0};  // how often it did; written with mutex_ held
  std::vector<uint64_t> kept_;        // first blocks of chunks kept back
  bool kept_taken_ = false;           // a transaction took one of them; look whether it committed
  bool chunks_exhausted_ = false;     // find_chunk found none, and nothing became free since
  int last_resorts_ = 0;
  // Upper bounds of the longest run of allocatable blocks in a group; absent: not known.
  std::unordered_map<uint64_t, uint32_t> longest_;
  uint64_t low_group_ = 0;     // groups before it have nothing
  uint64_t blocks_total_ = 0;  // as last seen; more of them make the hints stale
};

}  // namespace rvmfs
