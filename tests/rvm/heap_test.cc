// SPDX-License-Identifier: BSD-2-Clause
//
// The recoverable heap: sizes, contents, reuse, transactions' fates, restarts, wild pointers.
#include "rvm/heap.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "tests/rvm/structures_world.h"

namespace rvmfs::test {
namespace {

using rvm::Errc;
using rvm::Heap;
using rvm::kPageBytes;
using rvm::Transaction;

constexpr uint64_t kRoot = rvm::format::kRootPageOffset + 512;

class HeapTest : public testing::Test {
 protected:
  HeapTest() {
    world_.commit([&](Transaction& tx) { must(heap().create(tx)); });
    pages_at_start_ = world_.pages_used();
  }
  Heap heap() { return Heap(*world_.pool, kRoot); }
  uint64_t allocate(uint64_t bytes) {
    uint64_t offset = 0;
    world_.commit([&](Transaction& tx) { offset = must(heap().allocate(tx, bytes)); });
    return offset;
  }
  void free(uint64_t offset) {
    world_.commit([&](Transaction& tx) { must(heap().free(tx, offset)); });
  }
  // The object, whole (it may not cross a chunk, and does not).
  Bytes contents(uint64_t offset, uint64_t bytes) {
    const std::byte* first = must(world_.space->read(offset, bytes));
    return {first, first + bytes};
  }
  void write(Transaction& tx, uint64_t offset, const Bytes& bytes) {
    std::memcpy(must(world_.space->modify(tx, offset, bytes.size())), bytes.data(), bytes.size());
  }

  World world_;
  uint64_t pages_at_start_ = 0;
};

TEST_F(HeapTest, allocates_zeroed_aligned_objects_of_every_size) {
  std::map<uint64_t, uint64_t> objects;
  for (const uint64_t bytes : {1, 15, 16, 17, 64, 256, 257, 400, 1000, 1008, 1344, 2016, 2017, 2048,
                               4096, 4097, 40960, 248 * 4096}) {
    const uint64_t offset = allocate(bytes);
    EXPECT_EQ(offset % (bytes > 2016 ? kPageBytes : 16), 0U) << bytes;
    EXPECT_GE(must(heap().usable_bytes(offset)), bytes);
    EXPECT_EQ(contents(offset, bytes), filled(bytes, 0)) << bytes;
    world_.commit([&](Transaction& tx) {
      write(tx, offset, filled(must(heap().usable_bytes(offset)), 0xee));
    });
    objects[offset] = must(heap().usable_bytes(offset));
  }
  uint64_t end = 0;
  for (const auto& [offset, bytes] : objects) {
    EXPECT_GE(offset, end) << "objects overlap";
    end = offset + bytes;
  }
  for (const auto& object : objects) free(object.first);
  EXPECT_EQ(world_.pages_used(), pages_at_start_);
}

TEST_F(HeapTest, refuses_sizes_that_it_cannot_serve) {
  Transaction tx = world_.rvm->begin();
  EXPECT_ERROR(heap().allocate(tx, 0), Errc::invalid_argument);
  EXPECT_ERROR(heap().allocate(tx, Heap::kObjectBytesMax + 1), Errc::invalid_argument);
  EXPECT_ERROR(heap().allocate(tx, UINT64_MAX), Errc::invalid_argument);
}

TEST_F(HeapTest, gives_a_freed_object_out_again_as_zeros) {
  const uint64_t kept = allocate(100);
  const uint64_t first = allocate(100);
  world_.commit([&](Transaction& tx) { write(tx, first, filled(100, 0xaa)); });
  free(first);
  EXPECT_EQ(allocate(100), first);
  EXPECT_EQ(contents(first, 112), filled(112, 0));
  EXPECT_NE(kept, first);
}

TEST_F(HeapTest, shares_a_page_between_small_objects) {
  std::set<uint64_t> pages;
  for (int i = 0; i < 252; ++i) pages.insert(allocate(16) / kPageBytes);
  EXPECT_EQ(pages.size(), 1U);
  EXPECT_EQ(must(heap().usage()).pages, 1U);
  allocate(16);
  EXPECT_EQ(must(heap().usage()).pages, 2U);
}

TEST_F(HeapTest, makes_typed_objects) {
  struct Record {
    uint64_t a, b, c;
  };
  rvm::Ref<Record> record;
  world_.commit([&](Transaction& tx) {
    record = must(heap().create_object<Record>(tx));
    *must(world_.space->modify(tx, record)) = {1, 2, 3};
  });
  world_.reopen();
  EXPECT_EQ(must(world_.space->get(record))->c, 3U);
}

TEST_F(HeapTest, counts_what_is_allocated) {
  const uint64_t small = allocate(30);
  const uint64_t large = allocate(5000);
  EXPECT_EQ(must(heap().usage()).objects, 2U);
  EXPECT_EQ(must(heap().usage()).bytes_allocated, 32U + 8192U);
  EXPECT_EQ(must(heap().usage()).pages, 3U);
  free(small);
  free(large);
  EXPECT_EQ(must(heap().usage()).objects, 0U);
  EXPECT_EQ(must(heap().usage()).bytes_allocated, 0U);
  EXPECT_EQ(must(heap().usage()).pages, 0U);
}

TEST_F(HeapTest, follows_the_fate_of_the_transaction) {
  const uint64_t small = allocate(50);
  const uint64_t large = allocate(50'000);
  world_.commit([&](Transaction& tx) { write(tx, large, pattern(50'000, 1)); });
  world_.abort([&](Transaction& tx) {
    must(heap().free(tx, small));
    must(heap().free(tx, large));
    for (int i = 0; i < 500; ++i) must(heap().allocate(tx, 700));
  });
  EXPECT_EQ(must(heap().usage()).objects, 2U);
  EXPECT_EQ(contents(large, 50'000), pattern(50'000, 1));
  free(small);
  free(large);
  EXPECT_EQ(world_.pages_used(), pages_at_start_);
  check_pool(world_);
}

TEST_F(HeapTest, refuses_to_free_what_is_not_an_allocated_object) {
  const uint64_t small = allocate(48);
  const uint64_t other = allocate(48);
  const uint64_t large = allocate(10'000);
  free(other);
  const uint64_t page = small - small % kPageBytes;
  Transaction tx = world_.rvm->begin();
  for (const uint64_t wild :
       {other, small + 8, small + 16, page, page + 8, page + 4090, large + kPageBytes, large + 96,
        uint64_t{0}, uint64_t{5}, uint64_t{kRoot}, uint64_t{4096}, uint64_t{250} * 4096 + 64,
        uint64_t{100} << 20, (uint64_t{100} << 20) + 4096 + 64, uint64_t{1} << 50, UINT64_MAX,
        UINT64_MAX - 4095}) {
    EXPECT_ERROR(heap().free(tx, wild), Errc::invalid_argument);
    EXPECT_ERROR(heap().usable_bytes(wild), Errc::invalid_argument);
  }
  must(heap().free(tx, small));
  EXPECT_ERROR(heap().free(tx, small), Errc::invalid_argument);
  must(heap().free(tx, large));
  EXPECT_ERROR(heap().free(tx, large), Errc::invalid_argument);
}

TEST_F(HeapTest, keeps_its_objects_under_random_use_with_aborts_and_restarts) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  struct Object {
    uint64_t bytes, pattern_seed;
  };
  std::map<uint64_t, Object> objects;
  for (int round = 0; round < 300; ++round) {
    auto after = objects;
    Transaction tx = world_.rvm->begin();
    for (int i = 0; i < 30; ++i) {
      if (random() % 100 < (round / 50 % 2 == 0 ? 65 : 40) || after.empty()) {
        const uint64_t bytes = 1 + random() % (random() % 10 == 0 ? 30'000 : 600);
        const uint64_t offset = must(heap().allocate(tx, bytes));
        ASSERT_EQ(contents(offset, bytes), filled(bytes, 0));
        after[offset] = {bytes, random()};
        write(tx, offset, pattern(bytes, after[offset].pattern_seed));
      } else {
        const auto victim = std::next(after.begin(), static_cast<long>(random() % after.size()));
        must(heap().free(tx, victim->first));
        after.erase(victim);
      }
    }
    if (random() % 4 == 0) {
      must(tx.abort());
    } else {
      must(tx.end(rvm::Commit::no_flush));
      objects = after;
    }
    if (round % 100 == 99) world_.reopen();
    ASSERT_EQ(must(heap().usage()).objects, objects.size());
  }
  for (const auto& [offset, object] : objects) {
    ASSERT_EQ(contents(offset, object.bytes), pattern(object.bytes, object.pattern_seed));
  }
  world_.commit([&](Transaction& tx) {
    for (const auto& object : objects) must(heap().free(tx, object.first));
  });
  EXPECT_EQ(must(heap().usage()).bytes_allocated, 0U);
  EXPECT_EQ(world_.pages_used(), pages_at_start_);
  check_pool(world_);
}

}  // namespace
}  // namespace rvmfs::test
