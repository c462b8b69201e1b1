// SPDX-License-Identifier: BSD-2-Clause
//
// Extended attributes: see fs/xattr.h. user., trusted. and security. are stored as they come. Of
// system. only access control lists are taken, which fs/acl.h interprets: anything else would be
// stored but mean nothing.
#include "fs/xattr.h"

#include <sys/xattr.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "fs/acl.h"
#include "fs/attributes.h"
#include "fs/inode.h"
#include "fs/superblock.h"
#include "seeded_bug.h"

namespace rvmfs {

namespace {

using format::InodeItem;
using format::ItemType;
using format::XattrHeader;

constexpr uint64_t kCollisions = 256;
constexpr uint64_t kPieces = 256;

struct FoundXattr {
  uint64_t rest = 0;  // of piece 0
  uint32_t value_bytes = 0;
};
struct Search {
  std::optional<FoundXattr> found;
  std::optional<uint64_t> free_rest;
};

rvm::Key piece_key(Inode inode, uint64_t rest, uint64_t piece = 0) {
  return item_key(inode, ItemType::xattr, rest + piece);
}

Error damaged(Inode inode) {
  return fs_error(FsErrc::damaged, "extended attribute is damaged", inode);
}

struct FirstPiece {
  std::string_view name;
  std::string_view value;  // its beginning
  uint32_t value_bytes = 0;
};

Result<FirstPiece> parse_first(Inode inode, std::span<const std::byte> bytes) {
  XattrHeader header;
  if (bytes.size() < sizeof(header)) return damaged(inode);
  std::memcpy(&header, bytes.data(), sizeof(header));
  const std::string_view rest(reinterpret_cast<const char*>(bytes.data()) + sizeof(header),
                              bytes.size() - sizeof(header));
  if (header.value_bytes > format::kXattrValueBytesMax || header.name_bytes == 0 ||
      rest.size() < header.name_bytes || rest.size() - header.name_bytes > header.value_bytes) {
    return damaged(inode);
  }
  const std::string_view name = rest.substr(0, header.name_bytes);
  if (name.find('\0') != name.npos) return damaged(inode);
  return FirstPiece{name, rest.substr(header.name_bytes), header.value_bytes};
}

Result<Search> search(VolumeCore& core, Inode inode, std::string_view name) {
  const uint64_t hash =
      XXH3_64bits_withSeed(name.data(), name.size(), core.super.name_hash_seed) >> 24;
  Search result;
  uint64_t collision = 0;
  while (collision < kCollisions) {
    const uint64_t rest = hash << 16 | collision << 8;
    const uint64_t last = hash << 16 | 0xffff;
    RVM_ASSIGN(const auto entry,
               core.tree->first_at_or_after(piece_key(inode, rest), piece_key(inode, last)));
    if (!entry || item_rest(entry->key) >= rest + kPieces) {
      if (!result.free_rest) result.free_rest = rest;
    }
    if (!entry) return result;
    const uint64_t at = item_rest(entry->key);
    if (at % kPieces != 0) return damaged(inode);  // a value without its beginning
    RVM_ASSIGN(const FirstPiece first, parse_first(inode, entry->value));
    if (first.name == name) {
      result.found = FoundXattr{at, first.value_bytes};
      return result;
    }
    collision = (at >> 8 & 0xff) + 1;
  }
  return result;
}

Result<FoundXattr> find(VolumeCore& core, Inode inode, std::string_view name) {
  RVM_ASSIGN(const Search result, search(core, inode, name));
  if (!result.found) return fs_error(FsErrc::no_attribute, "", inode);
  return *result.found;
}

Result<void> erase_pieces(Operation& op, VolumeCore& core, Inode inode, uint64_t rest) {
  RVM_ASSIGN(const uint32_t erased, erase_items(op, core, piece_key(inode, rest),
                                                piece_key(inode, rest, kPieces - 1), kPieces));
  (void)erased;
  return {};
}

Result<void> insert_pieces(Operation& op, VolumeCore& core, Inode inode, uint64_t rest,
                           std::string_view name, std::string_view value) {
  XattrHeader header{};
  header.value_bytes = static_cast<uint32_t>(value.size());
  header.name_bytes = static_cast<uint8_t>(name.size());
  std::string bytes(sizeof(header), '\0');
  std::memcpy(bytes.data(), &header, sizeof(header));
  bytes.append(name).append(value);
  for (uint64_t piece = 0; piece * format::kXattrPieceBytes < bytes.size(); ++piece) {
    const std::string_view part =
        std::string_view(bytes).substr(piece * format::kXattrPieceBytes, format::kXattrPieceBytes);
    RVM_TRY(core.tree->put(op.tx, piece_key(inode, rest, piece), std::as_bytes(std::span(part))));
  }
  return {};
}

Result<void> check_xattr_name(std::string_view name) {
  if (name.empty() || name.size() > format::kNameBytesMax) {
    return fs_error(FsErrc::buffer_too_small, "attribute name of impossible length");
  }
  if (name.find('\0') != name.npos) return fs_error(FsErrc::bad_argument, "NUL in a name");
  if (is_acl_name(name)) return {};
  for (const std::string_view prefix : {"user.", "trusted.", "security."}) {
    if (!name.starts_with(prefix)) continue;
    if (name.size() == prefix.size()) return fs_error(FsErrc::bad_argument, "only a prefix");
    return {};
  }
  return fs_error(FsErrc::not_supported, "no such namespace of attributes");
}

Result<void> set_xattr(Operation& op, VolumeCore& core, Inode inode, std::string_view name,
                       std::string_view value, int flags) {
  RVM_ASSIGN(const Search place, search(core, inode, name));
  if (place.found && (flags & XATTR_CREATE)) return fs_error(FsErrc::entry_exists, "", inode);
  if (!place.found && (flags & XATTR_REPLACE)) return fs_error(FsErrc::no_attribute, "", inode);
  if (!place.found && !place.free_rest) {
    return fs_error(FsErrc::volume_full, "too many attributes with the same hash", inode);
  }
  const uint64_t rest = place.found ? place.found->rest : *place.free_rest;
  // Pieces of equal number are overwritten in place; erase only if some would stay behind.
  const bool shorter = place.found && place.found->value_bytes > value.size();
  if (shorter && !RVM_SEEDED_BUG("xattr_piece_left")) {
    RVM_TRY(erase_pieces(op, core, inode, rest));
  }
  return insert_pieces(op, core, inode, rest, name, value);
}

// Before the first list: from now on operations have to look for them. Durable before the list is.
Result<void> expect_acls(VolumeCore& core) {
  std::lock_guard one_at_a_time(core.super_mutex);
  if (may_have_acls(core)) return {};
  RVM_TRY(core.check_writable());
  format::Superblock super = core.super;
  super.features_compat |= format::kCompatAcl;
  return change_superblocks(core, super);
}

}  // namespace

Result<std::string> read_xattr(VolumeCore& core, Inode inode, std::string_view name) {
  RVM_ASSIGN(const FoundXattr found, find(core, inode, name));
  std::string value;
  for (uint64_t piece = 0; piece == 0 || value.size() < found.value_bytes; ++piece) {
    if (piece == kPieces) return damaged(inode);
    auto bytes = core.tree->find(piece_key(inode, found.rest, piece));
    if (!bytes) return bytes.error() == rvm::Errc::not_found ? damaged(inode) : bytes.error();
    std::string_view part(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    if (piece == 0) {
      RVM_ASSIGN(const FirstPiece first, parse_first(inode, *bytes));
      part = first.value;
    } else if (part.empty() || part.size() > found.value_bytes - value.size()) {
      return damaged(inode);
    }
    value.append(part);
  }
  return value;
}

Result<void> put_xattr(Operation& op, VolumeCore& core, Inode inode, std::string_view name,
                       std::string_view value) {
  return set_xattr(op, core, inode, name, value, 0);
}

Result<void> check_attributes_changeable(VolumeCore& core, Inode inode) {
  RVM_ASSIGN(const InodeItem* item, core.inode(inode));
  if (item->flags & (kFlagImmutable | kFlagAppend)) {
    return fs_error(FsErrc::not_permitted, "immutable or append-only", inode);
  }
  return {};
}

Result<void> remove_xattr(Operation& op, VolumeCore& core, Inode inode, std::string_view name) {
  RVM_ASSIGN(const FoundXattr found, find(core, inode, name));
  return erase_pieces(op, core, inode, found.rest);
}

Result<std::string> Volume::getxattr(Inode inode, std::string_view name) {
  RVM_TRY(check_xattr_name(name));
  return core_->run_read<std::string>([&]() -> Result<std::string> {
    RVM_TRY(core_->inode(inode));
    return read_xattr(*core_, inode, name);
  });
}

Result<void> Volume::setxattr(Inode inode, std::string_view name, std::string_view value, int flags,
                              bool kill_sgid) {
  RVM_TRY(check_xattr_name(name));
  if (flags & ~(XATTR_CREATE | XATTR_REPLACE)) return fs_error(FsErrc::bad_argument, "flags");
  if (value.size() > format::kXattrValueBytesMax) return fs_error(FsErrc::attribute_too_big);
  if (is_acl_name(name)) RVM_TRY(expect_acls(*core_));
  return core_->run_write<void>([&](Operation& op) -> Result<void> {
    if (is_acl_name(name)) return set_acl(op, *core_, inode, name, value, kill_sgid);
    RVM_TRY(check_attributes_changeable(*core_, inode));
    RVM_TRY(set_xattr(op, *core_, inode, name, value, flags));
    return core_->touch(op, inode, false, true, false);
  });
}

Result<void> Volume::removexattr(Inode inode, std::string_view name) {
  RVM_TRY(check_xattr_name(name));
  return core_->run_write<void>([&](Operation& op) -> Result<void> {
    if (is_acl_name(name)) return set_acl(op, *core_, inode, name, {}, false);
    RVM_TRY(check_attributes_changeable(*core_, inode));
    RVM_TRY(remove_xattr(op, *core_, inode, name));
    return core_->touch(op, inode, false, true, false);
  });
}

Result<std::string> Volume::listxattr(Inode inode) {
  return core_->run_read<std::string>([&]() -> Result<std::string> {
    RVM_TRY(core_->inode(inode));
    std::string names;
    rvm::Tree::Cursor cursor(*core_->tree);
    RVM_TRY(cursor.seek(item_key(inode, ItemType::xattr)));
    const rvm::Key last = item_key(inode, ItemType::xattr, format::kRestMask);
    while (cursor.valid() && cursor.key() <= last) {
      if (item_rest(cursor.key()) % kPieces == 0) {
        RVM_ASSIGN(const FirstPiece first, parse_first(inode, cursor.value()));
        names.append(first.name).push_back('\0');
      }
      RVM_TRY(cursor.next());
    }
    return names;
  });
}

}  // namespace rvmfs
