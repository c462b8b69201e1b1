// SPDX-License-Identifier: BSD-2-Clause
//
// Images in unusual places, images that many use or that cannot be written, and the owner record.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "fs/format.h"
#include "tests/mount/mount_test_base.h"

namespace rvmfs::test {
namespace {

using format::OwnerRecord;

class Image : public MountTest {
 protected:
  std::string new_folder(const std::string& name) {
    const std::string path = folder().file(name);
    EXPECT_CALL_OK(mkdir(path.c_str(), 0755));
    return path;
  }
  OwnerRecord read_owner() {
    OwnerRecord record{};
    const Fd fd(open(image().c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(pread(fd, &record, sizeof record, format::kOwnerOffset), ssize_t(sizeof record));
    return record;
  }
  void write_owner(OwnerRecord record) {
    record.magic = format::kOwnerMagic;
    record.hash = 0;
    record.hash = XXH3_64bits_withSeed(&record, sizeof record, format::kOwnerMagic);
    const Fd fd(open(image().c_str(), O_WRONLY | O_CLOEXEC));
    EXPECT_EQ(pwrite(fd, &record, sizeof record, format::kOwnerOffset), ssize_t(sizeof record));
  }
  static OwnerRecord someone_elsewhere() {
    OwnerRecord record{};
    record.pid = 77;
    memcpy(record.host, "elsewhere", 9);
    memcpy(record.boot_id, "another", 7);
    return record;
  }
  void end_at(const std::string& mount) {
    EXPECT_TRUE(eventually([&] { return unmount_path(mount, false); }));
  }
};

TEST_F(Image, may_be_a_descriptor_of_a_file_without_a_name) {
  const Fd memory(memfd_create("image", 0));
  ASSERT_CALL_OK(ftruncate(memory, 1 << 30));
  const std::string path = "/proc/self/fd/" + std::to_string(memory);
  ASSERT_EQ(run({MKFS_PROGRAM, "-q", path}).status, 0);
  for (const bool again : {false, true}) {
    const Outcome outcome = run({RVMFS_PROGRAM, path, mount_point()});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    if (!again) EXPECT_EQ(write_file(at("file"), "in memory"), 0);
    EXPECT_EQ(read_file(at("file")), "in memory");
    EXPECT_NE(mount_line(mount_point()).find("memfd:image"), std::string::npos);
    end_at(mount_point());
    const auto released = [&] {
      struct flock lock {};
      lock.l_type = F_WRLCK;
      return fcntl(memory, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
    };
    EXPECT_TRUE(eventually(released));
  }
}

TEST_F(Image, may_lie_inside_of_another_file_beside_others) {
  constexpr uint64_t kStart = 3 << 20;
  constexpr uint64_t kSize = 64 << 20;
  const std::string outer = folder().file("outer");
  ASSERT_NO_FATAL_FAILURE(format("64M"));
  std::filesystem::resize_file(image(), kSize);
  const std::string volume = read_file(image());
  ASSERT_EQ(write_file(outer, std::string(kStart, 'x') + volume + volume + "tail"), 0);
  const std::string second = new_folder("second");
  const auto options = [](const char* offset, const char* size, uint64_t start) {
    return std::string(offset) + "=" + std::to_string(start) + "," + size + "=64M";
  };
  const Outcome one =
      run({RVMFS_PROGRAM, "-o", options("offset", "sizelimit", kStart), outer, mount_point()});
  ASSERT_EQ(one.status, 0) << one.output;
  const Outcome two = run(
      {RVMFS_PROGRAM, "-o", options("image_offset", "image_size", kStart + kSize), outer, second});
  EXPECT_EQ(two.status, 0) << two.output;
  EXPECT_EQ(write_file(at("file"), text(1 << 20, 1)), 0);
  EXPECT_EQ(write_file(second + "/file", text(1 << 20, 2)), 0);
  EXPECT_TRUE(read_file(at("file")) == text(1 << 20, 1));
  EXPECT_EQ(write_file(at("too big"), text(80 << 20, 3)), ENOSPC);
  const Outcome thrice =
      run({RVMFS_PROGRAM, "-o", options("offset", "sizelimit", kStart), outer, second});
  EXPECT_EQ(thrice.status, 1);
  EXPECT_NE(thrice.output.find("in use by process"), std::string::npos) << thrice.output;
  end_at(mount_point());
  end_at(second);
  EXPECT_TRUE(eventually([&] { return is_free(outer); }));
  const std::string after = read_file(outer);
  EXPECT_EQ(after.size(), kStart + 2 * kSize + 4);
  EXPECT_EQ(after.find_first_not_of('x'), after.find(volume[0] == 'x' ? '\1' : volume[0]))
      << "bytes before the volume have changed";
  EXPECT_EQ(after.substr(after.size() - 4), "tail");
}

TEST_F(Image, that_is_clean_may_have_many_read_only_mounts_at_once) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  ASSERT_EQ(write_file(at("file"), "content"), 0);
  ASSERT_NO_FATAL_FAILURE(unmount());
  ASSERT_TRUE(eventually([&] { return is_free(image()); }));
  ASSERT_CALL_OK(chmod(image().c_str(), 0444));
  const std::string before = read_file(image());
  std::vector<std::string> mounts;
  for (int i = 0; i < 8; ++i) {
    mounts.push_back(new_folder("mount" + std::to_string(i)));
    const Outcome outcome = run({RVMFS_PROGRAM, "-o", "ro", image(), mounts.back()});
    EXPECT_EQ(outcome.status, 0) << outcome.output;
  }
  for (const std::string& mount : mounts) EXPECT_EQ(read_file(mount + "/file"), "content");
  const Outcome writer = run({RVMFS_PROGRAM, image(), mount_point()});
  EXPECT_EQ(writer.status, 1) << "a writer beside readers";
  for (const std::string& mount : mounts) end_at(mount);
  EXPECT_TRUE(read_file(image()) == before);
}

TEST_F(Image, that_cannot_be_written_is_replayed_in_memory_by_each_reader) {
  ASSERT_NO_FATAL_FAILURE(format_and_start());
  ASSERT_EQ(write_file(at("file"), "content", O_SYNC), 0);
  ASSERT_NO_FATAL_FAILURE(kill_daemon());
  ASSERT_CALL_OK(chmod(image().c_str(), 0444));
  const std::string before = read_file(image());
  const std::string second = new_folder("second");
  for (const std::string& mount : {mount_point(), second}) {
    const Outcome outcome = run({RVMFS_PROGRAM, "-o", "ro", image(), mount});
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_NE(outcome.output.find("recovered:"), std::string::npos) << outcome.output;
  }
  EXPECT_EQ(read_file(at("file")), "content");
  EXPECT_EQ(read_file(second + "/file"), "content");
  end_at(mount_point());
  end_at(second);
  EXPECT_TRUE(read_file(image()) == before);
}

TEST_F(Image, names_its_owner_while_it_is_mounted_with_a_heartbeat) {
  ASSERT_NO_FATAL_FAILURE(format_and_start("1G", "heartbeat=1"));
  const OwnerRecord first = read_owner();
  EXPECT_EQ(first.pid, static_cast<uint64_t>(daemon().pid()));
  EXPECT_TRUE(eventually([&] {
    const OwnerRecord now = read_owner();
    return now.heartbeat_seconds >= first.heartbeat_seconds + 2;
  }));
  EXPECT_EQ(read_owner().since_seconds, first.since_seconds);
  ASSERT_NO_FATAL_FAILURE(unmount());
  EXPECT_EQ(read_owner().pid, 0U);
}

TEST_F(Image, of_an_owner_on_another_host_is_taken_over_if_it_gives_no_sign_of_life) {
  ASSERT_NO_FATAL_FAILURE(format());
  write_owner(someone_elsewhere());
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_NO_FATAL_FAILURE(start("heartbeat=1"));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
  EXPECT_NE(daemon_output().find("process 77 on host elsewhere"), std::string::npos);
  ASSERT_NO_FATAL_FAILURE(unmount());
  ASSERT_NO_FATAL_FAILURE(start("heartbeat=1"));
  EXPECT_EQ(daemon_output().find("watching", daemon_output().find("watching") + 1),
            std::string::npos)
      << "after a clean unmount nobody is watched for";
  ASSERT_NO_FATAL_FAILURE(unmount());
}

TEST_F(Image, of_an_owner_on_another_host_that_is_alive_is_refused) {
  ASSERT_NO_FATAL_FAILURE(format());
  write_owner(someone_elsewhere());
  std::atomic<bool> stop{false};
  std::thread other([&] {
    OwnerRecord record = someone_elsewhere();
    while (!stop) {
      ++record.heartbeat_seconds;
      write_owner(record);
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
    }
  });
  const Outcome outcome = run({RVMFS_PROGRAM, "-o", "heartbeat=1", image(), mount_point()});
  stop = true;
  other.join();
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.output.find("in use by process 77 on host elsewhere"), std::string::npos)
      << outcome.output;
}

}  // namespace
}  // namespace rvmfs::test
