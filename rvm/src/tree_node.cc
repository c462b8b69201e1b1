// SPDX-License-Identifier: BSD-2-Clause
//
// Nodes of a search tree: checks, and the elementary changes of one page.
//
// The numbers in a header are believed only as far as they keep inside the page; that they agree
// with the cells is found out when it matters: a compaction that does not gain the promised bytes,
// or cells that overlap so that a copy of them would not fit, are damage.
#include "tree_node.h"

#include <algorithm>
#include <cstddef>

namespace rvm {

namespace {

using format::InnerCell;
using format::LeafCell;
using format::NodeHeader;

// A reference to a place that no reader can reach is damage of the node that holds it.
Error seen_from_tree(const Error& error, uint64_t offset) {
  switch (error.code) {
    case Errc::out_of_range:
    case Errc::not_found:
    case Errc::not_mapped:
    case Errc::overlap:
    case Errc::invalid_argument:
      return damaged_node(offset, "reference to a node outside the space");
    default: return error;
  }
}

}  // namespace

CellImage::CellImage(Key key, std::span<const std::byte> value)
    : size(leaf_cell_bytes(static_cast<uint32_t>(value.size()))) {
  const LeafCell cell{key.high, key.low, static_cast<uint16_t>(value.size()), {}};
  std::memset(bytes + size - 8, 0, 8);
  std::memcpy(bytes, &cell, sizeof(cell));
  if (!value.empty()) std::memcpy(bytes + sizeof(cell), value.data(), value.size());
}

CellImage::CellImage(Key key, uint64_t child) : size(sizeof(InnerCell)) {
  const InnerCell cell{key.high, key.low, child};
  std::memcpy(bytes, &cell, sizeof(cell));
}

Key CellImage::key() const {
  Key key;
  std::memcpy(&key, bytes, sizeof(key));
  return key;
}

const LeafCell* Node::leaf_cell(uint32_t index) const {
  const uint32_t at = cell_at(index);
  if (at == 0) return nullptr;
  const auto* cell = reinterpret_cast<const LeafCell*>(bytes + at);
  if (cell->value_bytes > format::kTreeValueBytesMax) return nullptr;
  return leaf_cell_bytes(cell->value_bytes) <= kNodePageBytes - at ? cell : nullptr;
}

const InnerCell* Node::inner_cell(uint32_t index) const {
  const uint32_t at = cell_at(index);
  return at == 0 ? nullptr : reinterpret_cast<const InnerCell*>(bytes + at);
}

uint32_t Node::cell_bytes(uint32_t index) const {
  if (level() > 0) return cell_at(index) == 0 ? 0 : static_cast<uint32_t>(sizeof(InnerCell));
  const LeafCell* cell = leaf_cell(index);
  return cell == nullptr ? 0 : leaf_cell_bytes(cell->value_bytes);
}

Result<Node> load_node(Space& space, uint64_t offset, uint32_t level) {
  if (offset % kNodePageBytes != 0 || offset == 0) {
    return damaged_node(offset, "node reference is not a page");
  }
  Result<const std::byte*> page = space.read(offset, kNodePageBytes);
  if (!page) return seen_from_tree(page.error(), offset);
  const Node node{offset, *page};
  const NodeHeader& header = node.header();
  if (header.magic != format::kNodeMagic) return damaged_node(offset, "not a tree node");
  if (header.level != level) return damaged_node(offset, "tree node has the wrong level");
  if (header.cells_begin > kNodePageBytes || node.slots_end() > header.cells_begin ||
      header.fragmented_bytes > kNodePageBytes - header.cells_begin) {
    return damaged_node(offset, "tree node header contradicts itself");
  }
  if (level > 0 && header.count == 0) return damaged_node(offset, "inner tree node without cells");
  return node;
}

Result<Node> NodeEditor::init(uint64_t offset, uint32_t level) {
  RVM_ASSIGN(std::byte * bytes, space_.modify(tx_, offset, sizeof(NodeHeader)));
  NodeHeader header{};
  header.magic = format::kNodeMagic;
  header.level = static_cast<uint16_t>(level);
  header.cells_begin = kNodePageBytes;
  std::memcpy(bytes, &header, sizeof(header));
  return Node{offset, bytes};
}

Result<void> NodeEditor::set_header(const Node& node, uint32_t count, uint32_t cells_begin,
                                    uint32_t fragmented_bytes) {
  constexpr size_t kFirst = offsetof(NodeHeader, count);
  static_assert(offsetof(NodeHeader, fragmented_bytes) + 2 - kFirst == 6);
  RVM_ASSIGN(std::byte * bytes, space_.modify(tx_, node.offset + kFirst, 6));
  const uint16_t fields[3] = {static_cast<uint16_t>(count), static_cast<uint16_t>(cells_begin),
                              static_cast<uint16_t>(fragmented_bytes)};
  std::memcpy(bytes, fields, sizeof(fields));
  return {};
}

Result<void> NodeEditor::insert(const Node& node, uint32_t index, std::span<const std::byte> cell) {
  const auto size = static_cast<uint32_t>(cell.size());
  if (node.gap_bytes() < size + kSlotBytes) RVM_TRY(compact(node));
  const uint32_t count = node.count();
  if (node.gap_bytes() < size + kSlotBytes || index > count) {
    return damaged_node(node.offset, "tree node has less room or fewer cells than it counts");
  }
  const uint32_t at = node.header().cells_begin - size;
  RVM_ASSIGN(std::byte * target, space_.modify(tx_, node.offset + at, size));
  std::memcpy(target, cell.data(), size);
  const uint32_t slot_at = static_cast<uint32_t>(sizeof(NodeHeader)) + index * kSlotBytes;
  const uint32_t moved = (count - index) * kSlotBytes;
  RVM_ASSIGN(std::byte * slots, space_.modify(tx_, node.offset + slot_at, moved + kSlotBytes));
  std::memmove(slots + kSlotBytes, slots, moved);
  const auto slot = static_cast<uint16_t>(at);
  std::memcpy(slots, &slot, sizeof(slot));
  return set_header(node, count + 1, at, node.header().fragmented_bytes);
}

Result<void> NodeEditor::remove(const Node& node, uint32_t index) {
  const uint32_t size = node.cell_bytes(index);
  if (size == 0) return damaged_node(node.offset, "tree cell outside its node");
  const uint32_t count = node.count();
  uint32_t cells_begin = node.header().cells_begin;
  uint32_t fragmented = node.header().fragmented_bytes;
  if (count == 1) {  // the page is empty: start afresh
    cells_begin = kNodePageBytes;
    fragmented = 0;
  } else if (node.slots()[index] == cells_begin) {
    cells_begin += size;
  } else {
    fragmented += size;
  }
  if (fragmented > kNodePageBytes - cells_begin) {
    return damaged_node(node.offset, "tree cells overlap");
  }
  const uint32_t moved = (count - index - 1) * kSlotBytes;
  if (moved > 0) {
    const uint32_t slot_at = static_cast<uint32_t>(sizeof(NodeHeader)) + index * kSlotBytes;
    RVM_ASSIGN(std::byte * slots, space_.modify(tx_, node.offset + slot_at, moved));
    std::memmove(slots, slots + kSlotBytes, moved);
  }
  return set_header(node, count - 1, cells_begin, fragmented);
}

// Moves the cells to the end of the page, in key order from the end downward.
Result<void> NodeEditor::compact(const Node& node) {
  const uint32_t count = node.count();
  alignas(8) std::byte page[kNodePageBytes];
  uint16_t slots[kNodePageBytes / kSlotBytes];
  uint32_t begin = kNodePageBytes;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t size = node.cell_bytes(i);
    if (size == 0) return damaged_node(node.offset, "tree cell outside its node");
    if (size > begin - node.slots_end()) return damaged_node(node.offset, "tree cells overlap");
    begin -= size;
    std::memcpy(page + begin, node.bytes + node.slots()[i], size);
    slots[i] = static_cast<uint16_t>(begin);
  }
  const uint32_t first = std::min<uint32_t>(begin, node.header().cells_begin);
  RVM_ASSIGN(std::byte * cells, space_.modify(tx_, node.offset + first, kNodePageBytes - first));
  std::memset(cells, 0, begin - first);
  std::memcpy(cells + (begin - first), page + begin, kNodePageBytes - begin);
  RVM_ASSIGN(std::byte * target,
             space_.modify(tx_, node.offset + sizeof(NodeHeader), count * kSlotBytes));
  std::memcpy(target, slots, count * kSlotBytes);
  return set_header(node, count, begin, 0);
}

Result<void> NodeEditor::copy(const Node& from, uint32_t first, uint32_t end, const Node& to,
                              uint32_t index) {
  uint32_t need = (end - first) * kSlotBytes;
  for (uint32_t i = first; i < end; ++i) {
    const uint32_t size = from.cell_bytes(i);
    if (size == 0) return damaged_node(from.offset, "tree cell outside its node");
    need += size;
  }
  if (need > to.gap_bytes() && need <= to.free_bytes()) RVM_TRY(compact(to));
  if (need > to.gap_bytes()) return damaged_node(from.offset, "tree cells do not fit their node");

  const uint32_t count = to.count();
  const uint32_t added = end - first;
  const uint32_t cells_end = to.header().cells_begin;
  const uint32_t cell_bytes = need - added * kSlotBytes;
  RVM_ASSIGN(std::byte * cells, space_.modify(tx_, to.offset + cells_end - cell_bytes, cell_bytes));
  const uint32_t slot_at = static_cast<uint32_t>(sizeof(NodeHeader)) + index * kSlotBytes;
  const uint32_t moved = (count - index) * kSlotBytes;
  RVM_ASSIGN(std::byte * slots,
             space_.modify(tx_, to.offset + slot_at, moved + added * kSlotBytes));
  std::memmove(slots + added * kSlotBytes, slots, moved);
  uint32_t at = cells_end;
  std::byte* target = cells + cell_bytes;
  for (uint32_t i = first; i < end; ++i) {
    const uint32_t size = from.cell_bytes(i);
    at -= size;
    target -= size;
    std::memcpy(target, from.bytes + from.slots()[i], size);
    const auto slot = static_cast<uint16_t>(at);
    std::memcpy(slots + (i - first) * kSlotBytes, &slot, sizeof(slot));
  }
  return set_header(to, count + added, at, to.header().fragmented_bytes);
}

Result<void> NodeEditor::truncate(const Node& node, uint32_t count) {
  uint32_t begin = kNodePageBytes;
  uint32_t used = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t size = node.cell_bytes(i);
    if (size == 0) return damaged_node(node.offset, "tree cell outside its node");
    begin = std::min<uint32_t>(begin, node.slots()[i]);
    used += size;
  }
  if (used > kNodePageBytes - begin) return damaged_node(node.offset, "tree cells overlap");
  return set_header(node, count, begin, kNodePageBytes - begin - used);
}

Result<void> NodeEditor::replace_value(const Node& node, uint32_t index,
                                       std::span<const std::byte> value) {
  const LeafCell* cell = node.leaf_cell(index);
  if (cell == nullptr) return damaged_node(node.offset, "tree cell outside its node");
  const uint32_t old_size = leaf_cell_bytes(cell->value_bytes);
  const CellImage image({cell->key_high, cell->key_low}, value);
  // Declare from the first byte that differs to the last: rewriting what is there costs nothing.
  const auto* old_bytes = reinterpret_cast<const std::byte*>(cell);
  uint32_t first = 0;
  uint32_t end = image.size;
  while (first < end && old_bytes[first] == image.bytes[first]) ++first;
  while (end > first && old_bytes[end - 1] == image.bytes[end - 1]) --end;
  if (first < end) {
    const uint32_t at = node.slots()[index] + first;
    RVM_ASSIGN(std::byte * target, space_.modify(tx_, node.offset + at, end - first));
    std::memcpy(target, image.bytes + first, end - first);
  }
  if (image.size == old_size) return {};
  const uint32_t fragmented = node.header().fragmented_bytes + old_size - image.size;
  if (fragmented > kNodePageBytes - node.header().cells_begin) {
    return damaged_node(node.offset, "tree cells overlap");
  }
  return set_header(node, node.count(), node.header().cells_begin, fragmented);
}

Result<void> NodeEditor::set_key(const Node& node, uint32_t index, Key key) {
  const uint32_t at = node.cell_at(index);
  if (at == 0) return damaged_node(node.offset, "tree cell outside its node");
  RVM_ASSIGN(std::byte * target, space_.modify(tx_, node.offset + at, sizeof(key)));
  std::memcpy(target, &key, sizeof(key));
  return {};
}

Result<void> NodeEditor::set_child(const Node& node, uint32_t index, uint64_t child) {
  const uint32_t at = node.cell_at(index);
  if (at == 0) return damaged_node(node.offset, "tree cell outside its node");
  RVM_ASSIGN(std::byte * target,
             space_.modify(tx_, node.offset + at + offsetof(InnerCell, child), sizeof(child)));
  std::memcpy(target, &child, sizeof(child));
  return {};
}

}  // namespace rvm
