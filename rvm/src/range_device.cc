// SPDX-License-Identifier: BSD-2-Clause
//
// A window of another device, of fixed size: `length` bytes from `base_offset` on. It forbids every
// access outside the window and moves the others. Over a file that is shorter than the window, the
// missing part reads as zeros, and writes grow the file. Over a writable device of fixed size that
// is too small, the device itself answers out_of_range.
#include <algorithm>
#include <string>
#include <utility>

#include "rvm/device.h"

namespace rvm {
namespace {

class RangeDevice final : public Device {
 public:
  RangeDevice(std::shared_ptr<Device> base, uint64_t base_offset, uint64_t length)
      : base_(std::move(base)),
        base_offset_(base_offset),
        length_(std::min(length, UINT64_MAX - base_offset)) {}

  Result<void> read(uint64_t offset, std::span<std::byte> out) override {
    RVM_TRY(check(offset, out.size()));
    if (!base_->can_grow() && !base_->read_only()) return base_->read(base_offset_ + offset, out);
    const uint64_t begin = base_offset_ + offset;
    const uint64_t base_bytes = base_->size();
    const uint64_t there = base_bytes > begin ? base_bytes - begin : 0;
    const auto head = out.first(static_cast<size_t>(std::min<uint64_t>(out.size(), there)));
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(head.size()), out.end(), std::byte{0});
    if (head.empty()) return {};
    return base_->read(begin, head);
  }

  size_t read_cached(uint64_t offset, std::span<std::byte> out) override {
    return check(offset, out.size()) ? base_->read_cached(base_offset_ + offset, out) : 0;
  }

  Result<void> write(uint64_t offset, std::span<const std::byte> in) override {
    RVM_TRY(check(offset, in.size()));
    return base_->write(base_offset_ + offset, in);
  }

  Result<void> flush() override { return base_->flush(); }

  Result<void> write_durable(uint64_t offset, std::span<const std::byte> in) override {
    RVM_TRY(check(offset, in.size()));
    return base_->write_durable(base_offset_ + offset, in);
  }

  void forget_cached(uint64_t offset, uint64_t length) override {
    base_->forget_cached(base_offset_ + offset, length);
  }

  Result<void> discard(uint64_t offset, uint64_t length) override {
    RVM_TRY(check(offset, length));
    return base_->discard(base_offset_ + offset, length);
  }

  Result<void> allocate(uint64_t offset, uint64_t length) override {
    RVM_TRY(check(offset, length));
    return base_->allocate(base_offset_ + offset, length);
  }

  uint64_t first_hole(uint64_t offset, uint64_t length) const override {
    return base_->first_hole(base_offset_ + offset, length) - base_offset_;
  }

  Result<void> resize(uint64_t bytes) override {
    if (bytes == length_) return {};
    return Error{Errc::out_of_range, 0, bytes, "a range of a device cannot change its size"};
  }

  uint64_t size() const override { return length_; }
  uint64_t host_bytes_free() const override { return base_->host_bytes_free(); }
  bool read_only() const override { return base_->read_only(); }
  void release_lock() override { base_->release_lock(); }
  std::string name() const override {
    return base_->name() + "[" + std::to_string(base_offset_) + "+" + std::to_string(length_) + "]";
  }

 private:
  Result<void> check(uint64_t offset, uint64_t length) const {
    if (length <= length_ && offset <= length_ - length) return {};
    return Error{Errc::out_of_range, 0, offset, "access outside the range of the device"};
  }

  const std::shared_ptr<Device> base_;
  const uint64_t base_offset_;
  const uint64_t length_;
};

}  // namespace

std::shared_ptr<Device> make_range_device(std::shared_ptr<Device> base, uint64_t base_offset,
                                          uint64_t length) {
  return std::make_shared<RangeDevice>(std::move(base), base_offset, length);
}

}  // namespace rvm
