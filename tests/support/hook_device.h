// SPDX-License-Identifier: BSD-2-Clause
//
// A Device that passes every call on, and runs a test's own code in the middle of it: to do
// something while a read or a write is under way, as another thread could. The hook may make it
// fail.
//
// Thread rules: as Device; `hook` is set while no call is under way.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "rvm/device.h"
#include "tests/support/fault_device.h"

namespace rvmfs::test {

class HookDevice final : public rvm::Device {
 public:
  explicit HookDevice(std::shared_ptr<rvm::Device> base) : base_(std::move(base)) {}

  // Called with the kind of call and its offset, before it is passed on; an error is its answer. A
  // durable write is a write. The hook is not called again while it runs.
  std::function<rvm::Result<void>(DeviceCall, uint64_t)> hook;
  // As if nothing had been written before.
  bool all_holes = false;

  rvm::Result<void> read(uint64_t offset, std::span<std::byte> out) override {
    RVM_TRY(call(DeviceCall::read, offset));
    return base_->read(offset, out);
  }
  rvm::Result<void> write(uint64_t offset, std::span<const std::byte> in) override {
    RVM_TRY(call(DeviceCall::write, offset));
    return base_->write(offset, in);
  }
  rvm::Result<void> write_durable(uint64_t offset, std::span<const std::byte> in) override {
    RVM_TRY(call(DeviceCall::write, offset));
    return base_->write_durable(offset, in);
  }
  rvm::Result<void> flush() override {
    RVM_TRY(call(DeviceCall::flush, 0));
    return base_->flush();
  }
  void forget_cached(uint64_t offset, uint64_t length) override {
    base_->forget_cached(offset, length);
  }
  rvm::Result<void> discard(uint64_t offset, uint64_t length) override {
    RVM_TRY(call(DeviceCall::discard, offset));
    return base_->discard(offset, length);
  }
  rvm::Result<void> allocate(uint64_t offset, uint64_t length) override {
    RVM_TRY(call(DeviceCall::allocate, offset));
    return base_->allocate(offset, length);
  }
  rvm::Result<void> resize(uint64_t bytes) override {
    RVM_TRY(call(DeviceCall::resize, 0));
    return base_->resize(bytes);
  }
  uint64_t first_hole(uint64_t offset, uint64_t length) const override {
    return all_holes ? offset : base_->first_hole(offset, length);
  }
  uint64_t size() const override { return base_->size(); }
  uint64_t host_bytes_free() const override { return base_->host_bytes_free(); }
  bool can_grow() const override { return base_->can_grow(); }
  bool read_only() const override { return base_->read_only(); }
  std::string name() const override { return "hooked " + base_->name(); }

 private:
  rvm::Result<void> call(DeviceCall kind, uint64_t offset) {
    if (!hook) return {};
    const auto running = std::exchange(hook, nullptr);
    const rvm::Result<void> result = running(kind, offset);
    if (!hook) hook = running;  // (it may have set another one)
    return result;
  }

  const std::shared_ptr<rvm::Device> base_;
};

}  // namespace rvmfs::test
