// SPDX-License-Identifier: BSD-2-Clause
//
// Copy-on-write pages over a base device (see overlay_device.h).

#include "overlay_device.h"

#include <algorithm>
#include <array>

#include "bytes.h"
#include "rvm/rvm.h"

namespace rvm {
namespace {

using Page = std::array<std::byte, kPageBytes>;

class OverlayDevice : public Device {
 public:
  explicit OverlayDevice(std::shared_ptr<Device> base)
      : base_(std::move(base)), size_(base_->size()) {}

  Result<void> read(uint64_t offset, std::span<std::byte> out) override {
    if (!within(offset, out.size(), size_)) {
      return Error{Errc::out_of_range, 0, offset, "reading beyond the end of the device"};
    }
    const std::lock_guard lock(mutex_);
    return each_piece(
        offset, out.size(),
        [&](uint64_t page, uint64_t at, uint64_t count, uint64_t done) -> Result<void> {
          if (const auto found = pages_.find(page); found != pages_.end()) {
            std::memcpy(out.data() + done, found->second->data() + at, count);
            return {};
          }
          return read_base(page * kPageBytes + at, out.subspan(done, count));
        });
  }

  Result<void> write(uint64_t offset, std::span<const std::byte> in) override {
    if (offset > (1ULL << 62)) {
      return Error{Errc::out_of_range, 0, offset, "writing beyond the end of the device"};
    }
    const std::lock_guard lock(mutex_);
    size_ = std::max(size_.load(), offset + in.size());
    return each_piece(
        offset, in.size(),
        [&](uint64_t page, uint64_t at, uint64_t count, uint64_t done) -> Result<void> {
          RVM_ASSIGN(Page * copy, own_page(page));
          std::memcpy(copy->data() + at, in.data() + done, count);
          return {};
        });
  }

  Result<void> flush() override { return {}; }

  Result<void> discard(uint64_t offset, uint64_t length) override {
    const Page zeros{};
    const uint64_t end = std::min(size_.load(), offset + length);
    for (; offset < end; offset += zeros.size()) {
      RVM_TRY(
          write(offset, std::span(zeros).first(std::min<uint64_t>(zeros.size(), end - offset))));
    }
    return {};
  }

  Result<void> allocate(uint64_t offset, uint64_t length) override {
    size_ = std::max(size_.load(), offset + length);
    return {};
  }

  uint64_t size() const override { return size_; }
  Result<void> resize(uint64_t bytes) override {
    size_ = bytes;
    return {};
  }
  bool can_grow() const override { return base_->can_grow(); }
  std::string name() const override { return base_->name(); }

 private:
  template <typename Visit>
  Result<void> each_piece(uint64_t offset, uint64_t length, Visit&& visit) {
    for (uint64_t done = 0; done < length;) {
      const uint64_t page = (offset + done) / kPageBytes;
      const uint64_t at = (offset + done) % kPageBytes;
      const uint64_t count = std::min(length - done, kPageBytes - at);
      RVM_TRY(visit(page, at, count, done));
      done += count;
    }
    return {};
  }

  Result<Page*> own_page(uint64_t page) {
    std::unique_ptr<Page>& copy = pages_[page];
    if (!copy) {
      auto fresh = std::make_unique<Page>();
      if (auto read = read_base(page * kPageBytes, *fresh); !read) {
        pages_.erase(page);
        return read.error();
      }
      copy = std::move(fresh);
    }
    return copy.get();
  }

  // What lies beyond the end of the base is zeros.
  Result<void> read_base(uint64_t offset, std::span<std::byte> out) {
    const uint64_t end = base_->size();
    const uint64_t there = offset >= end ? 0 : std::min<uint64_t>(out.size(), end - offset);
    if (there != 0) RVM_TRY(base_->read(offset, out.first(there)));
    std::memset(out.data() + there, 0, out.size() - there);
    return {};
  }

  std::shared_ptr<Device> base_;
  std::atomic<uint64_t> size_;
  std::mutex mutex_;
  std::unordered_map<uint64_t, std::unique_ptr<Page>> pages_;
};

}  // namespace

std::shared_ptr<Device> make_overlay_device(std::shared_ptr<Device> base) {
  return std::make_shared<OverlayDevice>(std::move(base));
}

}  // namespace rvm
