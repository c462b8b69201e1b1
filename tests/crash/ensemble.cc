// SPDX-License-Identifier: BSD-2-Clause
//
// See ensemble.h.
#include "tests/crash/ensemble.h"

#include <algorithm>
#include <random>
#include <utility>

namespace rvmfs::test {

using rvm::Result;

// Passes calls on, and notes the order of those that made an event.
class Ensemble::Face final : public rvm::Device {
 public:
  Face(std::shared_ptr<RecordingDevice> base, std::shared_ptr<Order> order, uint8_t index)
      : base_(std::move(base)), order_(std::move(order)), index_(index) {}

  Result<void> read(uint64_t offset, std::span<std::byte> out) override {
    return base_->read(offset, out);
  }
  Result<void> write(uint64_t offset, std::span<const std::byte> in) override {
    return noted([&] { return base_->write(offset, in); });
  }
  Result<void> flush() override {
    return noted([&] { return base_->flush(); });
  }
  Result<void> write_durable(uint64_t offset, std::span<const std::byte> in) override {
    return noted([&] { return base_->write_durable(offset, in); });
  }
  Result<void> discard(uint64_t offset, uint64_t length) override {
    return noted([&] { return base_->discard(offset, length); });
  }
  Result<void> allocate(uint64_t offset, uint64_t length) override {
    return noted([&] { return base_->allocate(offset, length); });
  }
  Result<void> resize(uint64_t bytes) override {
    return noted([&] { return base_->resize(bytes); });
  }
  uint64_t first_hole(uint64_t offset, uint64_t length) const override {
    return base_->first_hole(offset, length);
  }
  uint64_t size() const override { return base_->size(); }
  bool can_grow() const override { return base_->can_grow(); }
  std::string name() const override { return "device " + std::to_string(index_); }

 private:
  template <typename Call>
  Result<void> noted(Call call) {
    std::lock_guard lock(order_->mutex);
    const size_t before = base_->event_count();
    Result<void> result = call();
    for (size_t i = before; i < base_->event_count(); ++i) order_->devices.push_back(index_);
    return result;
  }

  const std::shared_ptr<RecordingDevice> base_;
  const std::shared_ptr<Order> order_;
  const uint8_t index_;
};

Ensemble::Ensemble(const std::vector<SparseImage>& images, bool can_grow)
    : order_(std::make_shared<Order>()) {
  for (const SparseImage& image : images) {
    const auto index = static_cast<uint8_t>(faces_.size());
    recordings_.push_back(std::make_shared<RecordingDevice>(image, can_grow));
    faces_.push_back(std::make_shared<Face>(recordings_.back(), order_, index));
  }
}

size_t Ensemble::event_count() const {
  std::lock_guard lock(order_->mutex);
  return order_->devices.size();
}

EnsembleHistory Ensemble::history() const {
  std::lock_guard lock(order_->mutex);
  EnsembleHistory history;
  for (const auto& recording : recordings_) history.devices.push_back(recording->history());
  history.order = order_->devices;
  return history;
}

std::vector<SparseImage> Ensemble::snapshot() const {
  std::vector<SparseImage> images;
  for (const auto& recording : recordings_) images.push_back(recording->snapshot());
  return images;
}

void Ensemble::flush_failed(size_t index) {
  std::lock_guard lock(order_->mutex);
  recordings_[index]->flush_failed();
  order_->devices.push_back(static_cast<uint8_t>(index));
}

void Ensemble::restart() {
  std::lock_guard lock(order_->mutex);
  for (const auto& recording : recordings_) recording->restart();
  order_->devices.clear();
}

EnsembleHistory after_kill(const EnsembleHistory& history, size_t point,
                           const EnsembleHistory& recovery) {
  EnsembleHistory both;
  both.order.assign(history.order.begin(),
                    history.order.begin() + static_cast<std::ptrdiff_t>(point));
  for (size_t i = 0; i < history.devices.size(); ++i) {
    const auto count = std::count(both.order.begin(), both.order.end(), static_cast<uint8_t>(i));
    const History& before = history.devices[i];
    const History& after = recovery.devices[i];
    History device{before.initial, {before.events.begin(), before.events.begin() + count}};
    for (Event event : after.events) {
      if (event.kind == Event::Kind::settle) event.offset += static_cast<uint64_t>(count);
      device.events.push_back(std::move(event));
    }
    both.devices.push_back(std::move(device));
  }
  both.order.insert(both.order.end(), recovery.order.begin(), recovery.order.end());
  return both;
}

EnsembleChoice EnsembleStates::all_kept() const {
  EnsembleChoice choice;
  for (const CrashStates& device : devices_) choice.push_back(device.all_kept());
  return choice;
}

EnsembleStates::EnsembleStates(EnsembleHistory history) : order_(std::move(history.order)) {
  for (History& device : history.devices) devices_.emplace_back(std::move(device));
  device_points_.resize(devices_.size());
}

void EnsembleStates::seek(size_t point) {
  if (point < point_) {
    point_ = 0;
    std::fill(device_points_.begin(), device_points_.end(), 0);
  }
  for (; point_ < std::min(point, order_.size()); ++point_) ++device_points_[order_[point_]];
  for (size_t i = 0; i < devices_.size(); ++i) devices_[i].seek(device_points_[i]);
}

bool EnsembleStates::at_flush() const {
  if (point_ == order_.size()) return true;
  const size_t device = order_[point_];
  const Event& event = devices_[device].events()[device_points_[device]];
  return event.kind == Event::Kind::flush || event.kind == Event::Kind::settle ||
         event.kind == Event::Kind::failed_flush;
}

size_t EnsembleStates::pending_count() const {
  size_t count = 0;
  for (const CrashStates& device : devices_) count += device.pending_count();
  return count;
}

std::vector<SparseImage> EnsembleStates::build(const EnsembleChoice& choice) const {
  std::vector<SparseImage> images;
  for (size_t i = 0; i < devices_.size(); ++i) images.push_back(devices_[i].build(choice[i]));
  return images;
}

std::vector<EnsembleChoice> EnsembleStates::interesting(size_t limit, uint64_t seed) const {
  std::vector<EnsembleChoice> choices;
  EnsembleChoice lost, kept;
  size_t open = 0;  // devices with something pending
  for (const CrashStates& device : devices_) {
    lost.push_back(device.all_lost());
    kept.push_back(device.all_kept());
    open += device.pending_count() > 0 ? 1 : 0;
  }
  if (open == 0) return {lost};
  const size_t limit_each = open == 1 ? limit : std::max<size_t>(4, limit / (2 * open));
  for (size_t i = 0; i < devices_.size(); ++i) {
    if (devices_[i].pending_count() == 0) continue;
    for (CrashChoice& choice : devices_[i].interesting(limit_each, seed)) {
      if (open > 1) {
        choices.push_back(lost);
        choices.back()[i] = choice;
      }
      choices.push_back(kept);
      choices.back()[i] = std::move(choice);
    }
  }
  return choices;
}

std::vector<EnsembleChoice> EnsembleStates::thorough(size_t limit, uint64_t seed) const {
  std::vector<EnsembleChoice> choices;
  const EnsembleChoice kept = all_kept();
  for (size_t i = 0; i < devices_.size(); ++i) {
    for (CrashChoice& choice : devices_[i].thorough(at_flush(), limit, seed)) {
      choices.push_back(kept);
      choices.back()[i] = std::move(choice);
    }
  }
  return choices;
}

std::string EnsembleStates::describe(const EnsembleChoice& choice) const {
  std::string text;
  for (size_t i = 0; i < devices_.size(); ++i) {
    if (devices_.size() > 1) text += (i == 0 ? "device " : "; device ") + std::to_string(i) + " ";
    text += devices_[i].describe(choice[i]);
  }
  return text;
}

}  // namespace rvmfs::test
