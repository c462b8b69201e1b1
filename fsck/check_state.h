// SPDX-License-Identifier: BSD-2-Clause
//
// What the passes of a check learn from each other, and the list of repairs that come out of it.
//
// Memory per object: 40 bytes an inode, 32 a directory entry, 24 an extent.
#pragma once

#include <optional>
#include <vector>

#include "fs/format.h"
#include "fsck/image.h"
#include "fsck/report.h"
#include "fsck/space_reader.h"
#include "fsck/tree_walk.h"

namespace rvmfs::fsck {

struct InodeRecord {
  enum : uint8_t {
    kOrphanUnlinked = 1,
    kOrphanTruncate = 2,
    kReached = 4,
    kOnPath = 8,
  };
  uint64_t inode = 0;
  uint64_t parent = 0;    // directories: as the inode says
  uint64_t named_in = 0;  // directories: where the (first) entry is; 0: nowhere
  uint32_t nlink = 0;
  uint32_t names = 0;  // entries that lead here
  uint32_t subdirectories = 0;
  uint8_t type = 0;  // DT_*
  uint8_t flags = 0;
};

struct EntryRecord {
  uint64_t directory = 0;
  uint64_t rest = 0;  // of the key
  uint64_t target = 0;
  uint8_t type = 0;
};

struct OrphanRecord {
  uint64_t inode = 0;
  uint32_t flags = 0;
};

// Blocks that somebody owns. Owners below kFirstFreeInode that are not inodes: see kOwner*.
struct OwnedBlocks {
  uint64_t block = 0;
  uint64_t owner = 0;
  uint32_t count = 0;
};
inline constexpr uint64_t kOwnerVolume = 0;           // boot area, superblocks, log, chunk 0
inline constexpr uint64_t kOwnerChunks = UINT64_MAX;  // other chunks

// What can be mended, in the order in which it has to be done (repair.h).
struct RepairPlan {
  bool superblock_first = false, superblock_copy = false, owner_record = false;

  bool pool = false;   // headers, free list and pool root anew
  bool space = false;  // block bitmaps and group counters anew
  std::optional<uint64_t> blocks_total, blocks_used, next_inode, inodes_used;

  std::vector<Key> erase_items;                      // dangling entries, bad orphans and xattrs
  std::vector<uint64_t> erase_inodes;                // every item of these inode numbers
  std::vector<std::pair<Key, uint8_t>> entry_types;  // the entry at this key has this type
  std::vector<uint64_t> attach;                      // inodes to be named in lost+found

  std::vector<std::pair<uint64_t, uint32_t>> links;
  std::vector<std::pair<uint64_t, uint64_t>> parents;
  std::vector<std::pair<uint64_t, uint64_t>> directory_sizes;
  std::vector<std::pair<uint64_t, uint64_t>> block_counts;

  bool tree_items() const {
    return !erase_items.empty() || !erase_inodes.empty() || !entry_types.empty();
  }
  bool inode_fields() const {
    return !links.empty() || !parents.empty() || !directory_sizes.empty() || !block_counts.empty();
  }
  bool counters() const { return blocks_total || blocks_used || next_inode || inodes_used; }
  bool empty() const {
    return !superblock_first && !superblock_copy && !owner_record && !pool && !space &&
           !counters() && !tree_items() && attach.empty() && !inode_fields();
  }
};

struct CheckState {
  CheckState(rvm::Device& device_in, const CheckOptions& options_in, FindingSink& sink)
      : device(device_in),
        options(options_in),
        image(device_in),
        report(sink, options_in.reports_per_finding_max) {}

  rvm::Device& device;
  const CheckOptions& options;
  Image image;
  Report report;
  Summary summary;
  RepairPlan repairs;

  format::Superblock super{};
  format::VolumeRoot root{};
  rvm::format::PoolRoot pool_root{};
  std::optional<SpaceReader> space;
  bool log_status_copy_damaged = false;  // recovery writes both
  bool tree_whole = false;               // every node of the tree was read
  bool references_whole = false;         // ... and every other page that refers to pages

  std::vector<InodeRecord> inodes;  // in the order of their numbers
  std::vector<EntryRecord> entries;
  std::vector<OrphanRecord> orphans;
  std::vector<OwnedBlocks> blocks;

  InodeRecord* find_inode(uint64_t inode);
};

}  // namespace rvmfs::fsck
