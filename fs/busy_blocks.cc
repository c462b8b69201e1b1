// SPDX-License-Identifier: BSD-2-Clause
//
// The set of blocks in memory (fs/busy_blocks.h).
#include "fs/busy_blocks.h"

namespace rvmfs {

namespace {

// Calls visit(group, first bit, bits) for each group that the blocks touch.
template <typename Visit>
void visit_groups(uint64_t block, uint64_t count, const Visit& visit) {
  while (count > 0) {
    const auto first = static_cast<uint32_t>(block % kGroupBits);
    const auto part = static_cast<uint32_t>(std::min<uint64_t>(count, kGroupBits - first));
    visit(block / kGroupBits, first, part);
    block += part;
    count -= part;
  }
}

// Sets or clears bits; answers how many changed.
uint32_t change(uint64_t* words, uint32_t first, uint32_t count, bool value) {
  uint32_t changed = 0;
  visit_words(first, count, [&](uint32_t word, uint64_t mask) {
    const uint64_t before = words[word];
    words[word] = value ? before | mask : before & ~mask;
    changed += static_cast<uint32_t>(std::popcount(before ^ words[word]));
  });
  return changed;
}

}  // namespace

void BusyBlocks::add(uint64_t block, uint64_t count) {
  visit_groups(block, count, [this](uint64_t number, uint32_t first, uint32_t part) {
    std::unique_ptr<Group>& group = groups_[number];
    if (group == nullptr) group = std::make_unique<Group>();
    const uint32_t added = change(group->words, first, part, true);
    group->count += added;
    count_ += added;
  });
}

void BusyBlocks::remove(uint64_t block, uint64_t count) {
  visit_groups(block, count, [this](uint64_t number, uint32_t first, uint32_t part) {
    const auto found = groups_.find(number);
    if (found == groups_.end()) return;
    const uint32_t removed = change(found->second->words, first, part, false);
    found->second->count -= removed;
    count_ -= removed;
    if (found->second->count == 0) groups_.erase(found);
  });
}

uint32_t BusyBlocks::count_in(uint64_t group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? 0 : found->second->count;
}

const uint64_t* BusyBlocks::words(uint64_t group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : found->second->words;
}

}  // namespace rvmfs
