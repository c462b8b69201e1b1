// SPDX-License-Identifier: BSD-2-Clause
//
// Several recorded devices that lose power together. Each is a RecordingDevice with a flush of its
// own; the ensemble remembers the order of the events across all of them, so that a crash point is
// one number. A flush of one device says nothing about the others: code that forgets to flush a
// segment before it lets go of the log is found here.
//
// Thread rules: Ensemble's devices as Device; EnsembleStates as an int.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/crash_states.h"
#include "tests/support/recording_device.h"

namespace rvmfs::test {

struct EnsembleHistory {
  std::vector<History> devices;
  std::vector<uint8_t> order;  // which device each event belongs to
};

class Ensemble {
 public:
  Ensemble(const std::vector<SparseImage>& images, bool can_grow);

  std::shared_ptr<rvm::Device> device(size_t index) const { return faces_[index]; }
  size_t device_count() const { return faces_.size(); }
  size_t event_count() const;
  EnsembleHistory history() const;
  std::vector<SparseImage> snapshot() const;
  // A flush of this device has failed (RecordingDevice::flush_failed).
  void flush_failed(size_t index);
  // The present contents become the durable start.
  void restart();

 private:
  struct Order {
    mutable std::mutex mutex;
    std::vector<uint8_t> devices;
  };
  class Face;

  std::vector<std::shared_ptr<RecordingDevice>> recordings_;
  std::vector<std::shared_ptr<rvm::Device>> faces_;
  std::shared_ptr<Order> order_;
};

// The process is killed at `point` and recovers on the same powered devices: what was not flushed
// by then is still not flushed while recovery runs. `recovery` began with everything kept.
EnsembleHistory after_kill(const EnsembleHistory& history, size_t point,
                           const EnsembleHistory& recovery);

using EnsembleChoice = std::vector<CrashChoice>;  // one per device

class EnsembleStates {
 public:
  explicit EnsembleStates(EnsembleHistory history);

  size_t event_count() const { return order_.size(); }
  void seek(size_t point);
  size_t point() const { return point_; }
  // The event at the point makes something durable (or it is the end): nothing more will be pending
  // than now.
  bool at_flush() const;
  size_t pending_count() const;

  std::vector<SparseImage> build(const EnsembleChoice& choice) const;
  EnsembleChoice all_kept() const;
  // At most about `limit` choices; the same ones for the same seed.
  std::vector<EnsembleChoice> interesting(size_t limit, uint64_t seed) const;
  // CrashStates::thorough, of one device after the other (the rest keeps everything).
  std::vector<EnsembleChoice> thorough(size_t limit, uint64_t seed) const;
  std::string describe(const EnsembleChoice& choice) const;

 private:
  std::vector<CrashStates> devices_;
  std::vector<uint8_t> order_;
  std::vector<size_t> device_points_;
  size_t point_ = 0;
};

}  // namespace rvmfs::test
