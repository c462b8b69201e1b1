// SPDX-License-Identifier: BSD-2-Clause
//
// Volumes in files for tests of fsck, and the tools to damage them: changes through transactions
// (structures that contradict each other, with good hashes), and changes of single bytes.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fs/volume.h"
#include "fsck/check.h"
#include "fsck/fsck.h"
#include "fsck/repair_session.h"
#include "tests/support/temp_dir.h"

namespace rvmfs::test {

struct RunResult {
  int code = 0;
  std::string out, err;
};

class ImageTest : public ::testing::Test {
 public:
  // An image of 16 MiB with every kind of file. Inodes in `made`.
  void make_volume();
  // Opens it, lets `work` change it, and closes it, or dies without closing.
  void use_volume(const std::function<void(Volume&)>& work, bool die = false);

  std::shared_ptr<rvm::Device> open(bool read_only = false);
  fsck::Summary check(fsck::FindingSink& sink);

  // Changes structures in one transaction; hashes are right afterwards, and the log is empty.
  using Edit = std::function<rvm::Result<void>(fsck::RepairSession&, rvm::Transaction&)>;
  void edit(const Edit& change);
  // Changes bytes of the file.
  void overwrite(uint64_t offset, std::span<const std::byte> bytes);
  void flip(uint64_t offset);
  // Rewrites a structure that holds its own hash, with a right hash.
  void edit_superblock(uint64_t offset, const std::function<void(format::Superblock&)>& change);

  RunResult run(std::vector<std::string> options);
  std::vector<std::byte> bytes();
  std::string dump();

  // Where a page of chunk 0 lies in the file; the offset of the tree's root node.
  uint64_t place_of(uint64_t space_offset) const;
  format::VolumeRoot root();
  format::Superblock superblock();

  TempDir folder;
  std::string image = folder.file("image");
  struct {
    uint64_t directory = 0, subdirectory = 0, file = 0, small = 0, link = 0, symlink = 0;
  } made;

 private:
  void build_volume();
};

}  // namespace rvmfs::test
