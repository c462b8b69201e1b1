// SPDX-License-Identifier: BSD-2-Clause
//
// Segments other than the log's device: how the log comes to know them, and what happens when one
// cannot be opened.

#include <filesystem>

#include "rvm/rvm.h"
#include "tests/rvm/rvm_world.h"
#include "tests/support/temp_dir.h"

namespace rvm {
namespace {

using rvmfs::test::DeviceCall;
using rvmfs::test::MemoryDevice;
using rvmfs::test::RvmWorld;

class Segments : public RvmWorld {
 protected:
  void SetUp() override {
    options_.open_segment = [this](std::string_view, bool) -> Result<std::shared_ptr<Device>> {
      ++opened_;
      if (missing_) return Error{.code = Errc::not_found, .what = "no such segment"};
      return other_;
    };
    RvmWorld::SetUp();
  }

  bool missing_ = false;
  int opened_ = 0;
  std::shared_ptr<Device> other_ = MemoryDevice::file(1 << 20);
};

TEST_F(Segments, keep_their_number_for_ever) {
  const SegmentId first = *rvm_->open_segment("first");
  const SegmentId second = *rvm_->open_segment("second");
  EXPECT_NE(first, second);
  EXPECT_EQ(*rvm_->open_segment("first"), first);
  EXPECT_EQ(opened_, 2);
  ASSERT_TRUE(reopen());
  EXPECT_EQ(*rvm_->open_segment("second"), second);
  EXPECT_EQ(*rvm_->open_segment("first"), first);
  EXPECT_EQ(opened_, 4);
}

TEST_F(Segments, that_cannot_be_opened_are_not_noted) {
  missing_ = true;
  EXPECT_ERROR(rvm_->open_segment("first"), Errc::not_found);
  missing_ = false;
  EXPECT_EQ(*rvm_->open_segment("another"), 1u);
  missing_ = true;
  ASSERT_TRUE(reopen());
  EXPECT_ERROR(rvm_->open_segment("another"), Errc::not_found);
  EXPECT_ERROR(rvm_->map({.segment = 1, .length = kPageBytes}), Errc::not_found);
  EXPECT_ERROR(rvm_->map({.segment = 2, .length = kPageBytes}), Errc::no_segment);
}

TEST_F(Segments, with_more_names_than_the_log_keeps_are_refused_and_nothing_is_lost) {
  const std::string name(3000, 'n');
  Result<SegmentId> added = SegmentId{0};
  uint32_t count = 0;
  while ((added = rvm_->open_segment(name + std::to_string(count)))) ++count;
  EXPECT_ERROR(added, Errc::full);
  EXPECT_EQ(count, 5u);
  EXPECT_FALSE(rvm_->failed());
  put(0, "still fine");
  ASSERT_TRUE(reopen());
  EXPECT_EQ(*rvm_->open_segment(name + "4"), 5u);
}

TEST_F(Segments, are_files_of_these_names_when_nobody_says_otherwise) {
  const rvmfs::test::TempDir folder;
  const std::string path = folder.file("segment");
  ASSERT_OK(open_file_device(path, {.create = true}));
  std::filesystem::resize_file(path, 2 * kPageBytes);
  options_.open_segment = nullptr;
  ASSERT_TRUE(reopen());
  EXPECT_ERROR(rvm_->open_segment(folder.file("none")), Errc::not_found);
  const auto use = [&] { return *rvm_->map({.segment = 1, .length = 2 * kPageBytes}); };
  EXPECT_EQ(*rvm_->open_segment(path), 1u);
  auto tx = rvm_->begin();
  std::memcpy(*tx.modify(*use(), 0, 5), "hello", 5);
  ASSERT_OK(tx.end(Commit::flush));
  options_.read_only = true;
  ASSERT_TRUE(reopen());
  EXPECT_EQ(std::memcmp(*use()->read(0, 5), "hello", 5), 0) << "recovered in memory";
  options_.read_only = false;
  ASSERT_TRUE(reopen());
  EXPECT_EQ(std::memcmp(*use()->read(0, 5), "hello", 5), 0);
}

}  // namespace
}  // namespace rvm
