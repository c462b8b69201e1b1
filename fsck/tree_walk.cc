// SPDX-License-Identifier: BSD-2-Clause
//
// See tree_walk.h.
#include "fsck/tree_walk.h"

#include "fsck/hash.h"

namespace rvmfs::fsck {

using namespace rvm::format;

namespace {

std::string range_text(const Key& lower, const std::optional<Key>& upper) {
  if (!upper) return fmt::format("inodes from {} on", lower.high);
  return fmt::format("inodes {} to {}", lower.high, upper->high);
}

uint32_t slot_of(const PageBytes& page, uint32_t index) {
  return load<uint16_t>(page.view(), sizeof(NodeHeader) + 2 * size_t{index});
}

}  // namespace

bool TreeWalk::run(const TreeRoot& root) {
  if (root.root == 0 || root.height == 0 || root.height > kTreeHeightMax) {
    report_.add(FindingId::tree_reference_bad, "the root: space offset {}, height {}", root.root,
                root.height);
    return false;
  }
  return visit(root.root, root.height - 1, {}, true);
}

bool TreeWalk::visit(uint64_t offset, uint32_t level, const Bounds& bounds, bool is_root) {
  if (!space_.claim(offset, "a tree node")) return false;
  auto page = std::make_unique<PageBytes>();
  if (!space_.read(offset, "a tree node", *page)) {
    report_.add(FindingId::tree_reference_bad, "{} cannot be read",
                range_text(bounds.lower, bounds.upper));
    return false;
  }
  ++nodes_;
  if (on_node) on_node();
  if (!check_node(*page, offset, level, is_root) || !check_order(*page, offset, level, bounds)) {
    return false;
  }
  if (level != 0) return visit_children(*page, level, bounds);
  const uint32_t count = load<NodeHeader>(page->view()).count;
  for (uint32_t i = 0; i < count; ++i) {
    Cell cell;
    if (read_cell(*page, slot_of(*page, i), level, cell)) sink_(cell.key, cell.value);
  }
  return true;
}

// The shape of a node: header, slots within the page, cells that do not overlap.
bool TreeWalk::check_node(const PageBytes& page, uint64_t offset, uint32_t level, bool is_root) {
  const auto header = load<NodeHeader>(page.view());
  const auto bad = [&](const char* what) {
    report_.add(FindingId::tree_node_bad, "space offset {}: {}", offset, what);
    return false;
  };
  if (header.magic != kNodeMagic) return bad("magic");
  if (header.level != level) return bad("level");
  const uint32_t slots_end = static_cast<uint32_t>(sizeof(NodeHeader)) + 2u * header.count;
  if (header.cells_begin > kNodeBytes || slots_end > header.cells_begin) return bad("cell area");
  if (header.count == 0 && !(is_root && level == 0)) return bad("no cells");
  if (is_root && level != 0 && header.count < 2) return bad("an inner root with one child");
  std::bitset<kNodeBytes / 8> taken;
  uint32_t bytes = 0;
  for (uint32_t i = 0; i < header.count; ++i) {
    const uint32_t slot = slot_of(page, i);
    Cell cell;
    if (slot < header.cells_begin || !read_cell(page, slot, level, cell)) return bad("a cell");
    const uint32_t size =
        level != 0 ? static_cast<uint32_t>(sizeof(InnerCell))
                   : static_cast<uint32_t>((sizeof(LeafCell) + cell.value.size() + 7) / 8 * 8);
    for (uint32_t unit = slot / 8; unit < (slot + size) / 8; ++unit) {
      if (taken.test(unit)) return bad("overlapping cells");
      taken.set(unit);
    }
    bytes += size;
  }
  if (bytes + header.fragmented_bytes != uint32_t{kNodeBytes} - header.cells_begin) {
    return bad("count of free bytes");
  }
  return true;
}

bool TreeWalk::read_cell(const PageBytes& page, uint32_t slot, uint32_t level, Cell& cell) const {
  static_assert(sizeof(InnerCell) == sizeof(LeafCell));
  if (slot % 8 != 0 || slot > kNodeBytes - sizeof(LeafCell)) return false;
  if (level != 0) {
    const auto inner = load<InnerCell>(page.view(), slot);
    cell.key = {inner.key_high, inner.key_low};
    cell.child = inner.child;
    return true;
  }
  const auto leaf = load<LeafCell>(page.view(), slot);
  const size_t padded = (size_t{leaf.value_bytes} + 7) / 8 * 8;
  if (leaf.value_bytes > kTreeValueBytesMax || padded > kNodeBytes - sizeof(LeafCell) - slot) {
    return false;
  }
  cell.key = {leaf.key_high, leaf.key_low};
  cell.value = page.view().subspan(slot + sizeof(LeafCell), leaf.value_bytes);
  return true;
}

bool TreeWalk::check_order(const PageBytes& page, uint64_t offset, uint32_t level,
                           const Bounds& bounds) {
  const uint32_t count = load<NodeHeader>(page.view()).count;
  Key previous{};
  for (uint32_t i = 0; i < count; ++i) {
    Cell cell;
    if (!read_cell(page, slot_of(page, i), level, cell)) return false;
    // The first cell of an inner node has the key that its parent has for it.
    const bool first_good = level != 0 ? cell.key == bounds.lower : cell.key >= bounds.lower;
    const bool good =
        (i == 0 ? first_good : previous < cell.key) && (!bounds.upper || cell.key < *bounds.upper);
    if (!good) {
      report_.add(FindingId::tree_order, "space offset {}, level {}, cell {} ({})", offset, level,
                  i, range_text(bounds.lower, bounds.upper));
      return false;
    }
    previous = cell.key;
  }
  return true;
}

bool TreeWalk::visit_children(const PageBytes& page, uint32_t level, const Bounds& bounds) {
  const uint32_t count = load<NodeHeader>(page.view()).count;
  bool whole = true;
  for (uint32_t i = 0; i < count; ++i) {
    Cell cell, next;
    if (!read_cell(page, slot_of(page, i), level, cell)) return false;
    Bounds below{cell.key, bounds.upper};
    if (i + 1 < count) {
      if (!read_cell(page, slot_of(page, i + 1), level, next)) return false;
      below.upper = next.key;
    }
    if (!visit(cell.child, level - 1, below, false)) whole = false;
  }
  return whole;
}

}  // namespace rvmfs::fsck
