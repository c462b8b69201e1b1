// SPDX-License-Identifier: BSD-2-Clause
//
// Inodes, orphans, inline data and extents (see item_check.h). Entries and xattrs: item_names.cc.
#include "fsck/item_check.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>

#include "fsck/hash.h"

namespace rvmfs::fsck {

using format::ExtentItem;
using format::InodeItem;
using format::ItemType;
using format::Layout;

namespace {

// 0 for what is none of the seven types of files.
bool is_known_type(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK: return true;
    default: return false;
  }
}

}  // namespace

uint8_t file_type_of(uint32_t mode) {
  return is_known_type(mode) ? static_cast<uint8_t>((mode & S_IFMT) >> 12) : uint8_t{DT_UNKNOWN};
}

void ItemCheck::bad_item(const char* what) {
  state_.report.add(FindingId::item_bad, "inode {}: {}", current_.number, what);
}

void ItemCheck::item(Key key, std::span<const std::byte> value) {
  if (key.high == format::kOrphanHigh) return orphan(key, value);
  if (key.high != current_.number) {
    end_inode();
    begin_inode(key.high);
  }
  const uint64_t rest = key.low & format::kRestMask;
  const auto type = static_cast<ItemType>(key.low >> format::kTypeShift);
  if (type == ItemType::inode) return inode(key, value);
  if (!current_.exists) return;  // told once, in begin_inode's successor
  if (type != ItemType::xattr) end_xattr();
  switch (type) {
    case ItemType::inlined: return inlined(rest, value);
    case ItemType::xattr: return xattr(key, value);
    case ItemType::entry: return entry(key, value);
    case ItemType::extent: return extent(rest, value);
    default:
      state_.report.add(FindingId::item_unknown, "inode {}, type {:#x}", key.high,
                        static_cast<unsigned>(type));
  }
}

void ItemCheck::begin_inode(uint64_t number) {
  current_ = {};
  current_.number = number;
  attribute_ = {};
  entry_hash_ = xattr_hash_ = UINT64_MAX;
}

void ItemCheck::orphan(Key key, std::span<const std::byte> value) {
  const uint64_t number = key.low & format::kRestMask;
  const auto type = static_cast<ItemType>(key.low >> format::kTypeShift);
  if (type != ItemType::orphan) {
    state_.report.add(FindingId::item_unknown, "in the place of the orphans, type {:#x}",
                      static_cast<unsigned>(type));
    return;
  }
  if (value.size() != sizeof(format::OrphanItem)) {
    state_.report.add(FindingId::item_bad, "orphan {}", number);
    return;
  }
  const auto item = load<format::OrphanItem>(value);
  if (item.flags == 0 || (item.flags & ~(format::kOrphanUnlinked | format::kOrphanTruncate)) != 0) {
    state_.report.add(FindingId::item_bad, "orphan {}: flags {:#x}", number, item.flags);
    return;
  }
  state_.orphans.push_back({number, item.flags});
}

// What is impossible about an inode item; nullptr if nothing.
const char* ItemCheck::inode_fault(const InodeItem& item) const {
  constexpr uint32_t kNanoseconds = 1'000'000'000;
  if (!is_known_type(item.mode) || item.mode > 0xffff) return "mode";
  if (item.atime_nanoseconds >= kNanoseconds || item.mtime_nanoseconds >= kNanoseconds ||
      item.ctime_nanoseconds >= kNanoseconds || item.btime_nanoseconds >= kNanoseconds) {
    return "nanoseconds";
  }
  if (item.layout > static_cast<uint8_t>(Layout::inlined)) return "layout";
  if (item.nlink > format::kLinkMax) return "link count";
  const bool is_directory = S_ISDIR(item.mode);
  if (!is_directory && item.parent != 0) return "a parent in something that is no directory";
  if (current_.number == format::kRootInode && !is_directory) return "the root is no directory";
  if (S_ISREG(item.mode) && item.size > format::kFileBytesMax) return "size";
  if (S_ISREG(item.mode) && item.layout == static_cast<uint8_t>(Layout::inlined) &&
      item.size > format::kInlineFileBytesMax) {
    return "size of inline data";
  }
  if (S_ISLNK(item.mode) && (item.size == 0 || item.size > format::kSymlinkBytesMax)) {
    return "length of a symbolic link";
  }
  if (!S_ISREG(item.mode) && item.blocks != 0) return "blocks in something that is no file";
  return nullptr;
}

// Orphans come first in the tree, in the order of their numbers.
bool ItemCheck::is_orphan(uint64_t inode) const {
  return std::binary_search(
      state_.orphans.begin(), state_.orphans.end(), OrphanRecord{inode, 0},
      [](const OrphanRecord& a, const OrphanRecord& b) { return a.inode < b.inode; });
}

void ItemCheck::inode(Key key, std::span<const std::byte> value) {
  if ((key.low & format::kRestMask) != 0 || value.size() != sizeof(InodeItem)) {
    return bad_item("inode item");
  }
  current_.exists = true;
  current_.item = load<InodeItem>(value);
  if (key.high > format::kInodeMax) {
    state_.report.add(FindingId::inode_bad, "inode {}: number", key.high);
  }
  const char* fault = inode_fault(current_.item);
  if (fault != nullptr) {
    state_.report.add(FindingId::inode_bad, "inode {}: {}", key.high, fault);
  }
  current_.counted = fault == nullptr;
  current_.going = is_orphan(key.high);
  InodeRecord record;
  record.inode = key.high;
  record.parent = current_.item.parent;
  record.nlink = current_.item.nlink;
  record.type = file_type_of(current_.item.mode);
  state_.inodes.push_back(record);
}

void ItemCheck::inlined(uint64_t rest, std::span<const std::byte> value) {
  const bool inline_layout =
      current_.item.layout == static_cast<uint8_t>(Layout::inlined) || S_ISLNK(current_.item.mode);
  if (!inline_layout || S_ISDIR(current_.item.mode)) return bad_item("inline data out of place");
  if (value.empty() || value.size() > format::kInlinePieceBytes || rest != current_.inline_end ||
      rest + value.size() > current_.item.size) {
    current_.inline_whole = false;
    return;
  }
  current_.inline_end = rest + value.size();
}

void ItemCheck::extent(uint64_t rest, std::span<const std::byte> value) {
  const auto bad = [&](const char* what) {
    state_.report.add(FindingId::extent_bad, "inode {}, file block {}: {}", current_.number, rest,
                      what);
  };
  if (value.size() != sizeof(ExtentItem)) return bad("shape");
  if (!S_ISREG(current_.item.mode) ||
      current_.item.layout != static_cast<uint8_t>(Layout::extents)) {
    return bad("in something that has no extents");
  }
  const auto item = load<ExtentItem>(value);
  const uint64_t total = state_.root.blocks_total;
  if (item.count == 0 || item.count > format::kExtentBlocksMax || item.block > total ||
      item.count > total - item.block || (item.flags & ~format::kExtentUnwritten) != 0) {
    return bad("outside the volume");
  }
  if (rest > format::kFileBytesMax / format::kBlockBytes) return bad("beyond the largest file");
  if (rest < current_.extent_end) return bad("overlaps the extent before it");
  current_.extent_end = rest + item.count;
  current_.extent_blocks += item.count;
  auto& blocks = state_.blocks;
  if (!blocks.empty() && blocks.back().owner == current_.number &&
      blocks.back().block + blocks.back().count == item.block &&
      blocks.back().count <= UINT32_MAX - item.count) {
    blocks.back().count += item.count;
  } else {
    blocks.push_back({item.block, current_.number, item.count});
  }
}

void ItemCheck::end_inode() {
  end_xattr();
  if (current_.number == 0) return;
  if (!current_.exists) {
    state_.report.add(FindingId::item_without_inode, "inode {}", current_.number);
    state_.repairs.erase_inodes.push_back(current_.number);
    return;
  }
  if (!current_.counted) return;
  const InodeItem& item = current_.item;
  if (S_ISDIR(item.mode)) {
    if (item.size != current_.entries) {
      state_.report.add(FindingId::directory_size, "inode {} says {}, has {}", current_.number,
                        item.size, current_.entries);
      state_.repairs.directory_sizes.emplace_back(current_.number, current_.entries);
    }
    return;
  }
  const bool inline_layout = item.layout == static_cast<uint8_t>(Layout::inlined);
  if (!current_.going && (inline_layout || S_ISLNK(item.mode)) &&
      (!current_.inline_whole || current_.inline_end != item.size)) {
    state_.report.add(FindingId::inline_bad, "inode {}: {} bytes of {}", current_.number,
                      current_.inline_end, item.size);
  }
  if (item.blocks != current_.extent_blocks) {
    state_.report.add(FindingId::inode_blocks, "inode {} says {}, has {}", current_.number,
                      item.blocks, current_.extent_blocks);
    state_.repairs.block_counts.emplace_back(current_.number, current_.extent_blocks);
  }
}

void ItemCheck::finish() {
  end_inode();
  current_ = {};
}

}  // namespace rvmfs::fsck
