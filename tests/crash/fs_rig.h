// SPDX-License-Identifier: BSD-2-Clause
//
// A volume on a recorded device, run in step with the reference model, with an account of what it
// promised: the model after every operation, and what was acknowledged as durable when. From this a
// crash state can be judged:
//
//   - fsck finds nothing wrong before recovery (it replays in memory) and nothing after it
//   - the tree (names, attributes, times, link targets, extended attributes) is that after some
//     operation k: not before the last fsync or sync, not after the last operation begun
//   - every byte of a file is one that the file had at that place at or after its own last fsync;
//     never the canary that the device was full of
//   - only where a state holds garbage sectors: a sector that was being written may hold garbage
//   - no inode without a name is left
//   - in every directory a file can be made, written and removed again; one in the root survives
//
// Thread rules: as an int.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/crash/campaign.h"
#include "tests/support/fault_device.h"
#include "tests/support/model_run.h"

namespace rvmfs::test {

struct FsRigOptions {
  uint64_t volume_bytes = 12 << 20;
  uint64_t log_bytes = 1 << 20;
  bool image_file = false;  // a file that grows, instead of a disk full of canary bytes
  // The device fails when fault() says so; operations may then fail. After a failed flush nothing
  // claims to be durable.
  bool faulty = false;
  ModelRunOptions run;
};

// A range of a file that an operation wrote to, perhaps the same bytes as before.
struct Touched {
  size_t operation;
  Inode inode;
  uint64_t begin, end;
};

struct FsAccount {
  FsRigOptions options;
  std::vector<std::string> operations;             // [i]: what operation i was; 0 is the start
  std::vector<ReferenceModel> states;              // [i]: after operation i
  std::vector<std::string> texts;                  // [i]: its metadata_text
  std::vector<size_t> begun_at;                    // [i]: events before it
  std::vector<std::pair<size_t, size_t>> durable;  // (events, operation), growing
  // For single files: (events, operation).
  std::map<Inode, std::vector<std::pair<size_t, size_t>>> file_durable;
  std::vector<Touched> touched;
  EnsembleHistory history;
};

// A closed volume to begin from, and its model. Starting from a copy costs next to nothing.
struct FsStart {
  FsRigOptions options;
  SparseImage image = SparseImage();
  std::shared_ptr<const ReferenceModel> model;
};

class FsRig {
 public:
  explicit FsRig(const FsRigOptions& options);
  // The image's tuning may differ from that of the run which made it.
  FsRig(const FsStart& start, const rvm::Tuning& tuning);
  void apply(const Op& op);
  // `count` generated operations.
  void apply_random(uint64_t seed, const GeneratorOptions& generator, size_t count);
  // Moves what is durable home, and the log is empty.
  void checkpoint(rvm::Truncation mode);
  // Unmounts; the rig is of no further use.
  FsStart close();
  const std::string& failure() const { return failure_; }
  ModelRun& run() { return *run_; }
  FaultDevice& fault() { return *fault_; }
  size_t event_count() const { return ensemble_->event_count(); }
  FsAccount account();

 private:
  void begin();
  void note_state(std::string operation);
  void note_touched(const Op& op);

  FsAccount account_;
  std::unique_ptr<Ensemble> ensemble_;
  std::shared_ptr<FaultDevice> fault_;
  bool flush_failed_ = false;  // and the volume was not opened again
  std::unique_ptr<ModelRun> run_;
  std::string failure_;
};

// Judges the image after a crash at `point`.
CheckResult check_fs_state(const FsAccount& account, const SparseImage& image, size_t point,
                           bool has_garbage);

}  // namespace rvmfs::test
