// SPDX-License-Identifier: BSD-2-Clause
//
// A volume opened for repair: librvm's space, pool and tree over the chunks that the check has
// found.
//
// It is the source of chunks for the space: known ones lie where the check found them; a new one is
// taken from blocks that the bitmaps call free. The phases that allocate run only after the bitmaps
// and the pool agree with what is in use.
#pragma once

#include <memory>
#include <vector>

#include "fsck/check_state.h"
#include "rvm/page_pool.h"
#include "rvm/space.h"
#include "rvm/tree.h"

namespace rvmfs::fsck {

// For opening the log of a volume: it may name no other file.
rvm::Options confined_options(const std::shared_ptr<rvm::Device>& device,
                              const format::Superblock& super);

class RepairSession final : public rvm::ChunkSource {
 public:
  static rvm::Result<std::unique_ptr<RepairSession>> open(std::shared_ptr<rvm::Device> device,
                                                          const CheckState& state);
  // Makes everything durable and empties the log.
  rvm::Result<void> close();

  rvm::Transaction begin() { return rvm_->begin(); }
  rvm::Result<void> commit(rvm::Transaction& tx);

  rvm::Space& space() { return *space_; }
  rvm::PagePool& pool() { return *pool_; }
  rvm::Tree& tree() { return *tree_; }
  const CheckState& state() const { return state_; }

  // The volume root, declared for change.
  rvm::Result<format::VolumeRoot*> root(rvm::Transaction& tx);

  // Where a group's descriptor lies; its bitmap and the pages above it are made where missing.
  rvm::Result<uint64_t> descriptor_with_bitmap(rvm::Transaction& tx, uint64_t group);
  // 0: there is none.
  rvm::Result<uint64_t> descriptor_of(uint64_t group);

  rvm::Result<rvm::ChunkPlace> locate(uint64_t index) override;
  rvm::Result<rvm::ChunkPlace> grow(rvm::Transaction& tx, uint64_t index) override;

 private:
  explicit RepairSession(const CheckState& state) : state_(state) {}
  rvm::Result<uint64_t> read_word(uint64_t offset);
  rvm::Result<uint64_t> page_at(rvm::Transaction& tx, uint64_t word_offset);
  rvm::Result<uint64_t> find_room_for_chunk();
  rvm::Result<void> mark_chunk(rvm::Transaction& tx, uint64_t block);

  const CheckState& state_;
  std::vector<uint64_t> grown_;  // places of chunks added here, behind those of the check
  std::unique_ptr<rvm::Rvm> rvm_;
  std::unique_ptr<rvm::Space> space_;
  std::unique_ptr<rvm::PagePool> pool_;
  std::unique_ptr<rvm::Tree> tree_;
};

}  // namespace rvmfs::fsck
