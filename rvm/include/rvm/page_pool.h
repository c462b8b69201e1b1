// SPDX-License-Identifier: BSD-2-Clause
//
// Allocates pages of a space, inside transactions: what is allocated and freed follows the
// transaction's fate. Grows the space by a chunk when no page is free.
//
// Invariants: a chunk with free pages is in the free list (LIFO, threaded through the chunk
// headers); a full chunk may still be in the list and is unlinked when it reaches the front. A free
// page is all zeros (a freed page is zeroed in the freeing transaction; the log and the home writer
// know zero pages and give their storage back to the host).
//
// Growing: source.grow() may itself allocate pages here (for its own tables). Therefore the pool
// grows while kGrowReserve pages are still free, and what grow() allocates comes out of these; it
// never grows within growing. When the source has no_space, the reserve is handed out too, so that
// a full volume can still do the little that freeing something needs.
//
// Thread rules: calls that take a transaction are serialised by the caller.
#pragma once

#include "rvm/space.h"

namespace rvm {

class PagePool {
 public:
  explicit PagePool(Space& space) : space_(space) {}

  static constexpr uint64_t kGrowReserve = 16;
  static constexpr uint32_t kRunPagesMax = 254;

  // Formats chunk 0 (whose place the source must know already) and the pool root.
  static Result<void> create(Transaction& tx, Space& space, const ChunkPlace& chunk0);

  // Space offset of one zeroed page, or of `count` adjacent zeroed pages in one chunk
  // (1 <= count <= kRunPagesMax). Errors: what the source says when the space cannot grow; full
  // while growing is paused; invalid_argument; damaged_structure.
  Result<uint64_t> allocate(Transaction& tx, uint32_t count = 1);

  // Frees a run allocated as such (or a part of it). The pages become zeros. Errors:
  // invalid_argument (no such pages), damaged_structure (not allocated: freed twice).
  Result<void> free(Transaction& tx, uint64_t offset, uint32_t count = 1);

  // Makes sure that `pages` single pages can be allocated without growing (the caller may not be
  // able to grow later, for instance while it allocates blocks itself).
  Result<void> reserve(Transaction& tx, uint64_t pages);

  // While one lives, allocate() takes free pages only and never calls the source: for a client that
  // is in the middle of changing something that source.grow() changes too. Call reserve() before.
  class GrowthPause {
   public:
    explicit GrowthPause(PagePool& pool) : pool_(pool), before_(pool.growth_paused_) {
      pool_.growth_paused_ = true;
    }
    ~GrowthPause() { pool_.growth_paused_ = before_; }
    GrowthPause(const GrowthPause&) = delete;
    GrowthPause& operator=(const GrowthPause&) = delete;

   private:
    PagePool& pool_;
    bool before_;
  };

  // Errors: damaged_structure (no pool here, or its numbers contradict each other).
  Result<format::PoolRoot> root();
  Space& space() { return space_; }

 private:
  struct Chunk;  // one chunk header, checked
  Result<Chunk> chunk(uint64_t index, const format::PoolRoot& root);
  Result<void> make_room(Transaction& tx, uint64_t pages);
  Result<void> add_chunk(Transaction& tx);
  Result<uint64_t> take_page(Transaction& tx);
  Result<uint64_t> take_run(Transaction& tx, uint32_t count);
  Result<void> mark(Transaction& tx, const Chunk& chunk, uint32_t page, uint32_t count, bool used);
  Result<void> unlink_first(Transaction& tx, const Chunk& chunk);
  Result<void> link_first(Transaction& tx, const Chunk& chunk);

  Space& space_;
  bool growth_paused_ = false;
};

}  // namespace rvm
