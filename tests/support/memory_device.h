// SPDX-License-Identifier: BSD-2-Clause
//
// A Device in memory, sparse, as a file (can_grow) or as a block device of fixed size.
//
// Everything is "durable" at once; for crash states see recording_device.h. A device of fixed size
// may be made to begin full of a canary byte, and discarded ranges hold it again: code that takes
// unwritten or discarded sectors for zeros fails on it. `host_bytes_max` makes the host filesystem
// finite: what needs more pages than that answers no_space and changes nothing.
//
// Thread rules: as Device. All calls serialise on one mutex.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "rvm/device.h"
#include "tests/support/sparse_image.h"

namespace rvmfs::test {

struct MemoryOptions {
  uint64_t bytes = 0;
  bool can_grow = true;
  std::byte fill{0};  // must be zero if can_grow: what a file gains is zeros
  uint64_t host_bytes_max = UINT64_MAX;
  bool read_only = false;
  std::string name = "memory";
};

class MemoryDevice final : public rvm::Device {
 public:
  explicit MemoryDevice(MemoryOptions options);
  // Over an existing image (a crash state, a snapshot). Size and fill come from the image.
  explicit MemoryDevice(SparseImage image, MemoryOptions options = {});

  // The two common cases.
  static std::shared_ptr<MemoryDevice> file(uint64_t bytes = 0);
  static std::shared_ptr<MemoryDevice> disk(uint64_t bytes, std::byte fill = std::byte{0xc5});

  // A copy of the present contents, at no cost.
  SparseImage snapshot() const;
  void set_host_bytes_max(uint64_t bytes);

  rvm::Result<void> read(uint64_t offset, std::span<std::byte> out) override;
  rvm::Result<void> write(uint64_t offset, std::span<const std::byte> in) override;
  rvm::Result<void> flush() override;
  rvm::Result<void> discard(uint64_t offset, uint64_t length) override;
  rvm::Result<void> allocate(uint64_t offset, uint64_t length) override;
  rvm::Result<void> resize(uint64_t bytes) override;
  uint64_t size() const override;
  uint64_t host_bytes_free() const override;
  bool can_grow() const override { return options_.can_grow && !options_.read_only; }
  bool read_only() const override { return options_.read_only; }
  std::string name() const override { return options_.name; }

 private:
  rvm::Result<void> check_change(uint64_t offset, uint64_t length, bool needs_space) const;

  mutable std::mutex mutex_;
  MemoryOptions options_;
  SparseImage image_;
};

}  // namespace rvmfs::test
