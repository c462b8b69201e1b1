// SPDX-License-Identifier: BSD-2-Clause
//
// What only a real file of the host can show: locks, creation, holes, and more than one thread.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "rvm/device.h"
#include "tests/support/bytes.h"
#include "tests/support/temp_dir.h"

namespace rvmfs::test {
namespace {

using rvm::Errc;
using rvm::open_file_device;

class FileDevice : public testing::Test {
 protected:
  std::shared_ptr<rvm::Device> open(const rvm::FileOptions& options) {
    auto device = open_file_device(path_, options);
    EXPECT_OK(device);
    return device ? *device : nullptr;
  }
  uint64_t bytes_on_host() const {
    struct stat status {};
    EXPECT_EQ(::stat(path_.c_str(), &status), 0);
    return static_cast<uint64_t>(status.st_blocks) * 512;
  }

  TempDir folder_;
  const std::string path_ = folder_.file("image");
};

TEST_F(FileDevice, is_not_created_unless_asked) {
  EXPECT_ERROR(open_file_device(path_, {}), Errc::not_found);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(FileDevice, knows_where_the_host_has_nothing_written_yet) {
  const auto device = open({.create = true});
  ASSERT_NE(device, nullptr);
  write_all(*device, 0, pattern(64 << 10, 1));
  EXPECT_OK(device->allocate(0, 1 << 20));
  EXPECT_OK(device->flush());
  EXPECT_EQ(device->first_hole(0, 64 << 10), 64u << 10);
  EXPECT_EQ(device->first_hole(0, 1 << 20), 64u << 10);
  EXPECT_OK(device->write_durable(64 << 10, Bytes(128 << 10)));
  EXPECT_EQ(device->first_hole(0, 1 << 20), 192u << 10);
}

TEST_F(FileDevice, makes_writes_of_several_threads_durable_at_once) {
  const auto device = open({.create = true});
  ASSERT_NE(device, nullptr);
  write_all(*device, 0, pattern(64 << 10, 1));
  std::vector<std::thread> threads;
  for (uint64_t number = 0; number < 4; ++number) {
    threads.emplace_back([&device, number] {
      for (uint8_t round = 0; round < 20; ++round) {
        EXPECT_OK(device->write_durable(number * 4096, filled(4096, round)));
        EXPECT_EQ(read_all(*device, number * 4096, 4096), filled(4096, round));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(FileDevice, exclusive_creation_refuses_what_is_there) {
  ASSERT_NE(open({.create = true, .exclusive = true}), nullptr);
  EXPECT_ERROR(open_file_device(path_, {.create = true, .exclusive = true}), Errc::exists);
  EXPECT_OK(open_file_device(path_, {.create = true}));
}

TEST_F(FileDevice, is_created_with_the_mode_that_was_asked_for) {
  ASSERT_NE(open({.create = true, .create_mode = 0600}), nullptr);
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(FileDevice, bytes_are_there_after_it_is_opened_again) {
  {
    const auto device = open({.create = true});
    write_all(*device, 12345, pattern(5000, 1));
    EXPECT_OK(device->flush());
  }
  const auto device = open({});
  EXPECT_EQ(device->size(), 17345u);
  EXPECT_EQ(read_all(*device, 12345, 5000), pattern(5000, 1));
  EXPECT_EQ(device->name(), path_);
}

TEST_F(FileDevice, reads_from_the_cache_only_what_is_true) {
  const auto device = open({.create = true});
  const Bytes bytes = pattern(100'000, 3);
  write_all(*device, 0, bytes);
  Bytes out(50'000);
  // How much the host has at hand is its own business.
  const size_t there = device->read_cached(40'000, out);
  ASSERT_LE(there, out.size());
  EXPECT_EQ(std::memcmp(out.data(), bytes.data() + 40'000, there), 0);
  EXPECT_EQ(device->read_cached(60'000, out), 0u);  // beyond the end: read() says so
  EXPECT_ERROR(device->read(60'000, out), Errc::out_of_range);
}

TEST_F(FileDevice, second_open_for_writing_is_busy_until_the_first_is_closed) {
  auto first = open({.create = true});
  EXPECT_ERROR(open_file_device(path_, {}), Errc::busy);
  EXPECT_ERROR(open_file_device(path_, {.read_only = true}), Errc::busy);
  EXPECT_OK(open_file_device(path_, {.lock = false}));
  first.reset();
  EXPECT_OK(open_file_device(path_, {}));
}

TEST_F(FileDevice, lets_others_in_when_it_gives_up_its_lock) {
  const auto first = open({.create = true});
  ASSERT_TRUE(first);
  EXPECT_ERROR(open_file_device(path_, {}), Errc::busy);
  first->release_lock();
  EXPECT_OK(open_file_device(path_, {}));
}

TEST_F(FileDevice, readers_share_and_keep_writers_out) {
  open({.create = true});
  const auto first = open({.read_only = true});
  const auto second = open({.read_only = true});
  EXPECT_ERROR(open_file_device(path_, {}), Errc::busy);
  EXPECT_NE(second, nullptr);
}

TEST_F(FileDevice, opened_for_reading_refuses_every_change) {
  {
    const auto device = open({.create = true});
    write_all(*device, 0, pattern(100, 1));
  }
  const auto device = open({.read_only = true});
  EXPECT_TRUE(device->read_only());
  EXPECT_FALSE(device->can_grow());
  EXPECT_ERROR(device->write(0, pattern(1, 2)), Errc::read_only);
  EXPECT_ERROR(device->discard(0, 10), Errc::read_only);
  EXPECT_ERROR(device->allocate(0, 1000), Errc::read_only);
  EXPECT_ERROR(device->resize(0), Errc::read_only);
  EXPECT_EQ(read_all(*device, 0, 100), pattern(100, 1));
}

TEST_F(FileDevice, folders_and_pipes_are_not_images) {
  EXPECT_FALSE(open_file_device(folder_.path().string(), {}));
  EXPECT_ERROR(open_file_device(folder_.path().string(), {.read_only = true}),
               Errc::invalid_argument);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_ERROR(open_file_device(path_, {}), Errc::invalid_argument);  // and does not wait
}

TEST_F(FileDevice, discard_gives_blocks_back_to_the_host) {
  const auto device = open({.create = true});
  write_all(*device, 0, pattern(1 << 20, 1));
  EXPECT_OK(device->flush());
  const uint64_t before = bytes_on_host();
  ASSERT_GE(before, uint64_t{1} << 20);
  EXPECT_OK(device->discard(0, 1 << 19));
  EXPECT_LE(bytes_on_host(), before - (1 << 19));
  EXPECT_EQ(device->size(), uint64_t{1} << 20);
}

TEST_F(FileDevice, allocation_takes_blocks_from_the_host) {
  const auto device = open({.create = true});
  EXPECT_OK(device->allocate(0, 1 << 20));
  EXPECT_GE(bytes_on_host(), uint64_t{1} << 20);
}

TEST_F(FileDevice, resizing_up_takes_no_space) {
  const auto device = open({.create = true});
  EXPECT_OK(device->resize(uint64_t{1} << 40));
  EXPECT_EQ(device->size(), uint64_t{1} << 40);
  EXPECT_LE(bytes_on_host(), 65536u);
  EXPECT_EQ(read_all(*device, (uint64_t{1} << 40) - 10, 10), filled(10, 0));
}

TEST_F(FileDevice, knows_the_free_space_of_its_host) {
  const auto device = open({.create = true});
  EXPECT_GT(device->host_bytes_free(), 0u);
  EXPECT_LT(device->host_bytes_free(), UINT64_MAX);
}

TEST_F(FileDevice, reports_a_full_host_as_no_space) {
  std::ofstream(path_) << "x";
  const auto device = open({});
  EXPECT_ERROR(device->allocate(0, uint64_t{1} << 60), Errc::no_space);
  EXPECT_EQ(read_all(*device, 0, 1), to_bytes("x"));
}

TEST_F(FileDevice, notices_that_somebody_made_the_file_shorter) {
  const auto device = open({.create = true});
  write_all(*device, 0, pattern(8192, 1));
  std::filesystem::resize_file(path_, 100);
  Bytes out(8192);
  EXPECT_ERROR(device->read(0, out), Errc::io);
}

TEST_F(FileDevice, is_not_inherited_by_programs_that_are_started) {
  const auto device = open({.create = true});
  bool found = false;
  for (int fd = 0; fd < 256; ++fd) {
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    std::error_code none;
    if (std::filesystem::read_symlink(link, none) != path_) continue;
    found = true;
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_TRUE(found);
}

TEST_F(FileDevice, loses_nothing_when_threads_append_and_allocate_side_by_side) {
  const auto device = open({.create = true});
  constexpr uint64_t kThreads = 4;
  constexpr uint64_t kBlocks = 100;
  std::atomic<uint64_t> next{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (uint64_t i = 0; i < kBlocks; ++i) {
        const uint64_t block = next++;
        if (block % 3 == 0) EXPECT_OK(device->allocate(block * 512, 4096));
        write_all(*device, block * 512, pattern(512, block));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(device->size(), kThreads * kBlocks * 512);
  for (uint64_t block = 0; block < kThreads * kBlocks; ++block) {
    ASSERT_EQ(read_all(*device, block * 512, 512), pattern(512, block)) << "block " << block;
  }
}

}  // namespace
}  // namespace rvmfs::test
