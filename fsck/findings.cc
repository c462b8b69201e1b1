// SPDX-License-Identifier: BSD-2-Clause
//
// The table behind findings.h, and the ways in which findings become text.
#include "fsck/findings.h"

#include <fmt/format.h>

#include "fsck/fsck.h"

namespace rvmfs::fsck {
namespace {

constexpr FindingRow kRows[] = {
#define RVMFS_FSCK_ROW(name, number, severity, repairable, text) \
  {FindingId::name, #name, Severity::severity, repairable, text},
    RVMFS_FSCK_FINDINGS(RVMFS_FSCK_ROW)
#undef RVMFS_FSCK_ROW
};

}  // namespace

const FindingRow& finding_row(FindingId id) {
  for (const FindingRow& row : kRows) {
    if (row.id == id) return row;
  }
  return kRows[0];  // not reached: FindingId is made from the same table
}

std::string describe(const Finding& finding) {
  const FindingRow& row = finding_row(finding.id);
  std::string text = fmt::format("[{}] {}: {}", static_cast<unsigned>(row.id), row.name, row.text);
  if (!finding.detail.empty()) text += ": " + finding.detail;
  return text;
}

bool FindingList::has(FindingId id) const {
  for (const Finding& finding : findings) {
    if (finding.id == id) return true;
  }
  return false;
}

std::string FindingList::text(bool notes) const {
  std::string all;
  for (const Finding& finding : findings) {
    if (!notes && finding_row(finding.id).severity == Severity::note) continue;
    all += describe(finding);
    all += '\n';
  }
  return all;
}

}  // namespace rvmfs::fsck
