// SPDX-License-Identifier: BSD-2-Clause
//
// Crash states of the whole filesystem. Each workload runs once on a recorded device that is full
// of canary bytes; then power is lost at every write boundary, with subsets and tears of what was
// not flushed; fs_rig.h says what must hold then. See campaign.h for the environment variables.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include "fsck/fsck.h"
#include "tests/crash/fs_workload.h"
#include "tests/support/memory_device.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

TEST(FsCrash, OperationsWithFewFsyncsAreThereAsAPrefix) {
  run_workload("fs_lazy", {}, [](FsRig& rig, uint64_t seed) {
    rig.apply_random(seed, usual(3), 200);
    rig.apply(op(Op::Kind::sync, "/"));
  });
}

TEST(FsCrash, OperationsWithManyFsyncsLoseNothingThatWasSynced) {
  run_workload("fs_synced", {},
               [](FsRig& rig, uint64_t seed) { rig.apply_random(seed + 100, usual(30), 200); });
}

TEST(FsCrash, ASmallLogThatWrapsAroundLosesNothing) {
  FsRigOptions options;
  options.log_bytes = 512 * 1024;  // the largest attribute must fit
  options.run.tuning.spool_bytes_max = 32 * 1024;
  run_workload("fs_wrap", options, [](FsRig& rig, uint64_t seed) {
    GeneratorOptions generator = usual(25);
    generator.names = 30;
    rig.apply_random(seed + 200, generator, 250);
  });
}

TEST(FsCrash, UnmountsAndRemountsBetweenOperationsLoseNothing) {
  run_workload("fs_reopen", {}, [](FsRig& rig, uint64_t seed) {
    for (uint64_t i = 0; i < 5; ++i) {
      rig.apply_random(seed + 300 + i, usual(5), 20);
      rig.apply(op(i % 2 == 0 ? Op::Kind::reopen : Op::Kind::crash, "/"));
    }
  });
}

TEST(FsCrash, AnImageFileThatGrowsMayBeCutAnywhere) {
  FsRigOptions options;
  options.image_file = true;
  options.volume_bytes = 64 << 20;
  run_workload("fs_image_file", options,
               [](FsRig& rig, uint64_t seed) { rig.apply_random(seed + 400, usual(10), 200); });
}

TEST(FsCrash, MetadataThatNeedNewChunksGrowAtomically) {
  FsRigOptions options;
  options.volume_bytes = 16 << 20;
  run_workload(
      "fs_chunks", options,
      [](FsRig& rig, uint64_t) {
        for (int i = 0; i < 40; ++i) {
          const std::string path = "/f" + std::to_string(i);
          rig.apply(op(Op::Kind::mknod, path));
          Op attribute = op(Op::Kind::setxattr, path);
          attribute.name = "user.big";
          attribute.length = 60000;
          attribute.data_seed = static_cast<uint64_t>(i);
          rig.apply(attribute);
          if (i % 7 == 6) rig.apply(fsync(path));
        }
        for (int i = 0; i < 40; i += 2) rig.apply(op(Op::Kind::unlink, "/f" + std::to_string(i)));
        rig.apply(op(Op::Kind::sync, "/"));
      },
      fs_states() / 3);
}

TEST(FsCrash, AVolumeThatIsFullAllTheTimeStaysSound) {
  FsRigOptions options;
  options.volume_bytes = 8 << 20;
  options.log_bytes = 512 * 1024;
  options.run.may_be_full = true;
  run_workload("fs_full", options, [](FsRig& rig, uint64_t seed) {
    rig.apply(op(Op::Kind::mknod, "/big"));
    for (uint64_t i = 0; i < 20; ++i) rig.apply(write("/big", i * 400'000, 400'000, i));
    rig.apply(op(Op::Kind::sync, "/"));
    rig.apply_random(seed + 500, usual(10), 100);
  });
}

TEST(FsCrash, AFileReplacedByRenameIsTheOldOneOrTheNewOne) {
  run_workload("fs_replace", {}, [](FsRig& rig, uint64_t) {
    rig.apply(op(Op::Kind::mknod, "/file"));
    rig.apply(write("/file", 0, 10'000, 1));
    rig.apply(fsync("/file"));
    for (uint64_t i = 0; i < 12; ++i) {
      rig.apply(op(Op::Kind::mknod, "/new"));
      rig.apply(write("/new", 0, 3000 + 700 * i, 2 + i));
      rig.apply(fsync("/new"));
      rig.apply(op(Op::Kind::rename, "/new", "/file"));
      if (i % 3 == 0) rig.apply(fsync("/"));
    }
  });
}

TEST(FsCrash, OpenFilesWithoutANameAreGoneAfterACrash) {
  run_workload("fs_orphans", {}, [](FsRig& rig, uint64_t) {
    for (size_t i = 0; i < 12; ++i) {
      Op hold = op(Op::Kind::tmpfile, "/");
      hold.slot = i % 4;
      if (i % 2 == 0) {
        rig.apply(op(Op::Kind::mknod, "/file"));
        hold.kind = Op::Kind::open;
        hold.path = "/file";
      }
      rig.apply(hold);
      rig.apply(write("@" + std::to_string(hold.slot), 0, 9000, i));
      if (i % 2 == 0) rig.apply(op(Op::Kind::unlink, "/file"));
      rig.apply(fsync("/"));
      if (i % 3 == 0) {
        Op release = op(Op::Kind::release, "");
        release.slot = hold.slot;
        rig.apply(release);
      }
      if (i % 5 == 4) {
        rig.apply(
            op(Op::Kind::link, "@" + std::to_string(hold.slot), "/named" + std::to_string(i)));
      }
    }
    rig.apply(op(Op::Kind::sync, "/"));
  });
}

TEST(FsCrash, BlocksOfDeletedFilesAreNeverSeenInNewOnes) {
  FsRigOptions options;
  options.volume_bytes = 8 << 20;
  options.log_bytes = 256 * 1024;
  run_workload("fs_reuse", options, [](FsRig& rig, uint64_t) {
    for (uint64_t i = 0; i < 12; ++i) {
      const std::string path = "/f" + std::to_string(i % 3);
      rig.apply(op(Op::Kind::mknod, path));
      rig.apply(write(path, 0, 900'000, 2 * i));
      if (i % 2 == 0) rig.apply(fsync(path));
      if (i % 3 == 1) {
        Op cut = op(Op::Kind::truncate, path);
        cut.length = 5000;
        rig.apply(cut);
        rig.apply(write(path, 100'000, 50'000, 2 * i + 1));
      }
      if (i % 3 != 2) rig.apply(op(Op::Kind::unlink, path));
      if (i % 3 == 2) rig.apply(op(Op::Kind::rename, path, "/kept" + std::to_string(i % 2)));
      if (i % 4 == 3) rig.apply(op(Op::Kind::sync, "/"));
    }
  });
}

TEST(FsCrash, OverwrittenBytesAreOldOrNewAndTheirNeighboursUntouched) {
  run_workload("fs_overwrite", {}, [](FsRig& rig, uint64_t) {
    rig.apply(op(Op::Kind::mknod, "/file"));
    rig.apply(write("/file", 0, 40'000, 1));
    rig.apply(op(Op::Kind::sync, "/"));
    for (uint64_t i = 0; i < 14; ++i) {
      rig.apply(write("/file", 1000 + 2600 * i, i % 2 == 0 ? 300 : 5000, 2 + i));
      if (i % 4 == 3) rig.apply(fsync("/file"));
      if (i == 6) {
        Op punch = op(Op::Kind::fallocate, "/file");
        punch.flags = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
        punch.offset = 9000;
        punch.length = 9000;
        rig.apply(punch);
      }
      if (i == 9) {
        Op cut = op(Op::Kind::truncate, "/file");
        cut.length = 33'333;
        rig.apply(cut);
      }
    }
  });
}

// What growing makes zeros lies behind the end only if the truncation before it is not lost.
TEST(FsCrash, ATruncationThatIsLostBringsBackEveryByte) {
  run_workload("fs_cut_and_grow", {}, [](FsRig& rig, uint64_t) {
    Op cut = op(Op::Kind::truncate, "/file");
    rig.apply(op(Op::Kind::mknod, "/file"));
    for (uint64_t i = 0; i < 6; ++i) {
      rig.apply(write("/file", 0, 16'384, 1 + 3 * i));
      rig.apply(op(Op::Kind::reopen, "/"));  // a sync would leave the bytes in the log, too
      cut.length = 2'575;
      rig.apply(cut);
      if (i % 3 == 0) rig.apply(write("/file", 3'000, 10, 2 + 3 * i));
      if (i % 3 == 1) rig.apply(write("/file", 3'955, 16'437, 2 + 3 * i));
      if (i % 3 == 2) {
        cut.length = 3'210;
        rig.apply(cut);
      }
      rig.apply(write("/file", 4'000, 50, 3 + 3 * i));
    }
  });
}

// So do holes that are made there, and ranges of zeros.
TEST(FsCrash, AHoleBehindTheEndLeavesTheBytesOfATruncationThatIsLost) {
  run_workload("fs_cut_and_punch", {}, [](FsRig& rig, uint64_t) {
    Op cut = op(Op::Kind::truncate, "/file");
    rig.apply(op(Op::Kind::mknod, "/file"));
    for (uint64_t i = 0; i < 8; ++i) {
      rig.apply(write("/file", 0, 16'384, 1 + i));
      rig.apply(op(Op::Kind::reopen, "/"));  // a sync would leave the bytes in the log, too
      cut.length = i % 2 == 0 ? 477 : 5'000;
      rig.apply(cut);
      Op change = op(Op::Kind::fallocate, "/file");
      change.flags =
          FALLOC_FL_KEEP_SIZE | (i % 4 < 2 ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
      change.offset = i < 4 ? 392 : 5'500;
      change.length = i % 2 == 0 ? 4'174 : 1'000;
      rig.apply(change);
    }
  });
}

// A block that was made zeros as a whole is padded with zeros when it is written again.
TEST(FsCrash, AWriteIntoABlockOfZerosLeavesTheBytesOfATruncationThatIsLost) {
  run_workload("fs_cut_and_zero", {}, [](FsRig& rig, uint64_t) {
    Op cut = op(Op::Kind::truncate, "/file");
    cut.length = 5'000;
    Op zero = op(Op::Kind::fallocate, "/file");
    zero.flags = FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE;
    zero.offset = 4'096;
    zero.length = 8'192;
    rig.apply(op(Op::Kind::mknod, "/file"));
    for (uint64_t i = 0; i < 4; ++i) {
      rig.apply(write("/file", 0, 16'384, 1 + 2 * i));
      rig.apply(op(Op::Kind::reopen, "/"));
      rig.apply(cut);
      rig.apply(zero);
      rig.apply(write("/file", 4'100, i < 2 ? 10 : 3'000, 2 + 2 * i));
    }
  });
}

TEST(FsCrash, GrowingTheVolumeMayBeCutAnywhere) {
  FsRigOptions options;
  options.image_file = true;
  run_workload("fs_grow", options, [](FsRig& rig, uint64_t seed) {
    for (uint64_t i = 1; i <= 4; ++i) {
      rig.apply_random(seed + 600 + i, usual(10), 15);
      if (!rig.failure().empty()) return;
      const auto grown = rig.run().volume().grow((12 + 8 * i) << 20);
      ASSERT_TRUE(grown) << explain(grown.error());
      rig.apply_random(seed + 700 + i, usual(10), 15);
    }
  });
}

// Returns what is wrong with an image after a crash during format_volume.
CheckResult check_half_formatted(const SparseImage& image) {
  CheckResult result;
  auto device = std::make_shared<MemoryDevice>(image, MemoryOptions{.can_grow = false});
  MountOptions mount;
  mount.background = false;
  auto volume = Volume::open(device, mount);
  if (!volume) return result;  // no volume: format again
  const auto status = (*volume)->statfs();
  if (!status || status->inodes_used != 1) result.failure = "opens, and is not empty";
  if (!(*volume)->close()) result.failure = "cannot be closed";
  fsck::FindingList findings;
  const fsck::Summary summary = fsck::check_image(*device, {}, findings);
  if (!summary.clean()) result.failure = "opens, but fsck says: " + findings.text();
  return result;
}

TEST(FsCrash, AVolumeThatWasHalfFormattedIsNoneOrAnEmptyOne) {
  const std::string name = "fs_format";
  if (is_left_out(name)) GTEST_SKIP() << "RVMFS_CRASH_ONLY names another workload";
  Ensemble devices({SparseImage(12 << 20, kCanary)}, false);
  ASSERT_TRUE(format_for_tests(devices.device(0), 12 << 20));
  Campaign campaign(name, crash_seed(),
                    {.states = crash_states(share_of_slice(fs_states())), .kills = 0},
                    [&](const std::vector<SparseImage>& images, size_t, bool) {
                      return check_half_formatted(images[0]);
                    });
  EXPECT_EQ(campaign.run(devices.history()), "");
  EXPECT_GT(campaign.states(), 20u);
}

}  // namespace
}  // namespace rvmfs::test
