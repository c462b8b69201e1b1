// SPDX-License-Identifier: BSD-2-Clause
//
// A small volume on a memory device for tests of the filesystem, with ways to end a session:
// cleanly, or as a killed process would. The clock moves a second with every reading, so that every
// change of a time is seen; commits happen only when the test asks for them.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fs/volume.h"
#include "tests/support/memory_device.h"

namespace rvmfs::test {

// EXPECTs about Results: say what went wrong.
#define EXPECT_OK(expression)                                                                \
  do {                                                                                       \
    const auto expect_ok_result = (expression);                                              \
    EXPECT_TRUE(expect_ok_result.has_value()) << ::rvmfs::explain(expect_ok_result.error()); \
  } while (false)
#define ASSERT_OK(expression)                                                                \
  do {                                                                                       \
    const auto assert_ok_result = (expression);                                              \
    ASSERT_TRUE(assert_ok_result.has_value()) << ::rvmfs::explain(assert_ok_result.error()); \
  } while (false)
#define EXPECT_FAILS(expression, number)                     \
  do {                                                       \
    const auto expect_fails_result = (expression);           \
    ASSERT_FALSE(expect_fails_result.has_value());           \
    EXPECT_EQ(errno_of(expect_fails_result.error()), number) \
        << ::rvmfs::explain(expect_fails_result.error());    \
  } while (false)

inline constexpr Inode kRoot = format::kRootInode;
inline constexpr Caller kUser{1000, 100};

class VolumeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    device_ = MemoryDevice::file();
    FormatOptions format;
    format.volume_bytes = volume_bytes_;
    format.name_hash_seed = 42;
    format.now = {1'000'000, 0};
    ASSERT_OK(format_volume(device_, format));
    open();
  }

  MountOptions options() {
    MountOptions options;
    options.background = false;
    options.count_lookups = count_lookups_;
    options.read_only = read_only_;
    options.clock = [this] { return Time{++seconds_, 5}; };
    return options;
  }

  void open() {
    auto opened = Volume::open(device_, options());
    ASSERT_TRUE(opened.has_value()) << explain(opened.error());
    volume_ = std::move(*opened);
  }
  void reopen() {
    ASSERT_OK(volume_->close());
    volume_.reset();
    open();
  }
  // The process dies; what was synced is there afterwards.
  void crash() {
    volume_->abandon();
    volume_.reset();
    open();
  }

  Inode make(Inode parent, std::string_view name, uint32_t mode = S_IFREG | 0644) {
    auto made = S_ISDIR(mode) ? volume_->mkdir(parent, name, mode & 07777, kUser)
                              : volume_->mknod(parent, name, mode, 0, 0, kUser);
    EXPECT_TRUE(made.has_value()) << name << ": " << explain(made.error());
    return made ? made->inode : 0;
  }
  Inode make_dir(Inode parent, std::string_view name) { return make(parent, name, S_IFDIR | 0755); }
  void write(Inode inode, std::string_view bytes, uint64_t offset = 0) {
    auto written = volume_->write(inode, offset, std::as_bytes(std::span(bytes)));
    ASSERT_TRUE(written.has_value()) << explain(written.error());
    ASSERT_EQ(*written, bytes.size());
  }
  std::string read(Inode inode, size_t bytes = 1 << 16) {
    std::string content(bytes, '?');
    auto count = volume_->read(inode, 0, std::as_writable_bytes(std::span(content)));
    EXPECT_TRUE(count.has_value()) << explain(count.error());
    content.resize(count ? *count : 0);
    return content;
  }

  Attributes get(Inode inode) {
    auto attributes = volume_->getattr(inode);
    EXPECT_TRUE(attributes.has_value()) << inode << ": " << explain(attributes.error());
    return attributes ? *attributes : Attributes{};
  }
  bool exists(Inode inode) { return volume_->getattr(inode).has_value(); }
  // 0 if there is no such name.
  Inode find(Inode parent, std::string_view name) {
    auto found = volume_->lookup(parent, name);
    if (!found) EXPECT_EQ(errno_of(found.error()), ENOENT) << explain(found.error());
    return found ? found->inode : 0;
  }
  // Names to inodes, without "." and "..".
  std::map<std::string, Inode> list(Inode directory) {
    std::map<std::string, Inode> names;
    EXPECT_OK(volume_->readdir(directory, 0, false, [&](const DirectoryItem& item) {
      if (item.name == "." || item.name == "..") return true;
      const bool is_new = names.emplace(item.name, item.inode).second;
      EXPECT_TRUE(is_new) << item.name << " was listed twice";
      return true;
    }));
    return names;
  }
  VolumeStatus status() {
    auto status = volume_->statfs();
    EXPECT_TRUE(status.has_value()) << explain(status.error());
    return status ? *status : VolumeStatus{};
  }

  uint64_t volume_bytes_ = 64 << 20;
  bool count_lookups_ = false;
  bool read_only_ = false;
  int64_t seconds_ = 2'000'000;
  std::shared_ptr<MemoryDevice> device_;
  std::unique_ptr<Volume> volume_;
};

}  // namespace rvmfs::test
