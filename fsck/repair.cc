// SPDX-License-Identifier: BSD-2-Clause
//
// See repair.h: which phase is next, and the two things that are written without a transaction.
#include "fsck/repair.h"

#include <cstring>

#include "fsck/hash.h"
#include "fsck/repair_session.h"
#include "fsck/repair_space.h"
#include "fsck/repair_tree.h"

namespace rvmfs::fsck {
namespace {

// One sector at a time, with a flush behind each, so that one copy is always whole.
rvm::Result<void> repair_superblock(rvm::Device& device, const CheckState& state) {
  const auto bytes = std::as_bytes(std::span(&state.super, 1));
  if (state.repairs.superblock_first) {
    RVM_TRY(device.write(format::kSuperblockOffset, bytes));
  } else {
    RVM_TRY(device.write(format::kSuperblockCopyOffset, bytes));
  }
  return device.flush();
}

using Phase = rvm::Result<void> (*)(RepairSession&);

Phase next_phase(const RepairPlan& plan) {
  if (plan.pool) return repair_pool;
  if (plan.space) return repair_groups;
  if (plan.counters()) return repair_counters;
  if (plan.tree_items()) return repair_items;
  if (!plan.attach.empty()) return attach_lost;
  if (plan.inode_fields()) return repair_inode_fields;
  return nullptr;
}

}  // namespace

rvm::Result<bool> recover(const std::shared_ptr<rvm::Device>& device,
                          const format::Superblock& super) {
  RVM_ASSIGN(const auto rvm, rvm::Rvm::initialize(confined_options(device, super)));
  const bool was_needed = rvm->query().recovery.was_needed;
  RVM_TRY(rvm->truncate());
  RVM_TRY(rvm->close());
  return was_needed;
}

rvm::Result<bool> repair_one_phase(const std::shared_ptr<rvm::Device>& device,
                                   const CheckState& state) {
  const RepairPlan& plan = state.repairs;
  if (plan.superblock_first || plan.superblock_copy) {
    RVM_TRY(repair_superblock(*device, state));
    return true;
  }
  const Phase phase = next_phase(plan);
  if (phase == nullptr) return false;
  RVM_ASSIGN(const auto session, RepairSession::open(device, state));
  RVM_TRY(phase(*session));
  RVM_TRY(session->close());
  return true;
}

rvm::Result<void> clear_owner(rvm::Device& device) {
  format::OwnerRecord owner{};
  owner.magic = format::kOwnerMagic;
  const auto bytes = std::as_bytes(std::span(&owner, 1));
  owner.hash = hash_of(bytes, format::kOwnerMagic);  // `hash` is zero here
  RVM_TRY(device.write(format::kOwnerOffset, bytes));
  return device.flush();
}

}  // namespace rvmfs::fsck
