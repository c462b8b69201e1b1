// SPDX-License-Identifier: BSD-2-Clause
//
// See fault_device.h. The mutex covers rules and counters only, never a call to the base device.
#include "tests/support/fault_device.h"

#include <algorithm>

namespace rvmfs::test {

using rvm::Errc;
using rvm::Error;
using rvm::Result;

namespace {

Error injected(const Fault& fault, uint64_t offset) {
  const bool full = fault.os_errno == ENOSPC || fault.os_errno == EDQUOT;
  return Error{full ? Errc::no_space : Errc::io, fault.os_errno, offset, "injected fault"};
}

size_t index_of(DeviceCall kind) { return static_cast<size_t>(kind); }

}  // namespace

void FaultDevice::fail(DeviceCall kind, uint64_t nth, Fault fault) {
  std::lock_guard lock(mutex_);
  nth_rules_.push_back({kind, calls_[index_of(kind)] + nth, fault});
}

void FaultDevice::fail_range(DeviceCall kind, uint64_t offset, uint64_t length, int os_errno) {
  std::lock_guard lock(mutex_);
  range_rules_.push_back({kind, offset, length, os_errno});
}

void FaultDevice::flip_bits(uint64_t offset, std::byte mask) {
  std::lock_guard lock(mutex_);
  flips_[offset] ^= mask;
}

void FaultDevice::clear() {
  std::lock_guard lock(mutex_);
  nth_rules_.clear();
  range_rules_.clear();
  flips_.clear();
}

void FaultDevice::pause(bool paused) {
  std::lock_guard lock(mutex_);
  paused_ = paused;
}

uint64_t FaultDevice::calls(DeviceCall kind) const {
  std::lock_guard lock(mutex_);
  return calls_[index_of(kind)];
}

uint64_t FaultDevice::faults() const {
  std::lock_guard lock(mutex_);
  return faults_;
}

std::optional<Fault> FaultDevice::next(DeviceCall kind, uint64_t offset, uint64_t length) {
  std::lock_guard lock(mutex_);
  if (paused_) return std::nullopt;
  const uint64_t number = calls_[index_of(kind)]++;
  for (const NthRule& rule : nth_rules_) {
    if (rule.kind != kind || number < rule.at) continue;
    if (number == rule.at || rule.fault.forever) {
      ++faults_;
      return rule.fault;
    }
  }
  for (const RangeRule& rule : range_rules_) {
    if (rule.kind != kind || offset >= rule.offset + rule.length) continue;
    if (offset + length > rule.offset) {
      ++faults_;
      return Fault{.os_errno = rule.os_errno};
    }
  }
  return std::nullopt;
}

void FaultDevice::apply_flips(uint64_t offset, std::span<std::byte> out) const {
  std::lock_guard lock(mutex_);
  for (auto flip = flips_.lower_bound(offset);
       flip != flips_.end() && flip->first < offset + out.size(); ++flip) {
    out[flip->first - offset] ^= flip->second;
  }
}

Result<void> FaultDevice::read(uint64_t offset, std::span<std::byte> out) {
  if (const auto fault = next(DeviceCall::read, offset, out.size())) {
    const uint64_t done = std::min<uint64_t>(fault->sectors_done * rvm::kSectorBytes, out.size());
    if (done > 0) RVM_TRY(base_->read(offset, out.first(done)));
    return injected(*fault, offset);
  }
  RVM_TRY(base_->read(offset, out));
  apply_flips(offset, out);
  return {};
}

Result<void> FaultDevice::write(uint64_t offset, std::span<const std::byte> in) {
  if (const auto fault = next(DeviceCall::write, offset, in.size())) {
    const uint64_t done = std::min<uint64_t>(fault->sectors_done * rvm::kSectorBytes, in.size());
    if (done > 0) RVM_TRY(base_->write(offset, in.first(done)));
    return injected(*fault, offset);
  }
  return base_->write(offset, in);
}

Result<void> FaultDevice::flush() {
  if (const auto fault = next(DeviceCall::flush, 0, UINT64_MAX)) return failed_flush(*fault, 0);
  return base_->flush();
}

Error FaultDevice::failed_flush(const Fault& fault, uint64_t offset) {
  if (flush_failed_) flush_failed_();
  return injected(fault, offset);
}

// One call to the medium, but it may fail as a write or as a flush does.
Result<void> FaultDevice::write_durable(uint64_t offset, std::span<const std::byte> in) {
  if (const auto fault = next(DeviceCall::write, offset, in.size())) {
    const uint64_t done = std::min<uint64_t>(fault->sectors_done * rvm::kSectorBytes, in.size());
    if (done > 0) RVM_TRY(base_->write(offset, in.first(done)));
    Error error = injected(*fault, offset);
    return error.code == Errc::no_space ? error : failed_flush(*fault, offset);
  }
  if (const auto fault = next(DeviceCall::flush, 0, UINT64_MAX)) {
    RVM_TRY(base_->write(offset, in));
    Error error = failed_flush(*fault, offset);
    error.code = Errc::io;
    return error;
  }
  return base_->write_durable(offset, in);
}

Result<void> FaultDevice::discard(uint64_t offset, uint64_t length) {
  if (const auto fault = next(DeviceCall::discard, offset, length)) return injected(*fault, offset);
  return base_->discard(offset, length);
}

Result<void> FaultDevice::allocate(uint64_t offset, uint64_t length) {
  if (const auto fault = next(DeviceCall::allocate, offset, length)) {
    return injected(*fault, offset);
  }
  return base_->allocate(offset, length);
}

Result<void> FaultDevice::resize(uint64_t bytes) {
  if (const auto fault = next(DeviceCall::resize, bytes, 0)) return injected(*fault, bytes);
  return base_->resize(bytes);
}

}  // namespace rvmfs::test
