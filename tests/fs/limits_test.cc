// SPDX-License-Identifier: BSD-2-Clause
//
// The largest of everything: what nobody reaches by making it is put into the inode by hand.
#include <cerrno>

#include "fs/inode.h"
#include "tests/fs/core_world.h"
#include "tests/support/fault_device.h"

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

// The host lets the image grow no further; what the image has can be used.
TEST_F(LimitsTest, AHostWhoseQuotaIsUsedUpIsToldAndHarmsNothing) {
  const Inode kept = make(kRoot, "kept"), other = make(kRoot, "other");
  write(kept, std::string(100'000, 'k'));
  write(other, std::string(500'000, 'o'));
  ASSERT_OK(volume_->close());
  const auto host = std::make_shared<FaultDevice>(device_);
  auto opened = Volume::open(host, options());
  ASSERT_TRUE(opened.has_value()) << explain(opened.error());
  volume_ = std::move(*opened);
  for (const DeviceCall call : {DeviceCall::write, DeviceCall::allocate}) {
    host->fail_range(call, device_->size(), 1ULL << 50, EDQUOT);
  }
  host->fail(DeviceCall::resize, 0, {.os_errno = EDQUOT, .forever = true});
  EXPECT_FAILS(volume_->write(kept, 100'000, std::vector<std::byte>(16 << 20)), EDQUOT);
  EXPECT_FAILS(volume_->fallocate(kept, 0, 0, 16 << 20), EDQUOT);
  EXPECT_EQ(get(kept).size, 100'000u);
  EXPECT_OK(volume_->sync());
  AttributeChange shorter;
  shorter.valid = AttributeChange::size_bit;
  shorter.size = 50'000;
  EXPECT_OK(volume_->setattr(kept, shorter));
  EXPECT_OK(volume_->unlink(kRoot, "other"));
  EXPECT_OK(volume_->sync());
  const Inode more = make(kRoot, "more");
  write(more, std::string(400'000, 'm'));
  EXPECT_OK(volume_->sync());
  EXPECT_GT(host->faults(), 0u);
  ASSERT_OK(volume_->close());
  open();
  EXPECT_EQ(read(find(kRoot, "kept"), 200'000), std::string(50'000, 'k'));
  EXPECT_EQ(read(find(kRoot, "more"), 500'000), std::string(400'000, 'm'));
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
