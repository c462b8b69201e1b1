// SPDX-License-Identifier: BSD-2-Clause
//
// Walks every node of a search tree and expects what rvm/src/tree_ops.h and tree_node.h promise:
// levels, key order within the parent's bounds, first keys, counted free bytes, no empty node.
// Gives the numbers that tests reason about.
#pragma once

#include <gtest/gtest.h>

#include <set>

#include "tests/rvm/structures_world.h"
#include "tree_ops.h"

namespace rvmfs::test {

struct TreeShape {
  uint64_t pages = 0, leaves = 0, entries = 0, used_bytes = 0;
  uint32_t height = 0;
  std::set<uint64_t> nodes;
};

class TreeChecker {
 public:
  TreeChecker(rvm::Tree& tree, World& world)
      : world_(world), root_(must(rvm::TreeOps{tree}.root())) {}

  TreeShape check() {
    shape_.height = root_.height;
    visit(root_.root, root_.height - 1, {}, {UINT64_MAX, UINT64_MAX}, true);
    return shape_;
  }

 private:
  void visit(uint64_t offset, uint32_t level, rvm::Key lower, rvm::Key upper, bool is_last) {
    ASSERT_TRUE(shape_.nodes.insert(offset).second) << "node " << offset << " has two parents";
    const rvm::Node node = must(rvm::load_node(*world_.space, offset, level));
    ++shape_.pages;
    if (level == 0) ++shape_.leaves;
    if (node.count() == 0) {
      EXPECT_EQ(root_.height, 1U) << "empty node " << offset;
    }
    if (level > 0 && offset == root_.root) {
      EXPECT_GE(node.count(), 2U);
    }
    check_bytes(node);
    for (uint32_t i = 0; i < node.count(); ++i) {
      const rvm::Key key = node.key(i);
      EXPECT_LE(lower, key) << "node " << offset << " cell " << i;
      if (!is_last) {
        EXPECT_LT(key, upper) << "node " << offset << " cell " << i;
      }
      if (i > 0) {
        EXPECT_LT(node.key(i - 1), key) << "node " << offset << " cell " << i;
      }
      if (level == 0) {
        ++shape_.entries;
        continue;
      }
      if (i == 0) {
        EXPECT_EQ(key, lower) << "first key of node " << offset;
      }
      const bool last_cell = i + 1 == node.count();
      visit(node.inner_cell(i)->child, level - 1, key, last_cell ? upper : node.key(i + 1),
            is_last && last_cell);
    }
  }

  void check_bytes(const rvm::Node& node) {
    uint32_t cells = 0;
    uint32_t begin = rvm::kNodePageBytes;
    for (uint32_t i = 0; i < node.count(); ++i) {
      const uint32_t size = node.cell_bytes(i);
      ASSERT_NE(size, 0U);
      cells += size;
      begin = std::min<uint32_t>(begin, node.slots()[i]);
      if (node.level() > 0) continue;
      const rvm::format::LeafCell* cell = node.leaf_cell(i);
      const auto value = rvm::Node::value(*cell);
      const auto* padding = value.data() + value.size();
      const auto* end = reinterpret_cast<const std::byte*>(cell) + size;
      for (; padding < end; ++padding) EXPECT_EQ(*padding, std::byte{0}) << "padding of a value";
    }
    EXPECT_GE(begin, node.header().cells_begin);
    EXPECT_EQ(cells + node.header().fragmented_bytes,
              rvm::kNodePageBytes - node.header().cells_begin)
        << "node " << node.offset;
    shape_.used_bytes += node.used_bytes();
  }

  World& world_;
  rvm::format::TreeRoot root_;
  TreeShape shape_;
};

inline TreeShape check_tree(rvm::Tree& tree, World& world) {
  return TreeChecker(tree, world).check();
}

}  // namespace rvmfs::test
