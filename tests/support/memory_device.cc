// SPDX-License-Identifier: BSD-2-Clause
//
// See memory_device.h. Range checks come before any change, so that a refused call has no effect.
#include "tests/support/memory_device.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

namespace rvmfs::test {

using rvm::Errc;
using rvm::Error;
using rvm::Result;

MemoryDevice::MemoryDevice(MemoryOptions options)
    : options_(std::move(options)), image_(options_.bytes, options_.fill) {
  if (options_.can_grow && options_.fill != std::byte{0}) std::abort();  // a test's own mistake
}

MemoryDevice::MemoryDevice(SparseImage image, MemoryOptions options)
    : options_(std::move(options)), image_(std::move(image)) {
  options_.can_grow = options_.can_grow && image_.fill() == std::byte{0};
}

std::shared_ptr<MemoryDevice> MemoryDevice::file(uint64_t bytes) {
  MemoryOptions options;
  options.bytes = bytes;
  return std::make_shared<MemoryDevice>(options);
}

std::shared_ptr<MemoryDevice> MemoryDevice::disk(uint64_t bytes, std::byte fill) {
  MemoryOptions options;
  options.bytes = bytes;
  options.can_grow = false;
  options.fill = fill;
  return std::make_shared<MemoryDevice>(options);
}

SparseImage MemoryDevice::snapshot() const {
  std::lock_guard lock(mutex_);
  return image_;
}

void MemoryDevice::set_host_bytes_max(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  options_.host_bytes_max = bytes;
}

Result<void> MemoryDevice::check_change(uint64_t offset, uint64_t length, bool needs_space) const {
  if (options_.read_only) return Error{Errc::read_only, 0, offset, "memory device"};
  const uint64_t limit = options_.can_grow ? uint64_t{INT64_MAX} : image_.size();
  if (length > limit || offset > limit - length) {
    return Error{Errc::out_of_range, 0, offset, "memory device"};
  }
  if (!needs_space || options_.host_bytes_max == UINT64_MAX) return {};
  const uint64_t more = image_.absent_pages(offset, length) * SparseImage::kPageBytes;
  if (more > 0 && image_.allocated_bytes() + more > options_.host_bytes_max) {
    return Error{Errc::no_space, ENOSPC, offset, "memory device"};
  }
  return {};
}

Result<void> MemoryDevice::read(uint64_t offset, std::span<std::byte> out) {
  std::lock_guard lock(mutex_);
  if (out.size() > image_.size() || offset > image_.size() - out.size()) {
    return Error{Errc::out_of_range, 0, offset, "memory device"};
  }
  image_.read(offset, out);
  return {};
}

Result<void> MemoryDevice::write(uint64_t offset, std::span<const std::byte> in) {
  std::lock_guard lock(mutex_);
  RVM_TRY(check_change(offset, in.size(), true));
  if (!in.empty()) image_.write(offset, in);
  return {};
}

Result<void> MemoryDevice::flush() { return {}; }

Result<void> MemoryDevice::discard(uint64_t offset, uint64_t length) {
  std::lock_guard lock(mutex_);
  if (options_.read_only) return Error{Errc::read_only, 0, offset, "memory device"};
  if (offset >= image_.size()) return {};
  image_.punch(offset, std::min(length, image_.size() - offset));
  return {};
}

Result<void> MemoryDevice::allocate(uint64_t offset, uint64_t length) {
  std::lock_guard lock(mutex_);
  RVM_TRY(check_change(offset, length, true));
  if (length > 0) image_.allocate(offset, length);
  return {};
}

Result<void> MemoryDevice::resize(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (options_.read_only) return Error{Errc::read_only, 0, bytes, "memory device"};
  if (bytes == image_.size()) return {};
  if (!options_.can_grow || bytes > uint64_t{INT64_MAX}) {
    return Error{Errc::out_of_range, 0, bytes, "memory device"};
  }
  image_.resize(bytes);
  return {};
}

uint64_t MemoryDevice::size() const {
  std::lock_guard lock(mutex_);
  return image_.size();
}

uint64_t MemoryDevice::host_bytes_free() const {
  std::lock_guard lock(mutex_);
  if (options_.host_bytes_max == UINT64_MAX) return UINT64_MAX;
  const uint64_t used = image_.allocated_bytes();
  return used < options_.host_bytes_max ? options_.host_bytes_max - used : 0;
}

}  // namespace rvmfs::test
