// SPDX-License-Identifier: BSD-2-Clause
//
// Every finding, on an image damaged for it: it is found; looking changes nothing; what can be
// repaired is repaired, and a second fsck finds nothing; what cannot is said and left alone.
#include <sys/stat.h>

#include <set>

#include "tests/fsck/damages.h"
#include "tests/support/fault_device.h"

namespace rvmfs::test {
namespace {

using fsck::FindingId;
using fsck::FindingList;
using fsck::Severity;

std::vector<Damage> all_damages() {
  std::vector<Damage> all = outer_damages();
  for (const auto& part : {structure_damages(), item_damages()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

class DamageTest : public ImageTest, public ::testing::WithParamInterface<Damage> {
 protected:
  void SetUp() override {
    make_volume();
    GetParam().apply(*this);
  }
  const fsck::FindingRow& row() const { return fsck::finding_row(GetParam().id); }
};

TEST_P(DamageTest, is_found_and_looking_changes_nothing) {
  const auto before = bytes();
  FindingList findings;
  const auto summary = check(findings);
  EXPECT_TRUE(findings.has(row().id)) << findings.text(true);
  const RunResult result = run({"-n", "-f"});
  if (row().severity == Severity::note) {
    EXPECT_EQ(result.code, summary.clean() ? 0 : 4) << result.out << result.err;
  } else {
    EXPECT_EQ(result.code, 4) << result.out << result.err;
    EXPECT_NE(result.out.find(row().text), std::string::npos) << result.out;
  }
  EXPECT_EQ(bytes(), before);
}

TEST_P(DamageTest, is_repaired_for_good_or_left_and_told) {
  FindingList found;
  const bool repairable = check(found).unrepairable == 0;
  const bool clean = check(found).clean();
  const RunResult first = run({"-p", "-f"});
  if (!repairable) {
    EXPECT_EQ(first.code, 4) << first.out << first.err;
    EXPECT_NE(first.out.find("errors are left"), std::string::npos) << first.out;
    return;
  }
  EXPECT_EQ(first.code, clean ? 0 : 1) << first.out << first.err;
  const RunResult second = run({"-n", "-f"});
  EXPECT_EQ(second.code, 0) << second.out << second.err << "\nfirst:\n" << first.out;
  FindingList left;
  check(left);
  const bool waits = row().id == FindingId::orphan_waiting;  // a mount clears it, not fsck
  EXPECT_EQ(left.text(!waits), "") << first.out;
  use_volume([](Volume& volume) { EXPECT_TRUE(volume.getattr(1).has_value()); });
  FindingList after_use;
  check(after_use);
  EXPECT_EQ(after_use.text(true), "");
}

INSTANTIATE_TEST_SUITE_P(all, DamageTest, ::testing::ValuesIn(all_damages()),
                         [](const auto& info) { return fsck::finding_row(info.param.id).name; });

class RepairTest : public ImageTest {};

TEST_F(RepairTest, every_finding_has_an_image_that_provokes_it) {
  std::set<FindingId> provoked = {FindingId::image_unreadable};  // the test below
  for (const Damage& damage : all_damages()) provoked.insert(damage.id);
  for (const fsck::FindingRow& row : fsck::finding_rows()) {
    EXPECT_TRUE(provoked.count(row.id) != 0) << row.name;
  }
}

TEST_F(RepairTest, a_bad_spot_of_the_medium_is_told_and_is_no_crash) {
  make_volume();
  FaultDevice device(open(true));
  device.fail_range(DeviceCall::read, place_of(root().tree.root), 4096);
  FindingList findings;
  const auto summary = fsck::check_image(device, {}, findings);
  EXPECT_TRUE(findings.has(FindingId::image_unreadable)) << findings.text(true);
  EXPECT_FALSE(summary.clean());
}

TEST_F(RepairTest, lost_inodes_get_names_in_lost_and_found_with_everything_below_them) {
  make_volume();
  for (const Damage& damage : item_damages()) {
    if (damage.id == FindingId::inode_lost) damage.apply(*this);
  }
  const RunResult result = run({"-y"});
  EXPECT_EQ(result.code, 0) << "a volume that seems clean is not checked without -f: "
                            << result.out;
  EXPECT_EQ(run({"-y", "-f"}).code, 1);
  const std::string tree = dump();
  const std::string file = "/lost+found/#" + std::to_string(made.file);
  const std::string folder = "/lost+found/#" + std::to_string(made.subdirectory);
  EXPECT_NE(tree.find(file + " type=f mode=0644 uid=1000 gid=100 links=1 size=48192"),
            std::string::npos)
      << tree;
  EXPECT_NE(tree.find(folder + "/small\\040too type=f"), std::string::npos) << tree;
  use_volume([&](Volume& volume) {
    const auto folder_of = volume.lookup(1, "lost+found");
    ASSERT_TRUE(folder_of.has_value());
    EXPECT_EQ(folder_of->mode, S_IFDIR | 0700u);
    EXPECT_EQ(folder_of->nlink, 3u);
    std::vector<std::byte> content(48'192);
    const auto read = volume.read(made.file, 0, content);
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(*read, content.size());
    EXPECT_EQ(content[8192], std::byte{'l'});
  });
}

TEST_F(RepairTest, without_a_terminal_and_without_a_choice_nothing_is_repaired) {
  make_volume();
  for (const Damage& damage : item_damages()) {
    if (damage.id == FindingId::inode_links) damage.apply(*this);
  }
  const auto before = bytes();
  const RunResult result = run({"-f"});
  EXPECT_EQ(result.code, 4) << result.out << result.err;
  EXPECT_NE(result.err.find("choose"), std::string::npos) << result.err;
  EXPECT_EQ(bytes(), before);
}

TEST_F(RepairTest, many_kinds_of_damage_at_once_are_repaired_together) {
  make_volume();
  const std::set<FindingId> together = {
      FindingId::superblock_copy_damaged, FindingId::inode_links,  FindingId::entry_dangling,
      FindingId::orphan_dangling,         FindingId::page_leaked,  FindingId::blocks_leaked,
      FindingId::root_next_inode,         FindingId::inode_blocks, FindingId::xattr_bad};
  for (const Damage& damage : all_damages()) {
    if (together.count(damage.id) != 0) damage.apply(*this);
  }
  FindingList findings;
  check(findings);
  for (const FindingId id : together) EXPECT_TRUE(findings.has(id)) << static_cast<int>(id);
  EXPECT_EQ(run({"-p", "-f"}).code, 1);
  FindingList left;
  check(left);
  EXPECT_EQ(left.text(true), "");
}

TEST_F(RepairTest, a_flood_of_one_finding_is_counted_and_not_shown) {
  make_volume();
  for (const Damage& damage : item_damages()) {
    if (damage.id == FindingId::item_without_inode) damage.apply(*this);
  }
  FindingList findings;
  fsck::CheckOptions options;
  options.reports_per_finding_max = 1;
  for (const Damage& damage : structure_damages()) {
    if (damage.id == FindingId::blocks_leaked) damage.apply(*this);
  }
  const auto summary = fsck::check_image(*open(true), options, findings);
  EXPECT_GE(summary.problems, 2u);
  EXPECT_LE(findings.findings.size(), 2 * 2u);
}

}  // namespace
}  // namespace rvmfs::test
