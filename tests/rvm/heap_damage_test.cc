// SPDX-License-Identifier: BSD-2-Clause
//
// Damage in the lists and records of a heap and of its page pool that single pages do not show: it
// is found where it matters, and nothing is changed.
#include <gtest/gtest.h>

#include <functional>

#include "rvm/heap.h"
#include "rvm/tree.h"
#include "tests/rvm/structures_world.h"

namespace rvmfs::test {
namespace {

using rvm::Errc;
using rvm::Heap;
using rvm::kPageBytes;
using rvm::Transaction;
using rvm::Tree;
using rvm::format::ChunkHeader;
using rvm::format::HeapRoot;
using rvm::format::PoolRoot;
using rvm::format::SlabHeader;

constexpr uint64_t kRoot = rvm::format::kRootPageOffset + 64;
constexpr uint32_t kLargest = rvm::format::kHeapClasses - 1;  // two objects a slab

uint64_t page_of(uint64_t object) { return object - object % kPageBytes; }

class HeapDamage : public testing::Test {
 protected:
  HeapDamage() : heap_(*world_.pool, kRoot) {
    world_.commit([&](Transaction& tx) {
      must(heap_.create(tx));
      for (uint64_t& object : objects_) object = must(heap_.allocate(tx, 2016));
      small_ = must(heap_.allocate(tx, 80));
      run_ = must(heap_.allocate(tx, 10'000));
      // The slabs 0 and 1 are full; 2, 3 and 4 have one free object each: the list is 4, 3, 2.
      for (const size_t half : {4, 6, 8}) must(heap_.free(tx, objects_[half]));
    });
  }

  uint64_t slab(size_t index) const { return page_of(objects_[2 * index]); }
  // An object that is still there, in this slab.
  uint64_t object(size_t index) const { return objects_[2 * index + 1]; }

  void set_first(uint64_t page) {
    world_.damage(kRoot + offsetof(HeapRoot, first_with_free) + kLargest * 8, page);
  }
  void set_next(size_t index, uint64_t page) {
    world_.damage(slab(index) + offsetof(SlabHeader, next), page);
  }
  void set_previous(size_t index, uint64_t page) {
    world_.damage(slab(index) + offsetof(SlabHeader, previous), page);
  }

  void expect_damage(const rvm::Result<void>& result) {
    EXPECT_ERROR(result, Errc::damaged_structure);
  }
  void expect_damage_when_freed(uint64_t object) {
    Transaction tx = world_.rvm->begin();
    expect_damage(heap_.free(tx, object));
  }
  void expect_damage_when_allocated() {
    Transaction tx = world_.rvm->begin();
    EXPECT_ERROR(heap_.allocate(tx, 2016), Errc::damaged_structure);
  }

  World world_;
  Heap heap_;
  uint64_t objects_[10] = {};
  uint64_t small_ = 0, run_ = 0;
};

TEST_F(HeapDamage, is_found_in_the_root_and_in_the_header_of_a_slab) {
  const uint64_t page = page_of(small_);
  const SlabHeader good = *must(world_.space->get(rvm::Ref<SlabHeader>{page}));
  const auto refused = [&](const std::function<void(SlabHeader&)>& change) {
    SlabHeader bad = good;
    change(bad);
    world_.damage(page, bad);
    Transaction tx = world_.rvm->begin();
    EXPECT_ERROR(heap_.allocate(tx, 80), Errc::damaged_structure);
  };
  refused([](SlabHeader& bad) { bad.magic = 0; });
  refused([](SlabHeader& bad) { bad.self += kPageBytes; });
  refused([](SlabHeader& bad) { bad.size_class = 25; });
  refused([](SlabHeader& bad) { bad.size_class = kLargest; });
  refused([](SlabHeader& bad) { bad.free_objects = 300; });
  refused([](SlabHeader& bad) { bad.used[3] = UINT64_MAX; });
  SlabHeader to_itself = good;
  to_itself.next = page;
  world_.damage(page, to_itself);
  expect_damage_when_freed(small_);

  world_.damage(kRoot, uint32_t{0});
  expect_damage_when_allocated();
  expect_damage_when_freed(small_);
  EXPECT_ERROR(heap_.usage(), Errc::damaged_structure);
}

TEST_F(HeapDamage, is_found_when_a_list_begins_with_a_slab_that_is_full_or_of_another_size) {
  set_first(slab(0));
  expect_damage_when_allocated();
  set_first(page_of(small_));
  expect_damage_when_allocated();
  set_first(run_);
  expect_damage_when_allocated();
}

TEST_F(HeapDamage, is_found_when_a_slab_joins_a_list_that_is_broken) {
  set_first(slab(3));  // which has one before it
  expect_damage_when_freed(object(0));
  set_first(page_of(small_));
  expect_damage_when_freed(object(0));
  set_first(run_);
  Transaction tx = world_.rvm->begin();
  EXPECT_ERROR(heap_.free(tx, object(0)), Errc::invalid_argument);
}

TEST_F(HeapDamage, is_found_when_a_slab_leaves_a_list_that_does_not_know_it) {
  set_previous(3, 0);  // it says that it is the first, and the root says otherwise
  expect_damage_when_freed(object(3));
  set_previous(3, slab(2));  // which leads elsewhere
  expect_damage_when_freed(object(3));
  set_previous(3, slab(4));
  set_previous(2, slab(4));  // its follower leads back elsewhere
  expect_damage_when_freed(object(3));
}

TEST_F(HeapDamage, is_found_in_the_records_of_page_runs) {
  Tree runs(*world_.pool, kRoot + offsetof(HeapRoot, runs));
  const auto record = [&](uint64_t bytes, size_t length = 8) {
    world_.commit([&](Transaction& tx) {
      Bytes value(length);
      std::memcpy(value.data(), &bytes, std::min(length, sizeof(bytes)));
      must(runs.put(tx, {run_, 0}, value));
    });
  };
  record(0);
  expect_damage_when_freed(run_);
  record(Heap::kObjectBytesMax + 1);
  EXPECT_ERROR(heap_.usable_bytes(run_), Errc::damaged_structure);
  record(10'000, 4);
  EXPECT_ERROR(heap_.usable_bytes(run_), Errc::damaged_structure);
}

TEST_F(HeapDamage, is_no_word_for_a_place_behind_the_last_object_of_a_slab) {
  const uint64_t behind = page_of(small_) + rvm::format::kSlabHeaderBytes + 50 * 80;
  EXPECT_ERROR(heap_.usable_bytes(behind), Errc::invalid_argument);
  EXPECT_ERROR(heap_.usable_bytes(page_of(small_) + 1), Errc::invalid_argument);
  EXPECT_ERROR(heap_.usable_bytes(1ULL << 50), Errc::invalid_argument);
  EXPECT_ERROR(heap_.usable_bytes((1ULL << 50) + 80), Errc::invalid_argument);
}

class PoolDamage : public testing::Test {
 protected:
  static constexpr uint64_t kHeader = rvm::format::kPoolPageOffset;

  ChunkHeader header() { return *must(world_.space->get(rvm::Ref<ChunkHeader>{kHeader})); }

  World world_;
};

TEST_F(PoolDamage, is_found_when_the_list_of_chunks_leads_nowhere) {
  ChunkHeader bad = header();
  bad.next_with_free = 1000;
  world_.damage(kHeader, bad);
  Transaction tx = world_.rvm->begin();
  EXPECT_ERROR(world_.pool->allocate(tx), Errc::damaged_structure);
  EXPECT_ERROR(world_.pool->allocate(tx, 5), Errc::damaged_structure);
}

TEST_F(PoolDamage, is_found_when_more_is_freed_than_was_ever_used) {
  uint64_t page = 0;
  world_.commit([&](Transaction& tx) { page = must(world_.pool->allocate(tx, 3)); });
  const ChunkHeader good = header();
  ChunkHeader bad = good;
  bad.free_pages = 253;
  world_.damage(kHeader, bad);
  Transaction tx = world_.rvm->begin();
  EXPECT_ERROR(world_.pool->free(tx, page, 3), Errc::damaged_structure);
  must(tx.abort());
  world_.damage(kHeader, good);
  PoolRoot root = must(world_.pool->root());
  root.pages_used = 2;
  world_.damage(rvm::format::kPoolRootOffset, root);
  tx = world_.rvm->begin();
  EXPECT_ERROR(world_.pool->free(tx, page, 3), Errc::damaged_structure);
  EXPECT_ERROR(world_.pool->free(tx, page, 0), Errc::invalid_argument);
}

TEST(PagePoolLimits, end_where_the_space_ends_although_the_source_has_more) {
  World world(WorldOptions{.space_chunks = 2});
  Transaction tx = world.rvm->begin();
  rvm::Result<uint64_t> page = uint64_t{0};
  uint64_t pages = 0;
  while ((page = world.pool->allocate(tx))) ++pages;
  EXPECT_ERROR(page, Errc::no_space);
  EXPECT_GT(pages, 500u);
}

TEST(PagePoolLimits, a_paused_pool_does_not_grow_for_a_run) {
  World world;
  Transaction tx = world.rvm->begin();
  must(world.pool->allocate(tx, 200));
  const rvm::PagePool::GrowthPause pause(*world.pool);
  EXPECT_ERROR(world.pool->allocate(tx, 200), Errc::full);
}

TEST(SpaceLimits, more_addresses_than_there_are_is_out_of_memory) {
  World world;
  EXPECT_ERROR(rvm::Space::open(*world.rvm, world.source(), 1ULL << 56), Errc::out_of_memory);
}

TEST(SpaceLimits, a_chunk_is_mapped_by_its_first_change_too) {
  World world;
  EXPECT_EQ(&world.space->rvm(), world.rvm.get());
  must(world.rvm->truncate());
  world.reopen();
  Transaction tx = world.rvm->begin();
  EXPECT_OK(world.space->modify(tx, rvm::format::kRootPageOffset, 8));
  EXPECT_ERROR(world.space->modify(tx, 100 * rvm::format::kChunkBytes + kPageBytes, 8),
               Errc::out_of_range);
}

TEST(SpaceLimits, a_chunk_that_somebody_else_has_mapped_is_an_error) {
  World world;
  const auto place = must(world.source().locate(5));
  auto* const region = must(world.rvm->map(
      {.segment = place.segment, .offset = place.offset + kPageBytes, .length = kPageBytes}));
  const uint64_t inside = 5 * rvm::format::kChunkBytes + kPageBytes;
  EXPECT_ERROR(world.space->read(inside, 8), Errc::overlap);
  Transaction tx = world.rvm->begin();
  EXPECT_ERROR(world.space->modify(tx, inside, 8), Errc::overlap);
  EXPECT_ERROR(world.space->format_chunk(tx, 5, place), Errc::overlap);
  must(world.rvm->unmap(region));
  EXPECT_OK(world.space->format_chunk(tx, 5, place));
  EXPECT_ERROR(world.space->format_chunk(tx, 5, place), Errc::uncommitted);  // twice
  must(tx.abort());
}

TEST(SpaceLimits, a_chunk_that_cannot_go_home_is_not_formatted_again) {
  World world;
  const auto place = must(world.source().locate(5));
  world.commit([&](Transaction& tx) {
    must(world.space->format_chunk(tx, 5, place));
    must(world.space->modify(tx, 5 * rvm::format::kChunkBytes + kPageBytes, 8));
  });
  Transaction tx = world.rvm->begin();
  world.rvm->declare_failed();
  EXPECT_ERROR(world.space->format_chunk(tx, 5, place), Errc::failed);
}

}  // namespace
}  // namespace rvmfs::test
