// SPDX-License-Identifier: BSD-2-Clause
//
// See recording_device.h.
#include "tests/support/recording_device.h"

#include <algorithm>
#include <utility>

namespace rvmfs::test {

using rvm::Errc;
using rvm::Error;
using rvm::Result;

std::string describe(const Event& event) {
  const std::string range = std::to_string(event.offset) + "+" + std::to_string(event.length);
  switch (event.kind) {
    case Event::Kind::write: return "write " + range;
    case Event::Kind::flush: return "flush";
    case Event::Kind::discard: return "discard " + range;
    case Event::Kind::allocate: return "allocate " + range;
    case Event::Kind::resize: return "resize " + std::to_string(event.offset);
    case Event::Kind::settle: return "durable: event " + std::to_string(event.offset);
    case Event::Kind::failed_flush: return "failed flush";
  }
  return "unknown event";
}

void apply(const Event& event, SparseImage& image) {
  switch (event.kind) {
    case Event::Kind::write: image.write(event.offset, *event.bytes); break;
    case Event::Kind::flush:
    case Event::Kind::settle:
    case Event::Kind::failed_flush: break;
    case Event::Kind::discard: image.punch(event.offset, event.length); break;
    case Event::Kind::allocate: image.allocate(event.offset, event.length); break;
    case Event::Kind::resize: image.resize(event.offset); break;
  }
}

namespace {

std::shared_ptr<const std::vector<std::byte>> copy_of(std::span<const std::byte> bytes) {
  return std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
}

}  // namespace

RecordingDevice::RecordingDevice(SparseImage initial, bool can_grow)
    : can_grow_(can_grow), current_(initial), history_{std::move(initial), {}} {}

size_t RecordingDevice::event_count() const {
  std::lock_guard lock(mutex_);
  return history_.events.size();
}

History RecordingDevice::history() const {
  std::lock_guard lock(mutex_);
  return history_;
}

SparseImage RecordingDevice::snapshot() const {
  std::lock_guard lock(mutex_);
  return current_;
}

void RecordingDevice::restart() {
  std::lock_guard lock(mutex_);
  history_.initial = current_;
  history_.events.clear();
}

void RecordingDevice::flush_failed() {
  std::lock_guard lock(mutex_);
  history_.events.push_back({Event::Kind::failed_flush, 0, 0, nullptr});
}

Result<uint64_t> RecordingDevice::record(Event event) {
  std::lock_guard lock(mutex_);
  const bool settles = event.kind == Event::Kind::settle;
  const uint64_t limit = can_grow_ || settles ? uint64_t{INT64_MAX} : current_.size();
  if (event.length > limit || event.offset > limit - event.length) {
    return Error{Errc::out_of_range, 0, event.offset, "recording device"};
  }
  apply(event, current_);
  history_.events.push_back(std::move(event));
  return history_.events.size() - 1;
}

Result<void> RecordingDevice::note(Event event) {
  RVM_TRY(record(std::move(event)));
  return {};
}

Result<void> RecordingDevice::read(uint64_t offset, std::span<std::byte> out) {
  std::lock_guard lock(mutex_);
  if (out.size() > current_.size() || offset > current_.size() - out.size()) {
    return Error{Errc::out_of_range, 0, offset, "recording device"};
  }
  current_.read(offset, out);
  return {};
}

Result<void> RecordingDevice::write(uint64_t offset, std::span<const std::byte> in) {
  if (in.empty()) return {};
  return note({Event::Kind::write, offset, in.size(), copy_of(in)});
}

Result<void> RecordingDevice::flush() { return note({Event::Kind::flush, 0, 0, nullptr}); }

Result<void> RecordingDevice::write_durable(uint64_t offset, std::span<const std::byte> in) {
  if (in.empty()) return {};
  RVM_ASSIGN(const uint64_t event, record({Event::Kind::write, offset, in.size(), copy_of(in)}));
  return note({Event::Kind::settle, event, 0, nullptr});
}

Result<void> RecordingDevice::discard(uint64_t offset, uint64_t length) {
  const uint64_t end = size();
  if (offset >= end || length == 0) return {};
  return note({Event::Kind::discard, offset, std::min(length, end - offset), nullptr});
}

Result<void> RecordingDevice::allocate(uint64_t offset, uint64_t length) {
  if (length == 0) return {};
  return note({Event::Kind::allocate, offset, length, nullptr});
}

Result<void> RecordingDevice::resize(uint64_t bytes) {
  if (bytes == size()) return {};
  if (!can_grow_) return Error{Errc::out_of_range, 0, bytes, "recording device"};
  return note({Event::Kind::resize, bytes, 0, nullptr});
}

uint64_t RecordingDevice::size() const {
  std::lock_guard lock(mutex_);
  return current_.size();
}

}  // namespace rvmfs::test
