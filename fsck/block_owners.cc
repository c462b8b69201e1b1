// SPDX-License-Identifier: BSD-2-Clause
//
// Who owns which blocks: sorted, against each other, and as the bits of a group (block_check.h).
#include <algorithm>
#include <string>

#include "fsck/block_check.h"

namespace rvmfs::fsck {

using format::kGroupBlocks;

namespace {

std::string owner_text(uint64_t owner) {
  if (owner == kOwnerVolume) return "the volume's own area";
  if (owner == kOwnerChunks) return "a metadata chunk";
  return fmt::format("inode {}", owner);
}

// Sets bits [first, first + count), and counts those that were not set.
void set_bits(GroupTruth& truth, uint64_t first, uint64_t count) {
  for (uint64_t bit = first; bit < first + count;) {
    std::byte& byte = truth.bits[bit / 8];
    if (bit % 8 == 0 && first + count - bit >= 8 && byte == std::byte{0}) {
      byte = std::byte{0xff};
      truth.used += 8;
      bit += 8;
      continue;
    }
    const std::byte mask{static_cast<unsigned char>(1u << (bit % 8))};
    if ((byte & mask) == std::byte{0}) ++truth.used;
    byte |= mask;
    ++bit;
  }
}

}  // namespace

void check_owners(CheckState& state) {
  auto& blocks = state.blocks;
  std::sort(blocks.begin(), blocks.end(), [](const OwnedBlocks& a, const OwnedBlocks& b) {
    return a.block != b.block ? a.block < b.block : a.owner < b.owner;
  });
  uint64_t end = 0;
  uint64_t last_owner = 0;
  for (const OwnedBlocks& run : blocks) {
    const uint64_t run_end = run.block + run.count;
    if (run.block < end) {
      state.report.add(FindingId::blocks_shared, "blocks {} to {}: {} and {}", run.block,
                       std::min(end, run_end) - 1, owner_text(last_owner), owner_text(run.owner));
    }
    if (run_end > end) {
      end = run_end;
      last_owner = run.owner;
    }
  }
}

TruthReader::TruthReader(const std::vector<OwnedBlocks>& sorted) : owned_(sorted) {}

// Runs that end before the group are done with for ever: groups come in rising order. A longer run
// may hide behind a shorter one only if two overlap, which check_owners has told already.
uint64_t TruthReader::next_owned(uint64_t group) {
  while (at_ < owned_.size() && owned_[at_].block + owned_[at_].count <= group * kGroupBlocks) {
    ++at_;
  }
  if (at_ == owned_.size()) return UINT64_MAX;
  return std::max(group, owned_[at_].block / kGroupBlocks);
}

void TruthReader::read(uint64_t group, GroupTruth& truth) {
  truth.bits.assign(kGroupBlocks / 8, std::byte{0});
  truth.used = 0;
  if (next_owned(group) != group) return;
  const uint64_t begin = group * kGroupBlocks;
  for (size_t i = at_; i < owned_.size() && owned_[i].block < begin + kGroupBlocks; ++i) {
    const uint64_t first = std::max(owned_[i].block, begin);
    const uint64_t end = std::min(owned_[i].block + owned_[i].count, begin + kGroupBlocks);
    if (first < end) set_bits(truth, first - begin, end - first);
  }
}

}  // namespace rvmfs::fsck
