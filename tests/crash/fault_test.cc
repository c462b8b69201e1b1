// SPDX-License-Identifier: BSD-2-Clause
//
// A device that fails. A workload is run once to count the calls that it makes; then it is run
// again for each of them (or evenly chosen ones), and that call fails. Operations may then fail,
// and change nothing; what was acknowledged as durable must be there after a kill and after a power
// loss; once a flush has failed, no fsync claims success before the volume is opened again.
//
//   RVMFS_FAULTS=n   about so many failing calls for each kind (default 60)
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>

#include "tests/crash/fs_rig.h"
#include "tests/support/environment.h"

namespace rvmfs::test {
namespace {

GeneratorOptions workload() {
  GeneratorOptions options;
  options.percent_fsync = 15;
  options.reopen = false;
  options.bad_arguments = false;
  options.huge_offsets = false;
  options.write_bytes_max = 20 * 1024;
  options.file_bytes_max = 64 * 1024;
  return options;
}

FsRigOptions rig_options() {
  FsRigOptions options;
  options.log_bytes = 512 * 1024;
  options.faulty = true;
  options.run.tuning.spool_bytes_max = 32 * 1024;
  options.run.metadata_bytes_max = 256 * 1024;
  return options;
}

struct Plan {
  DeviceCall kind = DeviceCall::write;
  uint64_t nth = 0;
  Fault fault;
};

// Empty, or what went wrong.
std::string run_with_fault(const Plan& plan, uint64_t* refused) {
  FsRig rig(rig_options());
  if (!rig.failure().empty()) return rig.failure();
  rig.fault().fail(plan.kind, plan.nth, plan.fault);
  rig.apply_random(crash_seed(), workload(), 150);
  if (!rig.failure().empty()) return rig.failure();
  *refused += rig.run().refused();
  const bool failed = rig.run().volume().failed();
  // A host that is full is no failed log: with room again, everything works and can be made
  // durable.
  const bool no_space = plan.fault.os_errno == ENOSPC;
  rig.fault().clear();
  if (no_space) {
    if (failed) return "running out of host space made the volume read-only";
    Op sync;
    sync.kind = Op::Kind::sync;
    rig.apply(sync);
    if (!rig.failure().empty()) return rig.failure();
    if (rig.run().last().error != 0) return "no sync although the host has room again";
  }
  const FsAccount account = rig.account();
  EnsembleStates states(account.history);
  states.seek(states.event_count());
  for (const EnsembleChoice& choice : states.interesting(6, crash_seed())) {
    const CheckResult result =
        check_fs_state(account, states.build(choice)[0], states.event_count(), true);
    if (!result.failure.empty()) return result.failure + "\n  " + states.describe(choice);
  }
  return "";
}

void run_all(DeviceCall kind, Fault fault) {
  uint64_t calls = 0;
  {
    FsRig rig(rig_options());
    ASSERT_EQ(rig.failure(), "");
    const uint64_t before = rig.fault().calls(kind);
    rig.apply_random(crash_seed(), workload(), 150);
    ASSERT_EQ(rig.failure(), "");
    ASSERT_EQ(rig.run().refused(), 0u);
    calls = rig.fault().calls(kind) - before;
  }
  ASSERT_GT(calls, 0u);
  const uint64_t wanted = number_from_environment("RVMFS_FAULTS", 60);
  const uint64_t step = std::max<uint64_t>(1, calls / wanted);
  uint64_t refused = 0;
  for (uint64_t nth = 0; nth < calls; nth += step) {
    const std::string failure = run_with_fault({kind, nth, fault}, &refused);
    ASSERT_EQ(failure, "") << "call " << nth << " of " << calls << " failed; seed " << crash_seed();
  }
  EXPECT_GT(refused, 0u) << "no operation met the fault";
}

TEST(Faults, AFailedWriteUndoesTheOperationAndLosesNothingDurable) {
  run_all(DeviceCall::write, {.os_errno = EIO});
}

TEST(Faults, AWriteThatFailsInTheMiddleLosesNothingDurable) {
  run_all(DeviceCall::write, {.os_errno = EIO, .sectors_done = 1});
}

TEST(Faults, WritesThatFailForEverLoseNothingDurable) {
  run_all(DeviceCall::write, {.os_errno = EIO, .forever = true});
}

TEST(Faults, AfterAFailedFlushNoFsyncClaimsSuccess) {
  run_all(DeviceCall::flush, {.os_errno = EIO});
}

TEST(Faults, AHostThatIsFullForAMomentPoisonsNothing) {
  run_all(DeviceCall::write, {.os_errno = ENOSPC});
}

TEST(Faults, FailedReadsAreErrorsAndChangeNothing) { run_all(DeviceCall::read, {.os_errno = EIO}); }

}  // namespace
}  // namespace rvmfs::test
