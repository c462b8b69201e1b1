// SPDX-License-Identifier: BSD-2-Clause
//
// Crash states of what is large or takes many steps inside the filesystem: trees that split and
// shrink, files of many extents, truncations of many transactions, checkpoints under way, and
// transactions that are forced one by one. See fs_crash_test.cc.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>

#include <algorithm>

#include "tests/crash/fs_workload.h"

namespace rvmfs::test {
namespace {

using Kind = Op::Kind;

TEST(FsCrash, EachTransactionForcedByItselfIsAWholeOperation) {
  FsRigOptions options;
  options.run.tuning.spool_bytes_max = 1;
  run_workload("fs_eager", options,
               [](FsRig& rig, uint64_t seed) { rig.apply_random(seed + 800, usual(3), 200); });
}

TEST(FsCrash, CheckpointsUnderWayMayBeCutAnywhere) {
  run_workload("fs_checkpoint", {}, [](FsRig& rig, uint64_t seed) {
    for (uint64_t i = 0; i < 8; ++i) {
      rig.apply_random(seed + 900 + i, usual(5), 25);
      rig.checkpoint(i % 2 == 0 ? rvm::Truncation::incremental : rvm::Truncation::epoch);
    }
  });
}

// Names of 240 bytes: a leaf holds about fifteen of them.
TEST(FsCrash, ATreeThatSplitsAndShrinksIsWhole) {
  FsRigOptions options;
  options.run.tuning.spool_bytes_max = 16 * 1024;
  run_workload("fs_splits", options, [](FsRig& rig, uint64_t seed) {
    std::vector<std::string> paths;
    for (int i = 0; i < 150; ++i) {
      paths.push_back("/" + std::to_string(i) + std::string(236, 'n'));
      rig.apply(op(i % 5 == 0 ? Kind::mkdir : Kind::mknod, paths.back()));
      if (i % 30 == 29) rig.apply(fsync("/"));
    }
    std::mt19937_64 random(seed);
    std::shuffle(paths.begin(), paths.end(), random);
    for (size_t i = 0; i < paths.size(); ++i) {
      const Inode inode = find_path(rig.run().model(), rig.run().slots(), paths[i]);
      const bool directory = rig.run().model().find(inode)->is_directory();
      rig.apply(op(directory ? Kind::rmdir : Kind::unlink, paths[i]));
      if (i % 40 == 39) rig.apply(fsync("/"));
    }
    rig.apply(sync());
  });
}

// Two files of more extents than one transaction may free.
FsStart fragmented_volume() {
  FsRigOptions options;
  options.volume_bytes = 16 << 20;
  FsRig rig(options);
  for (const std::string path : {"/first", "/second"}) {
    rig.apply(op(Kind::mknod, path));
    rig.apply(write(path, 0, 1100 * 4096, 7));
    for (uint64_t i = 0; i < 1100; i += 2) {
      rig.apply(fallocate(path, i * 4096, 4096, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE));
    }
  }
  const FsStart start = rig.close();
  return rig.failure().empty() ? start : FsStart{};
}

TEST(FsCrash, WhatIsFreedInManyStepsIsGoneAtOnceAndLeaksNothing) {
  rvm::Tuning each_step_forced;
  each_step_forced.spool_bytes_max = 1;
  run_workload("fs_steps", fragmented_volume(), each_step_forced, [](FsRig& rig, uint64_t) {
    rig.apply(truncate("/first", 5000));
    rig.apply(op(Kind::mknod, "/third"));
    rig.apply(write("/third", 0, 100'000, 9));
    rig.apply(op(Kind::unlink, "/second"));
    rig.apply(write("/first", 5000, 50'000, 11));
    rig.apply(sync());
  });
}

TEST(FsCrash, HolesThatAreFilledAndMadeShowNothingOld) {
  run_workload("fs_holes", {}, [](FsRig& rig, uint64_t seed) {
    std::mt19937_64 random(seed + 1000);
    rig.apply(op(Kind::mknod, "/file"));
    rig.apply(op(Kind::mknod, "/other"));
    constexpr int kModes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                              FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
    for (uint64_t i = 0; i < 90; ++i) {
      const std::string path = random() % 3 == 0 ? "/other" : "/file";
      const uint64_t offset = random() % 50'000;
      const uint64_t length = 1 + random() % 12'000;
      switch (random() % 4) {
        case 0: rig.apply(write(path, offset, length, i)); break;
        case 1: rig.apply(truncate(path, offset)); break;
        default: rig.apply(fallocate(path, offset, length, kModes[random() % 5])); break;
      }
      if (i % 9 == 8) rig.apply(fsync(path, i % 2 == 0));
    }
  });
}

}  // namespace
}  // namespace rvmfs::test
