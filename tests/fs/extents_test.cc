// SPDX-License-Identifier: BSD-2-Clause
//
// The extent map of one file, against a map of single blocks.
#include <random>

#include "tests/fs/core_world.h"

namespace rvmfs::test {
namespace {

class Extents : public CoreTest {
 protected:
  uint64_t items() {
    uint64_t count = 0;
    for (const Extent& piece : map_of(0, kFileBlocksMax)) count += !piece.is_hole();
    return count;
  }
  BlockRun reserve_exactly(uint64_t goal, uint32_t count) {
    const auto run = reserve(goal, count);
    EXPECT_TRUE(run && run->count == count);
    return run ? *run : BlockRun{};
  }
  Result<uint64_t> mark(uint64_t first, uint64_t end, bool unwritten) {
    return core_->run_write<uint64_t>([&](Operation& op) {
      return ExtentMap(*core_, kFile).mark(op, first, end, unwritten, UINT32_MAX);
    });
  }
};

TEST_F(Extents, AppendsThatContinueTheLastExtentAreOneItem) {
  format(16 << 20);
  uint64_t goal = 0;
  for (uint64_t i = 0; i < 50; ++i) {
    const BlockRun run = reserve_exactly(goal, 3);
    ASSERT_OK(give(run, i * 3));
    goal = run.block + run.count;
  }
  EXPECT_EQ(items(), 1u);
}

TEST_F(Extents, AHoleFilledInTheMiddleJoinsBothSides) {
  format(16 << 20);
  const BlockRun run = reserve_exactly(0, 9);
  ASSERT_OK(give({run.block, 3}, 0));
  ASSERT_OK(give({run.block + 6, 3}, 6));
  EXPECT_EQ(items(), 2u);
  ASSERT_OK(give({run.block + 3, 3}, 3));
  EXPECT_EQ(items(), 1u);
}

TEST_F(Extents, PunchingSplitsAndConvertingJoinsAgain) {
  format(16 << 20);
  const BlockRun run = reserve_exactly(0, 100);
  ASSERT_OK(give(run, 0));
  ASSERT_OK(mark(40, 60, false));
  const auto pieces = map_of(0, 100);
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_TRUE(pieces[0].unwritten && !pieces[1].unwritten && pieces[2].unwritten);
  EXPECT_EQ(pieces[1].block, run.block + 40);
  ASSERT_OK(mark(0, 100, false));
  EXPECT_EQ(items(), 1u);
  ASSERT_OK(take_away(10, 20));
  EXPECT_EQ(items(), 2u);
  EXPECT_TRUE(map_of(10, 20).front().is_hole());
}

TEST_F(Extents, InsertingOverAnExtentIsDamage) {
  format(16 << 20);
  ASSERT_OK(give(reserve_exactly(0, 10), 5));
  for (const uint64_t first : {0, 5, 8, 14}) {
    const BlockRun run = reserve_exactly(0, 10);
    const auto given = give(run, first);
    ASSERT_FALSE(given.has_value()) << first;
    EXPECT_TRUE(is(given.error(), FsErrc::damaged)) << first;
    core_->blocks->release(run);
  }
}

TEST_F(Extents, RemovingStopsAtTheWeightAndSaysSo) {
  format(16 << 20);
  for (uint64_t i = 0; i < 50; ++i) ASSERT_OK(give(reserve_exactly(0, 1), i * 2));
  uint64_t blocks = 0;
  int steps = 0;
  for (bool done = false; !done; ++steps) {
    const auto removed =
        core_->run_write<ExtentMap::Removed>([&](Operation& op) -> Result<ExtentMap::Removed> {
          RVM_ASSIGN(const auto step, ExtentMap(*core_, kFile).remove(op, 10, 90, 7));
          RVM_TRY(change_blocks(op, -static_cast<int64_t>(step.blocks)));
          return step;
        });
    ASSERT_TRUE(removed.has_value());
    EXPECT_LE(removed->blocks, 7u);
    blocks += removed->blocks;
    done = removed->done;
  }
  EXPECT_EQ(blocks, 40u);
  EXPECT_EQ(steps, 6);
  EXPECT_EQ(items(), 10u);
}

TEST_F(Extents, ImpossibleItemsAreDamageAndNoFault) {
  format(16 << 20);
  const format::ExtentItem bad[] = {{0, 1, 0},
                                    {10, 0, 0},
                                    {4095, 2, 0},
                                    {1ull << 60, 1, 0},
                                    {UINT64_MAX, 2, 0},
                                    {100, 1, 8},
                                    {100, format::kExtentBlocksMax + 1, 0}};
  for (const format::ExtentItem& item : bad) {
    const rvm::Key key = item_key(kFile, format::ItemType::extent, 7);
    ASSERT_OK(core_->run_write<void>([&](Operation& op) {
      return core_->tree->put(op.tx, key, std::as_bytes(std::span(&item, 1)));
    }));
    const auto pieces = core_->run_read<std::vector<Extent>>(
        [&] { return ExtentMap(*core_, kFile).pieces(0, 100, 10); });
    ASSERT_FALSE(pieces.has_value());
    EXPECT_TRUE(is(pieces.error(), FsErrc::damaged));
    const auto removed = core_->run_write<ExtentMap::Removed>(
        [&](Operation& op) { return ExtentMap(*core_, kFile).remove(op, 0, 100, 10); });
    ASSERT_FALSE(removed.has_value());
    EXPECT_TRUE(is(removed.error(), FsErrc::damaged));
    ASSERT_OK(
        core_->run_write<void>([&](Operation& op) { return core_->tree->erase(op.tx, key); }));
  }
}

TEST_F(Extents, RandomChangesAgreeWithAMapOfBlocks) {
  const uint64_t seed = 11;
  SCOPED_TRACE("seed 11");
  format(64 << 20);
  std::mt19937_64 random(seed);
  struct Block {
    uint64_t block;
    bool unwritten;
    bool operator==(const Block&) const = default;
  };
  std::map<uint64_t, Block> model;
  for (int step = 0; step < 1500; ++step) {
    const uint64_t first = random() % 400;
    const uint64_t end = first + 1 + random() % 40;
    const auto in_range = [&] { return model.lower_bound(first); };
    switch (random() % 4) {
      case 0:
        ASSERT_OK(take_away(first, end));
        model.erase(in_range(), model.lower_bound(end));
        break;
      case 1: {
        const bool unwritten = random() % 2 == 0;
        ASSERT_OK(mark(first, end, unwritten));
        for (auto at = in_range(); at != model.end() && at->first < end; ++at) {
          at->second.unwritten = unwritten;
        }
        break;
      }
      default:
        for (const Extent& piece : map_of(first, end)) {
          if (!piece.is_hole()) continue;
          const auto run =
              reserve(random() % 2 ? 2000 + random() % 500 : 0, static_cast<uint32_t>(piece.count));
          ASSERT_TRUE(run.has_value());
          ASSERT_OK(give(*run, piece.first));
          for (uint32_t i = 0; i < run->count; ++i) {
            model[piece.first + i] = {run->block + i, true};
          }
        }
    }
    std::map<uint64_t, Block> found;
    for (const Extent& piece : map_of(0, 500)) {
      for (uint64_t i = 0; i < piece.count && !piece.is_hole(); ++i) {
        found[piece.first + i] = {piece.block + i, piece.unwritten};
      }
    }
    ASSERT_TRUE(found == model) << "step " << step;
  }
}

}  // namespace
}  // namespace rvmfs::test
