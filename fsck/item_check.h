// SPDX-License-Identifier: BSD-2-Clause
//
// Pass 2: every item of the tree, in key order, as the tree walk hands them out.
//
//   orphans (key 0) | inode 1: InodeItem, inline pieces, xattrs, entries, extents | inode 16: ...
//
// Items of one inode follow each other, so one inode is looked at at a time (Current); what needs
// the others (links, parents, blocks) is recorded in CheckState for the later passes.
#pragma once

#include <string>
#include <vector>

#include "fsck/check_state.h"

namespace rvmfs::fsck {

class ItemCheck {
 public:
  explicit ItemCheck(CheckState& state) : state_(state) {}

  void item(Key key, std::span<const std::byte> value);
  // After the last item.
  void finish();

 private:
  // The inode whose items are passing.
  struct Current {
    uint64_t number = 0;
    bool exists = false;
    bool going = false;    // an orphan: its contents go away in steps
    bool counted = false;  // the item is sound: its sums are worth checking
    format::InodeItem item{};
    uint64_t inline_end = 0;  // bytes seen of the inline data
    bool inline_whole = true;
    uint64_t entries = 0;
    uint64_t extent_blocks = 0;
    uint64_t extent_end = 0;  // first file block behind the last extent
    uint64_t last_inline = 0;
  };
  // The xattr whose pieces are passing, and the names of this hash.
  struct Attribute {
    bool open = false;
    uint64_t chain = 0;  // rest >> 8: hash and collision
    uint32_t piece = 0;
    uint32_t missing = 0;  // bytes of the value still to come
  };

  void begin_inode(uint64_t number);
  void end_inode();
  void orphan(Key key, std::span<const std::byte> value);
  void inode(Key key, std::span<const std::byte> value);
  void inlined(uint64_t rest, std::span<const std::byte> value);
  void xattr(Key key, std::span<const std::byte> value);
  void xattr_first(Key key, std::span<const std::byte> value);
  void end_xattr();
  void xattr_bad(const char* what);
  void entry(Key key, std::span<const std::byte> value);
  void extent(uint64_t rest, std::span<const std::byte> value);
  bool is_twin(std::vector<std::string>& names, uint64_t& chain_hash, uint64_t hash,
               std::string name);
  void bad_item(const char* what);
  bool is_orphan(uint64_t inode) const;
  const char* inode_fault(const format::InodeItem& item) const;

  CheckState& state_;
  Current current_;
  Attribute attribute_;
  std::vector<std::string> entry_twins_, xattr_twins_;  // names that share the hash being passed
  uint64_t entry_hash_ = UINT64_MAX, xattr_hash_ = UINT64_MAX;
};

// DT_* of a mode; 0 if it is no type.
uint8_t file_type_of(uint32_t mode);

}  // namespace rvmfs::fsck
