// SPDX-License-Identifier: BSD-2-Clause
//
// Free space: bit runs, the search, reservations, freed blocks, chunks for metadata.
#include <random>

#include "tests/fs/core_world.h"

namespace rvmfs::test {
namespace {

TEST(BitRuns, SearchAgreesWithCountingBitByBit) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<uint64_t> words(kGroupWords), more(kGroupWords);
    std::vector<bool> taken(kGroupBits);
    for (uint32_t bit = 0; bit < kGroupBits;) {
      const auto count =
          static_cast<uint32_t>(std::min<uint64_t>(1 + random() % 90, kGroupBits - bit));
      if (random() % 2 == 0) {
        set_bits(random() % 2 ? words.data() : more.data(), bit, count, true);
        std::fill_n(taken.begin() + bit, count, true);
      }
      bit += count;
    }
    const auto limit = static_cast<uint32_t>(1 + random() % kGroupBits);
    const TakenBits bits{{words.data(), more.data()}, limit};
    const auto from = static_cast<uint32_t>(random() % limit);
    const auto wanted = static_cast<uint32_t>(1 + random() % 100);
    const BitRun run = find_free_run(bits, from, wanted);
    uint32_t longest = 0, here = 0;
    for (uint32_t bit = 0; bit < limit; ++bit) {
      here = taken[bit] ? 0 : here + 1;
      longest = std::max(longest, here);
    }
    EXPECT_LE(run.count, wanted) << "seed " << seed;
    // The search wraps at `from`, so a run across it may be seen as two.
    if (run.count < wanted) EXPECT_GE(run.count * 2, std::min(wanted, longest)) << "seed " << seed;
    for (uint32_t bit = run.first; bit < run.first + run.count; ++bit) {
      ASSERT_TRUE(bit < limit && !taken[bit]) << "seed " << seed;
    }
  }
}

TEST(BusyBlocks, CountsEachBlockOnce) {
  BusyBlocks busy;
  busy.add(kGroupBits - 10, 20);
  busy.add(kGroupBits - 5, 5);
  EXPECT_EQ(busy.count(), 20u);
  EXPECT_EQ(busy.count_in(0), 10u);
  EXPECT_EQ(busy.count_in(1), 10u);
  busy.remove(kGroupBits, 100);
  EXPECT_EQ(busy.count(), 10u);
  EXPECT_EQ(busy.words(1), nullptr);
  EXPECT_TRUE(any_set(busy.words(0), kGroupBits - 1, 1));
}

class Allocator : public CoreTest {};

TEST_F(Allocator, ReservationsDoNotOverlapAndCanBeGivenBack) {
  format(64 << 20);
  std::map<uint64_t, uint32_t> seen;
  for (int i = 0; i < 100; ++i) {
    const auto run = reserve(0, 7);
    ASSERT_TRUE(run.has_value());
    EXPECT_EQ(run->count, 7u);
    for (uint32_t k = 0; k < run->count; ++k) EXPECT_EQ(seen[run->block + k]++, 0u);
  }
  for (const auto& [block, times] : seen) core_->blocks->release({block, 1});
  const auto again = reserve(0, 7);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->block, seen.begin()->first) << "the lowest blocks are used first";
  core_->blocks->release(*again);
}

TEST_F(Allocator, TheGoalIsTakenIfItIsFree) {
  format(64 << 20);
  const auto first = reserve(0, 16);
  ASSERT_TRUE(first.has_value());
  const auto next = reserve(first->block + 100, 16);
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->block, first->block + 100);
  const auto taken = reserve(first->block + 100, 16);
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->block, first->block + 116) << "then the next place behind it";
}

TEST_F(Allocator, FreedBlocksAreNotUsedBeforeTheFreeingIsDurable) {
  format(8 << 20);
  uint64_t at = 0;
  for (;;) {
    const auto run = reserve(0, 64);
    if (!run) break;
    ASSERT_OK(give(*run, at));
    at += run->count;
  }
  ASSERT_OK(core_->rvm->flush());
  ASSERT_OK(take_away(0, at));
  EXPECT_FALSE(reserve(0, 1).has_value()) << "the freeing is only in memory";
  ASSERT_OK(core_->blocks->settle_freed());
  EXPECT_FALSE(reserve(0, 1).has_value()) << "settling does not make it durable";
  ASSERT_OK(core_->rvm->flush());
  EXPECT_FALSE(reserve(0, 1).has_value()) << "not yet discarded";
  ASSERT_OK(core_->blocks->settle_freed());
  const auto run = reserve(0, 1);
  ASSERT_TRUE(run.has_value());
  core_->blocks->release(*run);
}

// Somebody who found no room, and asks for some after another thread has just made it, tries again.
TEST_F(Allocator, RoomThatAnotherThreadHasMadeMeanwhileCounts) {
  format(64 << 20);
  BlockAllocator& blocks = *core_->blocks;
  const auto run = reserve(0, 64);
  ASSERT_TRUE(run.has_value());
  ASSERT_OK(give(*run, 0));
  const uint64_t before = blocks.settled();
  EXPECT_FALSE(*blocks.make_room(before)) << "nothing was freed";
  ASSERT_OK(take_away(0, run->count));
  ASSERT_OK(core_->rvm->flush());
  ASSERT_OK(blocks.settle_freed());
  EXPECT_TRUE(*blocks.make_room(before));
  EXPECT_FALSE(*blocks.make_room(blocks.settled()));
}

TEST_F(Allocator, ATransactionThatIsUndoneKeepsReservationsAndFrees) {
  format(16 << 20);
  const auto run = reserve(0, 10);
  ASSERT_TRUE(run.has_value());
  ASSERT_OK(give(*run, 0));
  const auto other = reserve(0, 10);
  ASSERT_TRUE(other.has_value());
  const auto undone = core_->run_write<void>([&](Operation& op) -> Result<void> {
    RVM_TRY(core_->blocks->commit_reserved(op, *other));
    RVM_TRY(core_->blocks->free(op, *run));
    return fs_error(FsErrc::no_entry);
  });
  EXPECT_FALSE(undone.has_value());
  EXPECT_EQ(map_of(0, 10).front().block, run->block);
  ASSERT_OK(give(*other, 10));  // still reserved, still free in the bitmap
}

TEST_F(Allocator, FreeingWhatIsFreeIsDamage) {
  format(16 << 20);
  const auto freed = core_->run_write<void>([&](Operation& op) {
    return core_->blocks->free(op, {3000, 4});
  });
  ASSERT_FALSE(freed.has_value());
  EXPECT_TRUE(is(freed.error(), FsErrc::damaged));
  const auto outside = core_->run_write<void>([&](Operation& op) {
    return core_->blocks->free(op, {4095, 4});
  });
  ASSERT_FALSE(outside.has_value());
  EXPECT_TRUE(is(outside.error(), FsErrc::damaged));
}

TEST_F(Allocator, RandomReservingAndFreeingKeepsAllAccounts) {
  const uint64_t seed = 7;
  SCOPED_TRACE("seed 7");
  format(300 << 20);  // three groups, the last one short
  std::mt19937_64 random(seed);
  for (int step = 0; step < 400; ++step) {
    const uint64_t first = random() % 100000;
    if (random() % 3 == 0) {
      ASSERT_OK(take_away(first, first + random() % 5000));
    } else {
      const auto run =
          reserve(random() % 2 ? random() % 70000 : 0, static_cast<uint32_t>(1 + random() % 2000));
      if (!run || map_of(first, first + run->count).size() != 1 ||
          !map_of(first, first + run->count).front().is_hole()) {
        if (run) core_->blocks->release(*run);
        continue;
      }
      ASSERT_OK(give(*run, first));
    }
    if (step % 50 == 0) ASSERT_OK(core_->rvm->flush());
    if (step % 70 == 0) ASSERT_OK(core_->blocks->settle_freed());
  }
}

TEST_F(Allocator, MetadataGrowIntoAFullVolumeAndTheLastChunkIsForFreeing) {
  format(16 << 20);
  uint64_t at = 0;
  for (;;) {
    const auto run = reserve(0, 512);
    if (!run) break;
    ASSERT_OK(give(*run, at));
    at += run->count;
  }
  const auto status = core_->run_read<VolumeStatus>([&] { return core_->blocks->status(); });
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->blocks_available, 0u);
  EXPECT_GE(status->blocks_free, 256u);
  const auto refused = core_->run_write<uint64_t>([&](Operation& op) -> Result<uint64_t> {
    rvm::PagePool::GrowthPause pause(*core_->pool);
    return core_->blocks->allocate_chunk(op.tx);
  });
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, rvm::Errc::no_space);
  const auto granted = core_->run_write<uint64_t>([&](Operation& op) -> Result<uint64_t> {
    rvm::PagePool::GrowthPause pause(*core_->pool);
    BlockAllocator::LastResort last_resort(*core_->blocks);
    RVM_ASSIGN(const uint64_t offset, core_->blocks->allocate_chunk(op.tx));
    EXPECT_EQ(offset % rvm::format::kChunkBytes, 0u);
    return fs_error(FsErrc::no_entry);  // undone: nothing owns the chunk
  });
  EXPECT_TRUE(is(granted.error(), FsErrc::no_entry));
}

}  // namespace
}  // namespace rvmfs::test
