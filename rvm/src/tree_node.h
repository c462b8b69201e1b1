// SPDX-License-Identifier: BSD-2-Clause
//
// One page of a search tree, seen with distrust (layout: rvm/space_format.h).
//
// Node is a checked view: load_node() has compared the header with the page's bounds, so slots can
// be read freely; an offset found in a slot is checked by every function that touches its cell,
// which answers kNoSlot or nullptr when it points outside. Views stay valid while pages change:
// they read the bytes in place.
//
// NodeEditor changes nodes inside a transaction. It declares what it changes: the shifted part of
// the slot array, the cell, and the six bytes {count, cells_begin, fragmented_bytes} of the header.
// Removed cells stay where they are as fragments until a compaction; bytes outside the slots and
// the cells mean nothing.
#pragma once

#include <cstring>
#include <span>

#include "rvm/tree.h"

namespace rvm {

inline constexpr uint32_t kNoSlot = UINT32_MAX;
inline constexpr uint32_t kNodePageBytes = format::kNodeBytes;
inline constexpr uint32_t kNodeCapacity = kNodePageBytes - sizeof(format::NodeHeader);
inline constexpr uint32_t kSlotBytes = sizeof(uint16_t);
inline constexpr uint32_t kCellBytesMin = sizeof(format::LeafCell);
static_assert(sizeof(format::LeafCell) == sizeof(format::InnerCell));
inline constexpr uint32_t kCellBytesMax = sizeof(format::LeafCell) + format::kTreeValueBytesMax;

inline Error damaged_node(uint64_t offset, const char* what) {
  return {.code = Errc::damaged_structure, .position = offset, .what = what};
}

constexpr uint32_t leaf_cell_bytes(uint32_t value_bytes) {
  return static_cast<uint32_t>(sizeof(format::LeafCell)) + (value_bytes + 7) / 8 * 8;
}

// A cell to be stored, in its on-disk form.
struct CellImage {
  CellImage(Key key, std::span<const std::byte> value);  // of a leaf; value not too long
  CellImage(Key key, uint64_t child);                    // of an inner node
  Key key() const;
  std::span<const std::byte> view() const { return {bytes, size}; }

  alignas(8) std::byte bytes[kCellBytesMax];
  uint32_t size;
};

struct Node {
  uint64_t offset = 0;
  const std::byte* bytes = nullptr;

  const format::NodeHeader& header() const {
    return *reinterpret_cast<const format::NodeHeader*>(bytes);
  }
  uint32_t level() const { return header().level; }
  uint32_t count() const { return header().count; }
  const uint16_t* slots() const {
    return reinterpret_cast<const uint16_t*>(bytes + sizeof(format::NodeHeader));
  }
  uint32_t slots_end() const {
    return static_cast<uint32_t>(sizeof(format::NodeHeader)) + count() * kSlotBytes;
  }
  // Between slots and cells; with the fragments; taken by slots and cells.
  uint32_t gap_bytes() const { return header().cells_begin - slots_end(); }
  uint32_t free_bytes() const { return gap_bytes() + header().fragmented_bytes; }
  uint32_t used_bytes() const { return kNodeCapacity - free_bytes(); }

  // Offset in the page of cell `index` (< count()); 0 if it points outside.
  uint32_t cell_at(uint32_t index) const {
    const uint32_t at = slots()[index];
    return cell_fits(at) ? at : 0;
  }
  const format::LeafCell* leaf_cell(uint32_t index) const;
  const format::InnerCell* inner_cell(uint32_t index) const;
  // Bytes that cell `index` takes, without its slot; 0 if it is damaged.
  uint32_t cell_bytes(uint32_t index) const;
  // Key of cell `index`, whose place has been checked by a search or cell_at().
  Key key(uint32_t index) const { return key_at(slots()[index]); }
  static std::span<const std::byte> value(const format::LeafCell& cell) {
    return {reinterpret_cast<const std::byte*>(&cell + 1), cell.value_bytes};
  }

  // Index of the first cell whose key is >= `key` (lower) or > `key` (upper); kNoSlot on damage.
  uint32_t lower_bound(Key key) const { return search<false>(key); }
  uint32_t upper_bound(Key key) const { return search<true>(key); }
  // The subtree of an inner node that `key` belongs to; kNoSlot on damage.
  uint32_t child_for(Key key) const {
    const uint32_t after = search<true>(key);
    return after == 0 || after == kNoSlot ? after : after - 1;
  }

 private:
  static bool cell_fits(uint32_t at) {
    constexpr auto kFirst = static_cast<uint32_t>(sizeof(format::NodeHeader));
    return at % 8 == 0 && at - kFirst <= kNodeCapacity - kCellBytesMin;
  }
  Key key_at(uint32_t at) const {
    const auto* words = reinterpret_cast<const uint64_t*>(bytes + at);
    return {words[0], words[1]};
  }

  template <bool kUpper>
  uint32_t search(Key key) const {
    const uint16_t* slot = slots();
    uint32_t low = 0;
    uint32_t high = count();
    while (low < high) {
      const uint32_t middle = (low + high) / 2;
      const uint32_t at = slot[middle];
      if (!cell_fits(at)) return kNoSlot;
      const Key found = key_at(at);
      const bool goes_right =
          found.high < key.high ||
          (found.high == key.high && (kUpper ? found.low <= key.low : found.low < key.low));
      if (goes_right) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
};

// The node at `offset`, which must have this level. Errors: damaged_structure, and those of
// reading.
Result<Node> load_node(Space& space, uint64_t offset, uint32_t level);

class NodeEditor {
 public:
  NodeEditor(Space& space, Transaction& tx) : space_(space), tx_(tx) {}

  // Makes an empty node of a freshly allocated page.
  Result<Node> init(uint64_t offset, uint32_t level);
  // The caller has seen that free_bytes() is enough; compacts where the gap is too small.
  Result<void> insert(const Node& node, uint32_t index, std::span<const std::byte> cell);
  Result<void> remove(const Node& node, uint32_t index);
  // Copies cells [first, end) of `from` into `to`, before its cell `index`.
  Result<void> copy(const Node& from, uint32_t first, uint32_t end, const Node& to, uint32_t index);
  // Drops the cells from `count` on.
  Result<void> truncate(const Node& node, uint32_t count);
  // Replaces the value of a leaf cell by one that takes no more bytes.
  Result<void> replace_value(const Node& node, uint32_t index, std::span<const std::byte> value);
  Result<void> set_key(const Node& node, uint32_t index, Key key);
  Result<void> set_child(const Node& node, uint32_t index, uint64_t child);

 private:
  Result<void> compact(const Node& node);
  Result<void> set_header(const Node& node, uint32_t count, uint32_t cells_begin,
                          uint32_t fragmented_bytes);

  Space& space_;
  Transaction& tx_;
};

}  // namespace rvm
