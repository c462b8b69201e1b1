// SPDX-License-Identifier: BSD-2-Clause
//
// See fs_workload.h.
#include "tests/crash/fs_workload.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>

#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

void judge(const std::string& name, uint64_t seed, FsRig& rig, size_t states) {
  ASSERT_EQ(rig.failure(), "");
  const FsAccount account = rig.account();
  if (!only_one_state().empty()) {
    for (size_t i = 0; i < account.operations.size(); ++i) {
      std::printf("operation %zu, event %zu: %s\n", i, account.begun_at[i],
                  account.operations[i].c_str());
    }
  }
  ASSERT_GT(account.states.size(), 2u) << "the workload did too little";
  ASSERT_GT(account.history.order.size(), 8u) << "the workload wrote too little";
  const CampaignOptions options{.states = crash_states(share_of_slice(states)),
                                .follow_every = 60,
                                .states_per_recovery = 16};
  Campaign campaign(name, seed, options,
                    [&](const std::vector<SparseImage>& images, size_t point, bool has_garbage) {
                      return check_fs_state(account, images[0], point, has_garbage);
                    });
  EXPECT_EQ(campaign.run(account.history), "");
  std::printf("%zu operations, %zu events\n", account.states.size() - 1,
              account.history.order.size());
}

}  // namespace

size_t fs_states() { return by_tier<size_t>(1200, 10'000, 100'000); }

void run_workload(const std::string& name, const FsRigOptions& options, const Workload& workload,
                  size_t states) {
  if (is_left_out(name)) GTEST_SKIP() << "RVMFS_CRASH_ONLY names another workload";
  FsRig rig(options);
  workload(rig, crash_seed());
  judge(name, crash_seed(), rig, states);
}

void run_workload(const std::string& name, const FsStart& start, const rvm::Tuning& tuning,
                  const Workload& workload, size_t states) {
  if (is_left_out(name)) GTEST_SKIP() << "RVMFS_CRASH_ONLY names another workload";
  ASSERT_NE(start.model, nullptr);
  FsRig rig(start, tuning);
  workload(rig, crash_seed());
  judge(name, crash_seed(), rig, states);
}

GeneratorOptions usual(uint32_t percent_fsync) {
  GeneratorOptions options;
  options.percent_fsync = percent_fsync;
  options.reopen = false;
  options.bad_arguments = false;
  options.huge_offsets = false;
  options.write_bytes_max = 20 * 1024;
  options.file_bytes_max = 64 * 1024;
  return options;
}

Op op(Op::Kind kind, std::string path, std::string path2, int flags) {
  Op result;
  result.kind = kind;
  result.path = std::move(path);
  result.path2 = std::move(path2);
  result.flags = flags;
  result.mode = kind == Op::Kind::mknod ? S_IFREG | 0644 : 0755;
  return result;
}

namespace {

Op on_bytes(Op::Kind kind, std::string path, uint64_t offset, uint64_t length) {
  Op result = op(kind, std::move(path));
  result.offset = offset;
  result.length = length;
  return result;
}

}  // namespace

Op write(std::string path, uint64_t offset, uint64_t length, uint64_t seed) {
  Op result = on_bytes(Op::Kind::write, std::move(path), offset, length);
  result.data_seed = seed;
  return result;
}

Op fallocate(std::string path, uint64_t offset, uint64_t length, int mode) {
  Op result = on_bytes(Op::Kind::fallocate, std::move(path), offset, length);
  result.flags = mode;
  return result;
}

Op truncate(std::string path, uint64_t length) {
  return on_bytes(Op::Kind::truncate, std::move(path), 0, length);
}

Op set_xattr(std::string path, std::string name, uint64_t length, uint64_t seed) {
  Op result = on_bytes(Op::Kind::setxattr, std::move(path), 0, length);
  result.name = std::move(name);
  result.data_seed = seed;
  return result;
}

Op fsync(std::string path, bool data_only) {
  return op(Op::Kind::fsync, std::move(path), "", data_only ? 1 : 0);
}

Op sync() { return op(Op::Kind::sync, "/"); }

}  // namespace rvmfs::test
