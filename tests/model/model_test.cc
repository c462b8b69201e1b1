// SPDX-License-Identifier: BSD-2-Clause
//
// Random operations on a volume and on the reference model: every answer and, now and then, every
// byte must be the same. Among the operations are unmounts and kills with a remount.
//
//   RVMFS_MODEL_SEED=n   begin with this seed (each test derives its own from it)
//   RVMFS_MODEL_OPS=n    operations a test (default: by the tier), in runs of 5,000, each with the
//                        next seed
//   RVMFS_MODEL_SHRINK_SECONDS=n   how long to look for a smaller failing list (default 60)
//
// A failure prints the seed and the smallest list of operations found that still fails.
#include <gtest/gtest.h>

#include <random>
#include <sstream>

#include "fsck/fsck.h"
#include "tests/support/crash_states.h"
#include "tests/support/environment.h"
#include "tests/support/memory_device.h"
#include "tests/support/model_run.h"
#include "tests/support/shrink.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

struct Setting {
  uint64_t volume_bytes = 256 << 20;
  uint64_t log_bytes = 0;
  ModelRunOptions run;
  GeneratorOptions generator;
  size_t compare_every = 1000;
  bool losses = false;  // the process is killed and power is lost now and then
  bool check_at_end = true;
};

std::shared_ptr<MemoryDevice> device_of(const Setting& setting) {
  // Full of a canary byte: what was never written must never be read.
  return MemoryDevice::disk(setting.volume_bytes, kCanary);
}

// A recorded device that lives through kills and losses of power.
class MortalDevice {
 public:
  explicit MortalDevice(SparseImage image) { plug_in(std::move(image)); }
  std::shared_ptr<RecordingDevice> device() const { return device_; }

  std::shared_ptr<rvm::Device> after_loss(const Op& op) {
    if (op.kind == Op::Kind::kill) return device_;  // what was not flushed is still not flushed
    std::mt19937_64 random(op.data_seed);
    CrashStates states(device_->history());
    states.seek(states.event_count());
    CrashChoice choice = states.random(random);
    for (ChangeFate& change : choice.changes) {
      for (SectorFate& fate : change.sectors) {
        if (fate == SectorFate::garbage) fate = SectorFate::lost;  // see tests/crash for garbage
      }
    }
    plug_in(states.build(choice));
    return device_;
  }

 private:
  void plug_in(SparseImage image) {
    device_ = std::make_shared<RecordingDevice>(std::move(image), false);
  }
  std::shared_ptr<RecordingDevice> device_;
};

std::string check_image(rvm::Device& device) {
  fsck::FindingList findings;
  const fsck::Summary summary = fsck::check_image(device, {}, findings);
  return summary.clean() ? "" : "fsck: " + findings.text();
}

// Runs operations until one of them fails. `next` gives nothing when there are no more.
std::string run(const Setting& setting, size_t count,
                const std::function<Op(size_t, const ModelRun&)>& next, std::vector<Op>* done) {
  auto device = device_of(setting);
  if (auto made = format_for_tests(device, setting.volume_bytes, setting.log_bytes); !made) {
    return "format: " + explain(made.error());
  }
  MortalDevice mortal(device->snapshot());
  ModelRunOptions options = setting.run;
  if (setting.losses) options.after_loss = [&](const Op& op) { return mortal.after_loss(op); };
  std::shared_ptr<rvm::Device> used = device;
  if (setting.losses) used = mortal.device();
  ModelRun run(used, options);
  if (std::string failure = run.open(); !failure.empty()) return failure;
  for (size_t i = 0; i < count; ++i) {
    const Op op = next(i, run);
    if (done != nullptr) done->push_back(op);
    if (std::string failure = run.apply(op); !failure.empty()) return failure;
    const bool now =
        setting.run.atime == MountOptions::Atime::noatime && (i + 1) % setting.compare_every == 0;
    if (!now) continue;
    if (std::string failure = run.compare(); !failure.empty()) return "compare: " + failure;
  }
  if (std::string failure = run.compare(); !failure.empty()) return "compare: " + failure;
  if (std::string failure = run.close(); !failure.empty()) return failure;
  if (setting.losses) used = mortal.device();
  return setting.check_at_end ? check_image(*used) : "";
}

void run_and_shrink(const Setting& setting, uint64_t test_number, uint64_t seed, uint64_t count) {
  OperationGenerator generator(seed * 1000 + test_number, setting.generator);
  std::vector<Op> ops;
  const auto generate = [&](size_t, const ModelRun& run) {
    return generator.next(run.model(), run.slots());
  };
  const std::string failure = run(setting, count, generate, &ops);
  if (failure.empty()) return;
  const auto again = [&](const std::vector<Op>& list) {
    Setting thorough = setting;
    thorough.compare_every = 1;
    if (list.size() > 300) thorough.compare_every = setting.compare_every;
    return run(
        thorough, list.size(), [&](size_t i, const ModelRun&) { return list[i]; }, nullptr);
  };
  const auto fails = [&](const std::vector<Op>& list) { return !again(list).empty(); };
  const auto seconds =
      static_cast<uint32_t>(number_from_environment("RVMFS_MODEL_SHRINK_SECONDS", 60));
  const std::vector<Op> small = fails(ops) ? shrink<Op>(ops, fails, seconds) : ops;
  FAIL() << failure << "\nreproduce: RVMFS_MODEL_SEED=" << seed << " RVMFS_MODEL_OPS=" << count
         << "\nafter shrinking: " << again(small) << "\n"
         << small.size() << " operations:\n"
         << describe(std::vector<Op>(
                small.end() -
                    std::min<std::ptrdiff_t>(300, static_cast<std::ptrdiff_t>(small.size())),
                small.end()));
}

// This tier's and slice's share of operations, in runs short enough to be shrunk.
void run_all(const char* part, const Setting& setting, uint64_t test_number) {
  constexpr uint64_t kOpsOfARun = 5'000;
  Total total(part);
  const uint64_t whole =
      number_from_environment("RVMFS_MODEL_OPS", by_tier<uint64_t>(20'000, 2'000'000, 20'000'000));
  const uint64_t count = share_of_slice(whole);
  uint64_t seed = number_from_environment("RVMFS_MODEL_SEED", 1) +
                  first_of_slice((whole + kOpsOfARun - 1) / kOpsOfARun);
  for (uint64_t done = 0; done < count; done += kOpsOfARun, ++seed) {
    total.progress(done, count);
    const uint64_t ops = std::min(kOpsOfARun, count - done);
    run_and_shrink(setting, test_number, seed, ops);
    total.add("operations", ops);
    total.add("runs");
    if (!::testing::Test::HasFailure()) continue;
    total.fail();
    return;
  }
}

TEST(Model, RandomOperationsAnswerAsTheReferenceModelDoes) { run_all("model", {}, 1); }

TEST(Model, KillsAndLossesOfPowerGiveBackAStateBetweenTheLastFsyncAndNow) {
  Setting setting;
  setting.volume_bytes = 64 << 20;
  setting.log_bytes = 1 << 20;
  setting.losses = true;
  setting.run.tuning.spool_bytes_max = 64 * 1024;
  setting.generator.losses = true;
  setting.generator.huge_offsets = false;
  run_all("model_losses", setting, 5);
}

TEST(Model, RandomOperationsOnASmallLogAndLittleMemoryAnswerAsTheReferenceModelDoes) {
  Setting setting;
  setting.log_bytes = 1 << 20;
  setting.run.metadata_bytes_max = 1 << 20;
  setting.run.tuning.spool_bytes_max = 64 * 1024;
  setting.generator.names = 40;
  setting.generator.percent_fsync = 20;
  run_all("model_small_log", setting, 2);
}

TEST(Model, AFullVolumeRefusesOperationsAndUndoesThem) {
  Setting setting;
  setting.volume_bytes = 16 << 20;
  setting.log_bytes = 1 << 20;
  setting.run.may_be_full = true;
  setting.generator.names = 40;
  setting.generator.file_bytes_max = 2 << 20;
  run_all("model_full", setting, 3);
}

TEST(Model, AccessTimesFollowTheRulesOfRelatime) {
  Setting setting;
  setting.run.atime = MountOptions::Atime::relatime;
  run_all("model_atime", setting, 4);
}

TEST(Model, TheDumpOfFsckIsTheTreeOfTheModel) {
  auto device = MemoryDevice::disk(64 << 20, kCanary);
  ASSERT_TRUE(format_for_tests(device, 64 << 20));
  ModelRun run(device, {});
  ASSERT_EQ(run.open(), "");
  GeneratorOptions options;
  options.huge_offsets = false;
  OperationGenerator generator(number_from_environment("RVMFS_MODEL_SEED", 1), options);
  for (int i = 0; i < 600; ++i) {
    ASSERT_EQ(run.apply(generator.next(run.model(), run.slots())), "");
    if (i % 100 != 99) continue;
    Op sync;
    sync.kind = Op::Kind::sync;
    ASSERT_EQ(run.apply(sync), "");  // fsck replays the log
    std::ostringstream dump;
    const auto dumped = fsck::dump_tree(*device, dump, {.times = false});
    ASSERT_TRUE(dumped) << explain(dumped.error());
    ASSERT_EQ(dump.str(), canonical_text(snapshot(run.model()))) << "after operation " << i;
  }
}

}  // namespace
}  // namespace rvmfs::test
