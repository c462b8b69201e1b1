// SPDX-License-Identifier: BSD-2-Clause
//
// A medium behind a host's page cache, as Linux has one: reads see what was written last, wherever
// it is. A flush that fails forgets what was still to be written, and the cache shows it all the
// same, as clean; only who has the cache forgotten reads what the medium has.
//
// Thread rules: one thread.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/bytes.h"
#include "tests/support/memory_device.h"

namespace rvmfs::test {

class HostCacheDevice final : public rvm::Device {
 public:
  explicit HostCacheDevice(SparseImage medium)
      : medium_(std::make_shared<MemoryDevice>(medium)),
        cache_(std::make_shared<MemoryDevice>(std::move(medium))) {}

  bool flushes_fail = false;
  SparseImage medium() const { return medium_->snapshot(); }

  rvm::Result<void> read(uint64_t offset, std::span<std::byte> out) override {
    return cache_->read(offset, out);
  }
  rvm::Result<void> write(uint64_t offset, std::span<const std::byte> in) override {
    dirty_.emplace_back(offset, in.size());
    return cache_->write(offset, in);
  }
  rvm::Result<void> flush() override {
    if (flushes_fail) {
      dirty_.clear();
      return rvm::Error{rvm::Errc::io, EIO, 0, "the medium refuses"};
    }
    for (const auto& [offset, length] : std::exchange(dirty_, {}))
      copy(*cache_, *medium_, offset, length);
    return {};
  }
  void forget_cached(uint64_t offset, uint64_t length) override {
    copy(*medium_, *cache_, offset, std::min(length, size() - offset));
    for (const auto& [at, bytes] : dirty_) ADD_FAILURE() << "byte " << at << " was not flushed";
  }
  rvm::Result<void> discard(uint64_t, uint64_t) override { return {}; }
  rvm::Result<void> allocate(uint64_t, uint64_t) override { return {}; }
  rvm::Result<void> resize(uint64_t bytes) override { return cache_->resize(bytes); }
  uint64_t size() const override { return cache_->size(); }
  std::string name() const override { return "cached " + cache_->name(); }

 private:
  static void copy(MemoryDevice& from, MemoryDevice& to, uint64_t offset, uint64_t length) {
    std::vector<std::byte> bytes(length);
    EXPECT_OK(from.read(offset, bytes));
    EXPECT_OK(to.write(offset, bytes));
  }

  const std::shared_ptr<MemoryDevice> medium_, cache_;
  std::vector<std::pair<uint64_t, uint64_t>> dirty_;
};

}  // namespace rvmfs::test
