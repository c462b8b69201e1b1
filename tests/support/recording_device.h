// SPDX-License-Identifier: BSD-2-Clause
//
// A Device in memory that remembers the sequence of everything done to it, so that crash_states.h
// can build what a power loss at any moment could have left behind.
//
//   auto device = std::make_shared<RecordingDevice>(image);   // what is durable at the start
//   ... run the code under test over it; note device->event_count() whenever it acknowledges ...
//   CrashStates states(device->history());
//
// Every event stands in the history at the moment when it took effect. A flush stands at the moment
// when it was called: with several threads, a write that runs beside a flush comes after it, as the
// Device contract says.
//
// flush_failed() tells of a flush that failed. What was pending then may be lost for ever, although
// later flushes succeed: a kernel marks pages clean that it could not write (assumption A5).
//
// Thread rules: as Device. All calls serialise on one mutex.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "rvm/device.h"
#include "tests/support/sparse_image.h"

namespace rvmfs::test {

struct Event {
  // settle: the write that is event number `offset` is durable (Device::write_durable returns).
  // failed_flush: no later flush makes durable what is pending now.
  enum class Kind : uint8_t { write, flush, discard, allocate, resize, settle, failed_flush };
  Kind kind = Kind::flush;
  uint64_t offset = 0;  // resize: the new size; settle: an event's number
  uint64_t length = 0;
  std::shared_ptr<const std::vector<std::byte>> bytes;  // write only
};

// One line for messages: "write 8192+4096".
std::string describe(const Event& event);

// Does to the image what the event did to the device.
void apply(const Event& event, SparseImage& image);

struct History {
  SparseImage initial;  // durable before the first event
  std::vector<Event> events;
};

class RecordingDevice final : public rvm::Device {
 public:
  // can_grow: behaves as a file; otherwise as a device with the fixed size of `initial`.
  explicit RecordingDevice(SparseImage initial = SparseImage(), bool can_grow = true);

  // Events so far. What the code under test has promised by now must hold in every crash state at
  // this point or later.
  size_t event_count() const;
  History history() const;
  // The contents as seen by the running program.
  SparseImage snapshot() const;
  // A flush has failed: the fate of what is pending now stays open for ever.
  void flush_failed();
  // Forgets the past: the present contents become the durable start.
  void restart();

  rvm::Result<void> read(uint64_t offset, std::span<std::byte> out) override;
  rvm::Result<void> write(uint64_t offset, std::span<const std::byte> in) override;
  rvm::Result<void> flush() override;
  rvm::Result<void> write_durable(uint64_t offset, std::span<const std::byte> in) override;
  rvm::Result<void> discard(uint64_t offset, uint64_t length) override;
  rvm::Result<void> allocate(uint64_t offset, uint64_t length) override;
  rvm::Result<void> resize(uint64_t bytes) override;
  // A file behaves as if nothing had been written before: preparing writes come whenever they may.
  uint64_t first_hole(uint64_t offset, uint64_t length) const override {
    return can_grow_ ? offset : offset + length;
  }
  uint64_t size() const override;
  bool can_grow() const override { return can_grow_; }
  std::string name() const override { return "recording"; }

 private:
  // Gives the number of the event.
  rvm::Result<uint64_t> record(Event event);
  rvm::Result<void> note(Event event);

  mutable std::mutex mutex_;
  const bool can_grow_;
  SparseImage current_;
  History history_;
};

}  // namespace rvmfs::test
