// SPDX-License-Identifier: BSD-2-Clause
//
// Contents of small files in the metadata (fs/inlined_data.h).
#include "fs/inlined_data.h"

#include <array>
#include <cstring>
#include <vector>

#include "fs/file_data.h"
#include "fs/inode.h"
#include "seeded_bug.h"

namespace rvmfs {

namespace {

using format::InodeItem;
using format::ItemType;
using format::kInlineFileBytesMax;

struct Content {
  std::array<std::byte, kInlineFileBytesMax> bytes{};
  uint32_t size = 0;
};

Result<Content> copy_content(VolumeCore& core, Inode inode) {
  RVM_ASSIGN(const InodeItem* item, core.inode(inode));
  if (!is_inlined(*item)) return fs_error(FsErrc::damaged, "file is not inlined", inode);
  RVM_ASSIGN(const std::span<const std::byte> bytes, read_inlined(core, inode, *item));
  Content content;
  content.size = static_cast<uint32_t>(bytes.size());
  if (!bytes.empty()) std::memcpy(content.bytes.data(), bytes.data(), bytes.size());
  return content;
}

Result<void> set_size(Operation& op, VolumeCore& core, Inode inode, uint64_t size) {
  constexpr uint32_t kAt = offsetof(InodeItem, size);
  RVM_ASSIGN(InodeItem * item, modify_inode_part(op, core, inode, kAt, kAt + sizeof(uint64_t)));
  item->size = size;
  return {};
}

}  // namespace

Result<std::span<const std::byte>> read_inlined(VolumeCore& core, Inode inode,
                                                const InodeItem& item) {
  if (item.size == 0) return std::span<const std::byte>();
  auto found = core.tree->find(item_key(inode, ItemType::inlined));
  if (!found && !(found.error() == rvm::Errc::not_found)) return found.error();
  if (!found || found->size() != item.size || item.size > kInlineFileBytesMax) {
    return fs_error(FsErrc::damaged, "inlined content is not as long as the file", inode);
  }
  return *found;
}

Result<void> write_inlined(Operation& op, VolumeCore& core, Inode inode, uint64_t offset,
                           std::span<const std::byte> data) {
  if (data.empty()) return {};
  if (offset + data.size() > kInlineFileBytesMax) {
    return fs_error(FsErrc::damaged, "too much to be inlined", inode);
  }
  const auto at = static_cast<uint32_t>(offset);
  const auto length = static_cast<uint32_t>(data.size());
  RVM_ASSIGN(Content content, copy_content(core, inode));
  if (at + length <= content.size) {
    RVM_ASSIGN(const std::span<std::byte> place,
               core.tree->modify(op.tx, item_key(inode, ItemType::inlined), at, length));
    std::memcpy(place.data(), data.data(), length);
    return {};
  }
  std::memcpy(content.bytes.data() + at, data.data(), length);
  RVM_TRY(core.tree->put(op.tx, item_key(inode, ItemType::inlined),
                         std::span(content.bytes).first(at + length)));
  return set_size(op, core, inode, at + length);
}

Result<void> resize_inlined(Operation& op, VolumeCore& core, Inode inode, uint64_t size) {
  if (size > kInlineFileBytesMax) return fs_error(FsErrc::damaged, "too big to be inlined", inode);
  RVM_ASSIGN(const Content content, copy_content(core, inode));
  if (size == content.size) return {};
  const rvm::Key key = item_key(inode, ItemType::inlined);
  if (size == 0) {
    RVM_TRY(core.tree->erase(op.tx, key));
  } else {
    RVM_TRY(core.tree->put(op.tx, key, std::span(content.bytes).first(size)));
  }
  return set_size(op, core, inode, size);
}

Result<bool> free_inlined(Operation& op, VolumeCore& core, Inode inode, uint64_t size,
                          uint32_t items_max) {
  if (size > format::kRestMask) return true;
  const rvm::Key last = item_key(inode, ItemType::inlined, format::kRestMask);
  RVM_ASSIGN(const uint32_t erased,
             erase_items(op, core, item_key(inode, ItemType::inlined, size), last, items_max));
  if (erased >= items_max) return false;
  if (size == 0) return true;
  // A piece that begins before `size` and reaches behind it is cut.
  const rvm::Key first = item_key(inode, ItemType::inlined);
  RVM_ASSIGN(const auto piece, core.tree->last_at_or_before(last, first));
  if (!piece) return true;
  const uint64_t length = size - item_rest(piece->key);
  if (piece->value.size() <= length) return true;
  const rvm::Key key = piece->key;
  const std::vector<std::byte> kept(piece->value.begin(), piece->value.begin() + length);
  RVM_TRY(core.tree->put(op.tx, key, kept));
  return true;
}

Result<void> convert_inlined(VolumeCore& core, Inode inode) {
  RVM_ASSIGN(const Content content,
             core.run_read<Content>([&] { return copy_content(core, inode); }));
  FreshBlocks fresh(core);
  if (content.size > 0) {
    RVM_TRY(fresh.cover({0, 1, 0, false}, 0));
    const Extent& block = fresh.extents().front();
    RVM_TRY(write_blocks(core, block, 0, std::span(content.bytes).first(content.size)));
  }
  RVM_TRY(core.run_write<void>([&](Operation& op) -> Result<void> {
    ExtentMap map(core, inode);
    RVM_ASSIGN(const FreshBlocks::Committed done, fresh.commit(op, map, 0, false, UINT32_MAX));
    if (content.size > 0) RVM_TRY(core.tree->erase(op.tx, item_key(inode, ItemType::inlined)));
    RVM_ASSIGN(InodeItem * item, core.modify_inode(op, inode));
    item->layout = static_cast<uint8_t>(format::Layout::extents);
    item->blocks += done.blocks;
    if (!RVM_SEEDED_BUG("convert_not_ordered")) op.tx.order_after_device_writes();
    return {};
  }));
  fresh.keep(fresh.extents().size());
  return {};
}

}  // namespace rvmfs
