// SPDX-License-Identifier: BSD-2-Clause
//
// The persistent record of used blocks: group table, descriptors and bitmaps (fs/format.h), as they
// stand in the metadata space. Knows nothing of reservations (fs/block_allocator.h).
//
// Invariants: a descriptor's `used` is the number of set bits of its bitmap;
// VolumeRoot::blocks_used is the sum over all groups. What is read is checked; a contradiction is
// FsErrc::damaged.
//
// Thread rules: reading needs meta_lock shared, mark() exclusive. Views are valid as long as that.
#pragma once

#include "fs/bit_runs.h"
#include "fs/errors.h"
#include "rvm/page_pool.h"

namespace rvmfs {

struct BlockRun {
  uint64_t block = 0;
  uint32_t count = 0;
};

class BlockGroups {
 public:
  BlockGroups(rvm::Space& space, rvm::PagePool& pool) : space_(space), pool_(pool) {}

  struct View {
    const uint64_t* words = nullptr;  // nullptr: all blocks are free
    uint32_t used = 0;
  };
  Result<View> view(uint64_t group);

  struct Totals {
    uint64_t blocks = 0, used = 0;
    uint64_t groups() const { return (blocks + format::kGroupBlocks - 1) / format::kGroupBlocks; }
    // Blocks of this group; the last one may be short.
    uint32_t in_group(uint64_t group) const {
      const uint64_t before = group * format::kGroupBlocks;
      return static_cast<uint32_t>(std::min(format::kGroupBlocks, blocks - before));
    }
  };
  Result<Totals> totals();

  // Marks free blocks as used, or used blocks as free, with all counters. A bitmap is created where
  // there was none. Errors: damaged (a block is used or free already, or lies outside), and those
  // of PagePool::allocate.
  Result<void> mark(rvm::Transaction& tx, uint64_t block, uint64_t count, bool used);

 private:
  struct Place {          // where a group's descriptor lies, as far as there is one
    uint64_t level1 = 0;  // page of kRefsPerPage references
    uint64_t leaf = 0;    // page of kGroupsPerPage descriptors
    format::GroupDescriptor descriptor{};
    int missing() const { return (level1 == 0) + (leaf == 0) + (descriptor.bitmap == 0); }
  };
  Result<Place> find(uint64_t group);
  Result<Place> find_or_create(rvm::Transaction& tx, uint64_t group);
  Result<void> mark_in_group(rvm::Transaction& tx, uint64_t group, BitRun run, bool used);
  Result<void> count_used(rvm::Transaction& tx, uint32_t count, bool used);
  Result<uint64_t> read_reference(uint64_t offset);
  Result<void> write_reference(rvm::Transaction& tx, uint64_t offset, uint64_t value);

  rvm::Space& space_;
  rvm::PagePool& pool_;
};

}  // namespace rvmfs
