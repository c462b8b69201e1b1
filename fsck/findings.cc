// SPDX-License-Identifier: BSD-2-Clause
//
// The table behind findings.h, and the ways in which findings become text.
#include "fsck/findings.h"

#include <fmt/format.h>

#include "fsck/fsck.h"

namespace rvmfs::fsck {
namespace {

constexpr FindingRow kRows[] = {
#define RVMFS_FSCK_ROW(name, number, severity, repairable, text, repair) \
  {FindingId::name, #name, Severity::severity, repairable, text, repair},
    RVMFS_FSCK_FINDINGS(RVMFS_FSCK_ROW)
#undef RVMFS_FSCK_ROW
};

const char* word_for(Severity severity) {
  switch (severity) {
    case Severity::note: return "note";
    case Severity::problem: return "problem";
    case Severity::damage: return "damage";
  }
  return "";
}

constexpr const char* kPageHead =
    R"(# What fsck.rvmfs finds

Every finding that `fsck.rvmfs` can make. This page is made from the table in `fsck/findings.h`
(`fsck.rvmfs --list-findings` prints it), and a test compares the two. Numbers and names never
change.

Severity: a *note* says that nothing is wrong (shown with `-v`, never counted); with a *problem*,
structures contradict each other and nothing of a user's is lost; with *damage*, something is lost
or cannot be read.

As long as there is damage, only the superblocks are repaired: every other repair needs a full view
of the volume. What cannot be repaired is told, and the exit status has 4 in it.

| number | name | severity | what it says | repair |
|---:|---|---|---|---|
)";

}  // namespace

std::span<const FindingRow> finding_rows() { return kRows; }

std::string findings_page() {
  std::string page = kPageHead;
  for (const FindingRow& row : kRows) {
    page += fmt::format("| {} | `{}` | {} | {} | {}{} |\n", static_cast<unsigned>(row.id), row.name,
                        word_for(row.severity), row.text,
                        row.repairable ? "" : "cannot be repaired: ", row.repair);
  }
  return page;
}

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
