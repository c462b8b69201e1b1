// SPDX-License-Identifier: BSD-2-Clause
//
// Directory entries: see fs/directory.h. The hash is XXH3 with a seed of the volume, so that nobody
// can prepare names that collide on a volume that he did not format.
#include "fs/directory.h"

#include <sys/stat.h>
#include <xxhash.h>

#include <array>
#include <cstring>
#include <optional>

#include "fs/attributes.h"
#include "fs/inode.h"

namespace rvmfs {

namespace {

using format::DirectoryEntry;
using format::InodeItem;
using format::ItemType;

constexpr uint64_t kCollisions = 256;

rvm::Key first_key_of(const VolumeCore& core, Inode directory, std::string_view name) {
  const uint64_t hash =
      XXH3_64bits_withSeed(name.data(), name.size(), core.super.name_hash_seed) >> 16;
  return item_key(directory, ItemType::entry, hash << 8);
}

// What a search for a name ends with: the entry, or where it could be inserted.
struct Search {
  std::optional<FoundEntry> found;
  std::optional<rvm::Key> free_key;  // first free collision number
};

Result<Search> search(VolumeCore& core, Inode directory, std::string_view name) {
  rvm::Key key = first_key_of(core, directory, name);
  const rvm::Key last{key.high, key.low + kCollisions - 1};
  Search result;
  for (;;) {
    RVM_ASSIGN(const auto entry, core.tree->first_at_or_after(key, last));
    if (!entry || entry->key != key) {
      if (!result.free_key) result.free_key = key;
    }
    if (!entry) return result;
    RVM_ASSIGN(const EntryView view, parse_entry(directory, entry->value));
    if (view.name == name) {
      result.found = FoundEntry{entry->key, view.inode, view.type};
      return result;
    }
    if (entry->key == last) return result;
    key = {entry->key.high, entry->key.low + 1};
  }
}

}  // namespace

Result<EntryView> parse_entry(Inode directory, std::span<const std::byte> value) {
  const Error damaged = fs_error(FsErrc::damaged, "directory entry contradicts itself", directory);
  if (value.size() < sizeof(DirectoryEntry)) return damaged;
  DirectoryEntry entry;
  std::memcpy(&entry, value.data(), sizeof(entry));
  if (entry.name_bytes == 0 || value.size() != sizeof(DirectoryEntry) + entry.name_bytes) {
    return damaged;
  }
  if (entry.inode == 0 || entry.inode > format::kInodeMax) return damaged;
  const std::string_view name(reinterpret_cast<const char*>(value.data() + sizeof(DirectoryEntry)),
                              entry.name_bytes);
  if (is_dot(name) || name.find('/') != name.npos || name.find('\0') != name.npos) return damaged;
  return EntryView{entry.inode, entry.type, name};
}

Result<void> check_name(std::string_view name) {
  if (name.empty()) return fs_error(FsErrc::no_entry, "empty name");
  if (name.size() > format::kNameBytesMax) return fs_error(FsErrc::name_too_long);
  if (name.find('/') != name.npos || name.find('\0') != name.npos) {
    return fs_error(FsErrc::bad_argument, "name with a slash or a NUL");
  }
  return {};
}

Result<const InodeItem*> directory_inode(VolumeCore& core, Inode directory) {
  RVM_ASSIGN(const InodeItem* item, core.inode(directory));
  if (!S_ISDIR(item->mode)) return fs_error(FsErrc::not_a_directory, "", directory);
  return item;
}

Result<const InodeItem*> directory_for_insert(VolumeCore& core, Inode directory) {
  RVM_ASSIGN(const InodeItem* item, directory_inode(core, directory));
  if (item->nlink == 0) return fs_error(FsErrc::no_entry, "the directory was removed", directory);
  if (item->flags & kFlagImmutable) {
    return fs_error(FsErrc::not_permitted, "the directory is immutable", directory);
  }
  return item;
}

Result<const InodeItem*> directory_for_remove(VolumeCore& core, Inode directory) {
  RVM_ASSIGN(const InodeItem* item, directory_inode(core, directory));
  if (item->flags & (kFlagImmutable | kFlagAppend)) {
    return fs_error(FsErrc::not_permitted, "the directory is immutable or append-only", directory);
  }
  return item;
}

Result<FoundEntry> find_entry(VolumeCore& core, Inode directory, std::string_view name) {
  RVM_ASSIGN(const Search result, search(core, directory, name));
  if (!result.found) return fs_error(FsErrc::no_entry, "", directory);
  return *result.found;
}

Result<void> insert_entry(Operation& op, VolumeCore& core, Inode directory, std::string_view name,
                          Inode inode, uint8_t type) {
  RVM_ASSIGN(const Search result, search(core, directory, name));
  if (result.found) return fs_error(FsErrc::entry_exists, "", directory);
  if (!result.free_key) {
    return fs_error(FsErrc::volume_full, "too many names with the same hash", directory);
  }
  std::array<std::byte, sizeof(DirectoryEntry) + format::kNameBytesMax> value{};
  DirectoryEntry entry{};
  entry.inode = inode;
  entry.type = type;
  entry.name_bytes = static_cast<uint8_t>(name.size());
  std::memcpy(value.data(), &entry, sizeof(entry));
  std::memcpy(value.data() + sizeof(entry), name.data(), name.size());
  return core.tree->insert(op.tx, *result.free_key,
                           std::span(value).first(sizeof(entry) + name.size()));
}

Result<void> replace_entry(Operation& op, VolumeCore& core, const FoundEntry& entry, Inode inode,
                           uint8_t type) {
  static_assert(offsetof(DirectoryEntry, type) == 8);
  RVM_ASSIGN(const std::span<std::byte> bytes, core.tree->modify(op.tx, entry.key, 0, 9));
  std::memcpy(bytes.data(), &inode, sizeof(inode));
  std::memcpy(bytes.data() + sizeof(inode), &type, sizeof(type));
  return {};
}

Result<void> erase_entry(Operation& op, VolumeCore& core, const FoundEntry& entry) {
  return core.tree->erase(op.tx, entry.key);
}

Result<bool> is_empty_directory(VolumeCore& core, Inode directory) {
  RVM_ASSIGN(const auto entry,
             core.tree->first_at_or_after(item_key(directory, ItemType::entry),
                                          item_key(directory, ItemType::entry, format::kRestMask)));
  return !entry.has_value();
}

Result<void> change_directory(Operation& op, VolumeCore& core, Inode directory, int entries,
                              int links) {
  RVM_ASSIGN(InodeItem * item, modify_inode_part(op, core, directory, kItemLinks, kItemTimesEnd));
  if ((entries < 0 && item->size < static_cast<uint64_t>(-entries)) ||
      (links < 0 && item->nlink < static_cast<uint32_t>(-links))) {
    return fs_error(FsErrc::damaged, "directory counts too few entries", directory);
  }
  if (links > 0 && item->nlink > format::kLinkMax - static_cast<uint32_t>(links)) {
    return fs_error(FsErrc::too_many_links, "", directory);
  }
  item->size += static_cast<uint64_t>(static_cast<int64_t>(entries));
  item->nlink += static_cast<uint32_t>(links);
  set_mtime(*item, op.now);
  set_ctime(*item, op.now);
  return {};
}

}  // namespace rvmfs
