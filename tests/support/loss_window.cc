// SPDX-License-Identifier: BSD-2-Clause
//
// See loss_window.h. A copy of a model shares the nodes with the original, so a state for each
// operation costs little.
#include "tests/support/loss_window.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/support/tree_snapshot.h"

namespace rvmfs::test {
namespace {

using Kind = Op::Kind;

bool only_asks(Kind kind) {
  switch (kind) {
    case Kind::open:
    case Kind::release:
    case Kind::readlink:
    case Kind::readdir:
    case Kind::getattr:
    case Kind::getxattr:
    case Kind::listxattr:
    case Kind::read:
    case Kind::lseek: return true;
    default: return false;
  }
}

Inode changed_file(const Op& op, const Slots& slots, const ReferenceModel& model) {
  switch (op.kind) {
    case Kind::write:
    case Kind::fallocate:
    case Kind::truncate: return find_path(model, slots, op.path);
    case Kind::copy_range: return find_path(model, slots, op.path2);
    default: return 0;
  }
}

uint64_t next_page(const SparseImage& a, const SparseImage& b, uint64_t from) {
  const uint64_t next = std::min(a.next_present(from), b.next_present(from));
  return next == UINT64_MAX ? next : next / SparseImage::kPageBytes * SparseImage::kPageBytes;
}

// Paths and attributes only.
TreeSnapshot without_contents(TreeSnapshot tree) {
  for (auto& [path, entry] : tree.paths) entry.content = SparseImage();
  return tree;
}

}  // namespace

void LossWindow::everything_is_durable(const ReferenceModel& model) {
  states_.assign(1, model);
  contents_.clear();
}

void LossWindow::file_is_durable(Inode inode, const ReferenceModel& model) {
  states_.assign(1, model);
  contents_.erase(inode);
}

void LossWindow::before(const Op& op, const Slots& slots, const ReferenceModel& model) {
  changes_ = !only_asks(op.kind);
  touched_ = changed_file(op, slots, model);
  const ModelNode* node = touched_ == 0 ? nullptr : model.find(touched_);
  if (node == nullptr || !node->is_regular()) {
    touched_ = 0;
  } else if (!contents_.contains(touched_)) {
    contents_[touched_].push_back(node->content);
  }
}

void LossWindow::after(const ReferenceModel& model) {
  if (changes_) states_.push_back(model);
  if (touched_ != 0) contents_[touched_].push_back(model.find(touched_)->content);
}

bool LossWindow::is_allowed(Inode inode, uint64_t offset, std::byte byte) const {
  const auto versions = contents_.find(inode);
  if (versions == contents_.end()) return false;
  return std::any_of(versions->second.begin(), versions->second.end(), [&](const auto& content) {
    std::byte was{};
    if (offset >= content.size()) return false;
    content.read(offset, {&was, 1});
    return was == byte;
  });
}

std::string LossWindow::check_contents(const ReferenceModel& state,
                                       const TreeSnapshot& actual) const {
  constexpr uint64_t kPage = SparseImage::kPageBytes;
  for (const auto& [path, entry] : actual.paths) {
    const Inode inode = entry.attributes.inode;
    const ModelNode& node = *state.find(inode);
    if (!node.is_regular()) continue;
    const SparseImage& have = entry.content;
    for (uint64_t at = next_page(node.content, have, 0); at < have.size();
         at = next_page(node.content, have, at + kPage)) {
      std::array<std::byte, kPage> want{}, found{};
      node.content.read(at, want);
      have.read(at, found);
      const uint64_t end = std::min(have.size() - at, kPage);
      for (uint64_t i = 0; i < end; ++i) {
        if (want[i] == found[i] || is_allowed(inode, at + i, found[i])) continue;
        return fmt::format("byte {} of {} is {:02x}, which it never was since its last fsync",
                           at + i, path, static_cast<unsigned>(found[i]));
      }
    }
  }
  return "";
}

std::string LossWindow::recover(VolumeAnswers& volume, ReferenceModel& model) {
  const TreeSnapshot actual = snapshot(volume);
  if (!actual.error.empty()) return actual.error;
  const TreeSnapshot names = without_contents(actual);
  std::string failure;
  for (size_t i = states_.size(); i-- > 0;) {
    failure = difference(snapshot(states_[i], false), names, kWithAllTimes);
    if (!failure.empty()) continue;
    failure = check_contents(states_[i], actual);
    if (!failure.empty()) return failure;
    const ModelHints hints = model.hints;
    model = states_[i];
    model.hints = hints;
    model.crash();
    for (const auto& [path, entry] : actual.paths) {
      if (S_ISREG(entry.attributes.mode)) model.set_content(entry.attributes.inode, entry.content);
    }
    everything_is_durable(model);
    return "";
  }
  return fmt::format("the tree is that of none of {} operations; against the durable one: {}",
                     states_.size(), failure);
}

}  // namespace rvmfs::test
