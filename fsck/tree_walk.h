// SPDX-License-Identifier: BSD-2-Clause
//
// Walks a search tree (rvm/space_format.h) in key order with its own eyes: checks every node and
// hands out every item of the leaves.
//
// Each page is claimed first, so a page is visited once at most; the level falls by one from node
// to node, so the recursion is at most kTreeHeightMax deep.
#pragma once

#include <compare>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "fsck/space_reader.h"

namespace rvmfs::fsck {

struct Key {
  uint64_t high = 0, low = 0;
  friend auto operator<=>(const Key&, const Key&) = default;
};

class TreeWalk {
 public:
  using ItemSink = std::function<void(Key key, std::span<const std::byte> value)>;

  TreeWalk(SpaceReader& space, Report& report, ItemSink sink)
      : space_(space), report_(report), sink_(std::move(sink)) {}

  // Walks everything that can be read. False: some of the tree could not be (reported).
  bool run(const rvm::format::TreeRoot& root);

  // Called after every node.
  std::function<void()> on_node;
  uint64_t nodes() const { return nodes_; }

 private:
  struct Cell {
    Key key;
    uint64_t child = 0;
    std::span<const std::byte> value;
  };
  // What the parent says about a node.
  struct Bounds {
    Key lower;
    std::optional<Key> upper;
  };

  bool visit(uint64_t offset, uint32_t level, const Bounds& bounds, bool is_root);
  bool check_node(const PageBytes& page, uint64_t offset, uint32_t level, bool is_root);
  bool read_cell(const PageBytes& page, uint32_t slot, uint32_t level, Cell& cell) const;
  bool check_order(const PageBytes& page, uint64_t offset, uint32_t level, const Bounds& bounds);
  bool visit_children(const PageBytes& page, uint32_t level, const Bounds& bounds);

  SpaceReader& space_;
  Report& report_;
  ItemSink sink_;
  uint64_t nodes_ = 0;
};

}  // namespace rvmfs::fsck
