// SPDX-License-Identifier: BSD-2-Clause
//
// See fs_rig.h: running a workload. Judging is in fs_judge.cc.
#include "tests/crash/fs_rig.h"

#include <fmt/format.h>

#include "tests/support/perform.h"

namespace rvmfs::test {

FsRig::FsRig(const FsRigOptions& options) {
  account_.options = options;
  const std::byte fill = options.image_file ? std::byte{0} : kCanary;
  const uint64_t bytes = options.image_file ? 0 : options.volume_bytes;
  ensemble_ = std::make_unique<Ensemble>(std::vector{SparseImage(bytes, fill)}, options.image_file);
  const auto made = format_for_tests(ensemble_->device(0), options.volume_bytes, options.log_bytes);
  if (!made) {
    failure_ = "format: " + explain(made.error());
    return;
  }
  std::shared_ptr<rvm::Device> device = ensemble_->device(0);
  ModelRunOptions run = options.run;
  if (options.faulty) {
    device = fault_ = std::make_shared<FaultDevice>(device);
    fault_->when_flush_fails([this] {
      ensemble_->flush_failed(0);
      flush_failed_ = true;
    });
    run.may_fail = true;
  }
  run_ = std::make_unique<ModelRun>(device, run);
  begin();
}

FsRig::FsRig(const FsStart& start, const rvm::Tuning& tuning) {
  account_.options = start.options;
  account_.options.run.tuning = tuning;
  ensemble_ = std::make_unique<Ensemble>(std::vector{start.image}, start.options.image_file);
  run_ = std::make_unique<ModelRun>(ensemble_->device(0), account_.options.run, start.model.get());
  begin();
}

void FsRig::begin() {
  failure_ = run_->open();
  if (!failure_.empty()) return;
  if (!run_->answers().sync().ok()) failure_ = "sync: " + run_->answers().last_error;
  ensemble_->restart();
  note_state("the start");
  account_.begun_at.push_back(0);
  account_.durable.emplace_back(0, 0);
}

void FsRig::note_state(std::string operation) {
  account_.operations.push_back(std::move(operation));
  account_.states.push_back(run_->model());
  account_.texts.push_back(metadata_text(snapshot(run_->model(), false), kWithAllTimes));
}

void FsRig::note_touched(const Op& op) {
  const bool copies = op.kind == Op::Kind::copy_range;
  if (!copies && op.kind != Op::Kind::write && op.kind != Op::Kind::fallocate) return;
  const Inode inode = find_path(run_->model(), run_->slots(), copies ? op.path2 : op.path);
  const uint64_t begin = copies ? op.offset2 : op.offset;
  account_.touched.push_back({account_.states.size(), inode, begin, begin + op.length});
}

void FsRig::apply(const Op& op) {
  if (!failure_.empty()) return;
  const size_t number = account_.states.size();
  const bool had_failed = flush_failed_ || run_->volume().failed();
  account_.begun_at.push_back(ensemble_->event_count());
  note_touched(op);
  failure_ = run_->apply(op);
  if (!failure_.empty()) {
    failure_ = fmt::format("operation {}: {}", number, failure_);
    return;
  }
  note_state(describe(op));
  if (run_->last().error != 0) return;  // nothing was promised
  const size_t events = ensemble_->event_count();
  const bool opened = op.kind == Op::Kind::reopen || op.kind == Op::Kind::crash;
  const bool everything = op.kind == Op::Kind::sync || opened;
  if (had_failed && (everything || op.kind == Op::Kind::fsync)) {
    failure_ = fmt::format("operation {}: {} succeeded on a failed volume", number, describe(op));
  }
  if (opened) flush_failed_ = false;
  if (everything) account_.durable.emplace_back(events, number);
  if (op.kind != Op::Kind::fsync) return;
  const Inode inode = find_path(run_->model(), run_->slots(), op.path);
  if (inode == 0) return;
  account_.durable.emplace_back(events, number);
  account_.file_durable[inode].emplace_back(events, number);
}

void FsRig::apply_random(uint64_t seed, const GeneratorOptions& options, size_t count) {
  if (!failure_.empty()) return;
  OperationGenerator generator(seed, options);
  for (size_t i = 0; i < count && failure_.empty(); ++i) {
    apply(generator.next(run_->model(), run_->slots()));
  }
}

void FsRig::checkpoint(rvm::Truncation mode) {
  if (!failure_.empty()) return;
  const auto truncated = run_->volume().rvm().truncate(mode);
  if (!truncated) failure_ = "truncate: " + rvm::describe(truncated.error());
}

FsStart FsRig::close() {
  if (failure_.empty()) failure_ = run_->close();
  ReferenceModel model = run_->model();
  model.crash();
  return {account_.options, ensemble_->snapshot()[0],
          std::make_shared<const ReferenceModel>(std::move(model))};
}

FsAccount FsRig::account() {
  account_.history = ensemble_->history();
  return account_;
}

}  // namespace rvmfs::test
