// SPDX-License-Identifier: BSD-2-Clause
//
// Damage to the items of the tree (damages.h): inodes, names, attributes, data. Every change is a
// transaction, so that all hashes and all nodes are right and only the meaning is wrong.
#include <dirent.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <cstring>

#include "tests/fsck/damages.h"

namespace rvmfs::test {
namespace {

using format::DirectoryEntry;
using format::ExtentItem;
using format::InodeItem;
using format::ItemType;
using fsck::FindingId;
using fsck::RepairSession;
using rvm::Result;
using rvm::Transaction;

constexpr uint64_t kSeed = 4711;  // of ImageTest::make_volume

rvm::Key key_of(uint64_t inode, ItemType type, uint64_t rest = 0) {
  return {inode, static_cast<uint64_t>(type) << format::kTypeShift | rest};
}

uint64_t rest_of_name(std::string_view name) {
  return XXH3_64bits_withSeed(name.data(), name.size(), kSeed) >> 16 << 8;
}

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

template <typename T>
void change_item(ImageTest& test, rvm::Key key, const std::function<void(T&)>& change) {
  test.edit([=](RepairSession& session, Transaction& tx) -> Result<void> {
    RVM_ASSIGN(const auto bytes, session.tree().modify(tx, key, 0, sizeof(T)));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    change(value);
    std::memcpy(bytes.data(), &value, sizeof(T));
    return {};
  });
}

void change_inode(ImageTest& test, uint64_t inode, const std::function<void(InodeItem&)>& change) {
  change_item<InodeItem>(test, key_of(inode, ItemType::inode), change);
}

void put(ImageTest& test, rvm::Key key, std::span<const std::byte> value) {
  test.edit(
      [&](RepairSession& session, Transaction& tx) { return session.tree().put(tx, key, value); });
}

void erase(ImageTest& test, rvm::Key key) {
  test.edit([&](RepairSession& session, Transaction& tx) { return session.tree().erase(tx, key); });
}

void put_entry(ImageTest& test, uint64_t directory, std::string_view name, uint64_t inode,
               uint8_t type, uint64_t rest) {
  DirectoryEntry entry{};
  entry.inode = inode;
  entry.type = type;
  entry.name_bytes = static_cast<uint8_t>(name.size());
  std::vector<std::byte> value(sizeof(entry) + name.size());
  std::memcpy(value.data(), &entry, sizeof(entry));
  std::memcpy(value.data() + sizeof(entry), name.data(), name.size());
  put(test, key_of(directory, ItemType::entry, rest), value);
}

void put_entry(ImageTest& test, uint64_t directory, std::string_view name, uint64_t inode,
               uint8_t type) {
  put_entry(test, directory, name, inode, type, rest_of_name(name));
  change_inode(test, directory, [](InodeItem& item) { ++item.size; });
}

rvm::Key entry_key(uint64_t directory, std::string_view name) {
  return key_of(directory, ItemType::entry, rest_of_name(name));
}

void put_orphan(ImageTest& test, uint64_t inode) {
  const format::OrphanItem item{format::kOrphanUnlinked, 0};
  put(test, key_of(format::kOrphanHigh, ItemType::orphan, inode), bytes_of(item));
}

std::vector<Damage> inode_damages() {
  return {
      {FindingId::item_unknown,
       [](ImageTest& test) {
         put(test, {test.made.file, uint64_t{0x77} << format::kTypeShift}, bytes_of(uint64_t{1}));
       }},
      {FindingId::item_bad,
       [](ImageTest& test) {
         put(test, key_of(test.made.directory, ItemType::inlined), bytes_of(uint64_t{1}));
       }},
      {FindingId::item_without_inode,
       [](ImageTest& test) {
         for (uint64_t i = 0; i < 250; ++i) {
           put(test, key_of(15, ItemType::inlined, i), bytes_of(i));
         }
       }},
      {FindingId::inode_bad,
       [](ImageTest& test) {
         change_inode(test, test.made.file, [](InodeItem& item) { item.mode = 0; });
       }},
      {FindingId::inode_missing_root,
       [](ImageTest& test) { erase(test, key_of(format::kRootInode, ItemType::inode)); }},
      {FindingId::inode_blocks,
       [](ImageTest& test) {
         change_inode(test, test.made.file, [](InodeItem& item) { item.blocks += 3; });
       }},
      {FindingId::inode_links,
       [](ImageTest& test) {
         change_inode(test, test.made.small, [](InodeItem& item) { item.nlink = 7; });
         change_inode(test, test.made.directory, [](InodeItem& item) { item.nlink = 2; });
       }},
      {FindingId::inode_lost,
       [](ImageTest& test) {
         erase(test, entry_key(test.made.directory, "file"));
         erase(test, entry_key(test.made.directory, "sub"));
       }},
  };
}

std::vector<Damage> directory_damages() {
  return {
      {FindingId::directory_size,
       [](ImageTest& test) {
         change_inode(test, test.made.directory, [](InodeItem& item) { item.size = 900; });
       }},
      {FindingId::directory_parent,
       [](ImageTest& test) {
         change_inode(test, test.made.subdirectory, [](InodeItem& item) { item.parent = 1; });
       }},
      {FindingId::directory_cycle,
       [](ImageTest& test) {
         erase(test, entry_key(1, "directory"));
         put_entry(test, test.made.subdirectory, "directory", test.made.directory, DT_DIR);
       }},
      {FindingId::directory_two_names,
       [](ImageTest& test) { put_entry(test, 1, "again", test.made.subdirectory, DT_DIR); }},
      {FindingId::entry_dangling,
       [](ImageTest& test) { put_entry(test, 1, "nowhere", 15, DT_REG); }},
      {FindingId::entry_type,
       [](ImageTest& test) {
         change_item<DirectoryEntry>(test, entry_key(1, "small"),
                                     [](DirectoryEntry& entry) { entry.type = DT_DIR; });
       }},
      {FindingId::entry_name,
       [](ImageTest& test) {
         put_entry(test, 1, "misplaced", test.made.small, DT_REG, rest_of_name("elsewhere"));
       }},
      {FindingId::entry_in_non_directory,
       [](ImageTest& test) {
         put_entry(test, test.made.small, "x", test.made.file, DT_REG, rest_of_name("x"));
       }},
      {FindingId::orphan_dangling, [](ImageTest& test) { put_orphan(test, 15); }},
      {FindingId::orphan_linked, [](ImageTest& test) { put_orphan(test, test.made.small); }},
      {FindingId::orphan_waiting,
       [](ImageTest& test) {
         erase(test, entry_key(1, "symlink"));
         change_inode(test, 1, [](InodeItem& item) { --item.size; });
         change_inode(test, test.made.symlink, [](InodeItem& item) { item.nlink = 0; });
         put_orphan(test, test.made.symlink);
       }},
  };
}

// The key of the first extent of `inode`.
rvm::Key extent_key(uint64_t inode) { return key_of(inode, ItemType::extent, 2); }

std::vector<Damage> data_damages() {
  return {
      {FindingId::xattr_bad,
       [](ImageTest& test) {
         const std::string_view name = "user.long";
         const uint64_t hash = XXH3_64bits_withSeed(name.data(), name.size(), kSeed) >> 24;
         erase(test, key_of(test.made.file, ItemType::xattr, hash << 16 | 3));
       }},
      {FindingId::inline_bad,
       [](ImageTest& test) {
         change_inode(test, test.made.small, [](InodeItem& item) { item.size += 50; });
       }},
      {FindingId::extent_bad,
       [](ImageTest& test) {
         change_item<ExtentItem>(test, extent_key(test.made.file),
                                 [](ExtentItem& extent) { extent.block = 1ull << 60; });
       }},
      {FindingId::blocks_shared,
       [](ImageTest& test) {
         change_item<ExtentItem>(test, extent_key(test.made.file),
                                 [](ExtentItem& extent) { extent.block = 300; });
       }},
  };
}

}  // namespace

std::vector<Damage> item_damages() {
  std::vector<Damage> all;
  for (auto& part : {inode_damages(), directory_damages(), data_damages()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace rvmfs::test
