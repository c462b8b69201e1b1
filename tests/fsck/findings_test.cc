// SPDX-License-Identifier: BSD-2-Clause
//
// The table of findings: numbers are unique, in order and in the right hundreds, every row says
// something, and the page for people is the table. That every row has a damaged image is checked in
// repair_test.cc.
//
//   RVMFS_WRITE_FINDINGS=1   writes docs/FINDINGS.md anew instead of comparing it
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "fsck/fsck.h"
#include "tests/support/environment.h"

namespace rvmfs::test {
namespace {

using fsck::finding_rows;
using fsck::FindingRow;

constexpr const char* kPage = RVMFS_SOURCE_DIR "/docs/FINDINGS.md";

TEST(FindingsTest, numbers_and_names_are_unique_and_in_order) {
  std::set<std::string> names;
  unsigned last = 0;
  for (const FindingRow& row : finding_rows()) {
    const auto number = static_cast<unsigned>(row.id);
    EXPECT_GT(number, last) << row.name;
    EXPECT_TRUE(number > 100 && number < 900) << row.name;
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    last = number;
  }
  EXPECT_GE(names.size(), 62u);
}

TEST(FindingsTest, every_row_says_what_it_means_and_what_is_done_about_it) {
  for (const FindingRow& row : finding_rows()) {
    EXPECT_GT(std::string(row.text).size(), 10u) << row.name;
    EXPECT_GT(std::string(row.repair).size(), 5u) << row.name;
    // Damage is loss: what can be mended without loss is a problem, what is none is a note.
    EXPECT_EQ(row.repairable, row.severity != fsck::Severity::damage) << row.name;
    EXPECT_EQ(&fsck::finding_row(row.id), &row);
  }
}

TEST(FindingsTest, the_page_of_findings_is_the_table) {
  const std::string page = fsck::findings_page();
  if (number_from_environment("RVMFS_WRITE_FINDINGS", 0) != 0) {
    std::ofstream file(kPage);
    file << page;
    ASSERT_TRUE(file.flush().good()) << kPage;
    return;
  }
  std::ifstream file(kPage);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text, page) << "RVMFS_WRITE_FINDINGS=1 writes " << kPage << " anew";
}

TEST(FindingsTest, the_program_prints_the_table) {
  std::ostringstream out, err;
  EXPECT_EQ(fsck::run_fsck({"--list-findings"}, out, err), fsck::kExitClean);
  EXPECT_EQ(out.str(), fsck::findings_page());
  EXPECT_EQ(err.str(), "");
}

}  // namespace
}  // namespace rvmfs::test
