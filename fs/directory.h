// SPDX-License-Identifier: BSD-2-Clause
//
// Directory entries: items of the tree under the directory's inode number, ordered by a hash of the
// name, so that lookup costs one descent however large the directory is, and a readdir cookie stays
// right whatever is inserted or removed meanwhile.
//
//   key rest = hash48 << 8 | collision     value = DirectoryEntry, name
//
// Names with the same hash48 take the first free collision number; removing one leaves a gap, so a
// search looks at all 256. "." and ".." are not stored: the cookies 1 and 2 are theirs, and ".." is
// InodeItem::parent.
//
// All functions are called inside run_read / run_write.
#pragma once

#include <string_view>

#include "fs/core.h"

namespace rvmfs {

struct FoundEntry {
  rvm::Key key;
  Inode inode = 0;
  uint8_t type = 0;  // DT_*
};

// A stored entry, checked: lengths, inode number, no '/' and no NUL in the name.
struct EntryView {
  Inode inode = 0;
  uint8_t type = 0;
  std::string_view name;  // in the tree
};
Result<EntryView> parse_entry(Inode directory, std::span<const std::byte> value);

// May an entry have this name? Errors: no_entry (empty), name_too_long, bad_argument ('/' or NUL).
Result<void> check_name(std::string_view name);
inline bool is_dot(std::string_view name) { return name == "." || name == ".."; }

constexpr uint8_t entry_type(uint32_t mode) { return static_cast<uint8_t>(mode >> 12 & 15); }

// The item of an inode that must be a directory. Errors: stale, not_a_directory, damaged.
Result<const format::InodeItem*> directory_inode(VolumeCore& core, Inode directory);
// As above, and entries may be added: it is not removed (no_entry) and not immutable
// (not_permitted).
Result<const format::InodeItem*> directory_for_insert(VolumeCore& core, Inode directory);
// As above, and entries may be removed: not immutable, not append-only (not_permitted).
Result<const format::InodeItem*> directory_for_remove(VolumeCore& core, Inode directory);

Result<FoundEntry> find_entry(VolumeCore& core, Inode directory,
                              std::string_view name);  // no_entry
// Errors: entry_exists; volume_full when 256 names share the hash.
Result<void> insert_entry(Operation& op, VolumeCore& core, Inode directory, std::string_view name,
                          Inode inode, uint8_t type);
// Lets an existing entry name another inode.
Result<void> replace_entry(Operation& op, VolumeCore& core, const FoundEntry& entry, Inode inode,
                           uint8_t type);
Result<void> erase_entry(Operation& op, VolumeCore& core, const FoundEntry& entry);
Result<bool> is_empty_directory(VolumeCore& core, Inode directory);

// The directory's own item after its entries changed: size (number of entries) and links
// (subdirectories) by these amounts, mtime and ctime now. Errors: too_many_links, damaged.
Result<void> change_directory(Operation& op, VolumeCore& core, Inode directory, int entries,
                              int links);

}  // namespace rvmfs
