// SPDX-License-Identifier: BSD-2-Clause
//
// See announcing_device.h.
#include "fs/daemon/announcing_device.h"

#include <atomic>
#include <utility>

namespace rvmfs {
namespace {

constexpr size_t kSmallWriteBytes = 64 << 10;

// Counts those who are in a call that waits for the medium.
class Waiting {
 public:
  explicit Waiting(std::atomic<int>& count) : count_(count) { ++count_; }
  ~Waiting() { --count_; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  std::atomic<int>& count_;
};

class AnnouncingDevice final : public rvm::Device {
 public:
  AnnouncingDevice(std::shared_ptr<rvm::Device> base, void (*about_to_wait)())
      : base_(std::move(base)), about_to_wait_(about_to_wait) {}

  rvm::Result<void> read(uint64_t offset, std::span<std::byte> out) override {
    const size_t there = base_->read_cached(offset, out);
    if (there == out.size()) return {};
    about_to_wait_();
    return base_->read(offset + there, out.subspan(there));
  }
  size_t read_cached(uint64_t offset, std::span<std::byte> out) override {
    return base_->read_cached(offset, out);
  }
  rvm::Result<void> write(uint64_t offset, std::span<const std::byte> in) override {
    // Some hosts make a write into a file wait while the file is flushed or changes its blocks.
    if (in.size() > kSmallWriteBytes || waiting_ > 0) about_to_wait_();
    return base_->write(offset, in);
  }
  rvm::Result<void> flush() override {
    const Waiting waiting = begin_to_wait();
    return base_->flush();
  }
  rvm::Result<void> write_durable(uint64_t offset, std::span<const std::byte> in) override {
    about_to_wait_();  // nobody waits for us: see direct_writer.h of librvm
    return base_->write_durable(offset, in);
  }
  rvm::Result<void> discard(uint64_t offset, uint64_t length) override {
    const Waiting waiting = begin_to_wait();
    return base_->discard(offset, length);
  }
  rvm::Result<void> allocate(uint64_t offset, uint64_t length) override {
    const Waiting waiting = begin_to_wait();
    return base_->allocate(offset, length);
  }
  rvm::Result<void> resize(uint64_t bytes) override {
    const Waiting waiting = begin_to_wait();
    return base_->resize(bytes);
  }
  uint64_t first_hole(uint64_t offset, uint64_t length) const override {
    return base_->first_hole(offset, length);
  }
  uint64_t size() const override { return base_->size(); }
  uint64_t host_bytes_free() const override { return base_->host_bytes_free(); }
  bool can_grow() const override { return base_->can_grow(); }
  bool read_only() const override { return base_->read_only(); }
  void release_lock() override { base_->release_lock(); }
  void forget_cached(uint64_t offset, uint64_t length) override {
    about_to_wait_();
    base_->forget_cached(offset, length);
  }
  std::string name() const override { return base_->name(); }

 private:
  Waiting begin_to_wait() {
    about_to_wait_();
    return Waiting(waiting_);
  }

  const std::shared_ptr<rvm::Device> base_;
  void (*const about_to_wait_)();
  std::atomic<int> waiting_{0};
};

}  // namespace

std::shared_ptr<rvm::Device> make_announcing_device(std::shared_ptr<rvm::Device> base,
                                                    void (*about_to_wait)()) {
  return std::make_shared<AnnouncingDevice>(std::move(base), about_to_wait);
}

}  // namespace rvmfs
