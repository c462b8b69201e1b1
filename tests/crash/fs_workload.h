// SPDX-License-Identifier: BSD-2-Clause
//
// What the crash tests of the filesystem are made of: operations, spelled shortly, and the run of
// one workload from its first operation to its last crash state.
//
// Thread rules: as an int.
#pragma once

#include <functional>
#include <string>

#include "tests/crash/fs_rig.h"

namespace rvmfs::test {

// How many states each workload is worth in this tier, all slices together.
size_t fs_states();

using Workload = std::function<void(FsRig&, uint64_t seed)>;

// Runs the workload and judges about so many crash states of it (GoogleTest assertions).
void run_workload(const std::string& name, const FsRigOptions& options, const Workload& workload,
                  size_t states = fs_states());
// The same, from a volume that is there already.
void run_workload(const std::string& name, const FsStart& start, const rvm::Tuning& tuning,
                  const Workload& workload, size_t states = fs_states());

// Random operations with so many fsyncs.
GeneratorOptions usual(uint32_t percent_fsync);

// mknod makes a regular file; the mode of everything else is 0755.
Op op(Op::Kind kind, std::string path, std::string path2 = "", int flags = 0);
Op write(std::string path, uint64_t offset, uint64_t length, uint64_t seed);
Op fallocate(std::string path, uint64_t offset, uint64_t length, int mode);
Op truncate(std::string path, uint64_t length);
Op set_xattr(std::string path, std::string name, uint64_t length, uint64_t seed = 0);
Op fsync(std::string path, bool data_only = false);
Op sync();

}  // namespace rvmfs::test
