// SPDX-License-Identifier: BSD-2-Clause
//
// Extended attributes.
#include <sys/xattr.h>

#include <cerrno>

#include "tests/fs/volume_fixture.h"

namespace rvmfs::test {
namespace {

class XattrTest : public VolumeTest {
 protected:
  void SetUp() override {
    VolumeTest::SetUp();
    file_ = make(kRoot, "f");
  }
  std::string value(std::string_view name) {
    auto found = volume_->getxattr(file_, name);
    EXPECT_TRUE(found.has_value()) << explain(found.error());
    return found ? *found : "";
  }
  Inode file_ = 0;
};

TEST_F(XattrTest, ValuesOfEverySizeComeBack) {
  for (const size_t size : {0u, 1u, 1000u, 1010u, 1011u, 1012u, 2048u, 5000u, 65535u, 65536u}) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + size);
    ASSERT_OK(volume_->setxattr(file_, "user.v" + std::to_string(size), bytes, 0));
    EXPECT_EQ(value("user.v" + std::to_string(size)), bytes);
  }
  reopen();
  EXPECT_EQ(value("user.v65536").size(), 65536u);
  EXPECT_FAILS(volume_->setxattr(file_, "user.x", std::string(65537, 'x'), 0), E2BIG);
}

TEST_F(XattrTest, AValueIsReplacedByALongerAndAShorterOne) {
  for (const size_t size : {10u, 4000u, 3000u, 3000u, 0u, 70u}) {
    const std::string bytes(size, static_cast<char>('a' + size % 7));
    ASSERT_OK(volume_->setxattr(file_, "user.a", bytes, 0));
    EXPECT_EQ(value("user.a"), bytes);
  }
  EXPECT_EQ(*volume_->listxattr(file_), std::string("user.a\0", 7));
}

TEST_F(XattrTest, CreateAndReplaceAreObeyed) {
  EXPECT_FAILS(volume_->setxattr(file_, "user.a", "1", XATTR_REPLACE), ENODATA);
  ASSERT_OK(volume_->setxattr(file_, "user.a", "1", XATTR_CREATE));
  EXPECT_FAILS(volume_->setxattr(file_, "user.a", "2", XATTR_CREATE), EEXIST);
  ASSERT_OK(volume_->setxattr(file_, "user.a", "3", XATTR_REPLACE));
  EXPECT_EQ(value("user.a"), "3");
}

TEST_F(XattrTest, ChangesMoveCtimeOnly) {
  const Attributes before = get(file_);
  ASSERT_OK(volume_->setxattr(file_, "user.a", "1", 0));
  const Attributes after = get(file_);
  EXPECT_GT(after.ctime, before.ctime);
  EXPECT_EQ(after.mtime, before.mtime);
  ASSERT_OK(volume_->removexattr(file_, "user.a"));
  EXPECT_GT(get(file_).ctime, after.ctime);
}

TEST_F(XattrTest, RemovedMeansGone) {
  ASSERT_OK(volume_->setxattr(file_, "user.a", std::string(9000, 'x'), 0));
  ASSERT_OK(volume_->setxattr(file_, "user.b", "b", 0));
  ASSERT_OK(volume_->removexattr(file_, "user.a"));
  EXPECT_FAILS(volume_->removexattr(file_, "user.a"), ENODATA);
  EXPECT_FAILS(volume_->getxattr(file_, "user.a"), ENODATA);
  EXPECT_EQ(*volume_->listxattr(file_), std::string("user.b\0", 7));
}

TEST_F(XattrTest, ManyAreListedOnce) {
  std::map<std::string, std::string> all;
  for (int i = 0; i < 2000; ++i) {
    const std::string name = "user.name" + std::to_string(i);
    all[name] = std::string(static_cast<size_t>(i), 'v');
    ASSERT_OK(volume_->setxattr(file_, name, all[name], 0));
  }
  const std::string list = *volume_->listxattr(file_);
  std::map<std::string, std::string> seen;
  for (size_t at = 0; at < list.size(); at = list.find('\0', at) + 1) {
    const std::string name = list.c_str() + at;
    seen[name] = value(name);
  }
  EXPECT_EQ(seen, all);
}

TEST_F(XattrTest, AVolumeWithoutAccessControlListsNeverLooksForThem) {
  const auto marked = [&] { return volume_->superblock().features_compat & format::kCompatAcl; };
  EXPECT_OK(volume_->setxattr(file_, "user.x", "y", 0));
  EXPECT_EQ(marked(), 0U);
  // Owner rw-, user 5 rwx, group r--, mask rwx, others ---.
  const std::string list(
      "\2\0\0\0"
      "\1\0\6\0\xff\xff\xff\xff\2\0\7\0\5\0\0\0\4\0\4\0\xff\xff\xff\xff"
      "\x10\0\7\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff",
      44);
  EXPECT_OK(volume_->setxattr(file_, "system.posix_acl_access", list, 0));
  EXPECT_NE(marked(), 0U);
  EXPECT_EQ(volume_->getattr(file_)->mode & 0777, 0670U);
  AttributeChange change{.valid = AttributeChange::mode_bit, .mode = 0640};
  EXPECT_OK(volume_->setattr(file_, change));
  EXPECT_EQ(volume_->getxattr(file_, "system.posix_acl_access")->at(30), 4) << "the mask";
  EXPECT_OK(volume_->removexattr(file_, "system.posix_acl_access"));
  EXPECT_FAILS(volume_->getxattr(file_, "system.posix_acl_access"), ENODATA);
}

TEST_F(XattrTest, NamespacesThatNobodyKeepsAreRefused) {
  EXPECT_OK(volume_->setxattr(file_, "trusted.overlay.opaque", "y", 0));
  EXPECT_OK(volume_->setxattr(file_, "security.selinux", "y", 0));
  EXPECT_OK(volume_->setxattr(file_, "user." + std::string(250, 'n'), "y", 0));
  EXPECT_FAILS(volume_->setxattr(file_, "user." + std::string(251, 'n'), "y", 0), ERANGE);
  EXPECT_FAILS(volume_->setxattr(file_, "system.other", "y", 0), EOPNOTSUPP);
  EXPECT_FAILS(volume_->getxattr(file_, "system.other"), EOPNOTSUPP);
  EXPECT_FAILS(volume_->setxattr(file_, "other.x", "y", 0), EOPNOTSUPP);
  EXPECT_FAILS(volume_->setxattr(file_, "user.", "y", 0), EINVAL);
  EXPECT_FAILS(volume_->setxattr(file_, "", "y", 0), ERANGE);
  EXPECT_FAILS(volume_->setxattr(999, "user.x", "y", 0), ESTALE);
}

TEST_F(XattrTest, TheyGoWithTheirInode) {
  const uint64_t inodes = status().inodes_used;
  for (int i = 0; i < 300; ++i) {
    ASSERT_OK(volume_->setxattr(file_, "user.n" + std::to_string(i), std::string(3000, 'x'), 0));
  }
  ASSERT_OK(volume_->unlink(kRoot, "f"));
  EXPECT_FAILS(volume_->getxattr(file_, "user.n1"), ESTALE);
  EXPECT_EQ(status().inodes_used, inodes - 1);
}

TEST_F(XattrTest, DirectoriesAndSymlinksHaveThemToo) {
  const Inode dir = make_dir(kRoot, "d");
  const Inode link = volume_->symlink(kRoot, "l", "target", kUser)->inode;
  ASSERT_OK(volume_->setxattr(dir, "user.a", "dir", 0));
  ASSERT_OK(volume_->setxattr(link, "trusted.a", "link", 0));
  EXPECT_EQ(*volume_->getxattr(dir, "user.a"), "dir");
  EXPECT_EQ(*volume_->getxattr(link, "trusted.a"), "link");
  EXPECT_EQ(*volume_->readlink(link), "target");
}

}  // namespace
}  // namespace rvmfs::test
