// SPDX-License-Identifier: BSD-2-Clause
//
// See repair_space.h. One transaction a chunk or a group: each leaves things no worse, and what is
// missing after a crash is found by the next check.
#include "fsck/repair_space.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "fsck/block_check.h"
#include "fsck/hash.h"

namespace rvmfs::fsck {

using format::GroupDescriptor;
using format::kGroupBlocks;
using format::VolumeRoot;
using namespace rvm::format;

namespace {

// As it has to be: the pages in use are those that something refers to.
ChunkHeader header_of(const SpaceReader& space, size_t chunk, uint64_t next_with_free) {
  PageSet pages = space.claimed(chunk);
  pages.set(0);
  pages.set(1);
  ChunkHeader header{};
  header.magic = kChunkMagic;
  header.free_pages = static_cast<uint32_t>(kChunkPages - pages.count());
  header.chunk_index = chunk;
  header.in_free_list = header.free_pages != 0 ? 1 : 0;
  header.next_with_free = header.in_free_list != 0 ? next_with_free : 0;
  for (size_t page = 0; page < kChunkPages; ++page) {
    if (pages.test(page)) header.used[page / 64] |= uint64_t{1} << (page % 64);
  }
  return header;
}

// A free page is zero; the allocator relies on it.
rvm::Result<void> zero_free_pages(RepairSession& session, rvm::Transaction& tx, size_t chunk,
                                  const ChunkHeader& header) {
  for (size_t page = 2; page < kChunkPages; ++page) {
    if ((header.used[page / 64] >> (page % 64) & 1) != 0) continue;
    const uint64_t offset = chunk * kChunkBytes + page * kPage;
    if (session.state().space->known_zero(offset)) continue;
    RVM_ASSIGN(const std::byte* bytes, session.space().read(offset, kPage));
    if (all_zero({bytes, kPage})) continue;
    RVM_ASSIGN(std::byte * target, session.space().modify(tx, offset, kPage));
    std::memset(target, 0, kPage);
  }
  return {};
}

template <typename T>
rvm::Result<void> write_if_different(RepairSession& session, rvm::Transaction& tx, uint64_t offset,
                                     const T& value) {
  RVM_ASSIGN(const std::byte* before, session.space().read(offset, sizeof(T)));
  if (std::memcmp(before, &value, sizeof(T)) == 0) return {};
  RVM_ASSIGN(std::byte * target, session.space().modify(tx, offset, sizeof(T)));
  std::memcpy(target, &value, sizeof(T));
  return {};
}

rvm::Result<void> rewrite_group(RepairSession& session, rvm::Transaction& tx, uint64_t group,
                                const GroupTruth& truth) {
  RVM_ASSIGN(uint64_t place, session.descriptor_of(group));
  if (truth.used == 0 && place == 0) return {};
  if (truth.used != 0) {
    RVM_ASSIGN(place, session.descriptor_with_bitmap(tx, group));
  }
  RVM_ASSIGN(const GroupDescriptor* before, session.space().get(rvm::Ref<GroupDescriptor>{place}));
  const GroupDescriptor descriptor{before->bitmap, truth.used, 0};
  RVM_TRY(write_if_different(session, tx, place, descriptor));
  if (descriptor.bitmap == 0) return {};
  RVM_ASSIGN(const std::byte* bits, session.space().read(descriptor.bitmap, truth.bits.size()));
  if (std::equal(truth.bits.begin(), truth.bits.end(), bits)) return {};
  RVM_ASSIGN(std::byte * target, session.space().modify(tx, descriptor.bitmap, truth.bits.size()));
  std::copy(truth.bits.begin(), truth.bits.end(), target);
  return {};
}

}  // namespace

rvm::Result<void> repair_pool(RepairSession& session) {
  const SpaceReader& space = *session.state().space;
  uint64_t next = 0, pages_used = 0;
  for (size_t chunk = space.chunk_count(); chunk-- > 0;) {
    const ChunkHeader header = header_of(space, chunk, next);
    rvm::Transaction tx = session.begin();
    RVM_TRY(write_if_different(session, tx, chunk * kChunkBytes + kPoolPageOffset, header));
    RVM_TRY(zero_free_pages(session, tx, chunk, header));
    RVM_TRY(session.commit(tx));
    if (header.in_free_list != 0) next = chunk + 1;
    pages_used += kChunkPages - header.free_pages - 2;
  }
  rvm::Transaction tx = session.begin();
  PoolRoot root{};
  root.magic = kPoolMagic;
  root.chunk_count = space.chunk_count();
  root.first_with_free = next;
  root.pages_used = pages_used;
  RVM_TRY(write_if_different(session, tx, kPoolRootOffset, root));
  return session.commit(tx);
}

rvm::Result<void> repair_groups(RepairSession& session) {
  const CheckState& state = session.state();
  const uint64_t groups = (state.root.blocks_total + kGroupBlocks - 1) / kGroupBlocks;
  TruthReader truth(state.blocks);
  GroupTruth bits;
  uint64_t used = 0;
  for (uint64_t group = 0; group < groups; ++group) {
    // A volume may be large and almost empty: a page of descriptors that is not there, of groups in
    // which nobody owns anything, is as it should be.
    if (group % format::kGroupsPerPage == 0) {
      RVM_ASSIGN(const uint64_t place, session.descriptor_of(group));
      if (place == 0 && truth.next_owned(group) >= group + format::kGroupsPerPage) {
        group += format::kGroupsPerPage - 1;
        continue;
      }
    }
    truth.read(group, bits);
    used += bits.used;
    rvm::Transaction tx = session.begin();
    RVM_TRY(rewrite_group(session, tx, group, bits));
    RVM_TRY(session.commit(tx));
  }
  rvm::Transaction tx = session.begin();
  RVM_ASSIGN(VolumeRoot * root, session.root(tx));
  root->blocks_used = used;
  return session.commit(tx);
}

rvm::Result<void> repair_counters(RepairSession& session) {
  const RepairPlan& plan = session.state().repairs;
  rvm::Transaction tx = session.begin();
  RVM_ASSIGN(VolumeRoot * root, session.root(tx));
  if (plan.blocks_total) root->blocks_total = *plan.blocks_total;
  if (plan.blocks_used) root->blocks_used = *plan.blocks_used;
  if (plan.next_inode) root->next_inode = *plan.next_inode;
  if (plan.inodes_used) root->inodes_used = *plan.inodes_used;
  return session.commit(tx);
}

}  // namespace rvmfs::fsck
