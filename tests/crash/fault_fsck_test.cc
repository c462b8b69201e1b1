// SPDX-License-Identifier: BSD-2-Clause
//
// A fault at every call that fsck makes to the device. A check that cannot read something says so
// and calls nothing clean that it has not seen; a repair that is cut ends with an exit code that
// tells, and the next one finishes it, also after a power loss.
//
//   RVMFS_FAULT_ONLY=script:plan:nth   one of them
#include <dirent.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <cstring>
#include <sstream>

#include "fsck/check.h"
#include "fsck/fsck.h"
#include "fsck/repair_session.h"
#include "tests/crash/campaign.h"
#include "tests/crash/fault_script.h"
#include "tests/support/environment.h"
#include "tests/support/memory_device.h"
#include "tests/support/model_run.h"

namespace rvmfs::test {
namespace {

using format::ItemType;
using fsck::RepairSession;
using rvm::Transaction;

constexpr uint64_t kSeed = 42;  // of format_for_tests
constexpr Caller kUser{1000, 100};

class NoSink final : public fsck::FindingSink {
 public:
  void report(const fsck::Finding&) override {}
};

rvm::Key key_of(uint64_t inode, ItemType type, uint64_t rest = 0) {
  return {inode, static_cast<uint64_t>(type) << format::kTypeShift | rest};
}

rvm::Key entry_key(uint64_t directory, std::string_view name) {
  const uint64_t hash = XXH3_64bits_withSeed(name.data(), name.size(), kSeed);
  return key_of(directory, ItemType::entry, hash >> 16 << 8);
}

struct Made {
  std::shared_ptr<MemoryDevice> device = MemoryDevice::file();
  Inode file = 0, lost = 0, dir = 0;
};

rvm::Result<Made> make_volume() {
  Made made;
  RVM_TRY(format_for_tests(made.device, 16 << 20, 256 * 1024));
  MountOptions options;
  options.background = false;
  options.clock = [] { return Time{1'700'000'050, 1}; };
  RVM_ASSIGN(const auto volume, Volume::open(made.device, options));
  RVM_ASSIGN(const Attributes file, volume->mknod(1, "file", S_IFREG | 0644, 0, 0, kUser));
  RVM_ASSIGN(const Attributes dir, volume->mkdir(1, "dir", 0755, kUser));
  RVM_ASSIGN(const Attributes lost, volume->mknod(dir.inode, "lost", S_IFREG | 0644, 0, 0, kUser));
  made.file = file.inode;
  made.dir = dir.inode;
  made.lost = lost.inode;
  const std::vector<std::byte> data(20'000, std::byte{'d'});
  RVM_TRY(volume->write(made.lost, 0, data));
  RVM_TRY(volume->setxattr(made.file, "user.x", std::string(3000, 'x'), 0));
  RVM_TRY(volume->close());
  return made;
}

// One damage for each phase of the repair.
rvm::Result<void> break_it(RepairSession& session, Transaction& tx, const Made& made) {
  RVM_ASSIGN(const auto links, session.tree().modify(tx, key_of(made.file, ItemType::inode),
                                                     offsetof(format::InodeItem, nlink), 4));
  links[0] = std::byte{9};
  RVM_TRY(session.tree().erase(tx, entry_key(made.dir, "lost")));
  const uint64_t nothing = 1;
  RVM_TRY(
      session.tree().put(tx, key_of(15, ItemType::inlined), std::as_bytes(std::span(&nothing, 1))));
  RVM_ASSIGN(format::VolumeRoot * root, session.root(tx));
  root->next_inode = 17;
  RVM_ASSIGN(const uint64_t page, session.pool().allocate(tx));  // and nobody refers to it
  RVM_ASSIGN(std::byte * bytes, session.space().modify(tx, page, 8));
  bytes[0] = std::byte{1};
  RVM_ASSIGN(const uint64_t place, session.descriptor_of(0));
  RVM_ASSIGN(format::GroupDescriptor * group,
             session.space().modify(tx, rvm::Ref<format::GroupDescriptor>{place}));
  group->used += 3;
  return {};
}

// Killed with changes in the log, with damage of many kinds.
rvm::Result<SparseImage> damaged_image() {
  RVM_ASSIGN(const Made made, make_volume());
  {
    NoSink sink;
    const fsck::CheckOptions options;
    fsck::CheckState state(*made.device, options, sink);
    fsck::run_checks(state);
    RVM_ASSIGN(const auto session, RepairSession::open(made.device, state));
    Transaction tx = session->begin();
    RVM_TRY(break_it(*session, tx, made));
    RVM_TRY(session->commit(tx));
    RVM_TRY(session->close());
  }
  MountOptions options;
  options.background = false;
  RVM_ASSIGN(const auto volume, Volume::open(made.device, options));
  AttributeChange change;
  change.valid = AttributeChange::mode_bit;
  change.mode = 0640;
  RVM_TRY(volume->setattr(made.dir, change));
  RVM_TRY(volume->sync());
  volume->abandon();
  RVM_TRY(made.device->write(format::kSuperblockCopyOffset + 9, std::vector(1, std::byte{1})));
  return made.device->snapshot();
}

struct FsckRun {
  int code = 0;
  std::string text;
};

FsckRun run_fsck_on(const std::shared_ptr<rvm::Device>& device, std::vector<std::string> args) {
  args.push_back("image");
  std::ostringstream out;
  const int code = fsck::run_fsck(
      args, out, out,
      [&](const std::string&,
          const rvm::FileOptions&) -> rvm::Result<std::shared_ptr<rvm::Device>> { return device; });
  return {code, out.str()};
}

std::string dump_of(rvm::Device& device) {
  std::ostringstream text;
  const auto dumped = fsck::dump_tree(device, text, {.times = false});
  return dumped ? text.str() : "no dump: " + rvm::describe(dumped.error());
}

bool is_left_out(const char* script, const FaultPlan& plan, uint64_t nth) {
  const std::string only = text_from_environment("RVMFS_FAULT_ONLY");
  return !only.empty() && only != fmt::format("{}:{}:{}", script, plan.name, nth);
}

// Empty, or what is wrong with the image after a repair that may have been cut.
std::string finish_repair(const SparseImage& image, const std::string& repaired) {
  const auto device = std::make_shared<MemoryDevice>(image);
  const FsckRun again = run_fsck_on(device, {"-y", "-f"});
  if ((again.code & ~fsck::kExitCorrected) != 0) {
    return fmt::format("the next repair exits with {}:\n{}", again.code, again.text);
  }
  const FsckRun last = run_fsck_on(device, {"-n", "-f"});
  if (last.code != fsck::kExitClean) return "the check after it finds:\n" + last.text;
  const std::string dump = dump_of(*device);
  return dump == repaired ? ""
                          : "the tree is not the one that a repair without faults gives:\n" + dump;
}

std::string repair_with_fault(const SparseImage& image, const std::string& repaired,
                              const FaultPlan& plan, uint64_t nth) {
  Ensemble ensemble({image}, true);
  const auto device = std::make_shared<FaultDevice>(ensemble.device(0));
  device->when_flush_fails([&ensemble] { ensemble.flush_failed(0); });
  device->fail(plan.kind, nth, plan.fault);
  const FsckRun run = run_fsck_on(device, {"-y", "-f"});
  const bool fine = (run.code & ~fsck::kExitCorrected) == 0;
  if (fine && dump_of(*ensemble.device(0)) != repaired) {
    return "it says that all is well, and the tree is another:\n" + run.text;
  }
  EnsembleStates states(ensemble.history());
  states.seek(states.event_count());
  for (const EnsembleChoice& choice : states.interesting(4, crash_seed())) {
    const std::string wrong = finish_repair(states.build(choice)[0], repaired);
    if (!wrong.empty()) {
      return fmt::format("{}\n  {}\nthe first run, exit {}:\n{}", wrong, states.describe(choice),
                         run.code, run.text);
    }
  }
  return "";
}

TEST(FaultScripts, ARepairThatIsCutIsFinishedByTheNext) {
  const auto made = damaged_image();
  ASSERT_TRUE(made.has_value()) << "no image: " << explain(made.error());
  const SparseImage& image = *made;
  const auto whole = std::make_shared<MemoryDevice>(image);
  const FsckRun run = run_fsck_on(whole, {"-y", "-f"});
  ASSERT_EQ(run.code, fsck::kExitCorrected) << run.text;
  ASSERT_EQ(run_fsck_on(whole, {"-n", "-f"}).code, fsck::kExitClean);
  const std::string repaired = dump_of(*whole);
  ASSERT_NE(repaired.find("/lost+found/#"), std::string::npos) << repaired;
  Total total("faults_repair");
  for (const FaultPlan& plan : fault_plans()) {
    const auto counting = std::make_shared<FaultDevice>(std::make_shared<MemoryDevice>(image));
    ASSERT_EQ(run_fsck_on(counting, {"-y", "-f"}).code, fsck::kExitCorrected);
    const uint64_t calls = counting->calls(plan.kind);
    const FaultRange range = fault_range(calls, 15);
    for (uint64_t nth = range.first; nth < calls; nth += range.step) {
      if (is_left_out("repair", plan, nth)) continue;
      total.add("faults");
      const std::string wrong = repair_with_fault(image, repaired, plan, nth);
      if (wrong.empty()) continue;
      total.fail();
      FAIL() << wrong << fmt::format("\nreproduce: RVMFS_FAULT_ONLY=repair:{}:{}", plan.name, nth);
    }
  }
}

// Also where a second copy makes up for what could not be read.
TEST(FaultScripts, ACheckThatCannotReadEverythingSaysSo) {
  {
    const auto made = make_volume();
    ASSERT_TRUE(made.has_value()) << "no image: " << explain(made.error());
    const SparseImage image = made->device->snapshot();
    FaultDevice counting(std::make_shared<MemoryDevice>(image));
    fsck::FindingList before;
    ASSERT_EQ(fsck::check_image(counting, {}, before).clean(), true);
    Total total("faults_check");
    for (const FaultPlan& plan : fault_plans()) {
      if (plan.kind != DeviceCall::read) {
        ASSERT_EQ(counting.calls(plan.kind), 0u) << "a check only reads";
        continue;
      }
      for (uint64_t nth = 0; nth < counting.calls(DeviceCall::read); ++nth) {
        const auto base = std::make_shared<MemoryDevice>(image);
        FaultDevice device(base);
        device.fail(plan.kind, nth, plan.fault);
        fsck::FindingList findings;
        fsck::check_image(device, {}, findings);
        total.add("faults");
        EXPECT_NE(findings.text(true), before.text(true))
            << plan.name << " " << nth << ": the same findings, although a read failed";
        EXPECT_TRUE(base->snapshot() == image);
      }
    }
  }
}

}  // namespace
}  // namespace rvmfs::test
