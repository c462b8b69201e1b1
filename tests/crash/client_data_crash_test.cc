// SPDX-License-Identifier: BSD-2-Clause
//
// Crash states of data that a client writes to the log's device by itself (client_data_rig.h), also
// after a call to the device has failed: what a failed flush should have made durable may then be
// lost for ever, though every later flush succeeds.
//
//   RVMFS_FAULTS=n   about so many failing calls of each kind (default 60)
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/crash/client_data_rig.h"
#include "tests/support/environment.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

TEST(ClientDataCrash, NoSectorIsOlderThanWhatWasPromisedOfIt) {
  if (is_left_out("client_data")) GTEST_SKIP() << "RVMFS_CRASH_ONLY names another workload";
  ClientRig rig(crash_seed());
  ASSERT_EQ(rig.open(), "");
  ASSERT_EQ(rig.run(160), "");
  const ClientAccount& account = rig.account();
  // Both ways were taken, or this test would say little.
  ASSERT_GT(account.statistics.data_bytes_logged, 50'000u);
  ASSERT_GT(account.statistics.data_flushes, 5u);
  const size_t states = crash_states(share_of_slice(by_tier<size_t>(2500, 20'000, 200'000)));
  Campaign campaign("client_data", crash_seed(), {.states = states},
                    [&](const std::vector<SparseImage>& images, size_t point, bool garbage) {
                      return check_client_state(account, images[0], point, garbage);
                    });
  EXPECT_EQ(campaign.run(account.history), "");
  std::printf("%zu writes, %zu events\n", account.writes.size() - 1, account.history.order.size());
}

// Bytes that were promised through the log are there until newer ones are promised.
TEST(ClientDataCrash, WhatIsOverwrittenWithoutAPromiseIsThereAsItWasPromised) {
  if (is_left_out("client_overwrite")) GTEST_SKIP() << "RVMFS_CRASH_ONLY names another workload";
  ClientRig rig(crash_seed());
  ASSERT_EQ(rig.open(), "");
  ASSERT_EQ(rig.overwrite_without_promise(), "");
  const ClientAccount& account = rig.account();
  Campaign campaign("client_overwrite", crash_seed(), {.states = 200},
                    [&](const std::vector<SparseImage>& images, size_t point, bool garbage) {
                      return check_client_state(account, images[0], point, garbage);
                    });
  EXPECT_EQ(campaign.run(account.history), "");
}

constexpr int kFaultySteps = 100;

// One call fails, once; then the device works again, and the client goes on and on.
void let_one_fail(const std::string& name, DeviceCall kind, uint64_t nth, Fault fault,
                  size_t* refused) {
  if (is_left_out(name)) return;
  ClientRig rig(crash_seed());
  ASSERT_EQ(rig.open(), "");
  rig.fault().fail(kind, nth, fault);
  ASSERT_EQ(rig.run(kFaultySteps), "") << name;
  ASSERT_EQ(rig.fault().faults(), 1u) << name;
  const ClientAccount& account = rig.account();
  *refused += account.refused;
  const CampaignOptions options{
      .states = 20, .follow_every = 400, .kills = 0, .first_point = account.refused_at};
  Campaign campaign(name, crash_seed(), options,
                    [&](const std::vector<SparseImage>& images, size_t point, bool garbage) {
                      return check_client_state(account, images[0], point, garbage);
                    });
  ASSERT_EQ(campaign.run(account.history), "");
}

void let_each_fail(const std::string& name, DeviceCall kind, Fault fault) {
  uint64_t calls = 0;
  {
    ClientRig rig(crash_seed());
    ASSERT_EQ(rig.open(), "");
    const uint64_t before = rig.fault().calls(kind);
    ASSERT_EQ(rig.run(kFaultySteps), "");
    calls = rig.fault().calls(kind) - before;
  }
  ASSERT_GT(calls, 50u);
  const uint64_t wanted =
      by_tier<uint64_t>(number_from_environment("RVMFS_FAULTS", 60), calls, calls);
  size_t refused = 0;
  for (uint64_t i = 0; i < std::min(calls, wanted); ++i) {
    const uint64_t nth = i * calls / std::min(calls, wanted);
    ASSERT_NO_FATAL_FAILURE(
        let_one_fail(name + "_" + std::to_string(nth), kind, nth, fault, &refused));
  }
  EXPECT_TRUE(refused > 0 || !only_one_state().empty()) << "no step met the fault";
}

TEST(ClientDataCrash, AfterAFailedFlushNothingIsPromisedThatItMayHaveLost) {
  let_each_fail("client_flush_eio", DeviceCall::flush, {.os_errno = EIO});
}

TEST(ClientDataCrash, AfterAFailedWriteNothingIsPromisedThatItMayHaveLost) {
  let_each_fail("client_write_eio", DeviceCall::write, {.os_errno = EIO});
}

TEST(ClientDataCrash, AHostThatIsFullForAMomentLosesNoCommit) {
  let_each_fail("client_write_enospc", DeviceCall::write, {.os_errno = ENOSPC});
}

TEST(ClientDataCrash, AHostThatIsFullInTheMiddleOfAWriteLosesNoCommit) {
  let_each_fail("client_write_enospc_short", DeviceCall::write,
                {.os_errno = ENOSPC, .sectors_done = 1});
}

}  // namespace
}  // namespace rvmfs::test
