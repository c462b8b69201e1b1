// SPDX-License-Identifier: BSD-2-Clause
//
// The whole content of a volume's tree in memory, for the dump: inodes with their entries, xattrs
// and extents. File data stay on the device. Built from the items that can be understood; what
// cannot be is an error, for a dump that leaves something out would be a lie.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "fsck/check_state.h"

namespace rvmfs::fsck {

struct ModelInode {
  format::InodeItem item{};
  std::vector<std::pair<std::string, uint64_t>> entries;  // name, inode
  std::map<std::string, std::string> xattrs;
  std::string inlined;
  struct Extent {
    uint64_t file_block;
    format::ExtentItem item;
  };
  std::vector<Extent> extents;
};

using TreeModel = std::unordered_map<uint64_t, ModelInode>;

// Reads superblock, log and tree of the device that `state` was made for.
rvm::Result<TreeModel> read_model(CheckState& state);

// XXH3-64 of a file's content, as 16 hexadecimal digits. Files above kPlainHashBytesMax, which only
// holes can make, are hashed by the blocks that are not zero: "sparse:" and the hash of {block
// number, block} of each.
inline constexpr uint64_t kPlainHashBytesMax = 16ull << 30;
rvm::Result<std::string> content_hash(const CheckState& state, const ModelInode& inode);

}  // namespace rvmfs::fsck
