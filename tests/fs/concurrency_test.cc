// SPDX-License-Identifier: BSD-2-Clause
//
// Many threads on one volume, with the background thread running and with so little memory for
// metadata that pages come and go all the time: operations are undone and run again when a page is
// missing, and nobody sees it.
#include <atomic>
#include <cerrno>
#include <random>
#include <set>
#include <thread>

#include "tests/fs/volume_fixture.h"

namespace rvmfs::test {
namespace {

constexpr uint64_t kLittleMemory = 256 << 10;

class ConcurrencyTest : public VolumeTest {
 protected:
  void open_busy(uint64_t metadata_bytes_max) {
    ASSERT_OK(volume_->close());
    MountOptions busy;
    busy.commit_seconds = 1;
    busy.count_lookups = true;
    busy.metadata_bytes_max = metadata_bytes_max;
    auto opened = Volume::open(device_, busy);
    ASSERT_TRUE(opened.has_value()) << explain(opened.error());
    volume_ = std::move(*opened);
  }
  template <typename Work>
  void run_threads(int count, Work work) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) threads.emplace_back([=] { work(i); });
    for (std::thread& thread : threads) thread.join();
  }
  // Creates and removes at random in a directory of its own; returns what must be left.
  std::set<std::string> play(Inode directory, int seed, int steps) {
    std::mt19937 random(static_cast<unsigned>(seed));
    std::set<std::string> names;
    for (int step = 0; step < steps; ++step) {
      const std::string name = "name-" + std::to_string(random() % 300);
      if (names.contains(name)) {
        EXPECT_OK(volume_->unlink(directory, name));
        names.erase(name);
        continue;
      }
      auto made = volume_->mknod(directory, name, S_IFREG | 0644, 0, 0, kUser);
      EXPECT_TRUE(made.has_value()) << explain(made.error());
      if (!made) return names;
      names.insert(name);
      if (step % 3 == 0) write(made->inode, std::string(random() % 9000, 'x'));
      if (step % 5 == 0) EXPECT_OK(volume_->setxattr(made->inode, "user.a", "value", 0));
      volume_->forget(made->inode, 1);
    }
    return names;
  }
};

TEST_F(ConcurrencyTest, ThreadsInDirectoriesOfTheirOwnDoNotDisturbEachOther) {
  for (const uint64_t memory : {uint64_t{64 << 20}, kLittleMemory}) {
    open_busy(memory);
    const std::string prefix = "m" + std::to_string(memory) + "-";
    std::vector<std::set<std::string>> expected(4);
    std::vector<Inode> directories;
    for (int i = 0; i < 4; ++i) directories.push_back(make_dir(kRoot, prefix + std::to_string(i)));
    run_threads(4, [&](int i) {
      const auto index = static_cast<size_t>(i);
      expected[index] = play(directories[index], i, 1500);
    });
    reopen();
    for (size_t i = 0; i < 4; ++i) {
      std::set<std::string> names;
      for (const auto& [name, inode] : list(directories[i])) names.insert(name);
      EXPECT_EQ(names, expected[i]);
    }
  }
  uint64_t inodes = 1;
  for (const auto& [name, directory] : list(kRoot)) inodes += 1 + list(directory).size();
  EXPECT_EQ(status().inodes_used, inodes);
}

TEST_F(ConcurrencyTest, ANameThatIsRenamedOverIsAlwaysThere) {
  open_busy(kLittleMemory);
  make(kRoot, "target");
  std::atomic<bool> stop{false};
  std::atomic<int> looked{0};
  std::thread reader([&] {
    while (!stop || looked == 0) {
      auto found = volume_->lookup(kRoot, "target");
      ASSERT_TRUE(found.has_value()) << explain(found.error());
      EXPECT_OK(volume_->getattr(found->inode));  // held: it cannot vanish
      volume_->forget(found->inode, 1);
      ++looked;
    }
  });
  run_threads(2, [&](int i) {
    const std::string name = "new" + std::to_string(i);
    for (int round = 0; round < 1000; ++round) {
      auto made = volume_->mknod(kRoot, name, S_IFREG | 0644, 0, 0, kUser);
      ASSERT_TRUE(made.has_value()) << explain(made.error());
      EXPECT_OK(volume_->rename(kRoot, name, kRoot, "target", 0));
      volume_->forget(made->inode, 1);
    }
  });
  stop = true;
  reader.join();
  reopen();
  EXPECT_EQ(list(kRoot).size(), 1u);
  EXPECT_EQ(status().inodes_used, 2u);
}

TEST_F(ConcurrencyTest, ReadersSeeWholeDirectoriesWhileWritersChangeThem) {
  open_busy(kLittleMemory);
  std::set<std::string> staying;
  for (int i = 0; i < 400; ++i) {
    staying.insert("stay" + std::to_string(i));
    volume_->forget(make(kRoot, "stay" + std::to_string(i)), 1);
  }
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    play(kRoot, 7, 3000);
    stop = true;
  });
  int rounds = 0;
  do {
    std::multiset<std::string> seen;
    EXPECT_OK(volume_->readdir(kRoot, 0, true, [&](const DirectoryItem& item) {
      if (item.name.starts_with("stay")) seen.emplace(item.name);
      if (item.attributes != nullptr) volume_->forget(item.inode, 1);
      return true;
    }));
    EXPECT_EQ(seen.size(), staying.size());
    ++rounds;
  } while (!stop);
  writer.join();
  EXPECT_GT(rounds, 0);
}

TEST_F(ConcurrencyTest, MetadataStayWithinTheirMemory) {
  open_busy(2 << 20);
  uint64_t most = 0;
  for (int i = 0; i < 40'000; ++i) {
    auto made = volume_->mknod(kRoot, "a-rather-long-name-for-a-file-" + std::to_string(i),
                               S_IFREG | 0644, 0, 0, kUser);
    ASSERT_TRUE(made.has_value()) << explain(made.error());
    volume_->forget(made->inode, 1);
    if (i % 100 == 0) most = std::max(most, volume_->rvm().query().resident_bytes);
  }
  EXPECT_LT(most, 4u << 20);
  EXPECT_EQ(list(kRoot).size(), 40'000u);
  EXPECT_LT(volume_->rvm().query().resident_bytes, 4u << 20);
  EXPECT_GT(volume_->rvm().statistics().pages_dropped, 500u);
}

TEST_F(ConcurrencyTest, AStreamOfReadersDoesNotKeepAWriterWaiting) {
  open_busy(uint64_t{64} << 20);
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 8; ++i) {
    readers.emplace_back([&] {
      while (!stop) EXPECT_OK(volume_->getattr(kRoot));
    });
  }
  for (int i = 0; i < 200; ++i) make(kRoot, "f" + std::to_string(i));
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(list(kRoot).size(), 200u);
}

TEST_F(ConcurrencyTest, TheSuperblockIsReadWholeWhileLabelAndSizeChange) {
  open_busy(kLittleMemory);
  const std::string labels[] = {std::string(40, 'a'), std::string(40, 'b')};
  ASSERT_OK(volume_->set_label(labels[0]));
  const uint64_t first = volume_->superblock().volume_bytes;
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    for (uint64_t least = first; !stop;) {
      const format::Superblock super = volume_->superblock();
      const std::string label(super.label);
      EXPECT_TRUE(label == labels[0] || label == labels[1]) << label;
      EXPECT_GE(super.volume_bytes, least);
      least = super.volume_bytes;
    }
  });
  run_threads(3, [&](int i) {
    for (uint64_t round = 1; round <= 20; ++round) {
      if (i == 0) EXPECT_OK(volume_->set_label(labels[round % 2]));
      if (i == 1) EXPECT_OK(volume_->grow(first + round * (4 << 20)));
      if (i == 2) make(kRoot, "f" + std::to_string(round));
    }
  });
  stop = true;
  reader.join();
  reopen();
  EXPECT_EQ(std::string(volume_->superblock().label), labels[0]);
  EXPECT_EQ(volume_->superblock().volume_bytes, first + 20 * (4 << 20));
}

}  // namespace
}  // namespace rvmfs::test
