// SPDX-License-Identifier: BSD-2-Clause
//
// See report.h.
#include "fsck/report.h"

namespace rvmfs::fsck {

bool Report::count(FindingId id) {
  const FindingRow& row = finding_row(id);
  switch (row.severity) {
    case Severity::note: ++notes_; break;
    case Severity::problem: ++problems_; break;
    case Severity::damage: ++damages_; break;
  }
  if (row.severity != Severity::note && !row.repairable) ++unrepairable_;
  const uint64_t seen = ++counts_[id];
  return max_ == 0 || seen <= max_;
}

void Report::finish(Summary& summary) {
  for (const auto& [id, seen] : counts_) {
    if (max_ != 0 && seen > max_) sink_.report({id, fmt::format("and {} more", seen - max_)});
  }
  summary.notes = notes_;
  summary.problems = problems_;
  summary.damages = damages_;
  summary.unrepairable = unrepairable_;
}

}  // namespace rvmfs::fsck
