// SPDX-License-Identifier: BSD-2-Clause
//
// Crash states of a volume that many threads change at once, with its background threads on. Each
// thread makes files one after the other in a directory of its own, and fsyncs some of them. In
// every state: fsck finds nothing; of each thread's files there is a prefix, down to the last one
// that was fsynced; a file has all of its bytes or none.
//
// The order of events differs from run to run, so a failure cannot be run again exactly; it prints
// what was kept and lost.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "fsck/fsck.h"
#include "tests/crash/campaign.h"
#include "tests/support/bytes.h"
#include "tests/support/memory_device.h"
#include "tests/support/model_run.h"
#include "tests/support/tier.h"
#include "tests/support/volume_answers.h"

namespace rvmfs::test {
namespace {

constexpr size_t kThreads = 4;
constexpr size_t kFiles = 50;
constexpr size_t kFileBytes = 6000;

// What one thread was promised: (events, number of its files that must be there).
using Promises = std::vector<std::pair<size_t, size_t>>;

Bytes content_of(size_t thread, size_t file) { return pattern(kFileBytes, thread * 1000 + file); }

void work(Volume& volume, const Ensemble& devices, Inode directory, size_t thread,
          Promises& promises) {
  for (size_t i = 0; i < kFiles; ++i) {
    const auto made =
        volume.mknod(directory, "f" + std::to_string(i), S_IFREG | 0644, 0, 0, Caller{});
    ASSERT_TRUE(made) << explain(made.error());
    const auto written = volume.write(made->inode, 0, content_of(thread, i));
    ASSERT_TRUE(written) << explain(written.error());
    if ((i + thread) % 4 != 0) continue;
    const auto synced = volume.fsync(made->inode, false);
    ASSERT_TRUE(synced) << explain(synced.error());
    promises.emplace_back(devices.event_count(), i + 1);
  }
}

class Judge {
 public:
  Judge(const std::vector<Promises>& promises, VolumeAnswers& volume, size_t point)
      : promises_(promises), volume_(volume), point_(point) {}

  std::string run() {
    for (size_t thread = 0; thread < kThreads; ++thread) {
      std::string wrong = check_thread(thread);
      if (!wrong.empty()) return "thread " + std::to_string(thread) + ": " + wrong;
    }
    return "";
  }

 private:
  std::string check_thread(size_t thread) {
    const auto directory = volume_.lookup(format::kRootInode, "d" + std::to_string(thread));
    if (!directory.ok()) return "its directory is gone";
    const auto names = volume_.readdir(directory.value.inode);
    if (!names.ok()) return "readdir: " + volume_.last_error;
    const size_t there = names.value.size() - 2;
    size_t promised = 0;
    for (const auto& [events, files] : promises_[thread]) {
      if (events <= point_) promised = files;
    }
    if (there < promised) {
      return std::to_string(there) + " files, " + std::to_string(promised) + " were fsynced";
    }
    for (size_t i = 0; i < there; ++i) {
      const std::string name = "f" + std::to_string(i);
      const auto file = volume_.lookup(directory.value.inode, name);
      if (!file.ok()) return name + " is missing, and later ones are there";
      // Only the newest file may be without its bytes: the write is the next operation.
      const bool may_be_empty = i + 1 == there && i >= promised;
      if (file.value.size == 0 && may_be_empty) continue;
      const auto bytes = volume_.read(file.value.inode, 0, kFileBytes + 1);
      if (!bytes.ok() || bytes.value != content_of(thread, i)) return name + " has other bytes";
    }
    return "";
  }

  const std::vector<Promises>& promises_;
  VolumeAnswers& volume_;
  const size_t point_;
};

std::string run_fsck(rvm::Device& device) {
  fsck::FindingList findings;
  return fsck::check_image(device, {}, findings).clean() ? "" : "fsck: " + findings.text();
}

CheckResult check(const std::vector<Promises>& promises, const SparseImage& image, size_t point) {
  CheckResult result;
  MemoryDevice untouched(image, {.can_grow = false});
  result.failure = run_fsck(untouched);
  if (!result.failure.empty()) return result;
  Ensemble devices({image}, false);
  MountOptions mount;
  mount.background = false;
  mount.count_lookups = true;
  auto volume = Volume::open(devices.device(0), mount);
  if (!volume) {
    result.failure = "open: " + explain(volume.error());
    return result;
  }
  result.recovery = devices.history();
  VolumeAnswers answers(**volume, true);
  result.failure = Judge(promises, answers, point).run();
  if (const auto closed = (*volume)->close(); !closed) {
    result.failure += " close: " + explain(closed.error());
  }
  if (result.failure.empty()) result.failure = run_fsck(*devices.device(0));
  return result;
}

TEST(FsCrash, ThreadsLoseNothingThatTheySyncedAndTheirOrderIsKept) {
  if (!only_one_state().empty()) GTEST_SKIP() << "cannot be run again exactly";
  Ensemble devices({SparseImage(16 << 20, kCanary)}, false);
  ASSERT_TRUE(format_for_tests(devices.device(0), 16 << 20, 256 * 1024));
  MountOptions mount;
  mount.background = true;
  mount.tuning.spool_bytes_max = 64 * 1024;
  auto volume = Volume::open(devices.device(0), mount);
  ASSERT_TRUE(volume) << explain(volume.error());
  std::vector<Inode> directories;
  for (size_t i = 0; i < kThreads; ++i) {
    const auto made = (*volume)->mkdir(format::kRootInode, "d" + std::to_string(i), 0755, {});
    ASSERT_TRUE(made);
    directories.push_back(made->inode);
  }
  ASSERT_TRUE((*volume)->sync());
  devices.restart();

  std::vector<Promises> promises(kThreads);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] { work(**volume, devices, directories[i], i, promises[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  const EnsembleHistory history = devices.history();
  ASSERT_GT(history.order.size(), 50u);
  (*volume)->abandon();

  const CampaignOptions options{
      .states = crash_states(share_of_slice(by_tier<size_t>(600, 5000, 50'000))),
      .follow_every = 60,
      .states_per_recovery = 16,
      .kills = 8};
  Campaign campaign("fs_threads", crash_seed(), options,
                    [&](const std::vector<SparseImage>& images, size_t point, bool) {
                      return check(promises, images[0], point);
                    });
  EXPECT_EQ(campaign.run(history), "");
  std::printf("%zu events\n", history.order.size());
}

}  // namespace
}  // namespace rvmfs::test
