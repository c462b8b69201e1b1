// SPDX-License-Identifier: BSD-2-Clause
//
// Search trees: reading. One read of the space per level, a binary search in each node.
//
// A step to the neighbour of a leaf goes through the root again, with the bound that the way down
// gave: leaves are not chained, so that splits and merges touch no third leaf.
#include "rvm/tree.h"

#include "tree_ops.h"

namespace rvm {

namespace {

using format::InnerCell;
using format::LeafCell;

constexpr uint32_t kCellOutside = kNoSlot;

Error damaged_cell(const Node& node) {
  return damaged_node(node.offset, "tree cell outside its node");
}

Error no_such_key() { return {.code = Errc::not_found, .what = "no such key"}; }

Key before(Key key) { return {key.low == 0 ? key.high - 1 : key.high, key.low - 1}; }

Result<Tree::Entry> entry_at(const Node& leaf, uint32_t index) {
  const LeafCell* cell = leaf.leaf_cell(index);
  if (cell == nullptr) return damaged_cell(leaf);
  return Tree::Entry{{cell->key_high, cell->key_low}, Node::value(*cell)};
}

Error empty_leaf(const Node& leaf) {
  return damaged_node(leaf.offset, "empty leaf in a tree of several nodes");
}

}  // namespace

Result<format::TreeRoot> TreeOps::root() const {
  RVM_ASSIGN(const format::TreeRoot* found, space().get(Ref<format::TreeRoot>{root_offset()}));
  if (found->root == 0 || found->height == 0 || found->height > format::kTreeHeightMax) {
    return damaged_node(root_offset(), "no tree at this root");
  }
  return *found;
}

bool TreeOps::recall(Key key, TreeLeaf& leaf, TreePath& path) const {
  const Tree::Memory& memory = *tree.memory_;
  for (uint32_t i = 0; i < memory.used_; ++i) {
    const Tree::Memory::Way& way = memory.ways_[i];
    if ((way.has_previous && key < way.lower) || (way.has_next && key >= way.next)) continue;
    leaf.has_previous = way.has_previous;
    leaf.has_next = way.has_next;
    leaf.lower = way.lower;
    leaf.next = way.next;
    path.height = way.height;
    for (uint32_t level = 0; level < way.height; ++level) {
      path.steps[level] = {way.steps[level].node, way.steps[level].index};
    }
    return true;
  }
  return false;
}

void TreeOps::remember(const TreeLeaf& leaf, const TreePath& path) const {
  Tree::Memory& memory = *tree.memory_;
  const bool is_full = memory.used_ == Tree::Memory::kWays;
  const uint32_t place = is_full ? memory.oldest_ : memory.used_++;
  if (is_full) memory.oldest_ = (place + 1) % Tree::Memory::kWays;
  Tree::Memory::Way& way = memory.ways_[place];
  way.has_previous = leaf.has_previous;
  way.has_next = leaf.has_next;
  way.lower = leaf.lower;
  way.next = leaf.next;
  way.height = path.height;
  for (uint32_t level = 0; level < path.height; ++level) {
    way.steps[level] = {path.steps[level].node, path.steps[level].index};
  }
}

void TreeOps::forget_ways() const {
  if (tree.memory_ != nullptr) tree.memory_->used_ = tree.memory_->oldest_ = 0;
}

Result<void> TreeOps::walk(Key key, TreeLeaf& leaf, TreePath& path) const {
  const bool remembers = tree.memory_ != nullptr;
  if (remembers && recall(key, leaf, path)) {
    RVM_ASSIGN(leaf.node, load_node(space(), path.steps[0].node, 0));
    return {};
  }
  RVM_ASSIGN(const format::TreeRoot top, root());
  path.height = top.height;
  uint64_t offset = top.root;
  for (uint32_t level = top.height - 1;; --level) {
    RVM_ASSIGN(const Node node, load_node(space(), offset, level));
    path.steps[level] = {offset, 0};
    if (level == 0) {
      if (node.count() == 0 && top.height > 1) return empty_leaf(node);
      leaf.node = node;
      break;
    }
    const uint32_t index = node.child_for(key);
    if (index == kCellOutside) return damaged_cell(node);
    const InnerCell* cell = node.inner_cell(index);
    if (cell == nullptr) return damaged_cell(node);
    path.steps[level].index = index;
    if (index > 0) {
      leaf.has_previous = true;
      leaf.lower = {cell->key_high, cell->key_low};
    }
    if (index + 1 < node.count()) {
      if (node.cell_at(index + 1) == 0) return damaged_cell(node);
      leaf.has_next = true;
      leaf.next = node.key(index + 1);
    }
    offset = cell->child;
  }
  if (remembers) remember(leaf, path);
  return {};
}

Result<TreeLeaf> TreeOps::descend(Key key) const {
  TreeLeaf leaf;
  TreePath path;
  RVM_TRY(walk(key, leaf, path));
  return leaf;
}

Result<Node> TreeOps::descend(Key key, TreePath& path) const {
  TreeLeaf leaf;
  RVM_TRY(walk(key, leaf, path));
  return leaf.node;
}

Result<void> Tree::create(Transaction& tx) { return TreeOps{*this}.create(tx); }

Result<void> Tree::destroy(Transaction& tx) { return TreeOps{*this}.destroy(tx); }

Result<std::span<const std::byte>> Tree::find(Key key) {
  RVM_ASSIGN(const TreeLeaf leaf, TreeOps{*this}.descend(key));
  const uint32_t index = leaf.node.lower_bound(key);
  if (index == kCellOutside) return damaged_cell(leaf.node);
  if (index == leaf.node.count()) return no_such_key();
  RVM_ASSIGN(const Entry entry, entry_at(leaf.node, index));
  if (entry.key != key) return no_such_key();
  return entry.value;
}

Result<void> Tree::insert(Transaction& tx, Key key, std::span<const std::byte> value) {
  return TreeOps{*this}.store(tx, key, value, false);
}

Result<void> Tree::put(Transaction& tx, Key key, std::span<const std::byte> value) {
  return TreeOps{*this}.store(tx, key, value, true);
}

Result<std::span<std::byte>> Tree::modify(Transaction& tx, Key key, uint32_t offset,
                                          uint32_t length) {
  RVM_ASSIGN(const TreeLeaf leaf, TreeOps{*this}.descend(key));
  const uint32_t index = leaf.node.lower_bound(key);
  if (index == kCellOutside) return damaged_cell(leaf.node);
  if (index == leaf.node.count()) return no_such_key();
  RVM_ASSIGN(const Entry entry, entry_at(leaf.node, index));
  if (entry.key != key) return no_such_key();
  if (offset > entry.value.size() || length > entry.value.size() - offset) {
    return Error{.code = Errc::out_of_range, .position = offset, .what = "beyond the value's end"};
  }
  const auto in_page = static_cast<uint64_t>(entry.value.data() - leaf.node.bytes);
  RVM_ASSIGN(std::byte * bytes,
             pool_.space().modify(tx, leaf.node.offset + in_page + offset, length));
  return std::span<std::byte>(bytes, length);
}

Result<void> Tree::erase(Transaction& tx, Key key) { return TreeOps{*this}.erase(tx, key); }

Result<std::optional<Tree::Entry>> Tree::first_at_or_after(Key key, Key last) {
  const TreeOps ops{*this};
  if (last < key) return std::optional<Entry>();
  RVM_ASSIGN(TreeLeaf leaf, ops.descend(key));
  uint32_t index = leaf.node.lower_bound(key);
  if (index == leaf.node.count() && leaf.has_next) {
    const Key bound = leaf.next;
    if (last < bound) return std::optional<Entry>();
    RVM_ASSIGN(leaf, ops.descend(bound));
    index = leaf.node.lower_bound(bound);
    if (index == leaf.node.count()) {
      return damaged_node(leaf.node.offset, "tree leaf below its lower bound");
    }
  }
  if (index == kCellOutside) return damaged_cell(leaf.node);
  if (index == leaf.node.count()) return std::optional<Entry>();
  RVM_ASSIGN(const Entry entry, entry_at(leaf.node, index));
  if (entry.key < key) return damaged_node(leaf.node.offset, "tree keys out of order");
  if (last < entry.key) return std::optional<Entry>();
  return std::optional<Entry>(entry);
}

Result<std::optional<Tree::Entry>> Tree::last_at_or_before(Key key, Key first) {
  const TreeOps ops{*this};
  if (key < first) return std::optional<Entry>();
  RVM_ASSIGN(TreeLeaf leaf, ops.descend(key));
  uint32_t after = leaf.node.upper_bound(key);
  if (after == 0 && leaf.has_previous) {
    if (leaf.lower <= first || leaf.lower == Key{}) return std::optional<Entry>();
    const Key bound = before(leaf.lower);
    RVM_ASSIGN(leaf, ops.descend(bound));
    after = leaf.node.upper_bound(bound);
    if (after == 0) return damaged_node(leaf.node.offset, "tree leaf above its upper bound");
  }
  if (after == kCellOutside) return damaged_cell(leaf.node);
  if (after == 0) return std::optional<Entry>();
  RVM_ASSIGN(const Entry entry, entry_at(leaf.node, after - 1));
  if (key < entry.key) return damaged_node(leaf.node.offset, "tree keys out of order");
  if (entry.key < first) return std::optional<Entry>();
  return std::optional<Entry>(entry);
}

Result<void> Tree::Cursor::seek(Key key) {
  valid_ = false;
  RVM_ASSIGN(TreeLeaf leaf, TreeOps{tree_}.descend(key));
  slot_ = leaf.node.lower_bound(key);
  if (slot_ == leaf.node.count() && leaf.has_next) {
    const Key bound = leaf.next;
    RVM_ASSIGN(leaf, TreeOps{tree_}.descend(bound));
    slot_ = leaf.node.lower_bound(bound);
    if (slot_ == leaf.node.count()) {
      return damaged_node(leaf.node.offset, "tree leaf below its lower bound");
    }
  }
  if (slot_ == kCellOutside) return damaged_cell(leaf.node);
  leaf_offset_ = leaf.node.offset;
  leaf_ = leaf.node.bytes;
  has_bound_ = leaf.has_next;
  bound_ = leaf.next;
  if (slot_ == leaf.node.count()) return {};  // behind the last entry of the tree
  return load(key);
}

Result<void> Tree::Cursor::next() {
  if (!valid_) return Error{.code = Errc::invalid_argument, .what = "cursor at the end"};
  valid_ = false;
  const Node leaf{leaf_offset_, leaf_};
  if (++slot_ < leaf.count()) {
    const Key previous = entry_.key;
    RVM_TRY(load(previous));
    if (entry_.key != previous) return {};
    valid_ = false;
    return damaged_node(leaf_offset_, "a tree key is there twice");
  }
  if (!has_bound_) return {};
  const Key sought = bound_;
  if (sought <= entry_.key) return damaged_node(leaf_offset_, "tree leaf beyond its upper bound");
  RVM_TRY(seek(sought));
  if (has_bound_ && bound_ <= sought) {  // or a damaged tree would be walked for ever
    valid_ = false;
    return damaged_node(leaf_offset_, "bounds of tree leaves do not ascend");
  }
  return {};
}

// A walk that could go back might never end.
Result<void> Tree::Cursor::load(Key least) {
  RVM_ASSIGN(entry_, entry_at(Node{leaf_offset_, leaf_}, slot_));
  if (entry_.key < least) return damaged_node(leaf_offset_, "tree keys out of order");
  valid_ = true;
  return {};
}

}  // namespace rvm
