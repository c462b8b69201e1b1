// SPDX-License-Identifier: BSD-2-Clause
//
// A fixture for tests of librvm's own behaviour when things go wrong: a log and two hashed regions
// on a device in memory that fails, or runs code of the test, when told to.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "rvm/rvm.h"
#include "tests/support/bytes.h"
#include "tests/support/fault_device.h"
#include "tests/support/hook_device.h"
#include "tests/support/memory_device.h"

namespace rvmfs::test {

class RvmWorld : public ::testing::Test {
 protected:
  static constexpr uint64_t kLogBytes = 1 << 20;
  static constexpr uint64_t kTableOffset = kLogBytes;
  static constexpr uint64_t kRegionOffset = 2 << 20;
  static constexpr uint64_t kRegionBytes = 1 << 20;
  static constexpr uint64_t kDataOffset = 6 << 20;  // for what a client writes by itself

  void SetUp() override {
    make_devices();
    ASSERT_OK(rvm::Rvm::create_log(*device_, {.length = kLogBytes}));
    ASSERT_TRUE(open());
    auto tx = rvm_->begin();
    ASSERT_OK(tx.format(*region_));
    ASSERT_OK(tx.end(rvm::Commit::flush));
  }

  void make_devices() {
    memory_ = MemoryDevice::file(8 << 20);
    device_ = std::make_shared<FaultDevice>(memory_);
    hooked_ = std::make_shared<HookDevice>(device_);
  }

  rvm::Result<void> try_open() {
    options_.log_device = hooked_;
    RVM_ASSIGN(rvm_, rvm::Rvm::initialize(options_));
    RVM_ASSIGN(region_, rvm_->map(region_options()));
    return {};
  }
  bool open() {
    const auto opened = try_open();
    EXPECT_OK(opened);
    return opened.has_value();
  }
  // The process is killed, and another one begins.
  bool reopen() {
    if (rvm_) rvm_->abandon();
    rvm_.reset();
    return open();
  }

  static rvm::RegionOptions region_options() {
    return {.offset = kRegionOffset,
            .length = kRegionBytes,
            .hashed = true,
            .hash_table_offset = kTableOffset};
  }

  rvm::Result<rvm::CommitTicket> try_put(uint64_t offset, std::string_view text, rvm::Commit mode) {
    auto tx = rvm_->begin();
    RVM_ASSIGN(std::byte * bytes, tx.modify(*region_, offset, text.size()));
    std::memcpy(bytes, text.data(), text.size());
    return tx.end(mode);
  }
  void put(uint64_t offset, std::string_view text, rvm::Commit mode = rvm::Commit::flush) {
    EXPECT_OK(try_put(offset, text, mode));
  }
  std::string get(uint64_t offset, size_t length) {
    const auto bytes = region_->read(offset, length);
    if (!bytes) return "error: " + rvm::describe(bytes.error());
    return {reinterpret_cast<const char*>(*bytes), length};
  }

  std::shared_ptr<MemoryDevice> memory_;
  std::shared_ptr<FaultDevice> device_;
  std::shared_ptr<HookDevice> hooked_;  // what librvm uses
  rvm::Options options_{.background = false, .check_undeclared = true};
  std::unique_ptr<rvm::Rvm> rvm_;
  rvm::Region* region_ = nullptr;
};

}  // namespace rvmfs::test
