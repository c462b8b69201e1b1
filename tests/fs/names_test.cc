// SPDX-License-Identifier: BSD-2-Clause
//
// Making, finding and removing names.
#include <cerrno>

#include "tests/fs/volume_fixture.h"

namespace rvmfs::test {
namespace {

class NamesTest : public VolumeTest {};

TEST_F(NamesTest, WhatWasMadeIsFound) {
  auto made = volume_->mknod(kRoot, "file", S_IFREG | 0640, 7, 7, kUser);
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(made->mode, S_IFREG | 0640u);
  EXPECT_EQ(made->uid, 1000u);
  EXPECT_EQ(made->gid, 100u);
  EXPECT_EQ(made->nlink, 1u);
  EXPECT_EQ(made->size, 0u);
  EXPECT_EQ(made->rdev_major, 0u);  // of a regular file
  EXPECT_EQ(made->atime, made->btime);
  auto found = volume_->lookup(kRoot, "file");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->inode, made->inode);
  EXPECT_EQ(found->ctime, made->ctime);
}

TEST_F(NamesTest, EveryTypeCanBeMade) {
  for (const uint32_t type : {S_IFREG, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK}) {
    auto made = volume_->mknod(kRoot, "t" + std::to_string(type), type | 0600, 5, 9, kUser);
    ASSERT_TRUE(made.has_value());
    EXPECT_EQ(made->mode, type | 0600);
    const bool is_device = type == S_IFCHR || type == S_IFBLK;
    EXPECT_EQ(made->rdev_major, is_device ? 5u : 0u);
    EXPECT_EQ(made->rdev_minor, is_device ? 9u : 0u);
  }
  EXPECT_FAILS(volume_->mknod(kRoot, "d", S_IFDIR | 0755, 0, 0, kUser), EPERM);
  EXPECT_FAILS(volume_->mknod(kRoot, "l", S_IFLNK | 0777, 0, 0, kUser), EINVAL);
}

TEST_F(NamesTest, ParentsCountSubdirectoriesAndEntries) {
  const Time before = get(kRoot).mtime;
  const Inode dir = make_dir(kRoot, "d");
  make(kRoot, "f");
  EXPECT_EQ(get(kRoot).nlink, 3u);
  EXPECT_EQ(get(kRoot).size, 2u);
  EXPECT_EQ(get(dir).nlink, 2u);
  EXPECT_GT(get(kRoot).mtime, before);
  EXPECT_EQ(get(kRoot).mtime, get(kRoot).ctime);
  EXPECT_EQ(find(dir, ".."), kRoot);
  EXPECT_EQ(find(dir, "."), dir);
}

TEST_F(NamesTest, NamesThatCannotBeAreRefused) {
  const std::string longest(255, 'n');
  EXPECT_OK(volume_->mkdir(kRoot, longest, 0755, kUser));
  EXPECT_NE(find(kRoot, longest), 0u);
  EXPECT_FAILS(volume_->mkdir(kRoot, longest + "n", 0755, kUser), ENAMETOOLONG);
  EXPECT_FAILS(volume_->lookup(kRoot, longest + "n"), ENAMETOOLONG);
  EXPECT_FAILS(volume_->unlink(kRoot, longest + "n"), ENAMETOOLONG);
  EXPECT_FAILS(volume_->mkdir(kRoot, "", 0755, kUser), ENOENT);
  EXPECT_FAILS(volume_->mkdir(kRoot, "a/b", 0755, kUser), EINVAL);
  EXPECT_FAILS(volume_->mkdir(kRoot, std::string_view("a\0b", 3), 0755, kUser), EINVAL);
  EXPECT_FAILS(volume_->mkdir(kRoot, ".", 0755, kUser), EEXIST);
  EXPECT_FAILS(volume_->mkdir(kRoot, "..", 0755, kUser), EEXIST);
  EXPECT_FAILS(volume_->rmdir(kRoot, "."), EINVAL);
  EXPECT_FAILS(volume_->rmdir(kRoot, ".."), ENOTEMPTY);
  EXPECT_FAILS(volume_->unlink(kRoot, "."), EISDIR);
}

TEST_F(NamesTest, ErrorsAreThoseOfTheSystemCalls) {
  const Inode dir = make_dir(kRoot, "d");
  const Inode file = make(kRoot, "f");
  make(dir, "inside");
  EXPECT_FAILS(volume_->mknod(kRoot, "f", S_IFREG | 0644, 0, 0, kUser), EEXIST);
  EXPECT_FAILS(volume_->mkdir(kRoot, "f", 0755, kUser), EEXIST);
  EXPECT_FAILS(volume_->mknod(file, "x", S_IFREG | 0644, 0, 0, kUser), ENOTDIR);
  EXPECT_FAILS(volume_->lookup(file, "x"), ENOTDIR);
  EXPECT_FAILS(volume_->lookup(kRoot, "absent"), ENOENT);
  EXPECT_FAILS(volume_->unlink(kRoot, "absent"), ENOENT);
  EXPECT_FAILS(volume_->rmdir(kRoot, "absent"), ENOENT);
  EXPECT_FAILS(volume_->unlink(kRoot, "d"), EISDIR);
  EXPECT_FAILS(volume_->rmdir(kRoot, "f"), ENOTDIR);
  EXPECT_FAILS(volume_->rmdir(kRoot, "d"), ENOTEMPTY);
  EXPECT_FAILS(volume_->mkdir(12345, "x", 0755, kUser), ESTALE);
  EXPECT_FAILS(volume_->getattr(0), ESTALE);
  EXPECT_FAILS(volume_->readlink(file), EINVAL);
}

TEST_F(NamesTest, AFailedOperationLeavesNoTrace) {
  make(kRoot, "f");
  const VolumeStatus before = status();
  const Attributes root = get(kRoot);
  EXPECT_FAILS(volume_->mkdir(kRoot, "f", 0755, kUser), EEXIST);
  EXPECT_EQ(status().inodes_used, before.inodes_used);
  EXPECT_EQ(get(kRoot).nlink, root.nlink);
  EXPECT_EQ(get(kRoot).mtime, root.mtime);
}

TEST_F(NamesTest, UnlinkDeletesTheInodeWithItsLastName) {
  const uint64_t inodes = status().inodes_used;
  const Inode file = make(kRoot, "a");
  ASSERT_OK(volume_->link(file, kRoot, "b"));
  EXPECT_EQ(get(file).nlink, 2u);
  const Time before = get(file).ctime;
  ASSERT_OK(volume_->unlink(kRoot, "a"));
  EXPECT_EQ(get(file).nlink, 1u);
  EXPECT_GT(get(file).ctime, before);
  ASSERT_OK(volume_->unlink(kRoot, "b"));
  EXPECT_FALSE(exists(file));
  EXPECT_EQ(status().inodes_used, inodes);
  EXPECT_EQ(get(kRoot).size, 0u);
}

TEST_F(NamesTest, RmdirGivesBackTheLinkOfTheParent) {
  const Inode dir = make_dir(kRoot, "d");
  ASSERT_OK(volume_->rmdir(kRoot, "d"));
  EXPECT_EQ(get(kRoot).nlink, 2u);
  EXPECT_FALSE(exists(dir));
}

TEST_F(NamesTest, ARemovedDirectoryThatIsHeldTakesNoEntries) {
  const Inode dir = make_dir(kRoot, "d");
  volume_->hold(dir);
  ASSERT_OK(volume_->rmdir(kRoot, "d"));
  EXPECT_EQ(get(dir).nlink, 0u);
  EXPECT_FAILS(volume_->mkdir(dir, "x", 0755, kUser), ENOENT);
  volume_->forget(dir, 1);
  EXPECT_FALSE(exists(dir));
}

TEST_F(NamesTest, InodeNumbersAreNeverUsedTwice) {
  const Inode first = make(kRoot, "a");
  ASSERT_OK(volume_->unlink(kRoot, "a"));
  EXPECT_GT(make(kRoot, "a"), first);
  reopen();
  EXPECT_GT(make(kRoot, "b"), first + 1);
}

TEST_F(NamesTest, LinksToDirectoriesAreRefused) {
  const Inode dir = make_dir(kRoot, "d");
  EXPECT_FAILS(volume_->link(dir, kRoot, "e"), EPERM);
  const Inode file = make(kRoot, "f");
  EXPECT_FAILS(volume_->link(file, kRoot, "d"), EEXIST);
  EXPECT_EQ(get(file).nlink, 1u);
}

TEST_F(NamesTest, SymlinksKeepTheirTargets) {
  for (const size_t size : {1u, 1023u, 1024u, 1025u, 4095u}) {
    const std::string target(size, static_cast<char>('a' + size % 20));
    auto made = volume_->symlink(kRoot, "l" + std::to_string(size), target, kUser);
    ASSERT_TRUE(made.has_value()) << explain(made.error());
    EXPECT_EQ(made->size, size);
    EXPECT_EQ(made->mode, S_IFLNK | 0777u);
    EXPECT_EQ(*volume_->readlink(made->inode), target);
  }
  EXPECT_FAILS(volume_->symlink(kRoot, "x", std::string(4096, 'x'), kUser), ENAMETOOLONG);
  EXPECT_FAILS(volume_->symlink(kRoot, "x", "", kUser), ENOENT);
  reopen();
  EXPECT_EQ(volume_->readlink(find(kRoot, "l4095"))->size(), 4095u);
  const uint64_t inodes = status().inodes_used;
  ASSERT_OK(volume_->unlink(kRoot, "l4095"));
  EXPECT_EQ(status().inodes_used, inodes - 1);
}

TEST_F(NamesTest, SetgidDirectoriesHandDownTheirGroup) {
  auto parent = volume_->mkdir(kRoot, "shared", 02775, {1, 77});
  ASSERT_TRUE(parent.has_value());
  auto file = volume_->mknod(parent->inode, "f", S_IFREG | 0644, 0, 0, kUser);
  EXPECT_EQ(file->gid, 77u);
  EXPECT_EQ(file->mode, S_IFREG | 0644u);
  auto dir = volume_->mkdir(parent->inode, "d", 0755, kUser);
  EXPECT_EQ(dir->gid, 77u);
  EXPECT_EQ(dir->mode, S_IFDIR | 02755u);
  EXPECT_EQ(dir->uid, kUser.uid);
}

TEST_F(NamesTest, ImmutableAndAppendOnlyAreEnforced) {
  constexpr uint32_t kImmutable = 0x10, kAppend = 0x20;
  const Inode dir = make_dir(kRoot, "d");
  const Inode file = make(dir, "f");
  ASSERT_OK(volume_->set_flags(dir, kImmutable, 0));
  EXPECT_FAILS(volume_->mkdir(dir, "x", 0755, kUser), EPERM);
  EXPECT_FAILS(volume_->unlink(dir, "f"), EPERM);
  EXPECT_FAILS(volume_->rename(dir, "f", kRoot, "f", 0), EPERM);
  ASSERT_OK(volume_->set_flags(dir, kAppend, 0));
  EXPECT_OK(volume_->mkdir(dir, "x", 0755, kUser));
  EXPECT_FAILS(volume_->rmdir(dir, "x"), EPERM);
  ASSERT_OK(volume_->set_flags(dir, 0, 0));
  ASSERT_OK(volume_->set_flags(file, kImmutable, 0));
  EXPECT_FAILS(volume_->unlink(dir, "f"), EPERM);
  EXPECT_FAILS(volume_->link(file, kRoot, "f"), EPERM);
  EXPECT_FAILS(volume_->rename(dir, "f", kRoot, "f", 0), EPERM);
  ASSERT_OK(volume_->set_flags(file, 0, 0));
  EXPECT_OK(volume_->unlink(dir, "f"));
}

TEST_F(NamesTest, TheHostBeingFullUndoesTheOperation) {
  uint64_t made = 0;
  device_->set_host_bytes_max(device_->snapshot().allocated_bytes());
  std::string long_name(200, 'x');
  for (; made < 100'000; ++made) {
    auto result = volume_->mkdir(kRoot, long_name + std::to_string(made), 0755, kUser);
    if (result) continue;
    EXPECT_EQ(errno_of(result.error()), ENOSPC) << explain(result.error());
    break;
  }
  ASSERT_GT(made, 100u);
  ASSERT_LT(made, 100'000u);
  EXPECT_EQ(get(kRoot).size, made);
  EXPECT_EQ(status().inodes_used, made + 1);
  EXPECT_EQ(list(kRoot).size(), made);
  device_->set_host_bytes_max(UINT64_MAX);
  EXPECT_OK(volume_->mkdir(kRoot, "again", 0755, kUser));
  reopen();
  EXPECT_EQ(list(kRoot).size(), made + 1);
}

}  // namespace
}  // namespace rvmfs::test
