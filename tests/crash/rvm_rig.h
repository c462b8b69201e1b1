// SPDX-License-Identifier: BSD-2-Clause
//
// librvm on recorded devices, with an account of what it promised: after each commit the contents
// of every region, after each acknowledged flush the number of the commit that must survive. From
// this a crash state can be judged: after recovery, memory must equal the state after some commit
// k, not before the last one acknowledged as durable and not after the last one begun.
//
// Device 0 holds the log and, behind it, regions of segment 0; every other device is a segment of
// its own ("s1", "s2" ...). Regions are placed one behind the other. The devices begin full of a
// canary byte.
//
// Thread rules: as an int, except where a workload says otherwise.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "rvm/rvm.h"
#include "tests/crash/campaign.h"

namespace rvmfs::test {

struct RigRegion {
  size_t device = 0;
  uint64_t offset = 0, length = 0;
  bool hashed = false;
  uint64_t hash_table_offset = 0;
  size_t exists_since = 0;  // the commit that formatted it (flat regions: 0)
};

struct RigOptions {
  size_t devices = 1;
  uint64_t log_bytes = 256 * 1024;
  uint64_t device_bytes = 8 << 20;  // unless it grows
  uint32_t block_bytes = 4096;
  rvm::Tuning tuning;
  uint64_t recovery_bytes_max = 32 << 20;
  bool grows = false;  // devices are files that grow
};

// What a workload promised.
struct RigAccount {
  RigOptions options;
  std::vector<RigRegion> regions;
  std::vector<std::vector<uint64_t>> hashes;       // [commit][region]; commit 0 is the start
  std::vector<size_t> begun_at;                    // [commit]: events before its end() was called
  std::vector<std::pair<size_t, size_t>> durable;  // (events, commit), growing
  EnsembleHistory history;
};

class RvmRig {
 public:
  explicit RvmRig(const RigOptions& options, uint64_t seed);
  // Another life, on what a crash of the first one left: recovers, and goes on from there. Without
  // start(): recovery is part of the history.
  RvmRig(const RigAccount& before, const std::vector<SparseImage>& images, uint64_t seed);
  ~RvmRig();

  // Before start(): regions that exist from the start. Hashed ones are formatted and committed.
  size_t add_region(size_t device, uint64_t length, bool hashed);
  void start();  // truncates, and forgets how all that came about

  rvm::Rvm& rvm() { return *rvm_; }
  rvm::Region& region(size_t index) { return *mapped_[index]; }
  std::mt19937_64& random() { return random_; }

  // A region that comes into being by this commit.
  size_t format_region(size_t device, uint64_t length);

  // One transaction: `ranges` random ranges of up to `bytes_max` bytes in any region.
  rvm::Transaction begin(rvm::Restore mode = rvm::Restore::yes) { return rvm_->begin(mode); }
  void change(rvm::Transaction& tx, size_t region, uint64_t offset, uint64_t length);
  void change_somewhere(rvm::Transaction& tx, uint64_t bytes_max);
  void end(rvm::Transaction tx, rvm::Commit mode);
  void abort(rvm::Transaction tx);
  void flush();
  void truncate(rvm::Truncation mode);
  // Closes and opens again (recovers).
  void reopen();

  RigAccount account();
  // The first thing that went wrong; a workload that has one did not run.
  const std::string& failure() const { return failure_; }

 private:
  bool check(const rvm::Result<void>& result, const char* what);
  void open_and_map();
  uint64_t place(size_t device, uint64_t length);
  void note_state();
  void note_start();
  void note_durable();

  RigOptions options_;
  std::mt19937_64 random_;
  std::unique_ptr<Ensemble> ensemble_;
  std::vector<uint64_t> used_;  // bytes given out, for each device
  std::unique_ptr<rvm::Rvm> rvm_;
  std::vector<rvm::Region*> mapped_;
  std::vector<std::vector<std::byte>> shadows_;  // committed contents
  std::vector<size_t> changed_regions_;
  RigAccount account_;
  std::string failure_;
};

// How librvm is opened on the rig's devices, and a region mapped; hash of a region's contents.
rvm::Options open_options(const RigOptions& options, const Ensemble& ensemble);
rvm::Result<rvm::Region*> map_region(rvm::Rvm& rvm, const RigRegion& region);
uint64_t hash_of(const std::byte* bytes, uint64_t length);

// Opens librvm on the images after a crash at `point` and judges it.
CheckResult check_rvm_state(const RigAccount& account, const std::vector<SparseImage>& images,
                            size_t point);

}  // namespace rvmfs::test
