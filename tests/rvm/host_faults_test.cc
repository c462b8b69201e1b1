// SPDX-License-Identifier: BSD-2-Clause
//
// A file or block device whose host answers system calls with errors: which ones are told, which
// are tried again, and which mean that the host cannot do something that can be done without.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "rvm/device.h"
#include "rvm/rvm.h"
#include "tests/rvm/host_calls.h"
#include "tests/support/bytes.h"
#include "tests/support/temp_dir.h"

namespace rvmfs::test {
namespace {

using rvm::Errc;
using rvm::open_file_device;

constexpr uint64_t kBytes = 1 << 20;

class HostFaults : public testing::Test {
 protected:
  std::shared_ptr<rvm::Device> open(const rvm::FileOptions& options = {.create = true}) {
    auto device = open_file_device(path_, options);
    EXPECT_OK(device);
    return device ? *device : nullptr;
  }
  std::shared_ptr<rvm::Device> open_filled() {
    auto device = open();
    write_all(*device, 0, pattern(kBytes, 1));
    return device;
  }

  // With the memory of nothing.
  std::shared_ptr<rvm::Device> open_filled_again() {
    std::filesystem::remove(path_);
    return open_filled();
  }

  TempDir folder_;
  const std::string path_ = folder_.file("image");
  HostCalls host_;
};

TEST_F(HostFaults, that_are_interruptions_are_tried_again) {
  for (const HostCall call : {HostCall::open, HostCall::fcntl, HostCall::fsync}) {
    host_.fail(call, EINTR, 2);
  }
  const auto device = open();
  for (const HostCall call : {HostCall::pread, HostCall::pwrite, HostCall::fdatasync,
                              HostCall::fallocate, HostCall::ftruncate, HostCall::fstatvfs}) {
    host_.fail(call, EINTR, 3);
  }
  write_all(*device, 0, pattern(kBytes, 1));
  EXPECT_EQ(read_all(*device, 0, kBytes), pattern(kBytes, 1));
  EXPECT_OK(device->flush());
  EXPECT_OK(device->allocate(0, 2 * kBytes));
  EXPECT_OK(device->resize(kBytes));
  EXPECT_NE(device->host_bytes_free(), UINT64_MAX);
}

TEST_F(HostFaults, of_reads_and_flushes_are_told) {
  const auto device = open_filled();
  Bytes bytes(512);
  host_.fail(HostCall::pread, EIO);
  EXPECT_ERROR(device->read(0, bytes), Errc::io);
  host_.fail(HostCall::fdatasync, EIO);
  EXPECT_ERROR(device->flush(), Errc::io);
  host_.fail(HostCall::fdatasync, ENOSPC);
  EXPECT_ERROR(device->flush(), Errc::io);
  EXPECT_OK(device->flush());
}

TEST_F(HostFaults, that_mean_a_full_host_are_no_space) {
  const auto device = open_filled();
  for (const int full : {ENOSPC, EDQUOT, EFBIG}) {
    host_.fail(HostCall::pwrite, full);
    EXPECT_ERROR(device->write(0, Bytes(100)), Errc::no_space);
    host_.fail(HostCall::fallocate, full);
    EXPECT_ERROR(device->allocate(0, 2 * kBytes), Errc::no_space);
  }
  host_.fail(HostCall::pwrite, EIO);
  EXPECT_ERROR(device->write(0, Bytes(100)), Errc::io);
  EXPECT_EQ(device->size(), kBytes);
}

TEST_F(HostFaults, a_write_in_part_is_finished_and_one_of_nothing_is_an_error) {
  const auto device = open();
  host_.give(HostCall::pwrite, 0);
  EXPECT_ERROR(device->write(0, Bytes(100)), Errc::io);
  host_.fail(HostCall::ftruncate, EFBIG);
  EXPECT_ERROR(device->resize(kBytes), Errc::no_space);
  EXPECT_EQ(device->size(), 0u);
  EXPECT_ERROR(device->resize(UINT64_MAX), Errc::out_of_range);
}

TEST_F(HostFaults, a_host_that_cannot_punch_holes_is_asked_once) {
  const auto device = open_filled();
  host_.fail(HostCall::fallocate, EIO);
  EXPECT_ERROR(device->discard(0, 4096), Errc::io);
  host_.fail(HostCall::fallocate, EOPNOTSUPP);
  EXPECT_OK(device->discard(0, 4096));
  const uint64_t calls = host_.calls(HostCall::fallocate);
  EXPECT_OK(device->discard(0, 4096));
  EXPECT_EQ(host_.calls(HostCall::fallocate), calls);
  EXPECT_EQ(read_all(*device, 0, 4096), pattern(4096, 1));
  const auto other = open_filled_again();
  host_.fail(HostCall::fallocate, ENOSYS);
  EXPECT_OK(other->discard(0, 4096));
  EXPECT_OK(other->discard(0, 0));
}

TEST_F(HostFaults, a_host_that_cannot_reserve_lets_the_file_grow_instead) {
  for (const int unknown : {EOPNOTSUPP, ENOSYS}) {
    const auto device = open();
    host_.fail(HostCall::fallocate, unknown);
    EXPECT_OK(device->allocate(0, kBytes));
    EXPECT_EQ(device->size(), kBytes);
    EXPECT_OK(device->allocate(0, kBytes / 2));
    EXPECT_EQ(device->size(), kBytes);
    host_.fail(HostCall::ftruncate, ENOSPC);
    EXPECT_ERROR(device->allocate(0, 2 * kBytes), Errc::no_space);
    EXPECT_EQ(device->size(), kBytes);
    std::filesystem::remove(path_);
  }
}

TEST_F(HostFaults, a_host_that_does_not_know_its_free_space_or_holes_has_plenty_and_none) {
  const auto device = open_filled();
  host_.fail(HostCall::fstatvfs, EIO);
  EXPECT_EQ(device->host_bytes_free(), UINT64_MAX);
  host_.fail(HostCall::lseek, EINVAL);
  EXPECT_EQ(device->first_hole(0, 4096), 4096u);
  EXPECT_EQ(device->first_hole(0, 2 * kBytes), 2 * kBytes) << "beyond the end nobody can tell";
}

TEST_F(HostFaults, of_opening_are_told) {
  EXPECT_ERROR(open_file_device(folder_.file("none") + "/x", {.create = true}), Errc::not_found);
  host_.fail(HostCall::open, EACCES);
  EXPECT_ERROR(open_file_device(path_, {.create = true}), Errc::io);
  host_.fail(HostCall::open, EBUSY);
  EXPECT_ERROR(open_file_device(path_, {}), Errc::busy);
  for (const uint64_t which : {0, 1}) {
    host_.fail(HostCall::fstat, EIO, 1, which);
    EXPECT_ERROR(open_file_device(path_, {.create = true}), Errc::io);
  }
  host_.fail(HostCall::fcntl, EACCES);
  EXPECT_ERROR(open_file_device(path_, {}), Errc::busy);
  host_.fail(HostCall::fcntl, ENOLCK);
  EXPECT_ERROR(open_file_device(path_, {}), Errc::io);
  EXPECT_OK(open_file_device(path_, {}));
}

TEST_F(HostFaults, a_new_name_that_cannot_be_made_durable_is_told_where_the_host_could) {
  host_.fail(HostCall::fsync, EIO);
  EXPECT_ERROR(open_file_device(path_, {.create = true}), Errc::io);
  std::filesystem::remove(path_);
  host_.fail(HostCall::fsync, EINVAL);  // a host that does not know it
  EXPECT_OK(open_file_device(path_, {.create = true}));
  std::filesystem::remove(path_);
  host_.filesystem_type = TMPFS_MAGIC;       // one of those where the image is opened once
  host_.fail(HostCall::open, EACCES, 1, 1);  // the folder
  EXPECT_OK(open_file_device(path_, {.create = true}));
  std::filesystem::remove(path_);
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  EXPECT_OK(open_file_device("image", {.create = true}));
  std::filesystem::current_path(before);
  EXPECT_TRUE(std::filesystem::exists(path_));
}

class DirectWrites : public HostFaults {
 protected:
  DirectWrites() { host_.filesystem_type = EXT4_SUPER_MAGIC; }
  // Calls of fdatasync that a durable write of 4 KiB makes: none if it was direct.
  uint64_t flushes_of_a_write(rvm::Device& device) {
    const uint64_t before = host_.calls(HostCall::fdatasync);
    EXPECT_OK(device.write_durable(0, pattern(4096, 7)));
    EXPECT_EQ(read_all(device, 0, 4096), pattern(4096, 7));
    return host_.calls(HostCall::fdatasync) - before;
  }
};

TEST_F(DirectWrites, are_used_for_whole_pages_inside_of_the_file_and_not_too_many) {
  const auto device = open_filled();
  EXPECT_EQ(flushes_of_a_write(*device), 0u);
  const uint64_t before = host_.calls(HostCall::fdatasync);
  EXPECT_OK(device->write_durable(512, Bytes(4096)));
  EXPECT_OK(device->write_durable(0, Bytes(512)));
  EXPECT_OK(device->write_durable(0, Bytes(512 << 10)));
  EXPECT_OK(device->write_durable(kBytes, Bytes(4096)));
  EXPECT_EQ(host_.calls(HostCall::fdatasync) - before, 4u);
}

TEST_F(DirectWrites, are_not_used_on_hosts_that_do_not_keep_them) {
  host_.filesystem_type = TMPFS_MAGIC;
  EXPECT_EQ(flushes_of_a_write(*open_filled_again()), 1u);
  host_.filesystem_type = EXT4_SUPER_MAGIC;
  host_.fail(HostCall::fstatfs, EIO);
  EXPECT_EQ(flushes_of_a_write(*open_filled_again()), 1u);
  host_.fail(HostCall::open, EINVAL, 1, 1);
  EXPECT_EQ(flushes_of_a_write(*open_filled_again()), 1u);
}

TEST_F(DirectWrites, that_the_host_refuses_are_done_in_the_other_way) {
  const auto device = open_filled();
  host_.give(HostCall::asynchronous_write, 512);  // in part
  EXPECT_EQ(flushes_of_a_write(*device), 1u);
  for (const int full : {ENOSPC, EDQUOT}) {
    host_.fail(HostCall::asynchronous_write, full);
    host_.fail(HostCall::pwrite, full);
    EXPECT_ERROR(device->write_durable(0, Bytes(4096)), Errc::no_space);
  }
  EXPECT_EQ(flushes_of_a_write(*device), 0u);
  for (const int never : {EINVAL, EOPNOTSUPP}) {
    const auto other = open_filled_again();
    host_.fail(HostCall::asynchronous_write, never);
    EXPECT_EQ(flushes_of_a_write(*other), 1u);
    EXPECT_EQ(flushes_of_a_write(*other), 1u);
  }
}

TEST_F(DirectWrites, that_fail_are_told_and_not_tried_again) {
  const auto device = open_filled();
  const uint64_t plain = host_.calls(HostCall::pwrite);
  host_.fail(HostCall::asynchronous_write, EIO);
  EXPECT_ERROR(device->write_durable(0, Bytes(4096)), Errc::io);
  EXPECT_EQ(host_.calls(HostCall::pwrite), plain);
  host_.fail(HostCall::fdatasync, ENOSPC);
  EXPECT_ERROR(device->write_durable(0, Bytes(512)), Errc::io);  // a lost flush is no full host
}

TEST_F(DirectWrites, are_waited_for_whatever_signals_come) {
  const auto device = open_filled();
  host_.fail(HostCall::io_getevents, EINTR, 3);
  EXPECT_EQ(flushes_of_a_write(*device), 0u);
  EXPECT_EQ(host_.calls(HostCall::io_getevents), 4u);
}

TEST_F(DirectWrites, are_plain_ones_where_the_host_takes_no_asynchronous_ones) {
  for (const HostCall call : {HostCall::io_setup, HostCall::io_submit}) {
    const auto device = open_filled_again();
    host_.fail(call, EAGAIN);
    const uint64_t before = host_.calls(HostCall::pwrite);
    EXPECT_EQ(flushes_of_a_write(*device), 0u);
    EXPECT_EQ(host_.calls(HostCall::pwrite), before + 1);
  }
  const auto device = open_filled_again();
  host_.fail(HostCall::io_setup, EAGAIN);
  host_.fail(HostCall::pwrite, EIO);
  EXPECT_ERROR(device->write_durable(0, Bytes(4096)), Errc::io);
}

TEST_F(DirectWrites, get_a_new_queue_where_the_old_one_is_not_known_any_more) {
  const auto device = open_filled();
  EXPECT_EQ(flushes_of_a_write(*device), 0u);
  const uint64_t plain = host_.calls(HostCall::pwrite);
  host_.fail(HostCall::io_submit, EINVAL);
  EXPECT_EQ(flushes_of_a_write(*device), 0u);
  EXPECT_EQ(host_.calls(HostCall::io_setup), 2u);
  EXPECT_EQ(host_.calls(HostCall::pwrite), plain);
  host_.fail(HostCall::io_submit, EINVAL, 2);  // nor is the new one
  EXPECT_EQ(flushes_of_a_write(*device), 0u);
  EXPECT_EQ(flushes_of_a_write(*device), 0u);
  EXPECT_EQ(host_.calls(HostCall::io_setup), 3u);
  EXPECT_EQ(host_.calls(HostCall::pwrite), plain + 2);
}

// So that it stays locked for as long as the medium is busy with one, whatever becomes of us.
TEST_F(DirectWrites, are_made_on_the_descriptor_that_holds_the_lock) {
  host_.filesystem_type.reset();
  const auto device = open();
  int holders = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::ifstream file(entry.path());
    const std::string text(std::istreambuf_iterator<char>(file), {});
    if (text.find("lock:") == text.npos) continue;
    const int fd = std::stoi(entry.path().filename());
    const int flags = fcntl(fd, F_GETFL);
    struct statfs host {};
    ASSERT_EQ(fstatfs(fd, &host), 0);
    if (host.f_type != EXT4_SUPER_MAGIC) GTEST_SKIP() << "the images of the tests are not on ext4";
    EXPECT_NE(flags & O_DIRECT, 0);
    ++holders;
  }
  EXPECT_EQ(holders, 1);
}

TEST_F(DirectWrites, go_on_in_a_child_process) {
  const auto device = open_filled();
  EXPECT_EQ(flushes_of_a_write(*device), 0u);
  const pid_t child = fork();
  if (child == 0) _exit(device->write_durable(4096, filled(4096, 9)) ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_all(*device, 4096, 4096), filled(4096, 9));
}

class BlockDevice : public HostFaults {
 protected:
  void SetUp() override {
    std::ofstream(path_) << std::string(kBytes, 'b');
    host_.block_device_bytes = kBytes;
  }
};

TEST_F(BlockDevice, has_a_fixed_size_and_all_its_space) {
  const auto device = open({});
  EXPECT_EQ(device->size(), kBytes);
  EXPECT_FALSE(device->can_grow());
  EXPECT_EQ(device->host_bytes_free(), UINT64_MAX);
  EXPECT_ERROR(device->write(kBytes - 100, Bytes(101)), Errc::out_of_range);
  EXPECT_ERROR(device->allocate(kBytes, 1), Errc::out_of_range);
  EXPECT_OK(device->allocate(0, kBytes));
  EXPECT_EQ(host_.calls(HostCall::fallocate), 0u);
  EXPECT_OK(device->resize(kBytes));
  EXPECT_ERROR(device->resize(kBytes + 512), Errc::out_of_range);
  EXPECT_EQ(device->first_hole(0, 4096), 4096u);
  EXPECT_OK(device->write_durable(0, Bytes(4096)));
  EXPECT_EQ(host_.calls(HostCall::fstatfs), 0u);
}

TEST_F(BlockDevice, is_discarded_in_whole_sectors) {
  const auto device = open({});
  EXPECT_OK(device->discard(100, 700));
  EXPECT_EQ(host_.calls(HostCall::fallocate), 0u) << "no sector is whole";
  EXPECT_OK(device->discard(100, 1500));
  EXPECT_EQ(host_.calls(HostCall::fallocate), 1u);
  EXPECT_EQ(read_all(*device, 511, 1)[0], std::byte{'b'});
  EXPECT_EQ(read_all(*device, 512, 1)[0], std::byte{0});
  EXPECT_EQ(read_all(*device, 1536, 1)[0], std::byte{'b'});
}

TEST_F(BlockDevice, without_a_size_or_claimed_by_others_is_not_opened) {
  host_.fail(HostCall::ioctl, EIO);
  EXPECT_ERROR(open_file_device(path_, {}), Errc::io);
  host_.fail(HostCall::open, EBUSY);
  EXPECT_ERROR(open_file_device(path_, {}), Errc::busy);
  EXPECT_OK(open_file_device(path_, {.read_only = true}));
  EXPECT_OK(open_file_device(path_, {.lock = false}));
}

TEST(RandomGeneration, is_waited_for) {
  HostCalls host;
  host.fail(HostCall::getrandom, EINTR, 2);
  const TempDir folder;
  auto device = open_file_device(folder.file("log"), {.create = true});
  ASSERT_OK(device);
  EXPECT_OK(rvm::Rvm::create_log(**device, {.length = rvm::kLogBytesMin}));
  EXPECT_EQ(host.calls(HostCall::getrandom), 3u);
}

}  // namespace
}  // namespace rvmfs::test
