// SPDX-License-Identifier: BSD-2-Clause
//
// File contents under several threads and with the background thread: writers and readers of the
// same files, files that come and go, and space that is freed and used again all the time.
#include <fcntl.h>
#include <linux/falloc.h>

#include <atomic>
#include <random>
#include <thread>

#include "tests/fs/core_world.h"

namespace rvmfs::test {
namespace {

using Bytes = std::vector<std::byte>;

class DataThreads : public ::testing::Test {
 protected:
  void SetUp() override {
    device_ = MemoryDevice::disk(24 << 20);
    FormatOptions format;
    format.volume_bytes = 24 << 20;
    ASSERT_OK(format_volume(device_, format));
    auto opened = Volume::open(device_, MountOptions());
    ASSERT_TRUE(opened.has_value());
    volume_ = std::move(*opened);
  }
  void TearDown() override {
    EXPECT_OK(volume_->close());
    volume_.reset();
    EXPECT_EQ(SpaceCheck::run(device_), "");
  }
  Inode make(const std::string& name) {
    const auto made = volume_->mknod(kRoot, name, S_IFREG | 0644, 0, 0, kUser);
    EXPECT_TRUE(made.has_value());
    return made ? made->inode : 0;
  }
  void run_threads(int count, const std::function<void(int)>& body) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
    for (std::thread& thread : threads) thread.join();
  }

  std::shared_ptr<MemoryDevice> device_;
  std::unique_ptr<Volume> volume_;
};

// Every write fills its range with one value, so a reader that sees two values saw two writes
// mixed.
TEST_F(DataThreads, AWriteIsSeenAsAWholeOrNotAtAll) {
  const Inode file = make("file");
  constexpr size_t kBytes = 3 * 4096;
  ASSERT_OK(volume_->write(file, 100, Bytes(kBytes, std::byte{1})));
  std::atomic<bool> mixed = false, failed = false;
  run_threads(4, [&](int number) {
    for (int i = 0; i < 400; ++i) {
      Bytes bytes(kBytes, std::byte(number * 50 + i % 50));
      if (number < 2) {
        failed = failed || !volume_->write(file, 100, bytes);
      } else {
        const auto count = volume_->read(file, 100, bytes);
        failed = failed || !count || *count != kBytes;
        mixed = mixed || std::count(bytes.begin(), bytes.end(), bytes[0]) != long{kBytes};
      }
    }
  });
  EXPECT_FALSE(mixed);
  EXPECT_FALSE(failed);
}

TEST_F(DataThreads, NobodyReadsBlocksThatWereFreedAndUsedAgain) {
  constexpr int kThreads = 4;
  Inode files[kThreads];
  for (int i = 0; i < kThreads; ++i) files[i] = make("file" + std::to_string(i));
  std::atomic<int> foreign = 0, errors = 0;
  run_threads(kThreads, [&](int number) {
    std::mt19937_64 random(static_cast<uint64_t>(number));
    for (int i = 0; i < 300; ++i) {
      const Inode mine = files[number];
      const uint64_t offset = random() % 2000000;
      const uint64_t length = 1 + random() % 400000;
      bool done = true;
      switch (random() % 4) {
        case 0: {
          AttributeChange change;
          change.valid = AttributeChange::size_bit;
          change.size = offset / 10;
          done = volume_->setattr(mine, change).has_value();
          break;
        }
        case 1:
          done =
              volume_->fallocate(mine, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length)
                  .has_value();
          break;
        case 2: {
          const auto written = volume_->write(mine, offset, Bytes(length, std::byte(number + 1)));
          done = written || is(written.error(), FsErrc::volume_full);
          break;
        }
        default: {
          const int other = static_cast<int>(random() % kThreads);
          Bytes bytes(length);
          const auto count = volume_->read(files[other], offset, bytes);
          done = count.has_value();
          for (size_t k = 0; done && k < *count; ++k) {
            if (bytes[k] != std::byte{0} && bytes[k] != std::byte(other + 1)) ++foreign;
          }
        }
      }
      errors += !done;
      if (i % 50 == 0) errors += !volume_->fsync(mine, false).has_value();
    }
  });
  EXPECT_EQ(foreign, 0);
  EXPECT_EQ(errors, 0);
}

TEST_F(DataThreads, CopiesInBothDirectionsDoNotBlockEachOther) {
  const Inode left = make("left"), right = make("right");
  ASSERT_OK(volume_->write(left, 0, Bytes(100000, std::byte{1})));
  ASSERT_OK(volume_->write(right, 0, Bytes(100000, std::byte{2})));
  std::atomic<int> errors = 0;
  run_threads(4, [&](int number) {
    for (int i = 0; i < 100; ++i) {
      const auto copied = number % 2 == 0
                              ? volume_->copy_file_range(left, 0, right, 200000, 100000)
                              : volume_->copy_file_range(right, 0, left, 200000, 100000);
      errors += !copied || *copied != 100000;
    }
  });
  EXPECT_EQ(errors, 0);
  EXPECT_EQ(volume_->getattr(left)->size, 300000u);
}

TEST_F(DataThreads, FilesThatComeAndGoLeaveNothingBehind) {
  const uint64_t before = volume_->statfs()->blocks_free;
  std::atomic<int> errors = 0;
  run_threads(3, [&](int number) {
    for (int i = 0; i < 200; ++i) {
      const std::string name = std::to_string(number) + "-" + std::to_string(i % 5);
      const auto made = volume_->mknod(kRoot, name, S_IFREG | 0644, 0, 0, kUser);
      if (!made) {
        ++errors;
        continue;
      }
      const auto written = volume_->write(made->inode, 0, Bytes(200000, std::byte{1}));
      errors += !written && !is(written.error(), FsErrc::volume_full);
      errors += !volume_->unlink(kRoot, name).has_value();
    }
  });
  EXPECT_EQ(errors, 0);
  ASSERT_OK(volume_->close());
  auto again = Volume::open(device_, MountOptions());
  ASSERT_TRUE(again.has_value());
  volume_ = std::move(*again);
  EXPECT_GE(volume_->statfs()->blocks_free + 256, before);
}

}  // namespace
}  // namespace rvmfs::test
