// SPDX-License-Identifier: BSD-2-Clause
//
// Search trees: insertion with splits, erasure with merges.
//
// Insertion climbs only as far as nodes split. A cell that goes behind all others of its node gets
// a new right neighbour of its own, and leaves the full node untouched: filling in key order makes
// full nodes and short log records. Any other split halves the bytes.
//
// Erasure frees a node that became empty, and merges one that is less than a third full with a
// neighbour under the same parent if the result leaves room for insertions; the cells of the
// smaller node move. A node whose neighbours are too full for that stays as it is until one of them
// shrinks: any two neighbours are together at least kMergedBytesMax full, or one of them a third.
//
// An error leaves the tree half changed: the caller aborts its transaction.
#include <algorithm>

#include "tree_ops.h"

namespace rvm {

namespace {

using format::InnerCell;

constexpr uint32_t kUnderfullBytes = kNodeCapacity / 3;
constexpr uint32_t kMergedBytesMax = kNodeCapacity * 7 / 8;

Error damaged_cell(const Node& node) {
  return damaged_node(node.offset, "tree cell outside its node");
}

}  // namespace

Result<void> TreeOps::set_root(Transaction& tx, uint64_t node, uint32_t height) const {
  forget_ways();
  RVM_ASSIGN(format::TreeRoot * top, space().modify(tx, Ref<format::TreeRoot>{root_offset()}));
  *top = {.root = node, .height = height, .reserved = 0};
  return {};
}

Result<void> TreeOps::create(Transaction& tx) const {
  RVM_ASSIGN(const uint64_t leaf, pool().allocate(tx));
  RVM_TRY(NodeEditor(space(), tx).init(leaf, 0));
  return set_root(tx, leaf, 1);
}

Result<void> TreeOps::destroy(Transaction& tx) const {
  RVM_ASSIGN(const format::TreeRoot top, root());
  RVM_TRY(destroy_below(tx, top.root, top.height - 1));
  return set_root(tx, 0, 0);
}

// Depth is bounded by kTreeHeightMax; a node that is reached twice is a page freed twice, an error.
Result<void> TreeOps::destroy_below(Transaction& tx, uint64_t offset, uint32_t level) const {
  RVM_ASSIGN(const Node node, load_node(space(), offset, level));
  for (uint32_t i = 0; level > 0 && i < node.count(); ++i) {
    const InnerCell* cell = node.inner_cell(i);
    if (cell == nullptr) return damaged_cell(node);
    RVM_TRY(destroy_below(tx, cell->child, level - 1));
  }
  return pool().free(tx, offset);
}

Result<void> TreeOps::store(Transaction& tx, Key key, std::span<const std::byte> value,
                            bool replace) const {
  if (value.size() > format::kTreeValueBytesMax) {
    return Error{.code = Errc::invalid_argument, .what = "value too long for a tree"};
  }
  NodeEditor editor(space(), tx);
  for (bool reserved = false;; reserved = true) {
    TreePath path;
    RVM_ASSIGN(const Node leaf, descend(key, path));
    const uint32_t index = leaf.lower_bound(key);
    if (index == kNoSlot) return damaged_cell(leaf);
    uint32_t old_bytes = 0;
    if (index < leaf.count()) {
      const uint32_t size = leaf.cell_bytes(index);
      if (size == 0) return damaged_cell(leaf);
      if (leaf.key(index) == key) old_bytes = size;
    }
    const uint32_t new_bytes = leaf_cell_bytes(static_cast<uint32_t>(value.size()));
    if (old_bytes > 0) {
      if (!replace) return Error{.code = Errc::exists, .what = "the key is in the tree already"};
      if (new_bytes <= old_bytes) {
        RVM_TRY(editor.replace_value(leaf, index, value));
        return new_bytes == old_bytes ? Result<void>() : rebalance(tx, path);
      }
    }
    const uint32_t freed = old_bytes > 0 ? old_bytes + kSlotBytes : 0;
    if (new_bytes + kSlotBytes > leaf.free_bytes() + freed && !reserved) {
      // Growing may change this very tree (tree.h): look again afterwards.
      RVM_TRY(pool().reserve(tx, path.height + 1));
      continue;
    }
    if (old_bytes > 0) RVM_TRY(editor.remove(leaf, index));
    const PagePool::GrowthPause pause(pool());
    return insert_cell(tx, path, 0, index, CellImage(key, value));
  }
}

Result<void> TreeOps::insert_cell(Transaction& tx, TreePath& path, uint32_t level, uint32_t index,
                                  const CellImage& cell) const {
  NodeEditor editor(space(), tx);
  RVM_ASSIGN(const Node node, load_node(space(), path.steps[level].node, level));
  if (cell.size + kSlotBytes <= node.free_bytes()) return editor.insert(node, index, cell.view());

  forget_ways();
  if (level + 1 == path.height) RVM_TRY(add_root(tx, path));
  RVM_ASSIGN(const uint64_t page, pool().allocate(tx));
  RVM_ASSIGN(const Node right, editor.init(page, level));
  RVM_ASSIGN(const Key separator, split(tx, node, right, index, cell));
  return insert_cell(tx, path, level + 1, path.steps[level + 1].index + 1,
                     CellImage(separator, page));
}

// Moves the upper part of `node` to the empty node `right` and inserts the cell where it belongs.
// Returns the lower bound of `right`.
Result<Key> TreeOps::split(Transaction& tx, const Node& node, const Node& right, uint32_t index,
                           const CellImage& cell) const {
  NodeEditor editor(space(), tx);
  const uint32_t count = node.count();
  if (index == count) {
    RVM_TRY(editor.insert(right, 0, cell.view()));
    return cell.key();
  }
  uint32_t total = cell.size + kSlotBytes;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t size = node.cell_bytes(i);
    if (size == 0) return damaged_cell(node);
    total += size + kSlotBytes;
  }
  if (total > kNodeCapacity + kCellBytesMax + kSlotBytes) {
    return damaged_node(node.offset, "tree cells overlap");
  }
  // In the order of keys, with the new cell in its place: `left_cells` of them stay.
  uint32_t left_cells = 0;
  uint32_t left_bytes = 0;
  for (; left_cells < count; ++left_cells) {
    const uint32_t i = left_cells > index ? left_cells - 1 : left_cells;
    const uint32_t size = (left_cells == index ? cell.size : node.cell_bytes(i)) + kSlotBytes;
    if (left_cells > 0 && left_bytes + size / 2 > total / 2) break;
    left_bytes += size;
  }
  const bool goes_left = index < left_cells;
  const uint32_t kept = goes_left ? left_cells - 1 : left_cells;
  RVM_TRY(editor.copy(node, kept, count, right, 0));
  RVM_TRY(editor.truncate(node, kept));
  RVM_TRY(goes_left ? editor.insert(node, index, cell.view())
                    : editor.insert(right, index - kept, cell.view()));
  return right.key(0);
}

Result<void> TreeOps::add_root(Transaction& tx, TreePath& path) const {
  if (path.height == format::kTreeHeightMax) {
    return Error{.code = Errc::full, .position = root_offset(), .what = "tree of full height"};
  }
  NodeEditor editor(space(), tx);
  RVM_ASSIGN(const uint64_t page, pool().allocate(tx));
  RVM_ASSIGN(const Node top, editor.init(page, path.height));
  const CellImage cell(Key{}, path.steps[path.height - 1].node);
  RVM_TRY(editor.insert(top, 0, cell.view()));
  path.steps[path.height] = {page, 0};
  ++path.height;
  return set_root(tx, page, path.height);
}

Result<void> TreeOps::erase(Transaction& tx, Key key) const {
  TreePath path;
  RVM_ASSIGN(const Node leaf, descend(key, path));
  const uint32_t index = leaf.lower_bound(key);
  if (index == kNoSlot) return damaged_cell(leaf);
  if (index == leaf.count() || leaf.cell_at(index) == 0 || leaf.key(index) != key) {
    if (index < leaf.count() && leaf.cell_at(index) == 0) return damaged_cell(leaf);
    return Error{.code = Errc::not_found, .what = "no such key"};
  }
  RVM_TRY(NodeEditor(space(), tx).remove(leaf, index));
  return rebalance(tx, path);
}

// After a node lost bytes: from the leaf of `path` upward, frees or merges what became too empty.
Result<void> TreeOps::rebalance(Transaction& tx, TreePath& path) const {
  RVM_ASSIGN(Node node, load_node(space(), path.steps[0].node, 0));
  for (uint32_t level = 0;; ++level) {
    if (level + 1 == path.height) return shrink_root(tx, node);
    if (node.used_bytes() >= kUnderfullBytes) return {};
    RVM_ASSIGN(const Node parent, load_node(space(), path.steps[level + 1].node, level + 1));
    const uint32_t index = path.steps[level + 1].index;
    if (node.count() == 0) {
      RVM_TRY(drop_empty(tx, parent, index, node));
    } else {
      RVM_ASSIGN(const bool merged, merge_with_neighbour(tx, parent, index, node));
      if (!merged) return {};
    }
    node = parent;
  }
}

Result<void> TreeOps::shrink_root(Transaction& tx, Node top) const {
  const uint32_t level_before = top.level();
  uint32_t level = level_before;
  while (level > 0 && top.count() == 1) {
    forget_ways();
    const InnerCell* cell = top.inner_cell(0);
    if (cell == nullptr) return damaged_cell(top);
    const uint64_t child = cell->child;
    RVM_TRY(pool().free(tx, top.offset));
    --level;
    RVM_ASSIGN(top, load_node(space(), child, level));
  }
  if (level > 0 && top.count() == 0) {
    forget_ways();
    RVM_TRY(NodeEditor(space(), tx).init(top.offset, 0));
    level = 0;
  }
  if (level == level_before) return {};
  return set_root(tx, top.offset, level + 1);
}

// The range of keys of the empty node goes to its left neighbour; for a first child, to its right
// one.
Result<void> TreeOps::drop_empty(Transaction& tx, const Node& parent, uint32_t index,
                                 const Node& empty) const {
  forget_ways();
  NodeEditor editor(space(), tx);
  if (index > 0 || parent.count() == 1) {
    RVM_TRY(editor.remove(parent, index));
  } else {
    const InnerCell* first = parent.inner_cell(0);
    const InnerCell* second = parent.inner_cell(1);
    if (first == nullptr || second == nullptr) return damaged_cell(parent);
    const Key bound{first->key_high, first->key_low};
    const uint64_t heir = second->child;
    RVM_TRY(editor.set_child(parent, 0, heir));
    RVM_TRY(editor.remove(parent, 1));
    RVM_TRY(lower_left_edge(tx, heir, parent.level() - 1, bound));
  }
  return pool().free(tx, empty.offset);
}

// The subtree's range now begins at `key`: so say the first cells down its left edge.
Result<void> TreeOps::lower_left_edge(Transaction& tx, uint64_t offset, uint32_t level,
                                      Key key) const {
  NodeEditor editor(space(), tx);
  for (; level > 0; --level) {
    RVM_ASSIGN(const Node node, load_node(space(), offset, level));
    const InnerCell* first = node.inner_cell(0);
    if (first == nullptr) return damaged_cell(node);
    offset = first->child;
    RVM_TRY(editor.set_key(node, 0, key));
  }
  return {};
}

// False if both neighbours are too full for a merge.
Result<bool> TreeOps::merge_with_neighbour(Transaction& tx, const Node& parent, uint32_t index,
                                           const Node& node) const {
  const uint32_t room = kMergedBytesMax - node.used_bytes();
  if (index > 0) {
    const InnerCell* cell = parent.inner_cell(index - 1);
    if (cell == nullptr) return damaged_cell(parent);
    RVM_ASSIGN(const Node left, load_node(space(), cell->child, node.level()));
    if (left.used_bytes() <= room) {
      RVM_TRY(merge(tx, parent, index - 1, left, node));
      return true;
    }
  }
  if (index + 1 < parent.count()) {
    const InnerCell* cell = parent.inner_cell(index + 1);
    if (cell == nullptr) return damaged_cell(parent);
    RVM_ASSIGN(const Node right, load_node(space(), cell->child, node.level()));
    if (right.used_bytes() <= room) {
      RVM_TRY(merge(tx, parent, index, node, right));
      return true;
    }
  }
  return false;
}

Result<void> TreeOps::merge(Transaction& tx, const Node& parent, uint32_t left_index,
                            const Node& left, const Node& right) const {
  if (left.offset == right.offset) {
    return damaged_node(parent.offset, "two tree cells lead to one node");
  }
  forget_ways();
  NodeEditor editor(space(), tx);
  uint64_t freed = right.offset;
  if (left.used_bytes() >= right.used_bytes()) {
    RVM_TRY(editor.copy(right, 0, right.count(), left, left.count()));
  } else {
    RVM_TRY(editor.copy(left, 0, left.count(), right, 0));
    RVM_TRY(editor.set_child(parent, left_index, right.offset));
    freed = left.offset;
  }
  RVM_TRY(editor.remove(parent, left_index + 1));
  return pool().free(tx, freed);
}

}  // namespace rvm
