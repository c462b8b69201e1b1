// SPDX-License-Identifier: BSD-2-Clause
//
// Phases 4 and 6 (repair_tree.h). Changes go in transactions of kBatch items, so that a repair of
// any length fits the log.
#include "fsck/repair_tree.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace rvmfs::fsck {

using format::InodeItem;
using format::ItemType;

namespace {

constexpr size_t kBatch = 100;

rvm::Key tree_key(Key key) { return {key.high, key.low}; }

rvm::Key inode_key(uint64_t inode) {
  return {inode, static_cast<uint64_t>(ItemType::inode) << format::kTypeShift};
}

// Runs `change(tx, item)` for all items, kBatch of them a transaction.
template <typename Items, typename Change>
rvm::Result<void> in_batches(RepairSession& session, const Items& items, const Change& change) {
  for (size_t first = 0; first < items.size(); first += kBatch) {
    rvm::Transaction tx = session.begin();
    for (size_t i = first; i < std::min(items.size(), first + kBatch); ++i) {
      RVM_TRY(change(tx, items[i]));
    }
    RVM_TRY(session.commit(tx));
  }
  return {};
}

rvm::Result<void> erase_if_there(RepairSession& session, rvm::Transaction& tx, rvm::Key key) {
  const auto erased = session.tree().erase(tx, key);
  if (!erased && !(erased.error() == rvm::Errc::not_found)) return erased.error();
  return {};
}

rvm::Result<void> erase_inode(RepairSession& session, uint64_t inode) {
  for (;;) {
    rvm::Transaction tx = session.begin();
    size_t erased = 0;
    for (; erased < kBatch; ++erased) {
      RVM_ASSIGN(const auto found,
                 session.tree().first_at_or_after({inode, 0}, {inode, UINT64_MAX}));
      if (!found) break;
      RVM_TRY(session.tree().erase(tx, found->key));
    }
    RVM_TRY(session.commit(tx));
    if (erased < kBatch) return {};
  }
}

template <typename T>
rvm::Result<void> set_field(RepairSession& session, rvm::Transaction& tx, rvm::Key key,
                            size_t offset, T value) {
  RVM_ASSIGN(const auto bytes,
             session.tree().modify(tx, key, static_cast<uint32_t>(offset), sizeof(T)));
  std::memcpy(bytes.data(), &value, sizeof(T));
  return {};
}

}  // namespace

rvm::Result<void> repair_items(RepairSession& session) {
  const RepairPlan& plan = session.state().repairs;
  RVM_TRY(in_batches(session, plan.erase_items, [&](rvm::Transaction& tx, const Key& key) {
    return erase_if_there(session, tx, tree_key(key));
  }));
  for (const uint64_t inode : plan.erase_inodes) RVM_TRY(erase_inode(session, inode));
  const auto set_type = [&](rvm::Transaction& tx,
                            const std::pair<Key, uint8_t>& fix) -> rvm::Result<void> {
    const auto set = set_field(session, tx, tree_key(fix.first),
                               offsetof(format::DirectoryEntry, type), fix.second);
    if (!set && set.error() == rvm::Errc::not_found) return {};  // erased just now
    return set;
  };
  return in_batches(session, plan.entry_types, set_type);
}

rvm::Result<void> repair_inode_fields(RepairSession& session) {
  const RepairPlan& plan = session.state().repairs;
  const auto setter = [&](size_t offset) {
    return [&session, offset](rvm::Transaction& tx, const auto& fix) {
      return set_field(session, tx, inode_key(fix.first), offset, fix.second);
    };
  };
  RVM_TRY(in_batches(session, plan.links, setter(offsetof(InodeItem, nlink))));
  RVM_TRY(in_batches(session, plan.parents, setter(offsetof(InodeItem, parent))));
  RVM_TRY(in_batches(session, plan.directory_sizes, setter(offsetof(InodeItem, size))));
  return in_batches(session, plan.block_counts, setter(offsetof(InodeItem, blocks)));
}

}  // namespace rvmfs::fsck
