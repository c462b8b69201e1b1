// SPDX-License-Identifier: BSD-2-Clause
//
// Damage to pages, the page pool, the tree's nodes and the block groups (damages.h).
#include <cstring>

#include "tests/fsck/damages.h"

namespace rvmfs::test {
namespace {

using format::GroupDescriptor;
using format::VolumeRoot;
using fsck::FindingId;
using fsck::RepairSession;
using rvm::Result;
using rvm::Transaction;
using rvm::format::ChunkHeader;
using rvm::format::kChunkBytes;
using rvm::format::kPoolPageOffset;
using rvm::format::kPoolRootOffset;
using rvm::format::NodeHeader;
using rvm::format::PoolRoot;

// A damage that changes one structure of the space.
template <typename T>
std::function<void(ImageTest&)> change(uint64_t offset, std::function<void(T&)> edit) {
  return [=](ImageTest& test) {
    test.edit([=](RepairSession& session, Transaction& tx) -> Result<void> {
      RVM_ASSIGN(T * value, session.space().modify(tx, rvm::Ref<T>{offset}));
      edit(*value);
      return {};
    });
  };
}

std::function<void(ImageTest&)> change_root(std::function<void(VolumeRoot&)> edit) {
  return change<VolumeRoot>(rvm::format::kRootPageOffset, std::move(edit));
}
std::function<void(ImageTest&)> change_header(std::function<void(ChunkHeader&)> edit) {
  return change<ChunkHeader>(kPoolPageOffset, std::move(edit));
}
std::function<void(ImageTest&)> change_pool(std::function<void(PoolRoot&)> edit) {
  return change<PoolRoot>(kPoolRootOffset, std::move(edit));
}

// The root node of the tree, whatever its level.
std::function<void(ImageTest&)> change_node(std::function<void(std::byte*)> edit) {
  return [=](ImageTest& test) {
    const uint64_t node = test.root().tree.root;
    test.edit([=](RepairSession& session, Transaction& tx) -> Result<void> {
      RVM_ASSIGN(std::byte * page, session.space().modify(tx, node, 4096));
      edit(page);
      return {};
    });
  };
}

std::function<void(ImageTest&)> change_group(std::function<void(GroupDescriptor&)> edit) {
  return [=](ImageTest& test) {
    test.edit([=](RepairSession& session, Transaction& tx) -> Result<void> {
      RVM_ASSIGN(const uint64_t place, session.descriptor_of(0));
      RVM_ASSIGN(GroupDescriptor * group,
                 session.space().modify(tx, rvm::Ref<GroupDescriptor>{place}));
      edit(*group);
      return {};
    });
  };
}

// Flips bits of one byte of group 0's bitmap, with all counters in step.
void change_bitmap(ImageTest& test, uint64_t byte, std::byte bits, int more) {
  test.edit([=](RepairSession& session, Transaction& tx) -> Result<void> {
    RVM_ASSIGN(const uint64_t place, session.descriptor_of(0));
    RVM_ASSIGN(GroupDescriptor * group,
               session.space().modify(tx, rvm::Ref<GroupDescriptor>{place}));
    RVM_ASSIGN(std::byte * map, session.space().modify(tx, group->bitmap + byte, 1));
    *map ^= bits;
    group->used = static_cast<uint32_t>(static_cast<int>(group->used) + more);
    RVM_ASSIGN(VolumeRoot * root, session.root(tx));
    root->blocks_used += static_cast<uint64_t>(int64_t{more});
    return {};
  });
}

// A second chunk, for what chunk 0 cannot show; then `edit` changes the word of its place.
void change_second_chunk(ImageTest& test, uint64_t place) {
  test.edit(
      [](RepairSession& session, Transaction& tx) { return session.pool().reserve(tx, 250); });
  const uint64_t level1 = test.root().chunk_table[0];
  ASSERT_NE(level1, 0u);
  test.edit([=](RepairSession& session, Transaction& tx) -> Result<void> {
    RVM_ASSIGN(const uint64_t* leaf, session.space().get(rvm::Ref<uint64_t>{level1}));
    RVM_ASSIGN(uint64_t * word, session.space().modify(tx, rvm::Ref<uint64_t>{*leaf + 8}));
    *word = place;
    return {};
  });
}

std::vector<Damage> page_damages() {
  return {
      {FindingId::page_damaged,
       [](ImageTest& test) { test.flip(test.place_of(test.root().tree.root) + 4000); }},
      {FindingId::hash_table_damaged, [](ImageTest& test) { test.flip(test.place_of(0) + 800); }},
      {FindingId::chunk_place_bad,
       [](ImageTest& test) { change_second_chunk(test, (16 << 20) - 4096); }},
      {FindingId::chunk_missing, [](ImageTest& test) { change_second_chunk(test, 0); }},
      {FindingId::not_judged,
       [](ImageTest& test) { test.flip(test.place_of(test.root().tree.root) + 4000); }},
  };
}

std::vector<Damage> pool_damages() {
  return {
      {FindingId::chunk_header_bad, change_header([](ChunkHeader& h) { h.free_pages -= 3; })},
      {FindingId::pool_root_bad, change_pool([](PoolRoot& p) { p.pages_used += 2; })},
      {FindingId::pool_free_list, change_pool([](PoolRoot& p) { p.first_with_free = 0; })},
      {FindingId::page_leaked,
       [](ImageTest& test) {
         test.edit([](RepairSession& session, Transaction& tx) -> Result<void> {
           RVM_ASSIGN(const uint64_t page, session.pool().allocate(tx, 3));
           RVM_ASSIGN(std::byte * bytes, session.space().modify(tx, page, 4096));
           std::memset(bytes, 'x', 4096);
           return {};
         });
       }},
      {FindingId::page_unmarked,
       [](ImageTest& test) {
         const uint64_t page = test.root().tree.root / 4096;
         change_header([=](ChunkHeader& h) {
           h.used[page / 64] &= ~(uint64_t{1} << page % 64);
           ++h.free_pages;
         })(test);
         change_pool([](PoolRoot& p) { --p.pages_used; })(test);
       }},
      {FindingId::page_shared,
       [](ImageTest& test) {
         const uint64_t node = test.root().tree.root;
         change_group([=](GroupDescriptor& g) { g.bitmap = node; })(test);
       }},
      {FindingId::page_free_not_zero,
       change<uint64_t>(kChunkBytes - 4096, [](uint64_t& word) { word = 1; })},
  };
}

std::vector<Damage> root_damages() {
  return {
      {FindingId::root_bad, change_root([](VolumeRoot& r) { r.magic = 1; })},
      {FindingId::root_blocks_total, change_root([](VolumeRoot& r) { r.blocks_total += 7; })},
      {FindingId::root_growth_unfinished,
       change_root([](VolumeRoot& r) { r.blocks_total -= 700; })},
      {FindingId::root_counters, change_root([](VolumeRoot& r) { r.inodes_used += 5; })},
      {FindingId::root_next_inode, change_root([](VolumeRoot& r) { r.next_inode = 17; })},
      {FindingId::tree_reference_bad, change_root([](VolumeRoot& r) { r.tree.root = 12345; })},
      {FindingId::tree_node_bad, change_node([](std::byte* page) { page[0] ^= std::byte{1}; })},
      {FindingId::tree_order, change_node([](std::byte* page) {
         std::byte* const slots = page + sizeof(NodeHeader);
         std::swap_ranges(slots, slots + 2, slots + 2);
       })},
  };
}

std::vector<Damage> group_damages() {
  constexpr uint64_t kFree = 4096 / 8 - 1;  // the last byte of the volume's bits
  return {
      {FindingId::group_table_bad,
       [](ImageTest& test) {
         test.edit([](RepairSession& session, Transaction& tx) -> Result<void> {
           RVM_ASSIGN(const uint64_t place, session.descriptor_with_bitmap(tx, 9));
           static_cast<void>(place);
           return {};
         });
       }},
      {FindingId::blocks_unmarked,
       [](ImageTest& test) { change_bitmap(test, 0, std::byte{0x11}, -2); }},
      {FindingId::blocks_leaked,
       [](ImageTest& test) { change_bitmap(test, kFree, std::byte{0x07}, 3); }},
      {FindingId::group_counter, change_group([](GroupDescriptor& g) { g.used += 9; })},
  };
}

}  // namespace

std::vector<Damage> structure_damages() {
  std::vector<Damage> all;
  for (auto& part : {page_damages(), pool_damages(), root_damages(), group_damages()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace rvmfs::test
