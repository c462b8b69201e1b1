// SPDX-License-Identifier: BSD-2-Clause
//
// The extent map of one file (fs/extents.h).
//
// Pointers into the tree end with the next change of it, so every step copies the extent it works
// on. remove() goes from the end to the start: then erasing takes the last cells of the last leaf,
// which moves and logs least, and a truncation that stops half way leaves a prefix.
#include "fs/extents.h"

#include <algorithm>
#include <cstring>

#include "fs/block_allocator.h"

namespace rvmfs {

namespace {

Error damaged(const char* what, Inode inode) { return fs_error(FsErrc::damaged, what, inode); }

format::ExtentItem encode(const Extent& extent) {
  return {extent.block, static_cast<uint32_t>(extent.count),
          extent.unwritten ? format::kExtentUnwritten : 0};
}

bool continues(const Extent& left, const Extent& right) {
  return left.end() == right.first && left.block + left.count == right.block &&
         left.unwritten == right.unwritten && left.count + right.count <= format::kExtentBlocksMax;
}

}  // namespace

Result<Extent> ExtentMap::decode(rvm::Key key, std::span<const std::byte> value) {
  if (value.size() != sizeof(format::ExtentItem)) return damaged("extent of odd size", inode_);
  format::ExtentItem item;
  std::memcpy(&item, value.data(), sizeof item);
  const Extent extent{item_rest(key), item.count, item.block,
                      (item.flags & format::kExtentUnwritten) != 0};
  RVM_ASSIGN(const BlockGroups::Totals totals, BlockGroups(*core_.space, *core_.pool).totals());
  if (item.count == 0 || item.count > format::kExtentBlocksMax || item.block == 0 ||
      item.block >= totals.blocks || item.count > totals.blocks - item.block ||
      extent.first >= kFileBlocksMax || item.count > kFileBlocksMax - extent.first ||
      (item.flags & ~format::kExtentUnwritten) != 0) {
    return damaged("impossible extent", inode_);
  }
  return extent;
}

Result<std::optional<Extent>> ExtentMap::last(uint64_t first, uint64_t end) {
  if (first >= end) return std::optional<Extent>();
  RVM_ASSIGN(const auto entry, core_.tree->last_at_or_before(key(end - 1), key(0)));
  if (!entry) return std::optional<Extent>();
  RVM_ASSIGN(const Extent extent, decode(entry->key, entry->value));
  if (extent.end() <= first) return std::optional<Extent>();
  return std::optional<Extent>(extent);
}

Result<std::optional<Extent>> ExtentMap::next(uint64_t first, uint64_t end) {
  if (first >= end) return std::optional<Extent>();
  RVM_ASSIGN(const std::optional<Extent> holding, last(first, first + 1));
  if (holding) return holding;
  RVM_ASSIGN(const auto entry, core_.tree->first_at_or_after(key(first), key(end - 1)));
  if (!entry) return std::optional<Extent>();
  RVM_ASSIGN(const Extent extent, decode(entry->key, entry->value));
  return std::optional<Extent>(extent);
}

Result<std::vector<Extent>> ExtentMap::pieces(uint64_t first, uint64_t end, size_t pieces_max) {
  std::vector<Extent> found;
  RVM_ASSIGN(const std::optional<Extent> start, next(first, end));
  uint64_t covered = first;
  rvm::Tree::Cursor cursor(*core_.tree);
  if (start) RVM_TRY(cursor.seek(key(start->first)));
  while (start && covered < end && found.size() < pieces_max) {
    if (!cursor.valid() || cursor.key() > key(end - 1)) break;
    RVM_ASSIGN(Extent extent, decode(cursor.key(), cursor.value()));
    if (extent.first < covered) {
      // Only the first extent may begin before what is asked for.
      if (!found.empty()) return damaged("extents overlap", inode_);
      extent.block += covered - extent.first;
      extent.count -= covered - extent.first;
      extent.first = covered;
    }
    if (extent.first > covered) {
      found.push_back({covered, extent.first - covered, 0, false});
      if (found.size() == pieces_max) return found;
    }
    extent.count = std::min(extent.count, end - extent.first);
    covered = extent.end();
    found.push_back(extent);
    RVM_TRY(cursor.next());
  }
  if (covered < end && found.size() < pieces_max)
    found.push_back({covered, end - covered, 0, false});
  return found;
}

Result<uint64_t> ExtentMap::goal(uint64_t first) {
  if (first == 0) return 0;
  RVM_ASSIGN(const std::optional<Extent> before, last(0, first));
  return before ? before->block + before->count : 0;
}

// -- changes -------------------------------------------------------------------------------------

Result<void> ExtentMap::put(Operation& op, const Extent& extent) {
  const format::ExtentItem item = encode(extent);
  return core_.tree->insert(op.tx, key(extent.first), std::as_bytes(std::span(&item, 1)));
}

Result<void> ExtentMap::set_count(Operation& op, uint64_t first, uint64_t count) {
  RVM_ASSIGN(
      const std::span<std::byte> place,
      core_.tree->modify(op.tx, key(first), offsetof(format::ExtentItem, count), sizeof(uint32_t)));
  const auto value = static_cast<uint32_t>(count);
  std::memcpy(place.data(), &value, sizeof value);
  return {};
}

Result<void> ExtentMap::insert(Operation& op, Extent extent) {
  while (extent.count > format::kExtentBlocksMax) {
    Extent part = extent;
    part.count = format::kExtentBlocksMax;
    RVM_TRY(insert_one(op, part));
    extent.first += part.count;
    extent.block += part.count;
    extent.count -= part.count;
  }
  return insert_one(op, extent);
}

Result<void> ExtentMap::insert_one(Operation& op, Extent extent) {
  RVM_ASSIGN(const std::optional<Extent> before, last(0, extent.end()));
  if (before && before->end() > extent.first) return damaged("extents overlap", inode_);
  RVM_ASSIGN(const std::optional<Extent> after, next(extent.end(), extent.end() + 1));
  if (after && continues(extent, *after)) {
    RVM_TRY(core_.tree->erase(op.tx, key(after->first)));
    extent.count += after->count;
  }
  if (before && continues(*before, extent)) {
    return set_count(op, before->first, before->count + extent.count);
  }
  return put(op, extent);
}

// Takes [begin, end) out of the extent's item; the blocks stay as they are.
Result<void> ExtentMap::cut(Operation& op, const Extent& extent, uint64_t begin, uint64_t end) {
  if (begin > extent.first) {
    RVM_TRY(set_count(op, extent.first, begin - extent.first));
  } else {
    RVM_TRY(core_.tree->erase(op.tx, key(extent.first)));
  }
  if (end == extent.end()) return {};
  Extent tail = extent;
  tail.first = end;
  tail.block += end - extent.first;
  tail.count -= end - extent.first;
  return put(op, tail);
}

Result<ExtentMap::Removed> ExtentMap::remove(Operation& op, uint64_t first, uint64_t end,
                                             uint32_t weight_max) {
  BlockAllocator::LastResort last_resort(*core_.blocks);
  Removed removed;
  for (uint32_t weight = 0; weight < weight_max;) {
    RVM_ASSIGN(const std::optional<Extent> extent, last(first, end));
    if (!extent) {
      removed.done = true;
      return removed;
    }
    const uint64_t begin = std::max(first, extent->first);
    const uint64_t stop = std::min(end, extent->end());
    RVM_TRY(cut(op, *extent, begin, stop));
    RVM_TRY(core_.blocks->free(
        op, {extent->block + (begin - extent->first), static_cast<uint32_t>(stop - begin)}));
    removed.blocks += stop - begin;
    weight += extent_weight(stop - begin);
    end = begin;
  }
  RVM_ASSIGN(const std::optional<Extent> more, last(first, end));
  removed.done = !more.has_value();
  return removed;
}

Result<uint64_t> ExtentMap::mark(Operation& op, uint64_t first, uint64_t end, bool unwritten,
                                 uint32_t weight_max) {
  for (uint32_t weight = 0; weight < weight_max && first < end; ++weight) {
    RVM_ASSIGN(const std::optional<Extent> extent, next(first, end));
    if (!extent) return end;
    const uint64_t begin = std::max(first, extent->first);
    first = std::min(end, extent->end());
    if (extent->unwritten == unwritten) continue;
    RVM_TRY(cut(op, *extent, begin, first));
    RVM_TRY(
        insert_one(op, {begin, first - begin, extent->block + (begin - extent->first), unwritten}));
  }
  return first;
}

}  // namespace rvmfs
