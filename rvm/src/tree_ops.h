// SPDX-License-Identifier: BSD-2-Clause
//
// The inner workings of a search tree, shared by reading (tree.cc) and changing (tree_change.cc).
//
// Invariants of the tree, beyond those of its nodes (tree_node.h):
//   - the key of an inner node's first cell equals the key of the parent's cell for that node, and
//   is
//     (0,0) in the root: so a key in a subtree is never below the first key on the way to it;
//   - a leaf is empty only if it is the root; an inner root has two children or more.
#pragma once

#include "tree_node.h"

namespace rvm {

// The way from the root to a leaf; steps[l] is at level l, and the root at level height - 1.
struct TreePath {
  struct Step {
    uint64_t node;   // space offset
    uint32_t index;  // of the cell that leads on
  };
  uint32_t height = 0;
  Step steps[format::kTreeHeightMax];
};

// The leaf that a key belongs to, and the range of keys of that leaf where it has neighbours.
struct TreeLeaf {
  Node node;
  bool has_next = false;      // there is a leaf to the right, and `next` is its lower bound
  bool has_previous = false;  // there is a leaf to the left, of keys < `lower`
  Key next, lower;
};

struct TreeOps {
  Tree& tree;

  PagePool& pool() const { return tree.pool_; }
  Space& space() const { return tree.pool_.space(); }
  uint64_t root_offset() const { return tree.root_offset_; }

  Result<format::TreeRoot> root() const;
  Result<TreeLeaf> descend(Key key) const;
  Result<Node> descend(Key key, TreePath& path) const;
  // What is remembered (Tree::Memory) is not true any more: nodes come, go, or move.
  void forget_ways() const;

  Result<void> set_root(Transaction& tx, uint64_t node, uint32_t height) const;
  Result<void> create(Transaction& tx) const;
  Result<void> destroy(Transaction& tx) const;
  Result<void> store(Transaction& tx, Key key, std::span<const std::byte> value,
                     bool replace) const;
  Result<void> erase(Transaction& tx, Key key) const;

 private:
  Result<void> walk(Key key, TreeLeaf& leaf, TreePath& path) const;
  bool recall(Key key, TreeLeaf& leaf, TreePath& path) const;
  void remember(const TreeLeaf& leaf, const TreePath& path) const;
  Result<void> destroy_below(Transaction& tx, uint64_t node, uint32_t level) const;
  Result<void> insert_cell(Transaction& tx, TreePath& path, uint32_t level, uint32_t index,
                           const CellImage& cell) const;
  Result<Key> split(Transaction& tx, const Node& node, const Node& right, uint32_t index,
                    const CellImage& cell) const;
  Result<void> add_root(Transaction& tx, TreePath& path) const;
  Result<void> rebalance(Transaction& tx, TreePath& path) const;
  Result<void> shrink_root(Transaction& tx, Node root) const;
  Result<void> drop_empty(Transaction& tx, const Node& parent, uint32_t index,
                          const Node& empty) const;
  Result<bool> merge_with_neighbour(Transaction& tx, const Node& parent, uint32_t index,
                                    const Node& node) const;
  Result<void> merge(Transaction& tx, const Node& parent, uint32_t left_index, const Node& left,
                     const Node& right) const;
  Result<void> lower_left_edge(Transaction& tx, uint64_t node, uint32_t level, Key key) const;
};

}  // namespace rvm
