// SPDX-License-Identifier: BSD-2-Clause
//
// File contents through the volume's calls: random changes against a vector of bytes, on a growing
// file and on a disk full of foreign bytes, over clean and hard ends of the session.
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <random>

#include "fs/attributes.h"
#include "tests/fs/core_world.h"

namespace rvmfs::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr int kKeep = FALLOC_FL_KEEP_SIZE;
constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
constexpr int kZero = FALLOC_FL_ZERO_RANGE;
constexpr std::byte kCanary{0xc5};

class DataTest : public VolumeTest {
 protected:
  void SetUp() override {}
  void format(std::shared_ptr<MemoryDevice> device) {
    device_ = std::move(device);
    FormatOptions options;
    options.volume_bytes = volume_bytes_;
    options.now = {1'000'000, 0};
    ASSERT_OK(format_volume(device_, options));
    open();
  }
  void format_disk() { format(MemoryDevice::disk(volume_bytes_, kCanary)); }
  void format_file() { format(MemoryDevice::file()); }

  void TearDown() override {
    if (volume_ == nullptr) return;
    EXPECT_OK(volume_->close());
    volume_.reset();
    EXPECT_EQ(SpaceCheck::run(device_), "");
  }

  Bytes contents(Inode inode) {
    Bytes bytes(get(inode).size + 10, kCanary);
    const auto count = volume_->read(inode, 0, bytes);
    EXPECT_TRUE(count.has_value()) << describe(count.error());
    bytes.resize(count ? *count : 0);
    return bytes;
  }
  void resize(Inode inode, uint64_t size) {
    AttributeChange change;
    change.valid = AttributeChange::size_bit;
    change.size = size;
    const auto attributes = volume_->setattr(inode, change);
    ASSERT_TRUE(attributes.has_value()) << describe(attributes.error());
    EXPECT_EQ(attributes->size, size);
  }
};

// One file and what it should hold.
struct ModelFile {
  Inode inode = 0;
  Bytes bytes;
};

class RandomData : public DataTest, public ::testing::WithParamInterface<uint64_t> {
 protected:
  uint64_t place() { return random_() % (random_() % 2 ? 3000 : range_); }
  uint64_t length() { return 1 + random_() % (random_() % 3 ? 2000 : range_ / 3); }

  void write_some(ModelFile& file) {
    const uint64_t offset = place();
    Bytes data(length());
    for (std::byte& byte : data) byte = static_cast<std::byte>(1 + random_() % 120);
    const auto written = volume_->write(file.inode, offset, data);
    ASSERT_TRUE(written.has_value()) << describe(written.error());
    ASSERT_EQ(*written, data.size());
    if (file.bytes.size() < offset + data.size()) file.bytes.resize(offset + data.size());
    std::copy(data.begin(), data.end(), file.bytes.begin() + static_cast<long>(offset));
  }
  void allocate_some(ModelFile& file, int mode) {
    const uint64_t offset = place();
    const uint64_t end = offset + length();
    ASSERT_OK(volume_->fallocate(file.inode, mode, offset, end - offset));
    if ((mode & kKeep) == 0 && file.bytes.size() < end) file.bytes.resize(end);
    if ((mode & ~kKeep) == 0) return;
    for (uint64_t i = offset; i < std::min<uint64_t>(end, file.bytes.size()); ++i) {
      file.bytes[i] = std::byte{0};
    }
  }
  void copy_some(ModelFile& from, ModelFile& to) {
    const uint64_t in = place(), out = place(), wanted = length();
    const auto copied = volume_->copy_file_range(from.inode, in, to.inode, out, wanted);
    const uint64_t there =
        in < from.bytes.size() ? std::min<uint64_t>(wanted, from.bytes.size() - in) : 0;
    if (&from == &to && in < out + there && out < in + there) {
      EXPECT_FALSE(copied.has_value());
      return;
    }
    ASSERT_TRUE(copied.has_value()) << describe(copied.error());
    ASSERT_EQ(*copied, there);
    if (there == 0) return;
    if (to.bytes.size() < out + there) to.bytes.resize(out + there);
    std::copy_n(from.bytes.begin() + static_cast<long>(in), there,
                to.bytes.begin() + static_cast<long>(out));
  }
  // Everything that is not zero lies in what SEEK_DATA and SEEK_HOLE call data.
  void check_seek(const ModelFile& file) {
    uint64_t at = 0;
    while (at < file.bytes.size()) {
      const auto data = volume_->lseek(file.inode, at, SEEK_DATA);
      const uint64_t begin = data ? *data : file.bytes.size();
      if (!data) EXPECT_TRUE(is(data.error(), FsErrc::no_data_there));
      ASSERT_TRUE(begin >= at && begin <= file.bytes.size());
      for (uint64_t i = at; i < begin; ++i) ASSERT_EQ(file.bytes[i], std::byte{0}) << i;
      if (!data) return;
      const auto hole = volume_->lseek(file.inode, begin, SEEK_HOLE);
      ASSERT_TRUE(hole.has_value());
      ASSERT_TRUE(*hole > begin && *hole <= file.bytes.size());
      at = *hole;
    }
  }
  void check(const ModelFile& file) {
    const Bytes found = contents(file.inode);
    ASSERT_EQ(found.size(), file.bytes.size());
    const auto different = std::mismatch(found.begin(), found.end(), file.bytes.begin());
    ASSERT_TRUE(different.first == found.end())
        << "byte " << different.first - found.begin() << " of " << found.size();
    check_seek(file);
  }
  void step(ModelFile& file, ModelFile& other) {
    switch (random_() % 12) {
      case 0: return allocate_some(file, 0);
      case 1: return allocate_some(file, kKeep);
      case 2: return allocate_some(file, kPunch);
      case 3: return allocate_some(file, kZero);
      case 4: return allocate_some(file, kZero | kKeep);
      case 5:
      case 6: {
        const uint64_t size = random_() % 5 == 0 ? 0 : place();
        file.bytes.resize(size);
        return resize(file.inode, size);
      }
      case 7: return copy_some(file, random_() % 3 ? other : file);
      default: return write_some(file);
    }
  }
  void end_session() {
    switch (random_() % 3) {
      case 0: return reopen();
      case 1: ASSERT_OK(volume_->sync()); return crash();
      default: ASSERT_OK(volume_->fsync(kRoot, false));
    }
  }
  void run(uint64_t seed) {
    random_.seed(seed);
    range_ = seed % 3 == 0 ? 4000 : seed % 3 == 1 ? 60000 : 700000;
    ModelFile files[3];
    for (int i = 0; i < 3; ++i) files[i].inode = make(kRoot, "file" + std::to_string(i));
    for (int i = 0; i < 250; ++i) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " step " + std::to_string(i));
      ModelFile& file = files[random_() % 3];
      step(file, files[random_() % 3]);
      if (HasFatalFailure()) return;
      check(file);
      if (HasFatalFailure()) return;
      if (i % 40 == 39) {
        end_session();
        for (const ModelFile& each : files) check(each);
        if (HasFatalFailure()) return;
      }
    }
  }

  std::mt19937_64 random_;
  uint64_t range_ = 0;
};

TEST_P(RandomData, AgreeWithAVectorOfBytesOnADiskOfForeignBytes) {
  format_disk();
  run(GetParam());
}

TEST_P(RandomData, AgreeWithAVectorOfBytesInAGrowingFile) {
  format_file();
  run(GetParam() + 1000);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomData, ::testing::Range<uint64_t>(1, 8));

TEST_F(DataTest, SmallFilesLiveInTheMetadataUntilTheyGrow) {
  format_disk();
  const Inode file = make(kRoot, "file");
  write(file, std::string(1000, 'a'));
  EXPECT_EQ(get(file).blocks, 0u);
  write(file, std::string(24, 'b'), 1000);
  EXPECT_EQ(get(file).blocks, 0u) << "1024 bytes still fit";
  write(file, "c", 1024);
  EXPECT_EQ(get(file).blocks, 8u);
  EXPECT_EQ(read(file), std::string(1000, 'a') + std::string(24, 'b') + "c");
  resize(file, 0);
  EXPECT_EQ(get(file).blocks, 0u);
  write(file, "again");
  EXPECT_EQ(get(file).blocks, 0u) << "a file cut to nothing begins anew";
  EXPECT_EQ(read(file), "again");
}

TEST_F(DataTest, BytesBehindATruncationAreZerosAfterEveryKindOfExtension) {
  format_disk();
  for (int way = 0; way < 4; ++way) {
    SCOPED_TRACE(way);
    const Inode file = make(kRoot, "file" + std::to_string(way));
    write(file, std::string(10000, 'x'));
    resize(file, 5000);
    if (way == 0) resize(file, 9000);
    if (way == 1) write(file, "y", 8999);
    if (way == 2) ASSERT_OK(volume_->fallocate(file, 0, 6000, 3000));
    if (way == 3) ASSERT_OK(volume_->fallocate(file, kZero, 6000, 3000));
    std::string expected = std::string(5000, 'x') + std::string(4000, '\0');
    if (way == 1) expected.back() = 'y';
    EXPECT_TRUE(read(file) == expected);
  }
}

TEST_F(DataTest, AHoleTakesNoBlocksAndReadsAsZeros) {
  format_disk();
  const Inode file = make(kRoot, "file");
  write(file, "end", 40ull << 30);
  EXPECT_EQ(get(file).blocks, 8u);
  EXPECT_EQ(get(file).size, (40ull << 30) + 3);
  EXPECT_EQ(*volume_->lseek(file, 0, SEEK_DATA), 40ull << 30);
  Bytes bytes(100000, kCanary);
  ASSERT_EQ(*volume_->read(file, 12345, bytes), bytes.size());
  EXPECT_EQ(bytes, Bytes(100000));
}

TEST_F(DataTest, AllocatedBlocksReadAsZerosAndCount) {
  format_disk();
  const Inode file = make(kRoot, "file");
  ASSERT_OK(volume_->fallocate(file, kKeep, 0, 100000));
  EXPECT_EQ(get(file).blocks, 25u * 8);
  EXPECT_EQ(get(file).size, 0u);
  ASSERT_OK(volume_->fallocate(file, 0, 0, 100000));
  EXPECT_EQ(get(file).blocks, 25u * 8) << "what is allocated is not allocated again";
  EXPECT_EQ(contents(file), Bytes(100000));
  EXPECT_TRUE(is(volume_->lseek(file, 0, SEEK_DATA).error(), FsErrc::no_data_there));
  write(file, "x", 50000);
  EXPECT_EQ(get(file).blocks, 25u * 8);
  EXPECT_EQ(*volume_->lseek(file, 0, SEEK_DATA), 49152u);
  EXPECT_EQ(*volume_->lseek(file, 50000, SEEK_HOLE), 53248u);
}

TEST_F(DataTest, WrongArgumentsAreRefused) {
  format_disk();
  const Inode file = make(kRoot, "file");
  const Inode dir = make_dir(kRoot, "dir");
  Bytes bytes(10);
  EXPECT_FAILS(volume_->write(file, format::kFileBytesMax, bytes), EFBIG);
  EXPECT_FAILS(volume_->write(file, UINT64_MAX - 3, bytes), EFBIG);
  EXPECT_FAILS(volume_->fallocate(file, 0, format::kFileBytesMax, 1), EFBIG);
  EXPECT_FAILS(volume_->fallocate(file, 0, 0, 0), EINVAL);
  EXPECT_FAILS(volume_->fallocate(file, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), EOPNOTSUPP);
  EXPECT_FAILS(volume_->fallocate(file, FALLOC_FL_PUNCH_HOLE, 0, 4096), EOPNOTSUPP);
  EXPECT_FAILS(volume_->read(dir, 0, bytes), EISDIR);
  EXPECT_FAILS(volume_->write(dir, 0, bytes), EISDIR);
  EXPECT_FAILS(volume_->read(12345, 0, bytes), ESTALE);
  EXPECT_FAILS(volume_->lseek(file, 0, SEEK_SET), EINVAL);
  EXPECT_FAILS(volume_->lseek(file, 0, SEEK_DATA), ENXIO);
  EXPECT_FAILS(volume_->copy_file_range(file, 0, dir, 0, 10), EISDIR);
  AttributeChange change;
  change.valid = AttributeChange::size_bit;
  change.size = format::kFileBytesMax + 1;
  EXPECT_FAILS(volume_->setattr(file, change), EFBIG);
  change.size = format::kFileBytesMax;
  EXPECT_OK(volume_->setattr(file, change));
}

TEST_F(DataTest, FlagsForbidWhatTheySay) {
  format_disk();
  const Inode file = make(kRoot, "file");
  write(file, "content");
  AttributeChange shorter;
  shorter.valid = AttributeChange::size_bit;
  shorter.size = 3;
  ASSERT_OK(volume_->set_flags(file, kFlagAppend, 0));
  EXPECT_FAILS(volume_->write(file, 0, Bytes(1)), EPERM);
  EXPECT_FAILS(volume_->setattr(file, shorter), EPERM);
  EXPECT_FAILS(volume_->fallocate(file, kPunch, 0, 3), EPERM);
  write(file, " more", 7);
  ASSERT_OK(volume_->set_flags(file, kFlagImmutable, 0));
  EXPECT_FAILS(volume_->write(file, 12, Bytes(1)), EPERM);
  EXPECT_FAILS(volume_->setattr(file, shorter), EPERM);
  EXPECT_FAILS(volume_->fallocate(file, 0, 0, 3), EPERM);
  EXPECT_EQ(read(file), "content more");
}

TEST_F(DataTest, WritingTakesPrivilegesAwayWhenAsked) {
  format_disk();
  for (const size_t size : {10, 10000}) {
    const Inode file = make(kRoot, "file" + std::to_string(size), S_IFREG | 06755);
    write(file, std::string(size, 'x'));
    EXPECT_EQ(get(file).mode & 07777, 06755u);
    ASSERT_OK(volume_->setxattr(file, "security.capability", "caps", 0));
    ASSERT_OK(volume_->write(file, 0, Bytes(1), true));
    EXPECT_EQ(get(file).mode & 07777, 0755u);
    EXPECT_FAILS(volume_->getxattr(file, "security.capability"), ENODATA);
  }
}

TEST_F(DataTest, TimesFollowTheOperations) {
  format_disk();
  const Inode file = make(kRoot, "file");
  write(file, std::string(9000, 'x'));
  const Attributes written = get(file);
  EXPECT_EQ(written.mtime, written.ctime);
  read(file);
  const Attributes after_read = get(file);
  EXPECT_GT(after_read.atime, written.mtime);
  EXPECT_EQ(after_read.mtime, written.mtime);
  read(file);
  EXPECT_EQ(get(file).atime, after_read.atime) << "relatime";
  write(file, "y", 100);
  const Attributes overwritten = get(file);
  EXPECT_GT(overwritten.mtime, after_read.atime);
  ASSERT_OK(volume_->fallocate(file, kPunch, 0, 4096));
  EXPECT_GT(get(file).mtime, overwritten.mtime);
  AttributeChange change;
  change.valid = AttributeChange::size_bit | AttributeChange::mtime_bit;
  change.size = 5;
  change.mtime = {77, 88};
  ASSERT_OK(volume_->setattr(file, change));
  EXPECT_EQ(get(file).mtime, (Time{77, 88}));
  EXPECT_GT(get(file).ctime, overwritten.ctime);
}

TEST_F(DataTest, DataThatTheImageDoesNotHaveAreDamage) {
  format_file();
  const Inode file = make(kRoot, "file");
  write(file, std::string(100000, 'x'));
  ASSERT_OK(volume_->sync());
  ASSERT_OK(device_->resize(device_->size() - 8192));
  Bytes bytes(100000);
  EXPECT_FAILS(volume_->read(file, 0, bytes), EIO);
  EXPECT_EQ(*volume_->read(file, 0, std::span(bytes).first(4096)), 4096u);
  write(file, std::string(8192, 'y'), 100000 - 8192);
  resize(file, 100000);
}

// After a crash at any moment, a block holds bytes of its own file or zeros.
TEST_F(DataTest, NoFileEverHasBytesOfAnother) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    volume_bytes_ = 12 << 20;  // small: blocks are used again soon
    volume_.reset();
    format_disk();
    std::mt19937_64 random(seed);
    std::vector<Inode> files;
    for (int i = 0; i < 8; ++i) files.push_back(make(kRoot, "f" + std::to_string(i)));
    for (int round = 0; round < 6; ++round) {
      for (int step = 0; step < 60; ++step) {
        const size_t which = random() % files.size();
        const std::byte mark{static_cast<uint8_t>(which + 1)};
        const uint64_t offset = random() % 400000;
        AttributeChange change;
        change.valid = AttributeChange::size_bit;
        change.size = random() % 100000;
        if (random() % 3 == 0) {
          ASSERT_OK(volume_->setattr(files[which], change));
        } else {
          const auto written =
              volume_->write(files[which], offset, Bytes(1 + random() % 200000, mark));
          if (!written) ASSERT_TRUE(is(written.error(), FsErrc::volume_full));
        }
        if (random() % 20 == 0) ASSERT_OK(volume_->sync());
      }
      crash();
      for (size_t i = 0; i < files.size(); ++i) {
        if (!exists(files[i])) {
          files[i] = make(kRoot, "f" + std::to_string(i));
          continue;
        }
        for (const std::byte byte : contents(files[i])) {
          ASSERT_TRUE(byte == std::byte{0} || byte == std::byte(i + 1)) << "file " << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace rvmfs::test
