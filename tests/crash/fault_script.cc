// SPDX-License-Identifier: BSD-2-Clause
//
// See fault_script.h.
#include "tests/crash/fault_script.h"

#include <fmt/format.h>

#include <cerrno>

#include "fsck/fsck.h"
#include "tests/crash/campaign.h"
#include "tests/support/environment.h"
#include "tests/support/memory_device.h"
#include "tests/support/tree_snapshot.h"

namespace rvmfs::test {
namespace {

constexpr size_t kStatesEach = 5;  // crash states judged after each run

struct Learnt {
  std::vector<std::string> texts;  // [k]: the tree after step k; [0]: as opened
  uint64_t calls = 0;              // of the kind that is asked for
};

std::string tree_text(Volume& volume) {
  VolumeAnswers answers(volume, false);
  const TreeSnapshot tree = snapshot(answers);
  if (!tree.error.empty()) return "the tree cannot be read: " + tree.error;
  return metadata_text(tree, kWithAllTimes) + canonical_text(tree);
}

std::string fsck_text(rvm::Device& device, bool recovered) {
  fsck::FindingList findings;
  const fsck::Summary summary = fsck::check_image(device, {}, findings);
  uint64_t problems = summary.problems;
  for (const fsck::FindingId id :
       {fsck::FindingId::superblock_first_damaged, fsck::FindingId::superblock_copy_damaged}) {
    if (!recovered && findings.has(id)) --problems;  // the next open mends it
  }
  return problems == 0 && summary.damages == 0 ? "" : findings.text();
}

// One run of a script.
class ScriptRun {
 public:
  ScriptRun(const FaultScript& script, bool looks)
      : script_(script),
        looks_(looks),
        ensemble_({script.start}, true),
        fault_(std::make_shared<FaultDevice>(ensemble_.device(0))) {
    fault_->when_flush_fails([this] {
      ensemble_.flush_failed(0);
      flush_failed_ = true;
    });
  }

  FaultDevice& fault() { return *fault_; }

  // Without faults; learns.
  std::string learn(Learnt& learnt) {
    if (const auto opened = open(); !opened) return "open: " + explain(opened.error());
    if (looks_) learnt.texts.push_back(look());
    for (const FaultStep& step : script_.steps) {
      ++now_;
      if (const auto done = step.run(*volume_); !done) {
        return step.what + ": " + explain(done.error());
      }
      if (looks_) learnt.texts.push_back(look());
    }
    const auto closed = volume_->close();
    return closed ? "" : "close: " + explain(closed.error());
  }

  // With the fault that was set; compares with what was learnt.
  std::string run(const Learnt& learnt, const FaultPlan& plan) {
    std::string wrong = open_twice(plan);
    bool goes_on = volume_ != nullptr;
    for (size_t k = 1; wrong.empty() && goes_on && k <= script_.steps.size(); ++k) {
      begun_ = k;
      ++now_;
      wrong = run_step(learnt, plan, k, goes_on);
      if (!wrong.empty()) wrong = script_.steps[k - 1].what + ": " + wrong;
    }
    if (wrong.empty() && goes_on) wrong = close(plan);
    if (volume_ != nullptr) volume_->abandon();
    volume_.reset();
    return wrong.empty() ? judge_states(learnt) : wrong;
  }

  bool met_the_fault() const { return refused_ > 0; }

 private:
  Result<void> open() {
    MountOptions options;
    options.commit_seconds = 0;
    options.background = false;
    options.atime = MountOptions::Atime::noatime;
    options.metadata_bytes_max = script_.metadata_bytes_max;
    // Not the real time: a step that is tried again must come out the same.
    options.clock = [this] { return Time{1'700'000'100 + now_, 3}; };
    RVM_ASSIGN(volume_, Volume::open(fault_, options));
    return {};
  }

  std::string look() {
    fault_->pause(true);
    std::string text = tree_text(*volume_);
    fault_->pause(false);
    return text;
  }

  std::string check_errno(const rvm::Error& error, const FaultPlan& plan) {
    ++refused_;
    const int number = errno_of(error);
    const bool full = plan.fault.os_errno == ENOSPC;
    // What a failed flush was about, nobody knows; a volume that failed before is read-only.
    const bool either = plan.kind == DeviceCall::flush;
    if (number == (full ? ENOSPC : EIO) || (either && number == EIO)) return "";
    if (full && number == EIO && volume_ != nullptr && volume_->failed()) return "";
    return fmt::format("answers errno {}: {}", number, explain(error));
  }

  std::string open_twice(const FaultPlan& plan) {
    const auto first = open();
    if (first) return "";
    if (std::string wrong = check_errno(first.error(), plan); !wrong.empty()) {
      return "open: " + wrong;
    }
    if (plan.fault.forever) return "";
    const auto second = open();
    flush_failed_ = false;
    return second ? "" : "the second open: " + explain(second.error());
  }

  std::string run_step(const Learnt& learnt, const FaultPlan& plan, size_t k, bool& goes_on) {
    const FaultStep& step = script_.steps[k - 1];
    const auto first = step.run(*volume_);
    if (!first) {
      if (std::string wrong = check_errno(first.error(), plan); !wrong.empty()) return wrong;
      if (look() != learnt.texts[k - 1]) {
        return "it failed and was not undone:\n" + look() + "before:\n" + learnt.texts[k - 1];
      }
      if (volume_->failed() || plan.fault.forever) {
        goes_on = false;
        return be_honest(learnt, plan, k);
      }
      if (const auto again = step.run(*volume_); !again) {
        // What failed half-way in the log may now fail for good.
        if (!volume_->failed()) return "the second time: " + explain(again.error());
        goes_on = false;
        return be_honest(learnt, plan, k);
      }
    }
    if (step.durable && flush_failed_) return "it claims success after a failed flush";
    if (step.durable) durable_ = k;
    if (looks_ && look() != learnt.texts[k]) return "the tree differs:\n" + look();
    return "";
  }

  // The device works again; what then?
  std::string be_honest(const Learnt& learnt, const FaultPlan& plan, size_t k) {
    fault_->clear();
    // A write may meet ENOSPC where room was reserved before: that is a device that fails, no host
    // that is full.
    if (volume_->failed() && plan.fault.os_errno == ENOSPC && plan.kind == DeviceCall::allocate) {
      return "a full host made the volume read-only";
    }
    const auto synced = volume_->sync();
    if (flush_failed_ && synced) return "sync claims success after a failed flush";
    if (volume_->failed() && synced) return "sync claims success on a failed volume";
    if (volume_->failed()) return "";
    // Home pages that could not be written are told by every later truncation, not by a sync.
    if (!synced) return "sync, although the device works again: " + explain(synced.error());
    durable_ = k - 1;
    begun_ = k - 1;
    return look() == learnt.texts[k - 1] ? "" : "the tree changed by a sync";
  }

  std::string close(const FaultPlan& plan) {
    const auto closed = volume_->close();
    volume_.reset();
    if (closed) {
      durable_ = script_.steps.size();
      return "";
    }
    const std::string wrong = check_errno(closed.error(), plan);
    return wrong.empty() ? "" : "close: " + wrong;
  }

  std::string judge_states(const Learnt& learnt) {
    EnsembleStates states(ensemble_.history());
    states.seek(states.event_count());
    for (const EnsembleChoice& choice : states.interesting(kStatesEach, crash_seed())) {
      const std::string wrong = judge(states.build(choice)[0], learnt);
      if (!wrong.empty()) return wrong + "\n  " + states.describe(choice);
    }
    return "";
  }

  std::string judge(const SparseImage& image, const Learnt& learnt) {
    const auto device = std::make_shared<MemoryDevice>(image);
    if (std::string wrong = fsck_text(*device, false); !wrong.empty()) {
      return "fsck before recovery: " + wrong;
    }
    MountOptions options;
    options.commit_seconds = 0;
    options.background = false;
    options.atime = MountOptions::Atime::noatime;
    auto volume = Volume::open(device, options);
    if (!volume) return "recovery: " + explain(volume.error());
    const std::string text = tree_text(**volume);
    bool known = false;
    for (size_t k = durable_; k <= begun_; ++k) known = known || learnt.texts[k] == text;
    if (!known) {
      return fmt::format("recovered is the tree of none of the steps {} ... {}:\n{}", durable_,
                         begun_, text);
    }
    if (const auto closed = (*volume)->close(); !closed) {
      return "close after recovery: " + explain(closed.error());
    }
    std::string wrong = fsck_text(*device, true);
    return wrong.empty() ? "" : "fsck after recovery: " + wrong;
  }

  const FaultScript& script_;
  const bool looks_;
  Ensemble ensemble_;
  std::shared_ptr<FaultDevice> fault_;
  std::unique_ptr<Volume> volume_;
  int64_t now_ = 0;
  size_t durable_ = 0, begun_ = 0;  // steps
  uint64_t refused_ = 0;
  bool flush_failed_ = false;  // since the volume was opened
};

// True if RVMFS_FAULT_ONLY leaves this one out.
bool is_left_out(const FaultScript& script, const FaultPlan& plan, uint64_t nth) {
  const std::string only = text_from_environment("RVMFS_FAULT_ONLY");
  return !only.empty() && only != fmt::format("{}:{}:{}", script.name, plan.name, nth);
}

}  // namespace

const std::vector<FaultPlan>& fault_plans() {
  using enum DeviceCall;
  static const std::vector<FaultPlan> plans = {
      {read, {.os_errno = EIO}, "read_eio"},
      {read, {.os_errno = EIO, .sectors_done = 1}, "read_short"},
      {read, {.os_errno = EIO, .forever = true}, "read_eio_for_ever"},
      {write, {.os_errno = EIO}, "write_eio"},
      {write, {.os_errno = EIO, .sectors_done = 1}, "write_short"},
      {write, {.os_errno = EIO, .forever = true}, "write_eio_for_ever"},
      {write, {.os_errno = ENOSPC}, "write_enospc"},
      {write, {.os_errno = ENOSPC, .sectors_done = 1}, "write_enospc_short"},
      {write, {.os_errno = ENOSPC, .forever = true}, "write_enospc_for_ever"},
      {flush, {.os_errno = EIO}, "flush_eio"},
      {flush, {.os_errno = EIO, .forever = true}, "flush_eio_for_ever"},
      {flush, {.os_errno = ENOSPC}, "flush_enospc"},
      {discard, {.os_errno = EIO}, "discard_eio"},
      {discard, {.os_errno = EIO, .forever = true}, "discard_eio_for_ever"},
      {discard, {.os_errno = ENOSPC}, "discard_enospc"},
      {allocate, {.os_errno = ENOSPC}, "allocate_enospc"},
      {allocate, {.os_errno = EIO}, "allocate_eio"},
      {resize, {.os_errno = ENOSPC}, "resize_enospc"},
      {resize, {.os_errno = EIO}, "resize_eio"},
  };
  return plans;
}

FaultRange fault_range(uint64_t calls, uint64_t wanted) {
  const uint64_t in_commit = std::max<uint64_t>(1, (calls + wanted - 1) / wanted);
  return {slice().index, by_tier(in_commit, slice().count, slice().count)};
}

std::string run_with_faults(const FaultScript& script, uint64_t wanted_in_commit) {
  Total total("faults_" + script.name);
  Learnt learnt;
  if (std::string wrong = ScriptRun(script, true).learn(learnt); !wrong.empty()) {
    return "without a fault: " + wrong;
  }
  uint64_t met = 0;
  for (const FaultPlan& plan : fault_plans()) {
    // A look between the steps reads pages that a step would have read.
    const bool looks = plan.kind != DeviceCall::read;
    ScriptRun dry(script, looks);
    Learnt again;
    if (std::string wrong = dry.learn(again); !wrong.empty()) return "without a fault: " + wrong;
    const uint64_t calls = dry.fault().calls(plan.kind);
    const FaultRange range = fault_range(calls, wanted_in_commit);
    for (uint64_t nth = range.first; nth < calls; nth += range.step) {
      if (is_left_out(script, plan, nth)) continue;
      ScriptRun run(script, looks);
      run.fault().fail(plan.kind, nth, plan.fault);
      const std::string wrong = run.run(learnt, plan);
      total.add("faults");
      met += run.met_the_fault() ? 1 : 0;
      if (wrong.empty()) continue;
      total.fail();
      return fmt::format(
          "{} {} of {}: {}\nreproduce: RVMFS_FAULT_ONLY={}:{}:{} (all tests named "
          "FaultScripts)",
          plan.name, nth, calls, wrong, script.name, plan.name, nth);
    }
  }
  total.add("told", met);
  if (met == 0 && text_from_environment("RVMFS_FAULT_ONLY").empty()) {
    return "no step met a fault";
  }
  return "";
}

}  // namespace rvmfs::test
