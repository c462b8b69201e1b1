// SPDX-License-Identifier: BSD-2-Clause
//
// A Device that fails when told to. It passes every call on to another device, except those that a
// rule picks: the n-th call of a kind, once or from then on, or any call that touches a range.
//
//   FaultDevice device(MemoryDevice::file());
//   device.fail(DeviceCall::write, 3, {.os_errno = ENOSPC});          // the 4th write from now
//   device.fail(DeviceCall::flush, 0, {.forever = true});             // every flush from now on
//   device.fail(DeviceCall::write, 0, {.sectors_done = 2});           // writes 1 KiB, then fails
//   device.fail_range(DeviceCall::read, 8192, 4096, EIO);             // a bad spot
//   device.flip_bits(8192 + 17, std::byte{0x40});                     // reads give wrong bits
//
// A failed flush is not passed on (when_flush_fails tells who wants to know), and neither is any
// part of a failed write beyond sectors_done. ENOSPC and EDQUOT become Errc::no_space, all other
// numbers Errc::io, as FileDevice does.
//
// To walk all faults of an operation: run it once, take calls(kind), then run it again on fresh
// devices with fail(kind, i) for each i below that number.
//
// Thread rules: as Device; rules may be changed at any time from any thread.
#pragma once

#include <array>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "rvm/device.h"

namespace rvmfs::test {

enum class DeviceCall : uint8_t { read, write, flush, discard, allocate, resize };
inline constexpr size_t kDeviceCallKinds = 6;

struct Fault {
  int os_errno = EIO;
  bool forever = false;       // also every later call of the kind
  uint64_t sectors_done = 0;  // read, write: whole sectors moved before the failure
};

class FaultDevice final : public rvm::Device {
 public:
  explicit FaultDevice(std::shared_ptr<rvm::Device> base) : base_(std::move(base)) {}

  // The call number `nth` of this kind, counted from 0 at this moment, fails.
  void fail(DeviceCall kind, uint64_t nth, Fault fault = {});
  // Every call of this kind that touches the range fails.
  void fail_range(DeviceCall kind, uint64_t offset, uint64_t length, int os_errno = EIO);
  // Reads of this byte give it with these bits inverted, until clear().
  void flip_bits(uint64_t offset, std::byte mask);
  // Called when a flush has failed, or a durable write as badly as a flush: what was written before
  // may be lost for ever (RecordingDevice::flush_failed). To be set before the device is used.
  void when_flush_fails(std::function<void()> told) { flush_failed_ = std::move(told); }
  // Forgets all rules. Counters stay.
  void clear();
  // While paused, calls neither fail nor count: to look at what is there in the middle of a run.
  void pause(bool paused);

  // Calls of the kind since construction, failed ones included, and those that a rule made fail.
  uint64_t calls(DeviceCall kind) const;
  uint64_t faults() const;
  const std::shared_ptr<rvm::Device>& base() const { return base_; }

  rvm::Result<void> read(uint64_t offset, std::span<std::byte> out) override;
  rvm::Result<void> write(uint64_t offset, std::span<const std::byte> in) override;
  rvm::Result<void> flush() override;
  rvm::Result<void> write_durable(uint64_t offset, std::span<const std::byte> in) override;
  rvm::Result<void> discard(uint64_t offset, uint64_t length) override;
  rvm::Result<void> allocate(uint64_t offset, uint64_t length) override;
  rvm::Result<void> resize(uint64_t bytes) override;
  uint64_t size() const override { return base_->size(); }
  uint64_t host_bytes_free() const override { return base_->host_bytes_free(); }
  bool can_grow() const override { return base_->can_grow(); }
  bool read_only() const override { return base_->read_only(); }
  std::string name() const override { return "faulty " + base_->name(); }

 private:
  struct NthRule {
    DeviceCall kind;
    uint64_t at;  // value of the kind's counter
    Fault fault;
  };
  struct RangeRule {
    DeviceCall kind;
    uint64_t offset, length;
    int os_errno;
  };

  // Counts the call and picks the fault for it, if any.
  std::optional<Fault> next(DeviceCall kind, uint64_t offset, uint64_t length);
  rvm::Error failed_flush(const Fault& fault, uint64_t offset);
  void apply_flips(uint64_t offset, std::span<std::byte> out) const;

  const std::shared_ptr<rvm::Device> base_;
  std::function<void()> flush_failed_;
  mutable std::mutex mutex_;
  std::array<uint64_t, kDeviceCallKinds> calls_{};
  uint64_t faults_ = 0;
  std::vector<NthRule> nth_rules_;
  std::vector<RangeRule> range_rules_;
  std::map<uint64_t, std::byte> flips_;
  bool paused_ = false;
};

}  // namespace rvmfs::test
