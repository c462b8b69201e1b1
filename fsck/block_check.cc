// SPDX-License-Identifier: BSD-2-Clause
//
// The group table, its descriptors and bitmaps, against the owners of blocks (block_check.h).
//
// Walking the table touches only what exists: parts of it that are zero are all free, and are
// compared with the owners by skipping to the next owned group.
#include "fsck/block_check.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "fsck/hash.h"

namespace rvmfs::fsck {

using format::GroupDescriptor;
using format::kGroupBlocks;
using format::kGroupsPerPage;
using format::kRefsPerPage;

namespace {

constexpr uint64_t kGroupsPerLevel1 = kGroupsPerPage * kRefsPerPage;

uint64_t groups_in(const CheckState& state) {
  return (state.root.blocks_total + kGroupBlocks - 1) / kGroupBlocks;
}

// Calls `seen` for every page of descriptors, with the number of its first group. False: some page
// of the table cannot be read. With `claim`, every page of the table is claimed on the way.
bool walk_descriptors(CheckState& state, bool claim,
                      const std::function<bool(uint64_t first_group, const PageBytes&)>& seen) {
  PageBytes level1, leaf;
  bool whole = true;
  const auto usable = [&](uint64_t offset, const char* what, PageBytes& page) {
    return (!claim || state.space->claim(offset, what)) && state.space->read(offset, what, page);
  };
  for (uint64_t top = 0; top < format::kGroupTableRefs; ++top) {
    if (state.root.group_table[top] == 0) continue;
    if (!usable(state.root.group_table[top], "a page of the group table", level1)) {
      whole = false;
      continue;
    }
    for (uint64_t middle = 0; middle < kRefsPerPage; ++middle) {
      const auto reference = load<uint64_t>(level1.view(), middle * 8);
      if (reference == 0) continue;
      if (!usable(reference, "a page of group descriptors", leaf) ||
          !seen(top * kGroupsPerLevel1 + middle * kGroupsPerPage, leaf)) {
        whole = false;
      }
    }
  }
  return whole;
}

GroupDescriptor descriptor_of(const PageBytes& leaf, uint64_t index) {
  return load<GroupDescriptor>(leaf.view(), index * sizeof(GroupDescriptor));
}

// Compares groups and keeps the sums.
class GroupComparison {
 public:
  explicit GroupComparison(CheckState& state)
      : state_(state), truth_(state.blocks), groups_(groups_in(state)) {}

  // Groups from the last one compared up to `group` have no bitmap: nothing may be owned there.
  void skip_to(uint64_t group) {
    for (uint64_t owned = truth_.next_owned(next_); owned < std::min(group, groups_);
         owned = truth_.next_owned(owned + 1)) {
      truth_.read(owned, bits_);
      unmarked(owned, bits_.used);
    }
    next_ = std::max(next_, group);
  }

  void compare(uint64_t group, const GroupDescriptor& descriptor, const PageBytes* bitmap) {
    skip_to(group);
    next_ = group + 1;
    truth_.read(group, bits_);
    used_ += descriptor.used;
    if (bitmap == nullptr) {
      if (descriptor.used != 0) counter(group, descriptor.used, 0);
      if (bits_.used != 0) unmarked(group, bits_.used);
      return;
    }
    uint32_t set = 0, missing = 0, extra = 0;
    for (size_t at = 0; at < kPage; at += 8) {
      const auto marked = load<uint64_t>(bitmap->view(), at);
      const auto owned = load<uint64_t>(bits_.bits, at);
      set += static_cast<uint32_t>(__builtin_popcountll(marked));
      missing += static_cast<uint32_t>(__builtin_popcountll(owned & ~marked));
      extra += static_cast<uint32_t>(__builtin_popcountll(marked & ~owned));
    }
    if (missing != 0) unmarked(group, missing);
    if (extra != 0) {
      state_.report.add(FindingId::blocks_leaked, "{} blocks of group {}", extra, group);
      state_.repairs.space = true;
    }
    if (descriptor.used != set) counter(group, descriptor.used, set);
  }

  uint64_t used() const { return used_; }

 private:
  void unmarked(uint64_t group, uint32_t count) {
    state_.report.add(FindingId::blocks_unmarked, "{} blocks of group {}", count, group);
    state_.repairs.space = true;
  }
  void counter(uint64_t group, uint32_t says, uint32_t has) {
    state_.report.add(FindingId::group_counter, "group {} says {}, has {}", group, says, has);
    state_.repairs.space = true;
  }

  CheckState& state_;
  TruthReader truth_;
  GroupTruth bits_;
  const uint64_t groups_;
  uint64_t next_ = 0, used_ = 0;
};

}  // namespace

void claim_group_pages(CheckState& state) {
  const uint64_t groups = groups_in(state);
  const bool whole = walk_descriptors(state, true, [&](uint64_t first, const PageBytes& leaf) {
    bool good = true;
    for (uint64_t i = 0; i < kGroupsPerPage; ++i) {
      const GroupDescriptor descriptor = descriptor_of(leaf, i);
      if (descriptor.bitmap == 0 && descriptor.used == 0) continue;
      if (first + i >= groups) {
        state.report.add(FindingId::group_table_bad, "a descriptor for group {} of {}", first + i,
                         groups);
        good = false;
      }
      if (descriptor.bitmap == 0) continue;
      if (!state.space->claim(descriptor.bitmap, "a block bitmap")) good = false;
    }
    return good;
  });
  if (!whole) state.references_whole = false;
}

void check_groups(CheckState& state) {
  GroupComparison comparison(state);
  PageBytes bitmap;
  const bool whole = walk_descriptors(state, false, [&](uint64_t first, const PageBytes& leaf) {
    bool good = true;
    for (uint64_t i = 0; i < kGroupsPerPage; ++i) {
      const GroupDescriptor descriptor = descriptor_of(leaf, i);
      if (descriptor.bitmap == 0 && descriptor.used == 0) continue;
      if (descriptor.bitmap != 0 &&
          !state.space->read(descriptor.bitmap, "a block bitmap", bitmap)) {
        good = false;
        continue;
      }
      comparison.compare(first + i, descriptor, descriptor.bitmap == 0 ? nullptr : &bitmap);
    }
    return good;
  });
  comparison.skip_to(groups_in(state));
  if (!whole) return;
  state.summary.blocks_used = comparison.used();
  if (state.root.blocks_used != comparison.used()) {
    state.report.add(FindingId::root_counters, "blocks used: it says {}, the groups {}",
                     state.root.blocks_used, comparison.used());
    state.repairs.blocks_used = comparison.used();
  }
}

}  // namespace rvmfs::fsck
