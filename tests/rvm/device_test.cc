// SPDX-License-Identifier: BSD-2-Clause
//
// What every Device promises (rvm/device.h), checked on each implementation that behaves as a file:
// the host's file, the memory disk, the recorder, and a range of each; and what differs for devices
// of fixed size.
#include "rvm/device.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/support/bytes.h"
#include "tests/support/fault_device.h"
#include "tests/support/memory_device.h"
#include "tests/support/recording_device.h"
#include "tests/support/temp_dir.h"

namespace rvmfs::test {
namespace {

using rvm::Device;
using rvm::Errc;

std::shared_ptr<Device> host_file(const TempDir& folder) {
  auto device = rvm::open_file_device(folder.file("image"), {.create = true});
  EXPECT_OK(device);
  return device ? *device : nullptr;
}

struct Kind {
  const char* name;
  std::function<std::shared_ptr<Device>(const TempDir&)> make;
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class GrowingDevice : public testing::TestWithParam<Kind> {
 protected:
  TempDir folder_;
  std::shared_ptr<Device> device_ = GetParam().make(folder_);
};

TEST_P(GrowingDevice, begins_empty_and_grows_when_written_beyond_its_end) {
  ASSERT_EQ(device_->size(), 0u);
  ASSERT_TRUE(device_->can_grow());
  write_all(*device_, 10000, to_bytes("behind a hole"));
  EXPECT_EQ(device_->size(), 10013u);
  EXPECT_EQ(read_all(*device_, 10000, 13), to_bytes("behind a hole"));
  EXPECT_EQ(read_all(*device_, 0, 10000), filled(10000, 0));
}

TEST_P(GrowingDevice, gives_back_what_was_written_across_page_boundaries) {
  const Bytes bytes = pattern(20000, 1);
  write_all(*device_, 4095, bytes);
  write_all(*device_, 9000, pattern(100, 2));
  Bytes expected = bytes;
  const Bytes patch = pattern(100, 2);
  std::copy(patch.begin(), patch.end(), expected.begin() + (9000 - 4095));
  EXPECT_EQ(read_all(*device_, 4095, 20000), expected);
  EXPECT_OK(device_->flush());
}

// Whole blocks or not, inside or beyond the end: a file takes other ways for them.
TEST_P(GrowingDevice, gives_back_what_was_written_durably) {
  EXPECT_OK(device_->write_durable(0, pattern(8192, 1)));
  EXPECT_OK(device_->write_durable(4096, pattern(4096, 2)));
  EXPECT_OK(device_->write_durable(100, pattern(50, 3)));
  EXPECT_OK(device_->write_durable(8192, pattern(1 << 20, 4)));
  Bytes expected = pattern(8192, 1);
  const Bytes second = pattern(4096, 2), third = pattern(50, 3);
  std::copy(second.begin(), second.end(), expected.begin() + 4096);
  std::copy(third.begin(), third.end(), expected.begin() + 100);
  EXPECT_EQ(read_all(*device_, 0, 8192), expected);
  EXPECT_EQ(read_all(*device_, 8192, 1 << 20), pattern(1 << 20, 4));
  EXPECT_EQ(device_->size(), 8192u + (1 << 20));
}

TEST_P(GrowingDevice, refuses_to_read_beyond_its_end_even_in_part) {
  write_all(*device_, 0, pattern(1000, 3));
  Bytes out(10);
  EXPECT_ERROR(device_->read(991, out), Errc::out_of_range);
  EXPECT_ERROR(device_->read(1000, out), Errc::out_of_range);
  EXPECT_ERROR(device_->read(UINT64_MAX - 3, out), Errc::out_of_range);
  EXPECT_OK(device_->read(990, out));
}

TEST_P(GrowingDevice, refuses_offsets_that_no_file_can_have) {
  const Bytes bytes = pattern(10, 4);
  EXPECT_ERROR(device_->write(UINT64_MAX - 3, bytes), Errc::out_of_range);
  EXPECT_ERROR(device_->write(uint64_t{INT64_MAX} - 5, bytes), Errc::out_of_range);
  EXPECT_ERROR(device_->allocate(UINT64_MAX - 3, 10), Errc::out_of_range);
  EXPECT_EQ(device_->size(), 0u);
}

TEST_P(GrowingDevice, reads_zeros_where_bytes_were_discarded_and_keeps_its_size) {
  write_all(*device_, 0, pattern(16384, 5));
  EXPECT_OK(device_->discard(4096, 4096));
  EXPECT_OK(device_->discard(9000, 10));
  EXPECT_OK(device_->discard(16380, 100000));
  Bytes expected = pattern(16384, 5);
  std::fill_n(expected.begin() + 4096, 4096, std::byte{0});
  std::fill_n(expected.begin() + 9000, 10, std::byte{0});
  std::fill_n(expected.begin() + 16380, 4, std::byte{0});
  EXPECT_EQ(device_->size(), 16384u);
  EXPECT_EQ(read_all(*device_, 0, 16384), expected);
}

TEST_P(GrowingDevice, allocation_grows_it_and_leaves_what_is_there) {
  write_all(*device_, 0, pattern(5000, 6));
  EXPECT_OK(device_->allocate(4096, 100000));
  EXPECT_EQ(device_->size(), 104096u);
  EXPECT_EQ(read_all(*device_, 0, 5000), pattern(5000, 6));
  EXPECT_EQ(read_all(*device_, 5000, 99096), filled(99096, 0));
  EXPECT_OK(device_->allocate(0, 10));
  EXPECT_EQ(device_->size(), 104096u);
}

TEST_P(GrowingDevice, forgets_what_a_resize_cuts_off) {
  write_all(*device_, 0, pattern(9000, 7));
  EXPECT_OK(device_->resize(4500));
  EXPECT_EQ(device_->size(), 4500u);
  EXPECT_OK(device_->resize(9000));
  Bytes expected = pattern(9000, 7);
  std::fill(expected.begin() + 4500, expected.end(), std::byte{0});
  EXPECT_EQ(read_all(*device_, 0, 9000), expected);
}

TEST_P(GrowingDevice, does_nothing_for_empty_ranges) {
  EXPECT_OK(device_->write(100, {}));
  EXPECT_OK(device_->discard(100, 0));
  EXPECT_OK(device_->allocate(100, 0));
  EXPECT_EQ(device_->size(), 0u);
  EXPECT_OK(device_->read(0, {}));
}

INSTANTIATE_TEST_SUITE_P(
    Each, GrowingDevice,
    testing::Values(
        Kind{"host_file", host_file},
        Kind{"memory", [](const TempDir&) { return MemoryDevice::file(); }},
        Kind{"recording", [](const TempDir&) { return std::make_shared<RecordingDevice>(); }},
        Kind{"fault_free",
             [](const TempDir&) { return std::make_shared<FaultDevice>(MemoryDevice::file()); }}),
    [](const testing::TestParamInfo<Kind>& kind) { return kind.param.name; });

TEST(MemoryDisk, keeps_its_fixed_size) {
  const auto disk = MemoryDevice::disk(8192);
  EXPECT_FALSE(disk->can_grow());
  EXPECT_ERROR(disk->write(8190, pattern(3, 1)), Errc::out_of_range);
  EXPECT_ERROR(disk->allocate(0, 8193), Errc::out_of_range);
  EXPECT_ERROR(disk->resize(8193), Errc::out_of_range);
  EXPECT_OK(disk->resize(8192));
  EXPECT_OK(disk->write(8189, pattern(3, 1)));
}

TEST(MemoryDisk, begins_with_its_canary_and_shows_it_again_after_a_discard) {
  const auto disk = MemoryDevice::disk(16384, std::byte{0xa7});
  EXPECT_EQ(read_all(*disk, 100, 50), filled(50, 0xa7));
  write_all(*disk, 4096, pattern(4096, 1));
  EXPECT_OK(disk->discard(4096, 4000));
  EXPECT_EQ(read_all(*disk, 4096, 4000), filled(4000, 0xa7));
  const Bytes whole = pattern(4096, 1);
  EXPECT_EQ(read_all(*disk, 8096, 96), Bytes(whole.begin() + 4000, whole.end()));
}

TEST(MemoryDisk, runs_out_of_host_space_without_changing_anything) {
  MemoryOptions options;
  options.host_bytes_max = 8192;
  MemoryDevice device(options);
  write_all(device, 0, pattern(4096, 1));
  EXPECT_EQ(device.host_bytes_free(), 4096u);
  EXPECT_ERROR(device.write(4000, pattern(8192, 2)), Errc::no_space);
  EXPECT_ERROR(device.allocate(4096, 8192), Errc::no_space);
  EXPECT_EQ(device.size(), 4096u);
  EXPECT_EQ(read_all(device, 0, 4096), pattern(4096, 1));
  write_all(device, 0, pattern(4096, 3));  // what is there can be overwritten
  EXPECT_OK(device.allocate(1 << 20, 4096));
  EXPECT_EQ(device.host_bytes_free(), 0u);
  EXPECT_OK(device.discard(0, 4096));
  EXPECT_EQ(device.host_bytes_free(), 4096u);
}

TEST(MemoryDisk, refuses_changes_when_it_is_read_only) {
  MemoryOptions options;
  options.bytes = 4096;
  options.read_only = true;
  MemoryDevice device(options);
  EXPECT_TRUE(device.read_only());
  EXPECT_ERROR(device.write(0, pattern(1, 1)), Errc::read_only);
  EXPECT_ERROR(device.discard(0, 1), Errc::read_only);
  EXPECT_ERROR(device.allocate(0, 1), Errc::read_only);
  EXPECT_ERROR(device.resize(0), Errc::read_only);
  EXPECT_EQ(read_all(device, 0, 4096), filled(4096, 0));
}

TEST(MemoryDisk, snapshots_do_not_change_with_the_device) {
  const auto device = MemoryDevice::file();
  write_all(*device, 0, pattern(3 << 20, 1));
  const SparseImage before = device->snapshot();
  write_all(*device, 1 << 20, pattern(100, 2));
  EXPECT_OK(device->discard(0, 4096));
  MemoryDevice old(before);
  EXPECT_EQ(read_all(old, 0, 3 << 20), pattern(3 << 20, 1));
  EXPECT_FALSE(before == device->snapshot());
  EXPECT_EQ(SparseImage::difference(before, device->snapshot()), "bytes differ at 0");
}

TEST(RangeDevice, moves_every_access_by_its_offset) {
  const auto base = MemoryDevice::file();
  write_all(*base, 0, pattern(20000, 1));
  const auto range = rvm::make_range_device(base, 4096, 8192);
  EXPECT_EQ(range->size(), 8192u);
  const Bytes whole = pattern(20000, 1);
  EXPECT_EQ(read_all(*range, 10, 100), Bytes(whole.begin() + 4106, whole.begin() + 4206));
  write_all(*range, 8190, to_bytes("ab"));
  EXPECT_EQ(read_all(*base, 12286, 2), to_bytes("ab"));
  EXPECT_OK(range->discard(0, 4096));
  EXPECT_EQ(read_all(*base, 4096, 4096), filled(4096, 0));
  EXPECT_EQ(read_all(*base, 0, 4096), Bytes(whole.begin(), whole.begin() + 4096));
}

TEST(RangeDevice, lets_nothing_out_of_its_window) {
  const auto base = MemoryDevice::file(65536);
  const auto range = rvm::make_range_device(base, 4096, 8192);
  Bytes bytes = pattern(2, 1);
  EXPECT_ERROR(range->write(8191, bytes), Errc::out_of_range);
  EXPECT_ERROR(range->read(8191, bytes), Errc::out_of_range);
  EXPECT_ERROR(range->write(UINT64_MAX - 4095, bytes), Errc::out_of_range);
  EXPECT_ERROR(range->discard(0, 8193), Errc::out_of_range);
  EXPECT_ERROR(range->allocate(8192, 1), Errc::out_of_range);
  EXPECT_ERROR(range->resize(8193), Errc::out_of_range);
  EXPECT_OK(range->resize(8192));
  EXPECT_FALSE(range->can_grow());
  EXPECT_TRUE(base->snapshot() == MemoryDevice::file(65536)->snapshot());
}

TEST(RangeDevice, reads_zeros_and_grows_the_file_where_the_file_is_shorter) {
  const auto base = MemoryDevice::file();
  write_all(*base, 0, filled(5000, 0xee));
  const auto range = rvm::make_range_device(base, 4096, 1 << 20);
  Bytes expected = filled(2000, 0);
  std::fill_n(expected.begin(), 904, std::byte{0xee});
  EXPECT_EQ(read_all(*range, 0, 2000), expected);
  EXPECT_EQ(read_all(*range, 500000, 10), filled(10, 0));
  EXPECT_EQ(base->size(), 5000u);
  write_all(*range, 500000, to_bytes("x"));
  EXPECT_EQ(base->size(), 504097u);
}

TEST(RangeDevice, over_a_device_that_is_too_small_fails_instead_of_inventing_bytes) {
  const auto range = rvm::make_range_device(MemoryDevice::disk(8192), 4096, 8192);
  Bytes bytes(10);
  EXPECT_ERROR(range->read(4090, bytes), Errc::out_of_range);
  EXPECT_ERROR(range->write(4090, bytes), Errc::out_of_range);
}

TEST(RangeDevice, whose_window_would_wrap_is_cut_short) {
  const auto range = rvm::make_range_device(MemoryDevice::file(), UINT64_MAX - 10, 100);
  Bytes bytes(20);
  EXPECT_ERROR(range->read(0, bytes), Errc::out_of_range);
  EXPECT_ERROR(range->write(50, bytes), Errc::out_of_range);
}

}  // namespace
}  // namespace rvmfs::test
