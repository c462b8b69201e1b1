// SPDX-License-Identifier: BSD-2-Clause
//
// A volume and the reference model side by side: every operation is applied to both and the answers
// are compared. What differs is told as a sentence; the run is over then.
//
// Thread rules: as an int.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tests/support/loss_window.h"
#include "tests/support/perform.h"
#include "tests/support/tree_snapshot.h"

namespace rvmfs::test {

struct ModelRunOptions {
  MountOptions::Atime atime = MountOptions::Atime::noatime;
  bool may_be_full = false;  // ENOSPC is an answer like any other, if it changes nothing
  // So are EIO and EROFS, of fsync too (see last()). Of a write that failed, some bytes may be
  // there.
  bool may_fail = false;
  rvm::Tuning tuning;
  uint64_t metadata_bytes_max = 256ull << 20;
  bool discard = true;
  // For the operations kill and power_loss: called when the volume is gone; gives the device as it
  // is then.
  std::function<std::shared_ptr<rvm::Device>(const Op&)> after_loss;
};

// Formats the device with fixed identity, so that equal runs make equal histories.
Result<void> format_for_tests(std::shared_ptr<rvm::Device> device, uint64_t volume_bytes,
                              uint64_t log_bytes = 0);

class ModelRun {
 public:
  // The device must be formatted by format_for_tests; if it is used already, `model` says what is
  // there.
  ModelRun(std::shared_ptr<rvm::Device> device, const ModelRunOptions& options,
           const ReferenceModel* model = nullptr);
  ~ModelRun();

  // Opens the volume for the first time. Like all others: empty, or what went wrong.
  std::string open();
  // Applies the operation to both.
  std::string apply(const Op& op);
  // Compares the whole trees. With access times switched on, the run cannot go on after it: the
  // walk has changed them in the volume.
  std::string compare();
  std::string close();
  // Kills the volume without a word, as it is.
  void abandon();

  const ReferenceModel& model() const { return model_; }
  const Slots& slots() const { return slots_; }
  Volume& volume() { return *volume_; }
  VolumeAnswers& answers() { return *answers_; }
  // Answer of the volume to the last operation.
  const Outcome& last() const { return last_; }
  // Operations that were refused with an error that the options allow.
  uint64_t refused() const { return refused_; }

 private:
  std::string apply_durability(const Op& op);
  std::string apply_sync(const Done& done);
  bool is_refusal(int error) const;
  std::string adopt_bytes(const Op& op);
  std::string reopen(bool clean);
  std::string lose(const Op& op);
  void give_hints(const Op& op, const Outcome& outcome);
  void change_slots(const Op& op, const Outcome& outcome);
  void put_slot(size_t slot, Inode inode);
  std::string check(const Op& op, const Outcome& expected, const Outcome& actual) const;

  std::shared_ptr<rvm::Device> device_;
  ModelRunOptions options_;
  std::shared_ptr<Time> clock_;
  ReferenceModel model_;
  std::unique_ptr<Volume> volume_;
  std::unique_ptr<VolumeAnswers> answers_;
  Slots slots_{};
  std::unique_ptr<LossWindow> window_;  // if there may be losses
  Outcome last_;
  uint64_t refused_ = 0;
};

}  // namespace rvmfs::test
