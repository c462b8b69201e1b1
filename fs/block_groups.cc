// SPDX-License-Identifier: BSD-2-Clause
//
// Group table, descriptors and bitmaps (fs/block_groups.h). Changes declare single words, so that
// marking a run logs a few bytes.
//
// Creating a bitmap takes pages from the pool; the pool may grow for that, and growing marks the
// new chunk's blocks here. So room is made first (PagePool::reserve), and growing is paused while
// this code is between reading a table and changing it.
#include "fs/block_groups.h"

#include <cstring>

namespace rvmfs {

namespace {

using format::GroupDescriptor;
using format::VolumeRoot;

constexpr uint64_t kRoot = rvm::format::kRootPageOffset;
constexpr uint64_t kGroupsPerLevel1 = format::kGroupsPerPage * format::kRefsPerPage;

uint64_t root_slot(uint64_t group) {
  return kRoot + offsetof(VolumeRoot, group_table) + group / kGroupsPerLevel1 * sizeof(uint64_t);
}
uint64_t level1_slot(uint64_t level1, uint64_t group) {
  return level1 + group / format::kGroupsPerPage % format::kRefsPerPage * sizeof(uint64_t);
}
uint64_t leaf_slot(uint64_t leaf, uint64_t group) {
  return leaf + group % format::kGroupsPerPage * sizeof(GroupDescriptor);
}

Error damaged(const char* what, uint64_t position) {
  return fs_error(FsErrc::damaged, what, position);
}

}  // namespace

Result<BlockGroups::Totals> BlockGroups::totals() {
  RVM_ASSIGN(const VolumeRoot* root, space_.get(rvm::Ref<VolumeRoot>{kRoot}));
  if (root->blocks_total > format::kVolumeBytesMax / format::kBlockBytes ||
      root->blocks_used > root->blocks_total) {
    return damaged("impossible number of blocks", kRoot);
  }
  return Totals{root->blocks_total, root->blocks_used};
}

Result<uint64_t> BlockGroups::read_reference(uint64_t offset) {
  RVM_ASSIGN(const uint64_t* value, space_.get(rvm::Ref<uint64_t>{offset}));
  if (*value % rvm::kPageBytes != 0) return damaged("reference to no page", offset);
  return *value;
}

Result<void> BlockGroups::write_reference(rvm::Transaction& tx, uint64_t offset, uint64_t value) {
  RVM_ASSIGN(uint64_t * place, space_.modify(tx, rvm::Ref<uint64_t>{offset}));
  *place = value;
  return {};
}

Result<BlockGroups::Place> BlockGroups::find(uint64_t group) {
  Place place;
  if (group / kGroupsPerLevel1 >= format::kGroupTableRefs) {
    return damaged("no such block group", group);
  }
  RVM_ASSIGN(place.level1, read_reference(root_slot(group)));
  if (place.level1 == 0) return place;
  RVM_ASSIGN(place.leaf, read_reference(level1_slot(place.level1, group)));
  if (place.leaf == 0) return place;
  const uint64_t slot = leaf_slot(place.leaf, group);
  RVM_ASSIGN(const GroupDescriptor* descriptor, space_.get(rvm::Ref<GroupDescriptor>{slot}));
  place.descriptor = *descriptor;
  if (place.descriptor.bitmap % rvm::kPageBytes != 0 ||
      place.descriptor.used > format::kGroupBlocks ||
      (place.descriptor.bitmap == 0 && place.descriptor.used != 0)) {
    return damaged("block group descriptor contradicts itself", slot);
  }
  return place;
}

Result<BlockGroups::View> BlockGroups::view(uint64_t group) {
  RVM_ASSIGN(const Place place, find(group));
  if (place.descriptor.bitmap == 0) return View{};
  RVM_ASSIGN(const std::byte* page, space_.read(place.descriptor.bitmap, rvm::kPageBytes));
  return View{reinterpret_cast<const uint64_t*>(page), place.descriptor.used};
}

Result<BlockGroups::Place> BlockGroups::find_or_create(rvm::Transaction& tx, uint64_t group) {
  RVM_ASSIGN(Place place, find(group));
  if (place.missing() == 0) return place;
  RVM_TRY(pool_.reserve(tx, static_cast<uint64_t>(place.missing())));
  rvm::PagePool::GrowthPause pause(pool_);
  RVM_ASSIGN(place, find(group));  // growing may have created what was missing
  if (place.level1 == 0) {
    RVM_ASSIGN(place.level1, pool_.allocate(tx));
    RVM_TRY(write_reference(tx, root_slot(group), place.level1));
  }
  if (place.leaf == 0) {
    RVM_ASSIGN(place.leaf, pool_.allocate(tx));
    RVM_TRY(write_reference(tx, level1_slot(place.level1, group), place.leaf));
  }
  if (place.descriptor.bitmap == 0) {
    RVM_ASSIGN(place.descriptor.bitmap, pool_.allocate(tx));
    RVM_TRY(write_reference(tx, leaf_slot(place.leaf, group), place.descriptor.bitmap));
  }
  return place;
}

Result<void> BlockGroups::mark(rvm::Transaction& tx, uint64_t block, uint64_t count, bool used) {
  RVM_ASSIGN(const Totals now, totals());
  if (block >= now.blocks || count > now.blocks - block) {
    return damaged("blocks outside the volume", block);
  }
  while (count > 0) {
    const auto first = static_cast<uint32_t>(block % format::kGroupBlocks);
    const auto part = static_cast<uint32_t>(std::min(count, format::kGroupBlocks - first));
    RVM_TRY(mark_in_group(tx, block / format::kGroupBlocks, {first, part}, used));
    block += part;
    count -= part;
  }
  return {};
}

Result<void> BlockGroups::mark_in_group(rvm::Transaction& tx, uint64_t group, BitRun run,
                                        bool used) {
  RVM_ASSIGN(const Place place, used ? find_or_create(tx, group) : find(group));
  if (place.descriptor.bitmap == 0) return damaged("free blocks were freed", group);
  const uint32_t first_word = run.first / 64;
  const uint32_t words = (run.first + run.count - 1) / 64 - first_word + 1;
  RVM_ASSIGN(const std::byte* before, space_.read(place.descriptor.bitmap, rvm::kPageBytes));
  const auto* bits = reinterpret_cast<const uint64_t*>(before);
  if (used ? any_set(bits, run.first, run.count) : !all_set(bits, run.first, run.count)) {
    return damaged(used ? "used blocks were allocated" : "free blocks were freed", group);
  }
  if (!used && place.descriptor.used < run.count) {
    return damaged("block group counts fewer blocks than its bitmap", group);
  }
  RVM_ASSIGN(std::byte * changed,
             space_.modify(tx, place.descriptor.bitmap + first_word * 8, words * 8));
  set_bits(reinterpret_cast<uint64_t*>(changed), run.first % 64, run.count, used);
  const uint64_t counter = leaf_slot(place.leaf, group) + offsetof(GroupDescriptor, used);
  RVM_ASSIGN(uint32_t * in_use, space_.modify(tx, rvm::Ref<uint32_t>{counter}));
  *in_use = used ? place.descriptor.used + run.count : place.descriptor.used - run.count;
  return count_used(tx, run.count, used);
}

Result<void> BlockGroups::count_used(rvm::Transaction& tx, uint32_t count, bool used) {
  RVM_ASSIGN(const Totals now, totals());
  if (used ? now.blocks - now.used < count : now.used < count) {
    return damaged("volume counts other blocks than its groups", kRoot);
  }
  const uint64_t counter = kRoot + offsetof(VolumeRoot, blocks_used);
  RVM_ASSIGN(uint64_t * in_use, space_.modify(tx, rvm::Ref<uint64_t>{counter}));
  *in_use = used ? now.used + count : now.used - count;
  return {};
}

}  // namespace rvmfs
