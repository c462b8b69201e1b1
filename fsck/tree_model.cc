// SPDX-License-Identifier: BSD-2-Clause
//
// See tree_model.h. Lengths come from the disk and are checked here again: the model may be built
// of a volume that no check has passed.
#include "fsck/tree_model.h"

#include <sys/stat.h>

#include <algorithm>

#include "fsck/check.h"
#include "fsck/hash.h"

namespace rvmfs::fsck {
namespace {

using format::ItemType;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class ModelBuilder {
 public:
  void item(Key key, std::span<const std::byte> value) {
    if (key.high == format::kOrphanHigh || !good_) return;
    good_ = understand(key, value);
    if (!good_) bad_inode_ = key.high;
  }

  rvm::Result<TreeModel> finish() {
    if (good_) return std::move(model_);
    return rvm::Error{rvm::Errc::damaged_structure, 0, bad_inode_, "an inode cannot be understood"};
  }

 private:
  bool understand(Key key, std::span<const std::byte> value) {
    ModelInode& inode = model_[key.high];
    const uint64_t rest = key.low & format::kRestMask;
    switch (static_cast<ItemType>(key.low >> format::kTypeShift)) {
      case ItemType::inode:
        if (value.size() != sizeof(inode.item)) return false;
        inode.item = load<format::InodeItem>(value);
        return true;
      case ItemType::inlined: inode.inlined += text_of(value); return true;
      case ItemType::xattr: return xattr(inode, rest, value);
      case ItemType::entry: return entry(inode, value);
      case ItemType::extent:
        if (value.size() != sizeof(format::ExtentItem)) return false;
        inode.extents.push_back({rest, load<format::ExtentItem>(value)});
        return true;
      default: return false;
    }
  }

  bool entry(ModelInode& inode, std::span<const std::byte> value) const {
    if (value.size() < sizeof(format::DirectoryEntry)) return false;
    const auto item = load<format::DirectoryEntry>(value);
    const std::string name = text_of(value.subspan(sizeof(item)));
    if (name.size() != item.name_bytes) return false;
    inode.entries.emplace_back(name, item.inode);
    return true;
  }

  // Pieces follow each other; piece 0 names the attribute that the others go on with.
  bool xattr(ModelInode& inode, uint64_t rest, std::span<const std::byte> value) {
    if ((rest & 0xff) != 0) {
      const auto known = inode.xattrs.find(attribute_);
      if (known == inode.xattrs.end()) return false;
      known->second += text_of(value);
      return true;
    }
    if (value.size() < sizeof(format::XattrHeader)) return false;
    const auto header = load<format::XattrHeader>(value);
    const auto behind = value.subspan(sizeof(header));
    if (header.name_bytes > behind.size()) return false;
    attribute_ = text_of(behind.first(header.name_bytes));
    inode.xattrs[attribute_] = text_of(behind.subspan(header.name_bytes));
    return true;
  }

  TreeModel model_;
  std::string attribute_;
  bool good_ = true;
  uint64_t bad_inode_ = 0;
};

// Feeds a file's bytes in order to a hash.
class ContentReader {
 public:
  ContentReader(const CheckState& state, bool sparse) : state_(state), sparse_(sparse) {
    XXH3_INITSTATE(&hash_);
    XXH3_64bits_reset(&hash_);
  }

  rvm::Result<void> read(const ModelInode& inode) {
    const uint64_t size = inode.item.size;
    for (const ModelInode::Extent& extent : inode.extents) {
      if (extent.file_block < end_ || extent.file_block > format::kFileBytesMax / kPage ||
          extent.item.count == 0 || extent.item.count > format::kExtentBlocksMax) {
        return rvm::Error{rvm::Errc::damaged_structure, 0, extent.file_block, "an extent is bad"};
      }
      if ((extent.item.flags & format::kExtentUnwritten) != 0) continue;
      zeros(std::min(extent.file_block * kPage, size));
      for (uint64_t i = 0; i < extent.item.count; ++i) {
        const uint64_t at = (extent.file_block + i) * kPage;
        if (at >= size) break;
        RVM_TRY(block(at, std::min(kPage, size - at), extent.item.block + i));
      }
      end_ = extent.file_block + extent.item.count;
    }
    zeros(size);
    return {};
  }

  std::string text() const {
    return fmt::format("{}{:016x}", sparse_ ? "sparse:" : "", XXH3_64bits_digest(&hash_));
  }

 private:
  // Zeros up to file offset `until`.
  void zeros(uint64_t until) {
    static constexpr std::byte kZeros[1 << 16] = {};
    while (!sparse_ && done_ < until) {
      const uint64_t count = std::min<uint64_t>(sizeof(kZeros), until - done_);
      XXH3_64bits_update(&hash_, kZeros, count);
      done_ += count;
    }
  }

  rvm::Result<void> block(uint64_t at, uint64_t length, uint64_t block) {
    std::byte bytes[kPage];
    const auto part = std::span(bytes).first(length);
    if (block > format::kVolumeBytesMax / kPage) {
      return rvm::Error{rvm::Errc::damaged_structure, 0, block, "an extent is bad"};
    }
    RVM_TRY(state_.image.read(block * kPage, part));
    if (sparse_) {
      if (all_zero(part)) return {};
      const uint64_t number = at / kPage;
      XXH3_64bits_update(&hash_, &number, sizeof(number));
    }
    XXH3_64bits_update(&hash_, part.data(), part.size());
    done_ = at + length;
    return {};
  }

  const CheckState& state_;
  const bool sparse_;
  XXH3_state_t hash_;
  uint64_t done_ = 0, end_ = 0;
};

}  // namespace

rvm::Result<TreeModel> read_model(CheckState& state) {
  const rvm::Error damaged{rvm::Errc::damaged_structure, 0, 0,
                           "the volume is damaged; run fsck.rvmfs"};
  if (!open_volume(state)) return damaged;
  ModelBuilder builder;
  TreeWalk walk(*state.space, state.report,
                [&](Key key, std::span<const std::byte> value) { builder.item(key, value); });
  if (!walk.run(state.root.tree)) return damaged;
  return builder.finish();
}

rvm::Result<std::string> content_hash(const CheckState& state, const ModelInode& inode) {
  if (inode.item.layout == static_cast<uint8_t>(format::Layout::inlined)) {
    return fmt::format("{:016x}", XXH3_64bits(inode.inlined.data(), inode.inlined.size()));
  }
  ContentReader reader(state, inode.item.size > kPlainHashBytesMax);
  RVM_TRY(reader.read(inode));
  return reader.text();
}

}  // namespace rvmfs::fsck
