// SPDX-License-Identifier: BSD-2-Clause
//
// A script is a volume and a list of steps. It runs once without a fault, to learn what the tree is
// after each step and how often the device is called; then it runs again with one call that fails,
// for each call, each kind of call, each kind of fault. What must hold then:
//
//   - a step that fails answers ENOSPC if the host was full, else EIO, and is undone in memory
//   - if the fault does not last, the step succeeds when it is tried again; only after a failed
//     write or flush of the log the volume takes nothing more, and no sync claims success
//   - a power loss afterwards, and a kill, leave the tree after some step, not before the last
//     acknowledged sync; fsck finds nothing before recovery and nothing after it
//
// Thread rules: as an int.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "fs/volume.h"
#include "tests/support/fault_device.h"
#include "tests/support/sparse_image.h"
#include "tests/support/tier.h"

namespace rvmfs::test {

struct FaultStep {
  std::string what;
  std::function<Result<void>(Volume&)> run;  // one transaction at most
  bool durable = false;                      // its success means that all before it is durable
};

struct FaultScript {
  std::string name;
  SparseImage start;
  std::vector<FaultStep> steps;
  uint64_t metadata_bytes_max = 256ull << 20;
};

struct FaultPlan {
  DeviceCall kind = DeviceCall::write;
  Fault fault;
  const char* name = "";
};

// Every kind of call with every fault that it can have.
const std::vector<FaultPlan>& fault_plans();

// The first and the last nth of `calls` to try in this tier and slice, and the step between them:
// all in nightly and release, about `wanted` of them in the commit tier.
struct FaultRange {
  uint64_t first = 0, step = 1;
};
FaultRange fault_range(uint64_t calls, uint64_t wanted);

// Runs the script with every fault. Empty, or what went wrong and how to see it again.
//   RVMFS_FAULT_ONLY=script:plan:nth   one of them
std::string run_with_faults(const FaultScript& script, uint64_t wanted_in_commit);

}  // namespace rvmfs::test
