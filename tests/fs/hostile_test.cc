// SPDX-License-Identifier: BSD-2-Clause
//
// Images with good hashes and bad contents, made with librvm behind the filesystem's back: every
// operation answers with an error, and none crashes or runs for ever.
#include <cerrno>
#include <cstring>

#include "fs/core.h"
#include "fs/superblock.h"
#include "rvm/page_pool.h"
#include "rvm/tree.h"
#include "tests/fs/volume_fixture.h"

namespace rvmfs::test {
namespace {

using format::InodeItem;
using format::ItemType;

class Chunk0 : public rvm::ChunkSource {
 public:
  explicit Chunk0(uint64_t offset) : offset_(offset) {}
  Result<rvm::ChunkPlace> locate(uint64_t) override { return rvm::ChunkPlace{0, offset_}; }
  Result<rvm::ChunkPlace> grow(rvm::Transaction&, uint64_t) override {
    return Error{.code = rvm::Errc::no_space};
  }

 private:
  uint64_t offset_;
};

class HostileTest : public VolumeTest {
 protected:
  // Changes the metadata of the closed volume.
  template <typename Change>
  void forge(Change change) {
    ASSERT_OK(volume_->close());
    volume_.reset();
    const format::Superblock super = *read_superblock(*device_);
    rvm::Options options;
    options.log_device = device_;
    options.log_offset = super.log_offset;
    options.background = false;
    auto instance = *rvm::Rvm::initialize(options);
    Chunk0 source(super.chunk0_offset);
    auto space = *rvm::Space::open(*instance, source, 1 << 20);
    rvm::PagePool pool(*space);
    rvm::Tree tree(pool, VolumeCore::kRootOffset + offsetof(format::VolumeRoot, tree));
    rvm::Transaction tx = instance->begin();
    change(tx, tree, *space);
    ASSERT_OK(tx.end(rvm::Commit::flush));
    ASSERT_OK(instance->truncate());
    ASSERT_OK(instance->close());
  }

  void forge_inode(Inode inode, const std::function<void(InodeItem&)>& change) {
    forge([&](rvm::Transaction& tx, rvm::Tree& tree, rvm::Space&) {
      auto bytes = tree.modify(tx, item_key(inode, ItemType::inode), 0, sizeof(InodeItem));
      ASSERT_TRUE(bytes.has_value());
      change(*reinterpret_cast<InodeItem*>(bytes->data()));
    });
  }
  void forge_item(rvm::Key key, std::string_view value) {
    forge([&](rvm::Transaction& tx, rvm::Tree& tree, rvm::Space&) {
      ASSERT_OK(tree.put(tx, key, std::as_bytes(std::span(value))));
    });
  }
  Result<void> read_all(Inode directory) {
    return volume_->readdir(directory, 0, true, [](const DirectoryItem&) { return true; });
  }
};

TEST_F(HostileTest, DirectoriesThatContainEachOtherEndEveryWalk) {
  const Inode a = make_dir(kRoot, "a");
  const Inode b = make_dir(a, "b");
  const Inode c = make_dir(b, "c");
  make_dir(kRoot, "mover");
  forge_inode(a, [&](InodeItem& item) { item.parent = c; });
  open();
  EXPECT_FAILS(volume_->rename(kRoot, "mover", c, "x", 0), EIO);
  EXPECT_FAILS(volume_->rename(kRoot, "mover", a, "b", 2), EIO);
}

TEST_F(HostileTest, ANonsensicalInodeCostsOnlyItself) {
  const Inode file = make(kRoot, "f");
  make(kRoot, "g");
  forge_inode(file, [](InodeItem& item) { item.mode = 0xffffffff; });
  open();
  EXPECT_FAILS(volume_->getattr(file), EIO);
  EXPECT_FAILS(volume_->lookup(kRoot, "f"), EIO);
  EXPECT_FAILS(volume_->unlink(kRoot, "f"), EIO);
  EXPECT_OK(read_all(kRoot));
  EXPECT_OK(volume_->unlink(kRoot, "g"));
}

TEST_F(HostileTest, LinkCountsThatAreTooLowAreFound) {
  const Inode file = make(kRoot, "f");
  make_dir(kRoot, "d");
  forge_inode(file, [](InodeItem& item) { item.nlink = 0; });
  open();
  EXPECT_FAILS(volume_->unlink(kRoot, "f"), EIO);
  forge_inode(kRoot, [](InodeItem& item) { item.size = 0; });
  open();
  EXPECT_FAILS(volume_->rmdir(kRoot, "d"), EIO);
  EXPECT_NE(find(kRoot, "d"), 0u);
}

TEST_F(HostileTest, EntriesThatContradictThemselvesAreErrors) {
  const Inode dir = make_dir(kRoot, "d");
  std::string entry(16, '\0');
  entry[0] = 50;
  const auto try_entry = [&](std::string value) {
    forge_item(item_key(dir, ItemType::entry, 0x500), value);
    open();
    const Result<void> result = read_all(dir);
    return result ? 0 : errno_of(result.error());
  };
  EXPECT_EQ(try_entry("short"), EIO);
  entry[9] = 5;
  EXPECT_EQ(try_entry(entry + "1234"), EIO);   // name shorter than it says
  EXPECT_EQ(try_entry(entry + "12/45"), EIO);  // a path
  EXPECT_EQ(try_entry(entry + std::string("12\0"
                                          "45",
                                          5)),
            EIO);
  EXPECT_EQ(try_entry(entry + "12345"), 0);  // dangling, but well-formed
  entry[0] = 0;
  EXPECT_EQ(try_entry(entry + "12345"), EIO);  // names inode 0
  entry[0] = 50, entry[9] = 2;
  EXPECT_EQ(try_entry(entry + ".."), EIO);
  EXPECT_FAILS(volume_->rmdir(kRoot, "d"), ENOTEMPTY);
}

TEST_F(HostileTest, ADanglingEntryIsListedWithoutAttributes) {
  const Inode dir = make_dir(kRoot, "d");
  std::string entry(16, '\0');
  entry[0] = 50, entry[9] = 1;
  forge_item(item_key(dir, ItemType::entry, 0x500), entry + "x");
  open();
  int seen = 0;
  ASSERT_OK(volume_->readdir(dir, 2, true, [&](const DirectoryItem& item) {
    EXPECT_EQ(item.name, "x");
    EXPECT_EQ(item.attributes, nullptr);
    ++seen;
    return true;
  }));
  EXPECT_EQ(seen, 1);
}

TEST_F(HostileTest, DamagedSymlinksAndAttributesAreErrors) {
  const Inode link = volume_->symlink(kRoot, "l", "target", kUser)->inode;
  ASSERT_OK(volume_->setxattr(link, "user.a", std::string(3000, 'x'), 0));
  forge_item(item_key(link, ItemType::inlined), "much longer than it may be");
  open();
  EXPECT_FAILS(volume_->readlink(link), EIO);
  EXPECT_OK(volume_->getxattr(link, "user.a"));
  forge([&](rvm::Transaction& tx, rvm::Tree& tree, rvm::Space&) {
    auto first = tree.first_at_or_after(item_key(link, ItemType::xattr));
    ASSERT_TRUE(first.has_value() && first->has_value());
    const rvm::Key second{(*first)->key.high, (*first)->key.low + 1};
    ASSERT_OK(tree.put(tx, second, {}));
  });
  open();
  EXPECT_FAILS(volume_->getxattr(link, "user.a"), EIO);
  forge_inode(link, [](InodeItem& item) { item.size = 1ull << 40; });
  open();
  EXPECT_FAILS(volume_->readlink(link), EIO);
  EXPECT_OK(volume_->unlink(kRoot, "l"));
}

TEST_F(HostileTest, OrphansThatCannotBeDoNotStopTheOpen) {
  const Inode file = make(kRoot, "f");
  const std::string unlinked("\1\0\0\0\0\0\0\0", 8);
  forge_item(item_key(format::kOrphanHigh, ItemType::orphan, file), unlinked);
  open();
  EXPECT_EQ(find(kRoot, "f"), file);  // it has a name
  forge_item(item_key(format::kOrphanHigh, ItemType::orphan, kRoot), unlinked);
  open();
  forge_item(item_key(format::kOrphanHigh, ItemType::orphan, 777), unlinked);
  open();
  forge_item(item_key(format::kOrphanHigh, ItemType::orphan, 778), "x");
  open();
  EXPECT_EQ(find(kRoot, "f"), file);
  EXPECT_OK(volume_->unlink(kRoot, "f"));
}

TEST_F(HostileTest, ARootThatContradictsItselfIsRefused) {
  const auto try_root = [&](auto change) {
    forge([&](rvm::Transaction& tx, rvm::Tree&, rvm::Space& space) {
      auto root = space.modify(tx, rvm::Ref<format::VolumeRoot>{VolumeCore::kRootOffset});
      ASSERT_TRUE(root.has_value());
      change(**root);
    });
    const auto opened = Volume::open(device_, options());
    EXPECT_FALSE(opened.has_value());
    if (!opened) EXPECT_EQ(errno_of(opened.error()), EIO);
    SetUp();
  };
  try_root([](format::VolumeRoot& root) { root.magic = 1; });
  try_root([](format::VolumeRoot& root) { root.blocks_total = ~0ull; });
  try_root([](format::VolumeRoot& root) { root.blocks_used = root.blocks_total + 1; });
  try_root([](format::VolumeRoot& root) { root.next_inode = 2; });
  try_root([](format::VolumeRoot& root) { root.inodes_used = ~0ull; });
  try_root([](format::VolumeRoot& root) { root.tree.root = 5ull << 40; });
  try_root([](format::VolumeRoot& root) { root.tree.root = 8192; });
}

TEST_F(HostileTest, AChunkTableThatPointsForwardIsDamage) {
  forge([&](rvm::Transaction& tx, rvm::Tree&, rvm::Space& space) {
    auto root = space.modify(tx, rvm::Ref<format::VolumeRoot>{VolumeCore::kRootOffset});
    (*root)->chunk_table[0] = (7ull << 20) + 8192;  // in chunk 7, which it should find
    (*root)->tree.root = (3ull << 20) + 8192;
  });
  EXPECT_FAILS(Volume::open(device_, options()), EIO);
  SetUp();
}

}  // namespace
}  // namespace rvmfs::test
