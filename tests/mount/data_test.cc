// SPDX-License-Identifier: BSD-2-Clause
//
// System calls on contents, on a real mount: write, truncate, holes, mappings, appending, copying.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <thread>

#include "tests/mount/mount_test_base.h"

namespace rvmfs::test {
namespace {

constexpr off_t kMiB = 1 << 20;

class Data : public MountTest {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    if (!HasFatalFailure()) format_and_start();
  }
  void TearDown() override {
    if (!HasFatalFailure() && daemon_is_running()) {
      unmount();
      expect_clean();
    }
    MountTest::TearDown();
  }
  int make(const std::string& name) const {
    return open(at(name).c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  }
  static struct stat look(int fd) {
    struct stat status {};
    EXPECT_CALL_OK(fstat(fd, &status));
    return status;
  }
  // The file's content without help of the kernel's cache.
  std::string reread(const std::string& name) {
    unmount();
    if (!HasFatalFailure()) start();
    return read_file(at(name));
  }
};

TEST_F(Data, writes_of_all_sizes_and_places_make_the_expected_content) {
  std::string expected;
  {
    const Fd fd(make("file"));
    ASSERT_CALL_OK(fd);
    uint64_t state = 7;
    for (int i = 0; i < 300; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      const size_t offset = (state >> 33) % 700'000;
      const size_t length = 1 + (state >> 20) % (i % 10 == 0 ? 200'000 : 3000);
      const std::string piece = text(length, i);
      if (expected.size() < offset + length) expected.resize(offset + length);
      expected.replace(offset, length, piece);
      ASSERT_EQ(pwrite(fd, piece.data(), length, static_cast<off_t>(offset)),
                static_cast<ssize_t>(length));
    }
  }
  EXPECT_TRUE(read_file(at("file")) == expected);
  EXPECT_TRUE(reread("file") == expected);
}

TEST_F(Data, truncation_cuts_and_extends_with_zeros) {
  ASSERT_EQ(write_file(at("file"), text(10'000, 1)), 0);
  ASSERT_CALL_OK(truncate(at("file").c_str(), 5000));
  EXPECT_TRUE(read_file(at("file")) == text(10'000, 1).substr(0, 5000));
  ASSERT_CALL_OK(truncate(at("file").c_str(), 9000));
  const std::string expected = text(10'000, 1).substr(0, 5000) + std::string(4000, '\0');
  EXPECT_TRUE(read_file(at("file")) == expected);
  EXPECT_TRUE(reread("file") == expected);
  ASSERT_EQ(write_file(at("file"), "new", O_TRUNC), 0);
  EXPECT_EQ(reread("file"), "new");
}

TEST_F(Data, a_file_grows_from_inline_to_extents_and_back) {
  for (const size_t size : {1u, 1000u, 1025u, 5000u, 100'000u, 800u, 0u, 3u}) {
    ASSERT_EQ(write_file(at("file"), text(size, size), O_TRUNC), 0);
    EXPECT_TRUE(read_file(at("file")) == text(size, size)) << size;
  }
  EXPECT_EQ(reread("file"), text(3, 3));
}

TEST_F(Data, appending_from_two_descriptors_loses_nothing) {
  const auto append = [&](char letter) {
    const Fd fd(open(at("file").c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
    for (int i = 0; i < 500; ++i) {
      const std::string line = std::string(30, letter) + "\n";
      if (write(fd, line.data(), line.size()) != 31) ADD_FAILURE() << strerror(errno);
    }
  };
  std::thread other(append, 'b');
  append('a');
  other.join();
  const std::string content = read_file(at("file"));
  ASSERT_EQ(content.size(), 31'000u);
  for (size_t i = 0; i < content.size(); i += 31) {
    EXPECT_EQ(content.substr(i, 31), std::string(30, content[i]) + "\n");
  }
}

TEST_F(Data, sparse_files_have_holes_and_say_where) {
  const Fd fd(make("file"));
  ASSERT_EQ(pwrite(fd, "data", 4, 10 * kMiB), 4);
  ASSERT_CALL_OK(ftruncate(fd, 20 * kMiB));
  EXPECT_LE(look(fd).st_blocks, 64);
  EXPECT_EQ(lseek(fd, 0, SEEK_DATA), 10 * kMiB);
  EXPECT_EQ(lseek(fd, 0, SEEK_HOLE), 0);
  EXPECT_EQ(lseek(fd, 10 * kMiB, SEEK_HOLE), 10 * kMiB + 4096);
  EXPECT_CALL_FAILS(lseek(fd, 15 * kMiB, SEEK_DATA), ENXIO);
  EXPECT_EQ(lseek(fd, 15 * kMiB, SEEK_HOLE), 15 * kMiB);
  EXPECT_CALL_FAILS(lseek(fd, 30 * kMiB, SEEK_HOLE), ENXIO);
}

TEST_F(Data, fallocate_reserves_punches_and_zeroes) {
  const Fd fd(make("file"));
  ASSERT_CALL_OK(fallocate(fd, 0, 0, kMiB));
  EXPECT_EQ(look(fd).st_size, kMiB);
  EXPECT_GE(look(fd).st_blocks, kMiB / 512);
  EXPECT_TRUE(read_file(at("file")) == std::string(kMiB, '\0'));
  ASSERT_CALL_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, kMiB, kMiB));
  EXPECT_EQ(look(fd).st_size, kMiB);
  EXPECT_GE(look(fd).st_blocks, 2 * kMiB / 512);
  std::string expected = text(kMiB, 9);
  ASSERT_EQ(pwrite(fd, expected.data(), expected.size(), 0), kMiB);
  const auto blocks = look(fd).st_blocks;
  ASSERT_CALL_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100'000, 300'000));
  EXPECT_LT(look(fd).st_blocks, blocks);
  expected.replace(100'000, 300'000, 300'000, '\0');
  EXPECT_TRUE(read_file(at("file")) == expected);
  ASSERT_CALL_OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 900'000, 200'000));
  expected.replace(900'000, std::string::npos, 200'000, '\0');
  EXPECT_TRUE(read_file(at("file")) == expected);
  EXPECT_CALL_FAILS(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), EOPNOTSUPP);
}

TEST_F(Data, shared_mappings_read_and_write_the_file) {
  std::string expected = text(100'000, 11);
  ASSERT_EQ(write_file(at("file"), expected), 0);
  {
    const Fd fd(open(at("file").c_str(), O_RDWR | O_CLOEXEC));
    void* const memory = mmap(nullptr, 100'000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ASSERT_NE(memory, MAP_FAILED);
    EXPECT_EQ(memcmp(memory, expected.data(), expected.size()), 0);
    memcpy(static_cast<char*>(memory) + 4090, "across a page", 13);
    expected.replace(4090, 13, "across a page");
    EXPECT_CALL_OK(msync(memory, 100'000, MS_SYNC));
    memcpy(static_cast<char*>(memory) + 99'000, "last", 4);
    expected.replace(99'000, 4, "last");
    munmap(memory, 100'000);
  }
  EXPECT_TRUE(reread("file") == expected);
}

TEST_F(Data, direct_io_and_cached_reads_agree) {
  const Fd fd(open(at("file").c_str(), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0644));
  ASSERT_CALL_OK(fd);
  alignas(4096) static char buffer[65536];
  memcpy(buffer, text(sizeof buffer, 5).data(), sizeof buffer);
  ASSERT_EQ(pwrite(fd, buffer, sizeof buffer, 4096), static_cast<ssize_t>(sizeof buffer));
  EXPECT_TRUE(read_file(at("file")) == std::string(4096, '\0') + text(sizeof buffer, 5));
  memset(buffer, 0, sizeof buffer);
  ASSERT_EQ(pread(fd, buffer, sizeof buffer, 4096), static_cast<ssize_t>(sizeof buffer));
  EXPECT_TRUE(std::string(buffer, sizeof buffer) == text(sizeof buffer, 5));
}

TEST_F(Data, copy_file_range_copies_inside_of_the_volume) {
  ASSERT_EQ(write_file(at("from"), text(3 * kMiB, 2)), 0);
  const Fd from(open(at("from").c_str(), O_RDONLY | O_CLOEXEC));
  const Fd to(make("to"));
  off_t in = 1000;
  off_t out = 500;
  size_t left = 2 * kMiB;
  while (left > 0) {
    const ssize_t copied = copy_file_range(from, &in, to, &out, left, 0);
    ASSERT_GT(copied, 0) << strerror(errno);
    left -= static_cast<size_t>(copied);
  }
  const std::string expected = std::string(500, '\0') + text(3 * kMiB, 2).substr(1000, 2 * kMiB);
  EXPECT_TRUE(read_file(at("to")) == expected);
}

// Lengths of 64 bits are asked for by a request that libfuse does not know (and would print).
class CopyRange : public MountTest, public ::testing::WithParamInterface<bool> {};

TEST_P(CopyRange, of_more_than_32_bits_is_taken_with_and_without_the_kernels_request_for_it) {
  const bool wide = GetParam();
  ASSERT_NO_FATAL_FAILURE(format_and_start("1G", wide ? "debug" : "debug,disable=copy_range_64"));
  ASSERT_EQ(write_file(at("from"), text(3 * kMiB, 2)), 0);
  const Fd from(open(at("from").c_str(), O_RDWR | O_CLOEXEC));
  const Fd to(open(at("to").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  EXPECT_EQ(copy_file_range(from, nullptr, to, nullptr, size_t{1} << 33, 0),
            static_cast<ssize_t>(3 * kMiB));
  EXPECT_EQ(copy_file_range(from, nullptr, to, nullptr, size_t{1} << 33, 0), 0);
  EXPECT_TRUE(read_file(at("to")) == text(3 * kMiB, 2));
  off_t far = off_t{1} << 33;
  EXPECT_CALL_OK(ftruncate(from, 0));
  off_t begin = 0;
  EXPECT_EQ(copy_file_range(to, &begin, from, &far, 1000, 0), 1000);
  EXPECT_EQ(far, (off_t{1} << 33) + 1000);
  EXPECT_CALL_FAILS(copy_file_range(from, &begin, from, &begin, 1000, 0), EINVAL);
  const bool narrow_was_used = daemon_output().find("COPY_FILE_RANGE") != std::string::npos;
  if (kernel_is_at_least(6, 18)) EXPECT_EQ(narrow_was_used, !wide);
}

INSTANTIATE_TEST_SUITE_P(Lengths, CopyRange, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "of_64_bits" : "of_32_bits"; });

TEST_F(Data, freed_space_comes_back) {
  struct statvfs before {};
  struct statvfs after {};
  ASSERT_EQ(write_file(at("first"), "x"), 0);
  ASSERT_CALL_OK(statvfs(mount_point().c_str(), &before));
  ASSERT_EQ(write_file(at("file"), text(50 * kMiB, 1)), 0);
  ASSERT_CALL_OK(statvfs(mount_point().c_str(), &after));
  EXPECT_GE(before.f_bfree - after.f_bfree, 50u * kMiB / 4096);
  ASSERT_CALL_OK(unlink(at("file").c_str()));
  const auto is_back = [&] {
    if (statvfs(mount_point().c_str(), &after) != 0) return false;
    return after.f_bfree + 600 >= before.f_bfree;  // metadata may keep a chunk or two
  };
  EXPECT_TRUE(eventually(is_back))
      << before.f_bfree << " blocks before, " << after.f_bfree << " after";
}

TEST_F(Data, the_image_file_shrinks_when_files_are_removed) {
  const auto host_blocks = [&] {
    struct stat status {};
    stat(image().c_str(), &status);
    return status.st_blocks;
  };
  ASSERT_EQ(write_file(at("file"), text(100 * kMiB, 1)), 0);
  Fd fd(open(at("file").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_CALL_OK(fsync(fd));
  const auto full = host_blocks();
  EXPECT_GE(full, 100 * kMiB / 512);
  ASSERT_CALL_OK(unlink(at("file").c_str()));
  fd.close();
  const auto has_shrunk = [&] { return host_blocks() < full - 90 * kMiB / 512; };
  EXPECT_TRUE(eventually(has_shrunk, 20000)) << "still " << host_blocks() << " of " << full;
}

TEST_F(Data, a_full_volume_says_so_and_goes_on_working) {
  ASSERT_NO_FATAL_FAILURE(unmount());
  ASSERT_CALL_OK(unlink(image().c_str()));
  ASSERT_NO_FATAL_FAILURE(format_and_start("32M"));
  ASSERT_EQ(write_file(at("precious"), text(20'000, 3)), 0);
  EXPECT_EQ(write_file(at("big"), text(64 * kMiB, 1)), ENOSPC);
  EXPECT_TRUE(read_file(at("precious")) == text(20'000, 3));
  ASSERT_CALL_OK(unlink(at("big").c_str()));
  EXPECT_TRUE(eventually([&] { return write_file(at("next"), text(4 * kMiB, 2), O_TRUNC) == 0; }));
  EXPECT_TRUE(reread("next") == text(4 * kMiB, 2));
}

}  // namespace
}  // namespace rvmfs::test
