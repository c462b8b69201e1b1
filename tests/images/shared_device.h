// SPDX-License-Identifier: BSD-2-Clause
//
// A device of fixed size in memory that a process shares with its children: what is left of it when
// a child has died is what a disk would hold. All writes are durable at once.
//
// Thread rules: as Device.
#pragma once

#include <sys/mman.h>

#include <cstring>
#include <memory>
#include <new>

#include "rvm/device.h"
#include "tests/support/sparse_image.h"

namespace rvmfs::test {

class SharedDevice final : public rvm::Device {
 public:
  // With the bytes of the image, zeros behind them.
  SharedDevice(const SparseImage& image, uint64_t bytes) : bytes_(bytes) {
    memory_ = static_cast<std::byte*>(
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    for (uint64_t at = image.next_present(0); at < bytes;
         at = image.next_present(at + SparseImage::kPageBytes)) {
      image.read(at, {memory_ + at, SparseImage::kPageBytes});
    }
  }
  ~SharedDevice() override { ::munmap(memory_, bytes_); }

  SparseImage snapshot() const {
    static constexpr std::byte kZeros[SparseImage::kPageBytes] = {};
    SparseImage image(bytes_);
    for (uint64_t at = 0; at < bytes_; at += sizeof(kZeros)) {
      if (std::memcmp(memory_ + at, kZeros, sizeof(kZeros)) == 0) continue;
      image.write(at, {memory_ + at, sizeof(kZeros)});
    }
    return image;
  }

  rvm::Result<void> read(uint64_t offset, std::span<std::byte> out) override {
    RVM_TRY(check(offset, out.size()));
    std::memcpy(out.data(), memory_ + offset, out.size());
    return {};
  }
  rvm::Result<void> write(uint64_t offset, std::span<const std::byte> in) override {
    RVM_TRY(check(offset, in.size()));
    std::memcpy(memory_ + offset, in.data(), in.size());
    return {};
  }
  rvm::Result<void> flush() override { return {}; }
  rvm::Result<void> discard(uint64_t, uint64_t) override { return {}; }
  rvm::Result<void> allocate(uint64_t offset, uint64_t length) override {
    return check(offset, length);
  }
  rvm::Result<void> resize(uint64_t bytes) override { return check(0, bytes); }
  uint64_t size() const override { return bytes_; }
  std::string name() const override { return "shared memory"; }

 private:
  rvm::Result<void> check(uint64_t offset, uint64_t length) const {
    if (offset <= bytes_ && length <= bytes_ - offset) return {};
    return rvm::Error{rvm::Errc::out_of_range, 0, offset, "beyond the device"};
  }

  const uint64_t bytes_;
  std::byte* memory_;
};

}  // namespace rvmfs::test
