// SPDX-License-Identifier: BSD-2-Clause
//
// Loss of power under a real mount: kernel, daemon and librvm's file device as they are, the image
// on a recording mount (recording_mount.h). Programs work and note what fsync acknowledged; then
// states are built that a loss of power could have left of the image, at any write and with any
// subset of what was not flushed; each is checked by fsck, opened (which recovers), compared with
// what had been acknowledged by then, and checked by fsck again.
//
//   RVMFS_POWER_STATES=n   states in all (default: by the tier)
//   RVMFS_POWER_SEED=n     seed of the work and of the states (default: chance)
#include <algorithm>
#include <atomic>
#include <csignal>
#include <random>

#include "fsck/fsck.h"
#include "tests/mount/mount_test_base.h"
#include "tests/mount/power_worker.h"
#include "tests/mount/recording_mount.h"
#include "tests/support/crash_states.h"
#include "tests/support/environment.h"
#include "tests/support/memory_device.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

constexpr size_t kWorkers = 4;
constexpr uint64_t kStatesOfARecording = 1000;

using Workers = std::vector<std::unique_ptr<PowerWorker>>;

// Before recovery one of the two superblocks may be torn: the next open mends it.
std::string run_fsck(rvm::Device& device, bool recovered) {
  fsck::FindingList findings;
  const fsck::Summary summary = fsck::check_image(device, {}, findings);
  uint64_t problems = summary.problems + summary.damages;
  for (const fsck::FindingId id :
       {fsck::FindingId::superblock_first_damaged, fsck::FindingId::superblock_copy_damaged}) {
    if (!recovered && findings.has(id)) --problems;
  }
  return problems == 0
             ? ""
             : (recovered ? "fsck after recovery: " : "fsck before recovery: ") + findings.text();
}

std::string check_state(const Workers& workers, const SparseImage& image, size_t point) {
  MemoryDevice untouched(image);
  if (std::string wrong = run_fsck(untouched, false); !wrong.empty()) return wrong;
  auto device = std::make_shared<MemoryDevice>(image);
  MountOptions options;
  options.background = false;
  options.count_lookups = true;
  options.atime = MountOptions::Atime::noatime;
  auto volume = Volume::open(device, options);
  if (!volume) return "open: " + explain(volume.error());
  VolumeAnswers answers(**volume, true);
  for (const auto& worker : workers) {
    if (std::string wrong = worker->check(answers, point); !wrong.empty()) return wrong;
  }
  if (const auto closed = (*volume)->close(); !closed) return "close: " + explain(closed.error());
  return run_fsck(*device, true);
}

class PowerLoss : public MountTest {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    seed_ = number_from_environment("RVMFS_POWER_SEED", std::random_device()() + slice().index);
  }
  void TearDown() override {
    MountTest::TearDown();
    recording_.reset();
  }

  // A fresh image on a fresh recording, some moments of work, and a kill: the history.
  void record(Workers& workers, History& history, int milliseconds) {
    recording_ = std::make_unique<RecordingMount>();
    const std::string folder = this->folder().file("recorded");
    ASSERT_TRUE(mkdir(folder.c_str(), 0755) == 0 || errno == EEXIST);
    ASSERT_EQ(recording_->start(folder), "");
    place_image(recording_->file());
    const Outcome made = run({MKFS_PROGRAM, "-q", "-E", "log_size=512K", image(), "64M"});
    ASSERT_EQ(made.status, 0) << made.output;
    recording_->device().restart();
    ASSERT_NO_FATAL_FAILURE(start("commit=1"));
    work(workers, milliseconds);
    ASSERT_NO_FATAL_FAILURE(kill_daemon());
    history = recording_->device().history();
    recording_->stop();
  }

  void work(Workers& workers, int milliseconds) {
    RecordingDevice& device = recording_->device();
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kWorkers; ++i) {
      workers.push_back(std::make_unique<PowerWorker>(mount_point(), "w" + std::to_string(i),
                                                      seed_ * kWorkers + i,
                                                      [&] { return device.event_count(); }));
      threads.emplace_back([&, i] { EXPECT_TRUE(workers[i]->run([&] { return stop.load(); })); });
    }
    sleep_milliseconds(milliseconds);
    stop = true;
    for (std::thread& thread : threads) thread.join();
    for (const auto& worker : workers) EXPECT_EQ(worker->problem(), "");
  }

  // Half of the states at flushes, where most is open; the others anywhere.
  void check_states(const Workers& workers, const History& history, uint64_t count, Total& total) {
    CrashStates states(history);
    std::vector<size_t> flushes;
    for (size_t i = 0; i < states.event_count(); ++i) {
      if (states.events()[i].kind == Event::Kind::flush) flushes.push_back(i);
    }
    ASSERT_GT(flushes.size(), 20u) << "hardly anything was fsynced";
    std::mt19937_64 random(seed_);
    std::vector<size_t> points;
    for (uint64_t i = 0; i < count; ++i) {
      points.push_back(i % 2 == 0 ? flushes[random() % flushes.size()]
                                  : random() % (states.event_count() + 1));
    }
    std::sort(points.begin(), points.end());
    for (const size_t point : points) {
      states.seek(point);
      CrashChoice choice = random() % 8 == 0   ? states.all_kept()
                           : random() % 8 == 0 ? states.all_lost()
                                               : states.random(random);
      forget_garbage(choice);
      const std::string wrong = check_state(workers, states.build(choice), point);
      total.add("states");
      ASSERT_EQ(wrong, "") << "power was lost after event " << point << " of "
                           << states.event_count() << ": " << states.describe(choice);
    }
  }

  // Data that are being overwritten in place may become garbage (promise P16); these programs only
  // look for what may not.
  static void forget_garbage(CrashChoice& choice) {
    for (ChangeFate& change : choice.changes) {
      for (SectorFate& fate : change.sectors) {
        if (fate == SectorFate::garbage) fate = SectorFate::lost;
      }
    }
  }

  uint64_t seed_ = 0;
  std::unique_ptr<RecordingMount> recording_;
};

TEST_F(PowerLoss, under_a_real_mount_loses_nothing_that_was_fsynced) {
  const uint64_t all =
      number_from_environment("RVMFS_POWER_STATES", by_tier<uint64_t>(500, 100'000, 1'000'000));
  const uint64_t states = share_of_slice(all);
  const uint64_t first_seed = seed_;
  Total total("power_loss_mount");
  for (uint64_t done = 0; done < states && !HasFailure(); done += kStatesOfARecording, ++seed_) {
    SCOPED_TRACE("reproduce: RVMFS_POWER_SEED=" + std::to_string(seed_) +
                 " (the same work; the recording differs from run to run)");
    total.progress(done, states);
    Workers workers;
    History history;
    record(workers, history, 300 + static_cast<int>(seed_ % 5) * 200);
    if (!HasFatalFailure()) {
      check_states(workers, history, std::min(kStatesOfARecording, states - done), total);
    }
    total.add("recordings");
    total.add("events", history.events.size());
    for (const auto& worker : workers) total.add("acknowledged", worker->acknowledged());
  }
  if (!HasFailure()) return;
  total.fail();
  std::printf("reproduce: RVMFS_POWER_SEED=%lu\n", first_seed);
}

}  // namespace
}  // namespace rvmfs::test
