// SPDX-License-Identifier: BSD-2-Clause
//
// Counts findings on their way to the sink, and keeps a flood of one kind from drowning the rest.
#pragma once

#include <fmt/format.h>

#include <map>
#include <string>
#include <utility>

#include "fsck/fsck.h"

namespace rvmfs::fsck {

class Report {
 public:
  Report(FindingSink& sink, uint32_t per_finding_max) : sink_(sink), max_(per_finding_max) {}

  template <typename... Args>
  void add(FindingId id, fmt::format_string<Args...> text, Args&&... args) {
    if (count(id)) sink_.report({id, fmt::format(text, std::forward<Args>(args)...)});
  }
  void add(FindingId id) {
    if (count(id)) sink_.report({id, {}});
  }

  // Tells how many findings were counted and not shown.
  void finish(Summary& summary);

  bool damaged() const { return damages_ != 0; }

 private:
  bool count(FindingId id);

  FindingSink& sink_;
  const uint32_t max_;
  std::map<FindingId, uint64_t> counts_;
  uint64_t notes_ = 0, problems_ = 0, damages_ = 0, unrepairable_ = 0;
};

}  // namespace rvmfs::fsck
