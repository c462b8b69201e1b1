// SPDX-License-Identifier: BSD-2-Clause
//
// A persistent B+tree in a space: 128-bit keys, values of up to kTreeValueBytesMax bytes, one page
// a node. Every change happens inside the caller's transaction, and declares only the bytes that it
// changes, so that a small insertion makes a small log record. Appending in key order fills nodes.
//
// Pointers and cursors into the tree are valid until the next change of the tree, and follow the
// rules of Region pointers (rvm.h).
//
// Growing the space in the middle of an insertion would be fatal if the chunk source kept its own
// records in this tree. Therefore pages for a split are reserved first, and the key is looked up
// again.
//
// Nodes that erasing leaves less than a third full are merged with a neighbour when both fit well
// into one page; empty nodes are always freed. A tree without entries is one empty leaf.
//
// Every node that is read is checked (magic, level, offsets, key order within the bounds that the
// parent gives is fsck's business): a hostile node gives damaged_structure, never a memory fault.
//
// Thread rules: reads in parallel; changes exclude reads and each other (the caller's lock).
#pragma once

#include <compare>
#include <optional>
#include <span>

#include "rvm/page_pool.h"

namespace rvm {

struct Key {
  uint64_t high = 0, low = 0;
  friend auto operator<=>(const Key&, const Key&) = default;
};

class Tree {
 public:
  // The tree whose format::TreeRoot lies at `root_offset` of the pool's space.
  Tree(PagePool& pool, uint64_t root_offset) : pool_(pool), root_offset_(root_offset) {}

  // Writes an empty tree's root at root_offset.
  Result<void> create(Transaction& tx);
  // Frees every node and clears the root.
  Result<void> destroy(Transaction& tx);

  Result<std::span<const std::byte>> find(Key key);  // not_found

  // Errors: exists; invalid_argument (value too long); allocation errors, after which the caller
  // must abort the transaction.
  Result<void> insert(Transaction& tx, Key key, std::span<const std::byte> value);
  // Inserts or replaces (another length is allowed).
  Result<void> put(Transaction& tx, Key key, std::span<const std::byte> value);
  // Bytes [offset, offset + length) of the value, for change in place. not_found, out_of_range
  // (position: `offset`).
  Result<std::span<std::byte>> modify(Transaction& tx, Key key, uint32_t offset, uint32_t length);
  Result<void> erase(Transaction& tx, Key key);  // not_found

  struct Entry {
    Key key;
    std::span<const std::byte> value;
  };
  // First entry with a key >= `key` and <= `last`; nullopt if there is none.
  Result<std::optional<Entry>> first_at_or_after(Key key, Key last = {UINT64_MAX, UINT64_MAX});
  // Last entry with a key <= `key` and >= `first`.
  Result<std::optional<Entry>> last_at_or_before(Key key, Key first = {0, 0});

  // Walks entries in key order without descending from the root for each. Usage:
  //   Tree::Cursor c(tree); RVM_TRY(c.seek(key)); while (c.valid()) { c.key(); c.value();
  //   RVM_TRY(c.next()); }
  class Cursor {
   public:
    explicit Cursor(Tree& tree) : tree_(tree) {}
    Result<void> seek(Key key);  // to the first entry >= key
    Result<void> next();
    bool valid() const { return valid_; }
    Key key() const { return entry_.key; }
    std::span<const std::byte> value() const { return entry_.value; }

   private:
    Result<void> load(Key least);  // the entry at slot_; its key must not be less

    Tree& tree_;
    bool valid_ = false;
    Entry entry_;
    uint64_t leaf_offset_ = 0;
    const std::byte* leaf_ = nullptr;
    uint32_t slot_ = 0;
    bool has_bound_ = false;
    Key bound_;  // lower bound of the next leaf
  };

  // While it lives, the tree remembers the leaves that searches led to, and searches for keys of
  // these leaves begin there instead of at the root: one operation looks at few leaves many times.
  // For a thread that has the tree for itself (no reads in parallel), within one transaction, and
  // only if nobody changes the tree by another Tree object meanwhile. One at a time.
  class Memory {
   public:
    explicit Memory(Tree& tree) : tree_(tree) { tree_.memory_ = this; }
    ~Memory() { tree_.memory_ = nullptr; }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

   private:
    friend struct TreeOps;
    struct Way {
      Key lower, next;  // the leaf's keys, as far as it has neighbours
      bool has_previous, has_next;
      uint32_t height;
      struct {
        uint64_t node;
        uint32_t index;
      } steps[format::kTreeHeightMax];
    };
    static constexpr uint32_t kWays = 6;

    Tree& tree_;
    uint32_t used_ = 0, oldest_ = 0;
    Way ways_[kWays];
  };

  PagePool& pool() { return pool_; }

 private:
  friend struct TreeOps;  // rvm/src/tree_ops.h
  PagePool& pool_;
  uint64_t root_offset_;
  Memory* memory_ = nullptr;
};

}  // namespace rvm
