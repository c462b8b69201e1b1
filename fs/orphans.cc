// SPDX-License-Identifier: BSD-2-Clause
//
// Orphans: see fs/orphans.h. A step looks at everything anew (orphan item, links, holds), because
// the world may have changed since the last one.
#include "fs/orphans.h"

#include <sys/stat.h>

#include <algorithm>

#include "fs/block_allocator.h"
#include "fs/inode.h"
#include "seeded_bug.h"

namespace rvmfs {

namespace {

using format::InodeItem;
using format::ItemType;
using format::OrphanItem;

rvm::Key orphan_key(Inode inode) { return item_key(format::kOrphanHigh, ItemType::orphan, inode); }

// 0: no orphan item.
Result<uint32_t> orphan_flags(VolumeCore& core, Inode inode) {
  auto found = core.tree->find(orphan_key(inode));
  if (!found) {
    if (found.error() == rvm::Errc::not_found) return 0u;
    return found.error();
  }
  if (found->size() != sizeof(OrphanItem)) {
    return fs_error(FsErrc::damaged, "orphan item of wrong length", inode);
  }
  return reinterpret_cast<const OrphanItem*>(found->data())->flags;
}

Result<void> put_flags(Operation& op, VolumeCore& core, Inode inode, uint32_t flags) {
  if (flags == 0) return core.tree->erase(op.tx, orphan_key(inode));
  BlockAllocator::LastResort last_resort(*core.blocks);  // who frees may need a page for this item
  const OrphanItem item{flags, 0};
  return core.tree->put(op.tx, orphan_key(inode), std::as_bytes(std::span(&item, 1)));
}

// Everything of the inode but its item. True when nothing is left.
Result<bool> erase_contents(Operation& op, VolumeCore& core, Inode inode, uint32_t mode,
                            uint32_t items_max) {
  if (S_ISREG(mode) || S_ISLNK(mode)) {
    RVM_ASSIGN(const bool freed, core.free_data_beyond(op, inode, 0, items_max));
    if (!freed) return false;
  }
  RVM_ASSIGN(const uint32_t erased,
             erase_items(op, core, item_key(inode, ItemType::xattr),
                         item_key(inode, ItemType::xattr, format::kRestMask), items_max));
  return erased < items_max;
}

// One step of deleting an inode without a name. True when nothing is left to do now.
Result<bool> delete_step(Operation& op, VolumeCore& core, Inode inode, uint32_t items_max) {
  RVM_ASSIGN(const InodeItem* item, core.inode(inode));
  if (item->nlink != 0 || inode == format::kRootInode) {
    return fs_error(FsErrc::damaged, "orphan that has a name", inode);
  }
  RVM_ASSIGN(const bool emptied, erase_contents(op, core, inode, item->mode, items_max));
  if (!emptied) return false;
  RVM_TRY(erase_inode(op, core, inode));
  RVM_TRY(put_flags(op, core, inode, 0));
  op.on_success.emplace_back([&core, inode](rvm::CommitTicket) {
    std::lock_guard lock(core.holds_mutex);
    core.orphans.erase(inode);
  });
  return true;
}

Result<bool> truncate_step(Operation& op, VolumeCore& core, Inode inode, uint32_t flags,
                           uint32_t items_max) {
  RVM_ASSIGN(const InodeItem* item, core.inode(inode));
  if (!S_ISREG(item->mode)) return fs_error(FsErrc::damaged, "orphan is not a file", inode);
  RVM_ASSIGN(const bool freed, core.free_data_beyond(op, inode, item->size, items_max));
  if (!freed) return false;
  RVM_TRY(put_flags(op, core, inode, flags & ~format::kOrphanTruncate));
  return (flags & ~format::kOrphanTruncate) == 0;
}

Result<bool> orphan_step(Operation& op, VolumeCore& core, Inode inode, uint32_t items_max) {
  RVM_ASSIGN(const uint32_t flags, orphan_flags(core, inode));
  if (flags == 0) return true;
  if (flags & format::kOrphanUnlinked && !core.is_held(inode)) {
    return delete_step(op, core, inode, items_max);
  }
  if (flags & format::kOrphanTruncate) return truncate_step(op, core, inode, flags, items_max);
  return true;
}

// At most `count` orphans from `first` on.
Result<std::vector<Inode>> list_orphans(VolumeCore& core, Inode first, size_t count) {
  return core.run_read<std::vector<Inode>>([&]() -> Result<std::vector<Inode>> {
    std::vector<Inode> found;
    const rvm::Key last = orphan_key(format::kInodeMax);
    rvm::Tree::Cursor cursor(*core.tree);
    RVM_TRY(cursor.seek(orphan_key(first)));
    while (cursor.valid() && cursor.key() <= last && found.size() < count) {
      found.push_back(item_rest(cursor.key()));
      RVM_TRY(cursor.next());
    }
    return found;
  });
}

}  // namespace

Result<void> add_orphan(Operation& op, VolumeCore& core, Inode inode, uint32_t flags) {
  RVM_ASSIGN(const uint32_t before, orphan_flags(core, inode));
  if ((before & flags) == flags) return {};
  return put_flags(op, core, inode, before | flags);
}

Result<void> clear_orphan(Operation& op, VolumeCore& core, Inode inode, uint32_t flags) {
  RVM_ASSIGN(const uint32_t before, orphan_flags(core, inode));
  if ((before & flags) == 0) return {};
  return put_flags(op, core, inode, before & ~flags);
}

Result<void> orphan_unlinked(Operation& op, VolumeCore& core, Inode inode) {
  op.on_success.emplace_back([&core, inode](rvm::CommitTicket) {
    std::lock_guard lock(core.holds_mutex);
    core.orphans.insert(inode);
  });
  if (RVM_SEEDED_BUG("orphan_forgotten")) return {};
  return add_orphan(op, core, inode, format::kOrphanUnlinked);
}

Result<void> adopt_orphan(Operation& op, VolumeCore& core, Inode inode) {
  op.on_success.emplace_back([&core, inode](rvm::CommitTicket) {
    std::lock_guard lock(core.holds_mutex);
    core.orphans.erase(inode);
  });
  return clear_orphan(op, core, inode, format::kOrphanUnlinked);
}

Result<bool> finish_orphan(VolumeCore& core, Inode inode, uint64_t steps_max) {
  uint32_t items_max = kOrphanStepItems;
  for (uint64_t steps = 0; steps < steps_max; ++steps) {
    std::unique_lock data_lock(core.inode_locks.of(inode));
    Result<bool> done = core.run_write<bool>([&](Operation& op) {
      const BlockAllocator::LastResort frees_something(*core.blocks);
      return orphan_step(op, core, inode, items_max);
    });
    if (!done && done.error() == rvm::Errc::too_big && items_max > 1) {
      items_max /= 2;  // a small log: smaller steps
      continue;
    }
    if (!done || *done) return done;
  }
  return false;
}

void delete_if_unused(VolumeCore& core, Inode inode) {
  {
    std::lock_guard lock(core.holds_mutex);
    if (!core.orphans.contains(inode) || core.holds.contains(inode)) return;
  }
  const Result<bool> done = finish_orphan(core, inode, core.options.background ? 1 : UINT64_MAX);
  if (done && !*done) {
    std::lock_guard lock(core.background_mutex);
    core.orphans_to_delete.push_back(inode);
    core.background_wakeup.notify_one();
  }
}

Result<void> finish_all_orphans(VolumeCore& core) {
  Inode next = 1;
  for (;;) {
    RVM_ASSIGN(const std::vector<Inode> batch, list_orphans(core, next, 1000));
    if (batch.empty()) return {};
    for (const Inode inode : batch) {
      const Result<bool> done = finish_orphan(core, inode);
      if (!done && (core.rvm->failed() || done.error() == rvm::Errc::failed)) return done.error();
    }
    next = batch.back() + 1;
  }
}

}  // namespace rvmfs
