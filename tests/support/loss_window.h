// SPDX-License-Identifier: BSD-2-Clause
//
// What a volume may be after a kill or a loss of power, kept up to date while it runs in step with
// the reference model: the trees since the last fsync, and for each file the contents since its own
// last fsync. (tests/crash judges single crashes and knows the events of the device; this one is
// for runs that go on after the loss.)
//
// Thread rules: as an int.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/support/operations.h"
#include "tests/support/volume_answers.h"

namespace rvmfs::test {

struct TreeSnapshot;

class LossWindow {
 public:
  explicit LossWindow(const ReferenceModel& start) { everything_is_durable(start); }

  // Around each operation that the model performs.
  void before(const Op& op, const Slots& slots, const ReferenceModel& model);
  void after(const ReferenceModel& model);

  void everything_is_durable(const ReferenceModel& model);
  // All trees up to now, and the data of this one file.
  void file_is_durable(Inode inode, const ReferenceModel& model);

  // Finds out which state came back, and makes the model that one. Empty, or what is wrong.
  std::string recover(VolumeAnswers& volume, ReferenceModel& model);

 private:
  std::string check_contents(const ReferenceModel& state, const TreeSnapshot& actual) const;
  bool is_allowed(Inode inode, uint64_t offset, std::byte byte) const;

  std::vector<ReferenceModel> states_;  // the durable one first
  std::map<Inode, std::vector<SparseImage>> contents_;
  Inode touched_ = 0;     // by the operation under way
  bool changes_ = false;  // it may change something
};

}  // namespace rvmfs::test
