// SPDX-License-Identifier: BSD-2-Clause
//
// Reading directories: completeness, cookies, changes in between, attributes and holds.
#include <dirent.h>

#include <cerrno>
#include <random>
#include <set>

#include "tests/fs/volume_fixture.h"

namespace rvmfs::test {
namespace {

class ReaddirTest : public VolumeTest {
 protected:
  // At most `count` names behind the cookie, which is moved.
  std::vector<std::string> some(Inode directory, uint64_t& cookie, size_t count) {
    std::vector<std::string> names;
    EXPECT_OK(volume_->readdir(directory, cookie, false, [&](const DirectoryItem& item) {
      if (names.size() == count) return false;
      names.emplace_back(item.name);
      cookie = item.cookie;
      return true;
    }));
    return names;
  }
};

TEST_F(ReaddirTest, BeginsWithTheDots) {
  const Inode dir = make_dir(kRoot, "d");
  const Inode file = make(dir, "f");
  std::vector<std::tuple<std::string, Inode, int>> seen;
  ASSERT_OK(volume_->readdir(dir, 0, false, [&](const DirectoryItem& item) {
    seen.emplace_back(item.name, item.inode, item.type);
    EXPECT_EQ(item.attributes, nullptr);
    return true;
  }));
  const decltype(seen) expected{{".", dir, DT_DIR}, {"..", kRoot, DT_DIR}, {"f", file, DT_REG}};
  EXPECT_EQ(seen, expected);
}

TEST_F(ReaddirTest, EveryCookieGoesOnBehindItsEntry) {
  std::set<std::string> all{".", ".."};
  for (int i = 0; i < 300; ++i) {
    all.insert("n" + std::to_string(i));
    make(kRoot, "n" + std::to_string(i));
  }
  for (const size_t step : {1u, 2u, 7u, 128u, 129u, 1000u}) {
    std::set<std::string> seen;
    uint64_t cookie = 0;
    for (;;) {
      const auto names = some(kRoot, cookie, step);
      if (names.empty()) break;
      for (const std::string& name : names) EXPECT_TRUE(seen.insert(name).second) << name;
    }
    EXPECT_EQ(seen, all) << "in steps of " << step;
  }
}

TEST_F(ReaddirTest, AnEntryThatTheSinkRefusedComesAgain) {
  make(kRoot, "a");
  int calls = 0;
  ASSERT_OK(volume_->readdir(kRoot, 2, false, [&](const DirectoryItem&) {
    ++calls;
    return false;
  }));
  EXPECT_EQ(calls, 1);
  uint64_t cookie = 2;
  EXPECT_EQ(some(kRoot, cookie, 5), std::vector<std::string>{"a"});
  EXPECT_TRUE(some(kRoot, cookie, 5).empty());
  cookie = UINT64_MAX;
  EXPECT_TRUE(some(kRoot, cookie, 5).empty());
}

TEST_F(ReaddirTest, WhatStaysIsSeenOnceWhateverComesAndGoes) {
  std::mt19937_64 random(1);
  std::set<std::string> staying;
  for (int i = 0; i < 500; ++i) {
    staying.insert("stay" + std::to_string(i));
    make(kRoot, "stay" + std::to_string(i));
    make(kRoot, "go" + std::to_string(i));
  }
  std::multiset<std::string> seen;
  uint64_t cookie = 2;
  for (int round = 0;; ++round) {
    const auto names = some(kRoot, cookie, 10);
    if (names.empty()) break;
    for (const std::string& name : names) {
      if (name.starts_with("stay")) seen.insert(name);
    }
    for (int i = 0; i < 5; ++i) {
      const std::string victim = "go" + std::to_string(random() % 500);
      if (find(kRoot, victim) != 0) EXPECT_OK(volume_->unlink(kRoot, victim));
      make(kRoot, "new" + std::to_string(round) + "-" + std::to_string(i));
    }
    if (round == 20) reopen();
  }
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()), staying);
  EXPECT_EQ(seen.size(), staying.size());
}

TEST_F(ReaddirTest, PlusBringsAttributes) {
  const Inode dir = make_dir(kRoot, "d");
  const Inode file = make(dir, "f");
  std::map<std::string, Attributes> seen;
  ASSERT_OK(volume_->readdir(dir, 0, true, [&](const DirectoryItem& item) {
    if (item.attributes != nullptr) seen.emplace(item.name, *item.attributes);
    return true;
  }));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen["f"].inode, file);
  EXPECT_EQ(seen["f"].mode, S_IFREG | 0644u);
}

TEST_F(ReaddirTest, OfAFileIsRefused) {
  const Inode file = make(kRoot, "f");
  const auto sink = [](const DirectoryItem&) { return true; };
  EXPECT_FAILS(volume_->readdir(file, 0, false, sink), ENOTDIR);
  EXPECT_FAILS(volume_->readdir(999, 0, false, sink), ESTALE);
}

TEST_F(ReaddirTest, TheSinkMayUseTheVolume) {
  for (int i = 0; i < 200; ++i) make(kRoot, "n" + std::to_string(i));
  ASSERT_OK(volume_->readdir(kRoot, 2, false, [&](const DirectoryItem& item) {
    EXPECT_OK(volume_->unlink(kRoot, item.name));
    return true;
  }));
  EXPECT_TRUE(list(kRoot).empty());
}

class CountedReaddirTest : public ReaddirTest {
 protected:
  CountedReaddirTest() { count_lookups_ = true; }
};

TEST_F(CountedReaddirTest, PlusHoldsWhatWasConsumedAndNothingElse) {
  std::map<std::string, Inode> files;
  for (int i = 0; i < 10; ++i) {
    const std::string name = "f" + std::to_string(i);
    files[name] = make(kRoot, name);
    volume_->forget(files[name], 1);
  }
  std::set<Inode> consumed;
  ASSERT_OK(volume_->readdir(kRoot, 2, true, [&](const DirectoryItem& item) {
    if (consumed.size() == 4) return false;
    consumed.insert(item.inode);
    return true;
  }));
  for (const auto& [name, inode] : files) {
    ASSERT_OK(volume_->unlink(kRoot, name));
    EXPECT_EQ(exists(inode), consumed.contains(inode)) << name;
  }
  for (const Inode inode : consumed) {
    volume_->forget(inode, 1);
    EXPECT_FALSE(exists(inode));
  }
}

TEST_F(ReaddirTest, AHundredThousandEntriesInOneDirectory) {
  constexpr int kEntries = 100'000;
  for (int i = 0; i < kEntries; ++i) {
    ASSERT_OK(volume_->mknod(kRoot, "file-" + std::to_string(i), S_IFREG | 0644, 0, 0, kUser));
  }
  ASSERT_OK(volume_->sync());
  crash();
  EXPECT_EQ(get(kRoot).size, uint64_t{kEntries});
  const auto names = list(kRoot);
  EXPECT_EQ(names.size(), size_t{kEntries});
  std::mt19937_64 random(2);
  for (int i = 0; i < 1000; ++i) {
    const std::string name = "file-" + std::to_string(random() % kEntries);
    EXPECT_EQ(find(kRoot, name), names.at(name));
  }
  for (const auto& [name, inode] : names) ASSERT_OK(volume_->unlink(kRoot, name));
  EXPECT_EQ(status().inodes_used, 1u);
  reopen();
  EXPECT_TRUE(list(kRoot).empty());
  EXPECT_OK(volume_->mkdir(kRoot, "d", 0755, kUser));
}

}  // namespace
}  // namespace rvmfs::test
