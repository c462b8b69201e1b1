// SPDX-License-Identifier: BSD-2-Clause
//
// The program: opens the image, decides how much to check, shows findings, repairs until nothing
// is left that can be repaired, and adds up the exit code.
//
//   -n, or a dump    read-only; the log is replayed in memory
//   else             quick look -> clean: done
//                    -> recovery for good -> whole check -> repair, check, repair, ... -> owner
//                    cleared
#include <fmt/format.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <ostream>
#include <set>

#include "fsck/check.h"
#include "fsck/fsck.h"
#include "fsck/hash.h"
#include "fsck/options.h"
#include "fsck/repair.h"

namespace rvmfs::fsck {
namespace {

// A repair may uncover the next; more rounds than this would mean that one undoes another.
constexpr int kRoundsMax = 32;

// Shows each finding once, also if several checks make it.
class Printer final : public FindingSink {
 public:
  Printer(std::ostream& out, bool notes) : out_(out), notes_(notes) {}
  void report(const Finding& finding) override {
    if (!notes_ && finding_row(finding.id).severity == Severity::note) return;
    const std::string text = describe(finding);
    if (shown_.insert(text).second) out_ << text << "\n";
  }

 private:
  std::ostream& out_;
  const bool notes_;
  std::set<std::string> shown_;
};

class NoSink final : public FindingSink {
 public:
  void report(const Finding&) override {}
};

class Program {
 public:
  Program(const CommandLine& command, std::ostream& out, std::ostream& err,
          const ImageOpener& opener)
      : command_(command), out_(out), err_(err), opener_(opener), printer_(out, command.verbose) {
    options_.progress = [this](int pass, uint64_t done, uint64_t all) {
      if (command_.progress_fd < 0) return;
      ::dprintf(command_.progress_fd, "%d %llu %llu %s\n", pass,
                static_cast<unsigned long long>(done), static_cast<unsigned long long>(all),
                command_.image.c_str());
    };
  }

  int run() {
    const bool look_only =
        command_.repair == CommandLine::Answer::no || command_.dump_tree || command_.dump_log;
    if (!open(look_only)) return kExitOperational;
    if (!has_magic()) {
      err_ << "fsck.rvmfs: " << command_.image << ": not an rvmfs volume\n";
      return kExitOperational;
    }
    if (command_.dump_tree) return dumped(dump_tree(*device_, out_, {.times = !command_.no_times}));
    if (command_.dump_log) return dumped(dump_log(*device_, out_));
    if (!command_.force) {
      if (const auto summary = quick_look()) return say_clean(*summary);
    }
    return look_only ? check_only() : check_and_repair();
  }

 private:
  bool open(bool look_only) {
    auto device = opener_(command_.image, {.read_only = look_only});
    if (!device && look_only && device.error() == rvm::Errc::busy) {
      err_ << "fsck.rvmfs: " << command_.image
           << ": warning: it is in use, and may change while it is read\n";
      device = opener_(command_.image, {.read_only = true, .lock = false});
    }
    if (device) {
      device_ = *device;
      return true;
    }
    if (device.error() == rvm::Errc::busy) {
      err_ << "fsck.rvmfs: " << command_.image
           << ": it is in use (mounted?); unmount it first, or look with -n\n";
    } else {
      err_ << "fsck.rvmfs: " << command_.image << ": " << rvm::describe(device.error()) << "\n";
    }
    return false;
  }

  // One of the two superblocks has the magic number at least.
  bool has_magic() const {
    for (const uint64_t at : {format::kSuperblockOffset, format::kSuperblockCopyOffset}) {
      std::byte bytes[8];
      if (at + sizeof(bytes) > device_->size() || !device_->read(at, bytes)) continue;
      if (load<uint64_t>(bytes) == format::kSuperblockMagic) return true;
    }
    return false;
  }

  int dumped(const rvm::Result<void>& result) {
    if (result) return kExitClean;
    err_ << "fsck.rvmfs: " << command_.image << ": " << rvm::describe(result.error()) << "\n";
    return kExitOperational;
  }

  // Everything of a volume that was unmounted cleanly is as it was when it was last judged.
  std::optional<Summary> quick_look() {
    NoSink sink;
    CheckOptions quick;
    quick.quick = true;
    const Summary summary = check_image(*device_, quick, sink);
    if (!summary.clean() || summary.owner_held || summary.log_was_used) return std::nullopt;
    return summary;
  }

  int say_clean(const Summary& s) {
    out_ << fmt::format("{}: clean, {} inodes, {}/{} blocks\n", command_.image, s.inodes,
                        s.blocks_used, s.blocks_total);
    return kExitClean;
  }

  std::unique_ptr<CheckState> check() {
    auto state = std::make_unique<CheckState>(*device_, options_, printer_);
    run_checks(*state);
    state->report.finish(state->summary);
    return state;
  }

  void say_counts(const Summary& s) {
    if (!command_.verbose) return;
    out_ << fmt::format(
        "  {} inodes, {} of them directories, {} waiting to be deleted\n"
        "  {} of {} blocks used, {} metadata pages\n"
        "  {} log units replayed, {} bytes\n",
        s.inodes, s.directories, s.orphans, s.blocks_used, s.blocks_total, s.metadata_pages,
        s.log_units, s.log_bytes);
  }

  int check_only() {
    const auto state = check();
    const Summary& s = state->summary;
    say_counts(s);
    if (s.clean()) return say_clean(s);
    out_ << fmt::format("{}: {} errors, nothing was changed\n", command_.image,
                        s.problems + s.damages);
    return kExitLeft;
  }

  bool agreed_to_repair() {
    if (command_.repair == CommandLine::Answer::yes) return true;
    if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0) {
      err_ << "fsck.rvmfs: " << command_.image
           << ": choose: -p repairs, -n only looks (there is no terminal to ask)\n";
      return false;
    }
    out_ << "Repair? [y/N] " << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
  }

  // Recovery is no repair: a mount does it too.
  bool recover_for_good() {
    NoSink sink;
    CheckOptions quick;
    quick.quick = true;
    CheckState state(*device_, quick, sink);
    if (!open_volume(state)) return true;  // the check will tell
    if (!state.summary.log_was_used && !state.log_status_copy_damaged) return true;
    const auto recovered = recover(device_, state.super);
    if (!recovered) return failed(recovered.error());
    if (state.summary.log_was_used) {
      out_ << fmt::format("{}: recovered, {} bytes of log\n", command_.image,
                          state.summary.log_bytes);
    }
    return true;
  }

  bool failed(const rvm::Error& error) {
    err_ << "fsck.rvmfs: " << command_.image << ": " << rvm::describe(error) << "\n";
    return false;
  }

  int check_and_repair() {
    if (!recover_for_good()) return kExitOperational;
    auto state = check();
    int code = kExitClean;
    const bool owner_held = state->summary.owner_held;
    if (!state->summary.clean()) {
      const bool can_repair = has_repairs(*state);
      if (can_repair && agreed_to_repair()) {
        if (!repair(state)) return kExitOperational | kExitLeft;
        code |= kExitCorrected;
      }
    } else if (has_repairs(*state) && !repair(state)) {  // a copy that is older: no finding
      return kExitOperational;
    }
    const Summary& s = state->summary;
    say_counts(s);
    if (!s.clean()) {
      out_ << fmt::format("{}: {} errors are left{}\n", command_.image, s.problems + s.damages,
                          s.damages != 0 ? "; what is damaged cannot be repaired" : "");
      return code | kExitLeft;
    }
    if (owner_held) {
      if (const auto done = clear_owner(*device_); !done) {
        failed(done.error());
        return kExitOperational;
      }
    }
    if ((code & kExitCorrected) != 0) out_ << command_.image << ": repaired\n";
    say_clean(s);
    return code;
  }

  // The owner record is cleared at the end, and by itself is nothing to repair.
  static bool has_repairs(const CheckState& state) {
    RepairPlan plan = state.repairs;
    plan.owner_record = false;
    return !plan.empty();
  }

  bool repair(std::unique_ptr<CheckState>& state) {
    for (int round = 0; round < kRoundsMax && has_repairs(*state); ++round) {
      const auto repaired = repair_one_phase(device_, *state);
      if (!repaired) return failed(repaired.error());
      state = check();
    }
    return true;
  }

  const CommandLine& command_;
  std::ostream& out_;
  std::ostream& err_;
  const ImageOpener& opener_;
  Printer printer_;
  CheckOptions options_;
  std::shared_ptr<rvm::Device> device_;
};

}  // namespace

int run_fsck(const std::vector<std::string>& args, std::ostream& out, std::ostream& err,
             const ImageOpener& open) {
  const ParseResult parsed = parse_command_line(args, out, err);
  if (parsed.exit_code) return *parsed.exit_code;
  return Program(parsed.command, out, err, open).run();
}

int run_fsck(const std::vector<std::string>& args, std::ostream& out, std::ostream& err) {
  return run_fsck(args, out, err, rvm::open_file_device);
}

}  // namespace rvmfs::fsck
