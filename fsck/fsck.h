// SPDX-License-Identifier: BSD-2-Clause
//
// The public face of fsck: check an image, print its tree, print its log, and the program itself.
//
// check_image, dump_tree and dump_log never write: the log is replayed in memory only. They read
// the device with readers of their own (only format headers are shared with the filesystem), and
// treat every byte of it as hostile. run_fsck is the program; only it repairs.
//
// Thread rules: none of them keeps state between calls; calls on different devices may run in
// parallel.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "fsck/findings.h"
#include "rvm/device.h"

namespace rvmfs::fsck {

struct Finding {
  FindingId id;
  std::string detail;  // which inode, page, block ...; may be empty
};

// "[607] inode_links: an inode counts its links wrong: inode 17 says 3, has 2"
std::string describe(const Finding& finding);

// Takes findings as they are made. Damage is reported here; the caller decides.
class FindingSink {
 public:
  virtual ~FindingSink() = default;
  virtual void report(const Finding& finding) = 0;
};

// Keeps everything; what most tests want.
class FindingList final : public FindingSink {
 public:
  void report(const Finding& finding) override { findings.push_back(finding); }
  bool has(FindingId id) const;
  // One line a finding; notes left out unless asked for.
  std::string text(bool notes = false) const;

  std::vector<Finding> findings;
};

struct CheckOptions {
  // Stop after the superblock, the log and the volume root.
  bool quick = false;
  // Findings of one kind beyond this number are counted and not reported. 0: no limit.
  uint32_t reports_per_finding_max = 100;
  // Told now and then: pass (1 superblock and log, 2 tree, 3 names, 4 space), steps done, steps in
  // all.
  std::function<void(int pass, uint64_t done, uint64_t all)> progress;
};

struct Summary {
  uint64_t notes = 0;
  uint64_t problems = 0;  // repairable or not
  uint64_t damages = 0;
  uint64_t unrepairable = 0;  // of problems and damages
  bool log_was_used = false;  // the log held records
  bool owner_held = false;    // the owner record names a holder
  uint64_t inodes = 0, directories = 0, orphans = 0;
  uint64_t blocks_used = 0, blocks_total = 0;
  uint64_t metadata_pages = 0;            // in use
  uint64_t log_units = 0, log_bytes = 0;  // replayed

  bool clean() const { return problems == 0 && damages == 0; }
};

// Checks everything, in memory.
Summary check_image(rvm::Device& device, const CheckOptions& options, FindingSink& sink);

struct DumpOptions {
  bool times = true;     // mtime of every path
  bool contents = true;  // the hash of every file: takes as long as reading them, holes included
};

// The whole tree as canonical text, one line a path, in the byte order of the paths (docs: the man
// page of fsck.rvmfs). Errors: io, damaged_*.
rvm::Result<void> dump_tree(rvm::Device& device, std::ostream& out,
                            const DumpOptions& options = {});

// The units of the log that the next recovery would see, one line each, and what their records say.
rvm::Result<void> dump_log(rvm::Device& device, std::ostream& out);

// The program, without its name in args. The result is the exit code, a sum of these.
inline constexpr int kExitClean = 0;
inline constexpr int kExitCorrected = 1;
inline constexpr int kExitLeft = 4;
inline constexpr int kExitOperational = 8;
inline constexpr int kExitUsage = 16;
inline constexpr int kExitCancelled = 32;
int run_fsck(const std::vector<std::string>& args, std::ostream& out, std::ostream& err);
// The same on a device that `open` gives for the image's name; what tests of failing devices use.
using ImageOpener = std::function<rvm::Result<std::shared_ptr<rvm::Device>>(
    const std::string& image, const rvm::FileOptions& options)>;
int run_fsck(const std::vector<std::string>& args, std::ostream& out, std::ostream& err,
             const ImageOpener& open);

}  // namespace rvmfs::fsck
