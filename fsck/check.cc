// SPDX-License-Identifier: BSD-2-Clause
//
// See check.h.
#include "fsck/check.h"

#include "fsck/block_check.h"
#include "fsck/item_check.h"
#include "fsck/name_check.h"
#include "fsck/pool_check.h"
#include "fsck/superblock_check.h"

namespace rvmfs::fsck {
namespace {

void progress(const CheckState& state, int pass, uint64_t done, uint64_t all) {
  if (state.options.progress) state.options.progress(pass, done, all);
}

bool replay_log(CheckState& state) {
  LogReader log(state.image, state.report, state.super.log_offset, state.super.log_bytes,
                state.super.chunk0_offset, state.super.volume_bytes);
  if (!log.open() || !log.replay()) return false;
  state.log_status_copy_damaged = log.status_copy_damaged();
  state.summary.log_units = log.units();
  state.summary.log_bytes = log.bytes();
  state.summary.log_was_used = log.units() != 0 || log.journal_pages_applied() != 0;
  if (state.summary.log_was_used) {
    state.report.add(FindingId::log_replayed, "{} units, {} bytes", log.units(), log.bytes());
  }
  return true;
}

void check_root(CheckState& state) {
  const format::VolumeRoot& root = state.root;
  const uint64_t blocks = state.super.volume_bytes / format::kBlockBytes;
  if (root.blocks_total != blocks) {
    // Growing writes the superblocks first.
    state.report.add(root.blocks_total < blocks ? FindingId::root_growth_unfinished
                                                : FindingId::root_blocks_total,
                     "it says {} blocks, the superblock {}", root.blocks_total, blocks);
    state.repairs.blocks_total = blocks;
    state.root.blocks_total = blocks;
  }
  state.summary.blocks_total = blocks;
  state.summary.blocks_used = root.blocks_used;
  state.summary.inodes = root.inodes_used;
  if (root.blocks_used > blocks || root.next_inode < format::kFirstFreeInode ||
      root.tree.root == 0) {
    state.report.add(FindingId::root_bad, "{} blocks used, next inode {}, tree at {}",
                     root.blocks_used, root.next_inode, root.tree.root);
  }
}

void check_tree(CheckState& state) {
  ItemCheck items(state);
  TreeWalk walk(*state.space, state.report,
                [&](Key key, std::span<const std::byte> value) { items.item(key, value); });
  const uint64_t pages = state.pool_root.pages_used;
  walk.on_node = [&] {
    if (walk.nodes() % 256 == 0) progress(state, 2, std::min(walk.nodes(), pages), pages);
  };
  state.tree_whole = walk.run(state.root.tree);
  items.finish();
  if (!state.tree_whole) state.references_whole = false;
}

void check_inode_counters(CheckState& state) {
  const uint64_t count = state.inodes.size();
  state.summary.inodes = count;
  if (state.root.inodes_used != count) {
    state.report.add(FindingId::root_counters, "inodes used: it says {}, the tree has {}",
                     state.root.inodes_used, count);
    state.repairs.inodes_used = count;
  }
  const uint64_t last = state.inodes.empty() ? 0 : state.inodes.back().inode;
  if (last >= state.root.next_inode && last < format::kInodeMax) {
    state.report.add(FindingId::root_next_inode, "it says {}, inode {} exists",
                     state.root.next_inode, last);
    state.repairs.next_inode = last + 1;
  }
}

// What was planned on the strength of a tree that was not read whole would destroy: links that
// seem wrong, files that seem lost, blocks that seem free.
void keep_only_safe_repairs(CheckState& state) {
  RepairPlan safe;
  safe.superblock_first = state.repairs.superblock_first;
  safe.superblock_copy = state.repairs.superblock_copy;
  state.repairs = std::move(safe);
}

}  // namespace

bool open_volume(CheckState& state) {
  progress(state, 1, 0, 1);
  if (!check_superblock(state)) return false;
  check_owner(state);
  if (!replay_log(state)) return false;
  if (!open_space(state)) return false;
  check_root(state);
  progress(state, 1, 1, 1);
  return true;
}

void run_checks(CheckState& state) {
  if (!open_volume(state)) return keep_only_safe_repairs(state);
  if (state.options.quick) return;
  check_tree(state);
  claim_group_pages(state);
  check_owners(state);
  progress(state, 3, 0, 1);
  if (state.tree_whole) {
    check_inode_counters(state);
    check_names(state);
  }
  progress(state, 4, 0, 1);
  check_pool(state);
  if (state.references_whole) {
    check_groups(state);
  } else {
    state.report.add(FindingId::not_judged);
  }
  if (state.report.damaged()) keep_only_safe_repairs(state);
  progress(state, 4, 1, 1);
}

Summary check_image(rvm::Device& device, const CheckOptions& options, FindingSink& sink) {
  CheckState state(device, options, sink);
  run_checks(state);
  state.report.finish(state.summary);
  return state.summary;
}

}  // namespace rvmfs::fsck
