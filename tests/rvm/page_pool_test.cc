// SPDX-License-Identifier: BSD-2-Clause
//
// The page pool: pages and runs, growth, transactions' fates, damaged records.
#include "rvm/page_pool.h"

#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <random>
#include <set>

#include "tests/rvm/structures_world.h"

namespace rvmfs::test {

using rvm::Errc;
using rvm::kPageBytes;
using rvm::PagePool;
using rvm::Transaction;
using rvm::format::ChunkHeader;
using rvm::format::kChunkBytes;
using rvm::format::kPoolPageOffset;
using rvm::format::kPoolRootOffset;
using rvm::format::PoolRoot;

namespace {

uint64_t header_at(uint64_t chunk) { return chunk * kChunkBytes + kPoolPageOffset; }

ChunkHeader header_of(World& world, uint64_t chunk) {
  return *must(world.space->get(rvm::Ref<ChunkHeader>{header_at(chunk)}));
}

bool is_zero(World& world, uint64_t page) {
  const std::byte* bytes = must(world.space->read(page, kPageBytes));
  return std::all_of(bytes, bytes + kPageBytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

void check_pool(World& world) {
  const PoolRoot root = must(world.pool->root());
  uint64_t used = 0;
  std::set<uint64_t> with_free;
  for (uint64_t chunk = 0; chunk < root.chunk_count; ++chunk) {
    const ChunkHeader header = header_of(world, chunk);
    int bits = 0;
    for (const uint64_t word : header.used) bits += std::popcount(word);
    EXPECT_EQ(header.chunk_index, chunk);
    EXPECT_EQ(header.free_pages, 256U - static_cast<uint32_t>(bits)) << "chunk " << chunk;
    used += static_cast<uint64_t>(bits) - 2;
    if (header.free_pages > 0) with_free.insert(chunk);
    if (header.in_free_list == 0) {
      EXPECT_EQ(header.next_with_free, 0U) << "chunk " << chunk;
    }
  }
  EXPECT_EQ(root.pages_used, used);
  std::set<uint64_t> listed;
  for (uint64_t next = root.first_with_free; next != 0;) {
    ASSERT_TRUE(listed.insert(next - 1).second) << "chunk " << next - 1 << " is listed twice";
    EXPECT_EQ(header_of(world, next - 1).in_free_list, 1U);
    next = header_of(world, next - 1).next_with_free;
  }
  for (const uint64_t chunk : with_free) EXPECT_TRUE(listed.contains(chunk)) << "chunk " << chunk;
}

namespace {

TEST(PagePool, hands_out_different_zeroed_pages_and_never_reserved_ones) {
  World world;
  std::set<uint64_t> pages;
  world.commit([&](Transaction& tx) {
    for (int i = 0; i < 600; ++i) {
      const uint64_t page = must(world.pool->allocate(tx));
      EXPECT_TRUE(pages.insert(page).second);
      EXPECT_EQ(page % kPageBytes, 0U);
      EXPECT_GE(page % kChunkBytes, 2 * kPageBytes);
      EXPECT_NE(page, rvm::format::kRootPageOffset);
      EXPECT_TRUE(is_zero(world, page));
    }
  });
  EXPECT_EQ(world.pages_used(), 601U);
  check_pool(world);
}

TEST(PagePool, gives_freed_pages_back_as_zeros) {
  World world;
  uint64_t page = 0;
  world.commit([&](Transaction& tx) {
    page = must(world.pool->allocate(tx));
    std::memset(must(world.space->modify(tx, page, kPageBytes)), 0xab, kPageBytes);
  });
  world.commit([&](Transaction& tx) { must(world.pool->free(tx, page)); });
  EXPECT_TRUE(is_zero(world, page));
  EXPECT_EQ(world.pages_used(), 1U);
  check_pool(world);
}

TEST(PagePool, follows_the_fate_of_the_transaction) {
  World world;
  uint64_t kept = 0;
  world.commit([&](Transaction& tx) { kept = must(world.pool->allocate(tx)); });
  world.abort([&](Transaction& tx) {
    must(world.pool->free(tx, kept));
    for (int i = 0; i < 1000; ++i) must(world.pool->allocate(tx));
  });
  EXPECT_EQ(world.pages_used(), 2U);
  EXPECT_EQ(must(world.pool->root()).chunk_count, 1U);
  check_pool(world);
  world.commit([&](Transaction& tx) {
    for (int i = 0; i < 1000; ++i) must(world.pool->allocate(tx));
  });
  EXPECT_EQ(world.pages_used(), 1002U);
  check_pool(world);
}

TEST(PagePool, finds_runs_of_adjacent_pages_in_one_chunk) {
  World world;
  std::map<uint64_t, uint32_t> runs;
  world.commit([&](Transaction& tx) {
    for (const uint32_t count : {1U, 2U, 7U, 64U, 100U, 200U, 254U, 254U, 3U, 100U}) {
      runs[must(world.pool->allocate(tx, count))] = count;
    }
  });
  uint64_t end = 0;
  for (const auto& [offset, count] : runs) {
    EXPECT_GE(offset, end) << "runs overlap";
    end = offset + count * kPageBytes;
    EXPECT_EQ(offset / kChunkBytes, (end - 1) / kChunkBytes);
  }
  check_pool(world);
  world.commit([&](Transaction& tx) {
    for (const auto& [offset, count] : runs) must(world.pool->free(tx, offset, count));
  });
  EXPECT_EQ(world.pages_used(), 1U);
  check_pool(world);
}

TEST(PagePool, refuses_impossible_requests) {
  World world;
  Transaction tx = world.rvm->begin();
  EXPECT_ERROR(world.pool->allocate(tx, 0), Errc::invalid_argument);
  EXPECT_ERROR(world.pool->allocate(tx, 255), Errc::invalid_argument);
  EXPECT_ERROR(world.pool->free(tx, 3 * kPageBytes + 8), Errc::invalid_argument);
  EXPECT_ERROR(world.pool->free(tx, 0), Errc::invalid_argument);
  EXPECT_ERROR(world.pool->free(tx, kPageBytes), Errc::invalid_argument);
  EXPECT_ERROR(world.pool->free(tx, rvm::format::kRootPageOffset), Errc::invalid_argument);
  EXPECT_ERROR(world.pool->free(tx, kChunkBytes + 5 * kPageBytes), Errc::invalid_argument);
  EXPECT_ERROR(world.pool->free(tx, 255 * kPageBytes, 2), Errc::invalid_argument);
  EXPECT_ERROR(world.pool->free(tx, UINT64_MAX - kPageBytes + 1), Errc::invalid_argument);
}

TEST(PagePool, finds_a_page_that_is_freed_twice) {
  World world;
  uint64_t page = 0;
  world.commit([&](Transaction& tx) {
    page = must(world.pool->allocate(tx));
    must(world.pool->free(tx, page));
  });
  Transaction tx = world.rvm->begin();
  EXPECT_ERROR(world.pool->free(tx, page), Errc::damaged_structure);
}

TEST(PagePool, survives_random_use_with_aborts_and_a_restart) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  World world;
  std::map<uint64_t, uint32_t> runs;
  for (int round = 0; round < 150; ++round) {
    auto after = runs;
    Transaction tx = world.rvm->begin();
    for (int i = 0; i < 20; ++i) {
      if (random() % 2 == 0 || after.empty()) {
        const auto count = static_cast<uint32_t>(random() % 4 == 0 ? 1 + random() % 60 : 1);
        after[must(world.pool->allocate(tx, count))] = count;
      } else {
        const auto victim = std::next(after.begin(), static_cast<long>(random() % after.size()));
        must(world.pool->free(tx, victim->first, victim->second));
        after.erase(victim);
      }
    }
    if (random() % 4 == 0) {
      must(tx.abort());
    } else {
      must(tx.end(rvm::Commit::no_flush));
      runs = after;
    }
    if (round % 50 == 49) world.reopen();
    uint64_t pages = 1;
    for (const auto& run : runs) pages += run.second;
    ASSERT_EQ(world.pages_used(), pages);
  }
  check_pool(world);
}

TEST(PagePool, uses_its_reserve_when_the_source_has_no_space_and_then_says_so) {
  World world({.chunks_max = 2});
  uint64_t taken = 0;
  Transaction tx = world.rvm->begin();
  for (;;) {
    const auto page = world.pool->allocate(tx);
    if (!page) {
      EXPECT_EQ(page.error().code, Errc::no_space);
      break;
    }
    ++taken;
  }
  EXPECT_EQ(taken, 253U + 254U);
  must(tx.abort());
  check_pool(world);
}

TEST(PagePool, reserves_pages_that_can_be_taken_while_growth_is_paused) {
  World world;
  Transaction tx = world.rvm->begin();
  must(world.pool->reserve(tx, 1000));
  const int grown = world.fixed.grown;
  {
    const PagePool::GrowthPause pause(*world.pool);
    for (int i = 0; i < 1000; ++i) must(world.pool->allocate(tx));
    while (world.pool->allocate(tx)) {
    }
    EXPECT_ERROR(world.pool->allocate(tx), Errc::full);
  }
  EXPECT_EQ(world.fixed.grown, grown);
  must(world.pool->allocate(tx));
  EXPECT_EQ(world.fixed.grown, grown + 1);
}

// Allocates pages of the pool that asks it to grow.
class HungrySource : public FixedSource {
 public:
  HungrySource() : FixedSource(16 << 20, 64) {}
  rvm::Result<rvm::ChunkPlace> grow(Transaction& tx, uint64_t index) override {
    EXPECT_FALSE(growing) << "grow within grow";
    growing = true;
    for (uint64_t i = 0; i < PagePool::kGrowReserve; ++i) taken.push_back(must(pool->allocate(tx)));
    growing = false;
    return FixedSource::grow(tx, index);
  }
  PagePool* pool = nullptr;
  bool growing = false;
  std::vector<uint64_t> taken;
};

TEST(PagePool, lets_the_source_allocate_pages_while_it_grows) {
  auto own = std::make_unique<HungrySource>();
  HungrySource& source = *own;
  World world({}, std::move(own));
  source.pool = world.pool.get();
  std::set<uint64_t> pages;
  world.commit([&](Transaction& tx) {
    for (int i = 0; i < 2000; ++i) EXPECT_TRUE(pages.insert(must(world.pool->allocate(tx))).second);
    EXPECT_TRUE(pages.insert(must(world.pool->allocate(tx, 250))).second);
  });
  EXPECT_GE(source.taken.size(), 7 * PagePool::kGrowReserve);
  for (const uint64_t page : source.taken) EXPECT_TRUE(pages.insert(page).second);
  EXPECT_EQ(world.pages_used(), 1 + 2000 + 250 + source.taken.size());
  check_pool(world);
}

TEST(PagePoolDamage, is_found_in_the_root) {
  World world;
  const PoolRoot good = must(world.pool->root());
  const auto refused = [&](PoolRoot bad) {
    world.damage(kPoolRootOffset, bad);
    Transaction tx = world.rvm->begin();
    EXPECT_ERROR(world.pool->allocate(tx), Errc::damaged_structure);
  };
  PoolRoot bad = good;
  bad.magic = 0;
  refused(bad);
  bad = good;
  bad.chunk_count = UINT64_MAX;
  refused(bad);
  bad = good;
  bad.chunk_count = 0;
  refused(bad);
  bad = good;
  bad.pages_used = UINT64_MAX;
  refused(bad);
  bad = good;
  bad.first_with_free = 9;
  refused(bad);
  bad = good;
  bad.first_with_free = 0;
  refused(bad);
}

TEST(PagePoolDamage, is_found_in_chunk_headers) {
  World world;
  const ChunkHeader good = header_of(world, 0);
  const auto refused = [&](ChunkHeader bad) {
    world.damage(header_at(0), bad);
    Transaction tx = world.rvm->begin();
    EXPECT_ERROR(world.pool->allocate(tx), Errc::damaged_structure);
  };
  ChunkHeader bad = good;
  bad.magic = 1;
  refused(bad);
  bad = good;
  bad.chunk_index = 3;
  refused(bad);
  bad = good;
  bad.free_pages = 256;
  refused(bad);
  bad = good;
  bad.in_free_list = 0;
  refused(bad);
  bad = good;
  std::memset(bad.used, 0xff, sizeof(bad.used));  // counts free pages and has none
  refused(bad);
  bad = good;
  bad.free_pages = 0;
  bad.next_with_free = 1;  // a list that leads to itself
  refused(bad);
}

}  // namespace
}  // namespace rvmfs::test
