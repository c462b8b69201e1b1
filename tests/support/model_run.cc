// SPDX-License-Identifier: BSD-2-Clause
//
// See model_run.h. The volume answers first; what the model cannot know (the number of a new inode,
// how much of a long copy was made) is then told to it, and its own answer must be the same.
#include "tests/support/model_run.h"

#include <fmt/format.h>
#include <linux/fs.h>

#include <cerrno>

namespace rvmfs::test {
namespace {

constexpr Time kStart{1'700'000'000, 5};

MountOptions mount_options(const ModelRunOptions& options, std::shared_ptr<Time> clock) {
  MountOptions mount;
  mount.commit_seconds = 0;
  mount.count_lookups = true;
  mount.atime = options.atime;
  mount.metadata_bytes_max = options.metadata_bytes_max;
  mount.background = false;
  mount.discard = options.discard;
  mount.tuning = options.tuning;
  mount.clock = [clock] { return *clock; };
  return mount;
}

}  // namespace

Result<void> format_for_tests(std::shared_ptr<rvm::Device> device, uint64_t volume_bytes,
                              uint64_t log_bytes) {
  FormatOptions options;
  options.volume_bytes = volume_bytes;
  options.log_bytes = log_bytes;
  options.label = "test";
  options.uuid[0] = 1;
  options.name_hash_seed = 42;
  options.now = kStart;
  return format_volume(std::move(device), options);
}

ModelRun::ModelRun(std::shared_ptr<rvm::Device> device, const ModelRunOptions& options,
                   const ReferenceModel* model)
    : device_(std::move(device)),
      options_(options),
      clock_(std::make_shared<Time>(model != nullptr ? model->now : kStart)),
      model_(model != nullptr ? *model : ReferenceModel(kStart, 0755, 0, 0)) {
  model_.atime = options.atime;
  if (options.after_loss) window_ = std::make_unique<LossWindow>(model_);
}

ModelRun::~ModelRun() { abandon(); }

void ModelRun::abandon() {
  answers_.reset();
  if (volume_ != nullptr) volume_->abandon();
  volume_.reset();
}

std::string ModelRun::open() {
  auto volume = Volume::open(device_, mount_options(options_, clock_));
  if (!volume) return "open: " + explain(volume.error());
  volume_ = std::move(*volume);
  answers_ = std::make_unique<VolumeAnswers>(*volume_, true);
  return "";
}

std::string ModelRun::close() {
  answers_.reset();
  const Result<void> closed = volume_->close();
  volume_.reset();
  return closed ? "" : "close: " + explain(closed.error());
}

std::string ModelRun::reopen(bool clean) {
  if (clean) {
    if (std::string failure = close(); !failure.empty()) return failure;
  } else {
    if (!answers_->sync().ok()) return "sync: " + answers_->last_error;
    abandon();
  }
  model_.crash();
  slots_ = {};
  if (window_) window_->everything_is_durable(model_);
  if (std::string failure = open(); !failure.empty()) return failure;
  // A walk changes access times in the volume alone.
  return options_.atime == MountOptions::Atime::noatime ? compare() : "";
}

// The process dies, or power is lost: what comes back is the tree after some operation since the
// last fsync, and the run goes on from there.
std::string ModelRun::lose(const Op& op) {
  abandon();
  slots_ = {};
  device_ = options_.after_loss(op);
  if (std::string failure = open(); !failure.empty()) return failure;
  return window_->recover(*answers_, model_);
}

std::string ModelRun::compare() {
  const bool atime = options_.atime != MountOptions::Atime::noatime;
  const TreeSnapshot expected = snapshot(model_);
  const TreeSnapshot actual = snapshot(*answers_);
  return difference(expected, actual, {.times = true, .atime = !atime});
}

std::string ModelRun::apply_durability(const Op& op) {
  if (op.kind == Op::Kind::reopen) return reopen(true);
  if (op.kind == Op::Kind::crash) return reopen(false);
  if (op.kind == Op::Kind::kill || op.kind == Op::Kind::power_loss) return lose(op);
  if (op.kind == Op::Kind::sync) {
    std::string failure = apply_sync(answers_->sync());
    if (window_ && last_.error == 0) window_->everything_is_durable(model_);
    return failure;
  }
  const Inode inode = find_path(model_, slots_, op.path);
  if (inode == 0) {
    last_.error = ENOENT;
    return "";
  }
  std::string failure = apply_sync(answers_->fsync(inode, op.flags != 0));
  if (window_ && last_.error == 0) window_->file_is_durable(inode, model_);
  return failure;
}

std::string ModelRun::apply_sync(const Done& done) {
  last_.error = done.error;
  if (done.ok()) return "";
  if (!is_refusal(done.error)) return answers_->last_error;
  ++refused_;
  return "";
}

bool ModelRun::is_refusal(int error) const {
  if (error == ENOSPC) return options_.may_be_full || options_.may_fail;
  return options_.may_fail && (error == EIO || error == EROFS);
}

void ModelRun::put_slot(size_t slot, Inode inode) {
  if (slots_[slot] != 0) {
    answers_->forget(slots_[slot]);
    model_.forget(slots_[slot]);
  }
  slots_[slot] = inode;
}

void ModelRun::change_slots(const Op& op, const Outcome& outcome) {
  if (outcome.error != 0) return;
  if (op.kind == Op::Kind::release) put_slot(op.slot, 0);
  if (op.kind == Op::Kind::tmpfile) put_slot(op.slot, outcome.created);  // held by both already
  if (op.kind == Op::Kind::open) {
    answers_->hold(outcome.created);
    model_.hold(outcome.created);
    put_slot(op.slot, outcome.created);
  }
}

void ModelRun::give_hints(const Op& op, const Outcome& outcome) {
  model_.hints = {};
  model_.now = *clock_;
  const auto kind = op.kind;
  if (kind == Op::Kind::mknod || kind == Op::Kind::mkdir || kind == Op::Kind::symlink ||
      kind == Op::Kind::tmpfile) {
    model_.hints.next_inode = outcome.created;
  }
  const bool whiteout = kind == Op::Kind::rename && (op.flags & RENAME_WHITEOUT) != 0;
  if (whiteout && outcome.error == 0) {
    model_.hints.next_inode = find_path(*answers_, slots_, op.path);
  }
  const bool moves = kind == Op::Kind::write || kind == Op::Kind::copy_range;
  if (moves && outcome.error == 0 && outcome.count > 0) model_.hints.count_max = outcome.count;
  if (kind == Op::Kind::lseek) {
    model_.hints.position = outcome.error == 0 ? outcome.position : UINT64_MAX;
  }
}

std::string ModelRun::check(const Op& op, const Outcome& expected, const Outcome& actual) const {
  const bool error_fits =
      expected.error == kAnyError ? actual.error != 0 : expected.error == actual.error;
  if (!error_fits) {
    return fmt::format("{}: expected errno {}, the volume answers {} ({})", describe(op),
                       expected.error, actual.error, answers_->last_error);
  }
  if (actual.error != 0) return "";
  if (expected.text != actual.text) {
    return fmt::format("{}:\n  expected {}\n  found    {}", describe(op), expected.text,
                       actual.text);
  }
  if (expected.count != actual.count) {
    return fmt::format("{}: expected count {}, found {}", describe(op), expected.count,
                       actual.count);
  }
  const bool short_write = op.kind == Op::Kind::write && actual.count != op.length;
  if (short_write && !options_.may_be_full) {
    return fmt::format("{}: only {} bytes written", describe(op), actual.count);
  }
  return "";
}

// After a refused change of data: each byte must be the old one or the one that was to be; the
// model goes on with what is there.
std::string ModelRun::adopt_bytes(const Op& op) {
  const bool copies = op.kind == Op::Kind::copy_range;
  if (!copies && op.kind != Op::Kind::write && op.kind != Op::Kind::fallocate) return "";
  const Inode inode = find_path(model_, slots_, copies ? op.path2 : op.path);
  const ModelNode* node = inode == 0 ? nullptr : model_.find(inode);
  if (node == nullptr || !node->is_regular()) return "";
  ReferenceModel attempt = model_;
  perform(attempt, slots_, op, false);
  const SparseImage& wanted = attempt.find(inode)->content;
  const uint64_t size = node->content.size();
  auto there = answers_->read(inode, 0, size);
  if (!there.ok()) there = answers_->read(inode, 0, size);  // a fault that strikes once
  if (!there.ok() || there.value.size() != size) {
    return describe(op) + ": a refused operation changed the size, or made the file unreadable";
  }
  std::vector<std::byte> before(size), after(size);
  node->content.read(0, before);
  wanted.read(0, after);
  for (uint64_t i = 0; i < size; ++i) {
    if (there.value[i] == before[i] || there.value[i] == after[i]) continue;
    return fmt::format("{}: refused, and byte {} is neither old nor new", describe(op), i);
  }
  SparseImage content(size);
  content.write(0, there.value);
  if (there.value != before) model_.set_content(inode, std::move(content));
  return "";
}

std::string ModelRun::apply(const Op& op) {
  clock_->nanoseconds += 1001;
  if (clock_->nanoseconds >= 1'000'000'000) *clock_ = {clock_->seconds + 1, 7};
  model_.now = *clock_;
  last_ = {};
  const bool on_the_whole = op.kind >= Op::Kind::fsync;
  if (on_the_whole) {
    const std::string failure = apply_durability(op);
    return failure.empty() ? "" : describe(op) + ": " + failure;
  }
  const bool with_atime = options_.atime != MountOptions::Atime::noatime;
  answers_->readdir_batch = op.length;
  answers_->readdir_plus = op.flags != 0;
  last_ = perform(*answers_, slots_, op, with_atime);
  answers_->readdir_batch = 100;
  answers_->readdir_plus = false;
  if (is_refusal(last_.error)) {
    ++refused_;
    return options_.may_fail ? adopt_bytes(op) : "";
  }
  give_hints(op, last_);
  if (window_) window_->before(op, slots_, model_);
  const Outcome expected = perform(model_, slots_, op, with_atime);
  std::string failure = check(op, expected, last_);
  if (failure.empty()) change_slots(op, last_);
  if (window_) window_->after(model_);
  return failure;
}

}  // namespace rvmfs::test
