// SPDX-License-Identifier: BSD-2-Clause
//
// The largest of everything: what nobody reaches by making it is put into the inode by hand.
#include <cerrno>

#include "fs/inode.h"
#include "tests/fs/core_world.h"

namespace rvmfs::test {
namespace {

class LimitsTest : public VolumeTest {
 protected:
  void set_links(Inode inode, uint32_t links) {
    ASSERT_OK(volume_->close());
    volume_.reset();
    {
      const auto core = open_core(device_, false);
      ASSERT_OK(core->run_write<void>([&](Operation& op) -> Result<void> {
        RVM_ASSIGN(format::InodeItem * item,
                   modify_inode_part(op, *core, inode, kItemLinks, kItemLinks + sizeof links));
        item->nlink = links;
        return {};
      }));
      ASSERT_OK(core->rvm->close());
    }
    open();
  }
};

TEST_F(LimitsTest, AFileTakesAsManyLinksAsTheFormatAllowsAndNotOneMore) {
  const Inode file = make(kRoot, "file");
  ASSERT_NO_FATAL_FAILURE(set_links(file, format::kLinkMax - 1));
  EXPECT_OK(volume_->link(file, kRoot, "last"));
  EXPECT_EQ(get(file).nlink, format::kLinkMax);
  EXPECT_FAILS(volume_->link(file, kRoot, "one more"), EMLINK);
  EXPECT_EQ(find(kRoot, "one more"), 0u);
  EXPECT_OK(volume_->unlink(kRoot, "last"));
  EXPECT_OK(volume_->link(file, kRoot, "again"));
}

TEST_F(LimitsTest, ADirectoryTakesAsManySubdirectoriesAsTheFormatAllowsAndNotOneMore) {
  const Inode full = make_dir(kRoot, "full");
  const Inode other = make_dir(kRoot, "other");
  make_dir(other, "moving");
  ASSERT_NO_FATAL_FAILURE(set_links(full, format::kLinkMax));
  EXPECT_FAILS(volume_->mkdir(full, "sub", 0755, kUser), EMLINK);
  EXPECT_FAILS(volume_->rename(other, "moving", full, "moving", 0), EMLINK);
  EXPECT_NE(find(other, "moving"), 0u);
  make(full, "a file is no link");
  EXPECT_EQ(list(full).size(), 1u);
}

TEST_F(LimitsTest, AWriteAcrossTheLargestSizeStopsThere) {
  const Inode file = make(kRoot, "file");
  const std::string ten = "0123456789";
  const auto bytes = std::as_bytes(std::span(ten));
  EXPECT_EQ(*volume_->write(file, format::kFileBytesMax - 4, bytes), 4u);
  EXPECT_EQ(get(file).size, format::kFileBytesMax);
  EXPECT_FAILS(volume_->write(file, format::kFileBytesMax, bytes), EFBIG);
  EXPECT_EQ(*volume_->write(file, format::kFileBytesMax, {}), 0u);
  std::string found(10, '?');
  EXPECT_EQ(
      *volume_->read(file, format::kFileBytesMax - 4, std::as_writable_bytes(std::span(found))),
      4u);
  EXPECT_EQ(found.substr(0, 4), "0123");
}

}  // namespace
}  // namespace rvmfs::test
