// SPDX-License-Identifier: BSD-2-Clause
//
// Search trees: single operations, order, large fills, page accounting, restarts, transactions.
// Random use against a model is in tree_model_test.cc, damage in tree_damage_test.cc.
#include "rvm/tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/rvm/structures_world.h"
#include "tests/rvm/tree_check.h"

namespace rvmfs::test {
namespace {

using rvm::Errc;
using rvm::Key;
using rvm::Transaction;
using rvm::Tree;

constexpr uint64_t kRoot = rvm::format::kRootPageOffset + 64;

Bytes copy(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

std::span<const std::byte> bytes_of(const uint64_t& number) {
  return std::as_bytes(std::span(&number, 1));
}

uint64_t number_in(std::span<const std::byte> bytes) {
  uint64_t number = 0;
  EXPECT_EQ(bytes.size(), sizeof(number));
  std::memcpy(&number, bytes.data(), sizeof(number));
  return number;
}

class TreeTest : public testing::Test {
 protected:
  TreeTest() : TreeTest(WorldOptions{}) {}
  explicit TreeTest(WorldOptions options) : world_(options) {
    world_.commit([&](Transaction& tx) { must(tree().create(tx)); });
  }
  Tree tree() { return Tree(*world_.pool, kRoot); }
  Tree& check() {
    tree_ = std::make_unique<Tree>(*world_.pool, kRoot);
    shape_ = check_tree(*tree_, world_);
    return *tree_;
  }
  void insert(Key key, std::span<const std::byte> value) {
    world_.commit([&](Transaction& tx) { must(tree().insert(tx, key, value)); });
  }

  World world_;
  std::unique_ptr<Tree> tree_;
  TreeShape shape_;
};

TEST_F(TreeTest, finds_what_was_inserted_and_nothing_else) {
  insert({1, 2}, to_bytes("one two"));
  insert({1, 3}, {});
  EXPECT_EQ(copy(must(tree().find({1, 2}))), to_bytes("one two"));
  EXPECT_TRUE(must(tree().find({1, 3})).empty());
  EXPECT_ERROR(tree().find({1, 1}), Errc::not_found);
  EXPECT_ERROR(tree().find({2, 2}), Errc::not_found);
  EXPECT_ERROR(tree().find({0, 2}), Errc::not_found);
}

TEST_F(TreeTest, holds_the_smallest_and_the_largest_key) {
  insert({UINT64_MAX, UINT64_MAX}, to_bytes("last"));
  insert({0, 0}, to_bytes("first"));
  EXPECT_EQ(copy(must(tree().find({0, 0}))), to_bytes("first"));
  EXPECT_EQ(copy(must(tree().find({UINT64_MAX, UINT64_MAX}))), to_bytes("last"));
}

TEST_F(TreeTest, refuses_a_second_insertion_of_a_key_and_keeps_the_first) {
  insert({5, 5}, to_bytes("first"));
  Transaction tx = world_.rvm->begin();
  EXPECT_ERROR(tree().insert(tx, {5, 5}, to_bytes("second")), Errc::exists);
  EXPECT_EQ(copy(must(tree().find({5, 5}))), to_bytes("first"));
}

TEST_F(TreeTest, takes_values_up_to_the_limit_and_no_longer) {
  const Bytes longest = pattern(rvm::format::kTreeValueBytesMax, 1);
  insert({1, 1}, longest);
  EXPECT_EQ(copy(must(tree().find({1, 1}))), longest);
  Transaction tx = world_.rvm->begin();
  const Bytes longer = pattern(rvm::format::kTreeValueBytesMax + 1, 1);
  EXPECT_ERROR(tree().insert(tx, {1, 2}, longer), Errc::invalid_argument);
  EXPECT_ERROR(tree().put(tx, {1, 1}, longer), Errc::invalid_argument);
}

TEST_F(TreeTest, replaces_values_by_shorter_equal_and_longer_ones) {
  for (uint64_t i = 0; i < 50; ++i) insert({0, i}, pattern(40, i));
  for (const size_t bytes : {40, 39, 33, 32, 0, 1, 8, 9, 200, 1280, 100, 1280}) {
    world_.commit([&](Transaction& tx) { must(tree().put(tx, {0, 20}, pattern(bytes, bytes))); });
    EXPECT_EQ(copy(must(tree().find({0, 20}))), pattern(bytes, bytes));
    check();
    EXPECT_EQ(shape_.entries, 50U);
  }
  for (uint64_t i = 0; i < 50; ++i) {
    if (i != 20) {
      EXPECT_EQ(copy(must(tree().find({0, i}))), pattern(40, i));
    }
  }
}

TEST_F(TreeTest, puts_new_keys_too) {
  world_.commit([&](Transaction& tx) { must(tree().put(tx, {1, 1}, to_bytes("new"))); });
  EXPECT_EQ(copy(must(tree().find({1, 1}))), to_bytes("new"));
}

TEST_F(TreeTest, changes_part_of_a_value_in_place) {
  insert({1, 1}, to_bytes("recoverable"));
  world_.commit([&](Transaction& tx) {
    const std::span<std::byte> part = must(tree().modify(tx, {1, 1}, 2, 5));
    ASSERT_EQ(part.size(), 5U);
    std::memcpy(part.data(), "COVER", 5);
  });
  EXPECT_EQ(copy(must(tree().find({1, 1}))), to_bytes("reCOVERable"));
  Transaction tx = world_.rvm->begin();
  EXPECT_ERROR(tree().modify(tx, {1, 1}, 11, 1), Errc::out_of_range);
  EXPECT_ERROR(tree().modify(tx, {1, 1}, 12, 0), Errc::out_of_range);
  EXPECT_ERROR(tree().modify(tx, {1, 1}, 4, UINT32_MAX), Errc::out_of_range);
  EXPECT_ERROR(tree().modify(tx, {1, 2}, 0, 0), Errc::not_found);
  EXPECT_EQ(must(tree().modify(tx, {1, 1}, 11, 0)).size(), 0U);
}

TEST_F(TreeTest, erases_and_says_when_there_is_nothing_to_erase) {
  insert({1, 1}, to_bytes("gone soon"));
  Transaction tx = world_.rvm->begin();
  EXPECT_ERROR(tree().erase(tx, {1, 2}), Errc::not_found);
  EXPECT_ERROR(tree().erase(tx, {0, 1}), Errc::not_found);
  must(tree().erase(tx, {1, 1}));
  EXPECT_ERROR(tree().erase(tx, {1, 1}), Errc::not_found);
  EXPECT_ERROR(tree().find({1, 1}), Errc::not_found);
}

TEST_F(TreeTest, answers_for_an_empty_tree) {
  EXPECT_ERROR(tree().find({1, 1}), Errc::not_found);
  EXPECT_EQ(must(tree().first_at_or_after({0, 0})), std::nullopt);
  EXPECT_EQ(must(tree().last_at_or_before({9, 9})), std::nullopt);
  Tree empty = tree();
  Tree::Cursor cursor(empty);
  must(cursor.seek({0, 0}));
  EXPECT_FALSE(cursor.valid());
  EXPECT_ERROR(cursor.next(), Errc::invalid_argument);
}

TEST_F(TreeTest, finds_neighbours_within_bounds) {
  world_.commit([&](Transaction& tx) {
    for (uint64_t i = 1; i <= 5000; ++i) must(tree().insert(tx, {7, i * 10}, bytes_of(i)));
  });
  for (uint64_t at = 0; at <= 50020; at += 7) {
    const uint64_t up = std::max<uint64_t>(10, (at + 9) / 10 * 10);
    const auto after = must(tree().first_at_or_after({7, at}));
    ASSERT_EQ(after.has_value(), up <= 50000) << at;
    if (after) {
      EXPECT_EQ(after->key.low, up);
    }
    EXPECT_EQ(must(tree().first_at_or_after({7, at}, {7, up - 1})), std::nullopt);
    const uint64_t down = std::min<uint64_t>(50000, at / 10 * 10);
    const auto before = must(tree().last_at_or_before({7, at}));
    ASSERT_EQ(before.has_value(), down >= 10) << at;
    if (before) {
      EXPECT_EQ(before->key.low, down);
    }
    EXPECT_EQ(must(tree().last_at_or_before({7, at}, {7, down + 1})), std::nullopt);
  }
  EXPECT_EQ(must(tree().first_at_or_after({0, 0}))->key, (Key{7, 10}));
  EXPECT_EQ(must(tree().last_at_or_before({UINT64_MAX, 0}))->key, (Key{7, 50000}));
  EXPECT_EQ(must(tree().first_at_or_after({7, 20}, {7, 10})), std::nullopt);
  EXPECT_EQ(must(tree().last_at_or_before({7, 10}, {7, 20})), std::nullopt);
}

TEST_F(TreeTest, walks_in_order_from_any_key) {
  world_.commit([&](Transaction& tx) {
    for (uint64_t i = 0; i < 3000; ++i) must(tree().insert(tx, {0, i * 2}, bytes_of(i)));
  });
  Tree walked = tree();
  for (const uint64_t from : {0, 1, 2, 999, 1000, 5997, 5998, 5999}) {
    uint64_t expected = (from + 1) / 2;
    Tree::Cursor cursor(walked);
    for (must(cursor.seek({0, from})); cursor.valid(); must(cursor.next()), ++expected) {
      ASSERT_EQ(cursor.key(), (Key{0, expected * 2}));
      ASSERT_EQ(number_in(cursor.value()), expected);
    }
    EXPECT_EQ(expected, 3000U);
  }
}

TEST_F(TreeTest, declares_few_bytes_for_a_small_insertion) {
  for (uint64_t i = 0; i < 80; ++i) insert({0, i}, bytes_of(i));
  const uint64_t before = world_.rvm->statistics().bytes_declared;
  insert({0, 1000}, bytes_of(1));
  EXPECT_LE(world_.rvm->statistics().bytes_declared - before, 32U + 2U + 6U);
}

TEST_F(TreeTest, declares_nothing_when_a_value_is_replaced_by_itself) {
  insert({0, 1}, pattern(100, 3));
  const uint64_t before = world_.rvm->statistics().bytes_declared;
  world_.commit([&](Transaction& tx) { must(tree().put(tx, {0, 1}, pattern(100, 3))); });
  EXPECT_EQ(world_.rvm->statistics().bytes_declared, before);
}

TEST_F(TreeTest, is_what_it_was_after_an_abort) {
  world_.commit([&](Transaction& tx) {
    for (uint64_t i = 0; i < 1000; ++i) must(tree().insert(tx, {0, i * 3}, bytes_of(i)));
  });
  const uint64_t pages = world_.pages_used();
  world_.abort([&](Transaction& tx) {
    for (uint64_t i = 0; i < 1000; ++i) must(tree().insert(tx, {0, i * 3 + 1}, pattern(60, i)));
    for (uint64_t i = 0; i < 1000; ++i) must(tree().erase(tx, {0, i * 3}));
  });
  EXPECT_EQ(world_.pages_used(), pages);
  check();
  EXPECT_EQ(shape_.entries, 1000U);
  for (uint64_t i = 0; i < 1000; ++i) ASSERT_EQ(number_in(must(tree().find({0, i * 3}))), i);
}

TEST_F(TreeTest, gives_all_pages_back_when_destroyed) {
  const uint64_t pages = world_.pages_used();
  world_.commit([&](Transaction& tx) {
    for (uint64_t i = 0; i < 5000; ++i) must(tree().insert(tx, {i, i}, pattern(i % 300, i)));
  });
  world_.commit([&](Transaction& tx) { must(tree().destroy(tx)); });
  EXPECT_EQ(world_.pages_used(), pages - 1);
  EXPECT_ERROR(tree().find({1, 1}), Errc::damaged_structure);
  world_.commit([&](Transaction& tx) { must(tree().create(tx)); });
  EXPECT_ERROR(tree().find({1, 1}), Errc::not_found);
  check_pool(world_);
}

// ---- large fills
// ---------------------------------------------------------------------------------

constexpr uint64_t kMany = 200'000;

class LargeTree : public TreeTest {
 protected:
  LargeTree() : pages_at_start_(world_.pages_used()) {}

  template <typename Operation>
  void for_all(const std::vector<uint64_t>& keys, Operation&& operation) {
    for (size_t begin = 0; begin < keys.size(); begin += 200) {
      world_.commit([&](Transaction& tx) {
        const size_t end = std::min(begin + 200, keys.size());
        for (size_t i = begin; i < end; ++i) operation(tx, keys[i]);
      });
    }
  }
  void fill(const std::vector<uint64_t>& keys) {
    for_all(keys, [&](Transaction& tx, uint64_t key) {
      must(tree().insert(tx, {key >> 8, key}, bytes_of(key)));
    });
  }
  void erase_all(const std::vector<uint64_t>& keys) {
    for_all(keys, [&](Transaction& tx, uint64_t key) { must(tree().erase(tx, {key >> 8, key})); });
  }
  void expect_all() {
    check();
    EXPECT_EQ(shape_.entries, kMany);
    EXPECT_EQ(shape_.pages + pages_at_start_ - 1, world_.pages_used());
    for (uint64_t key = 0; key < kMany; ++key) {
      ASSERT_EQ(number_in(must(tree().find({key >> 8, key}))), key);
    }
  }
  void expect_nothing_left() {
    check();
    EXPECT_EQ(shape_.entries, 0U);
    EXPECT_EQ(shape_.height, 1U);
    EXPECT_EQ(world_.pages_used(), pages_at_start_);
    check_pool(world_);
  }
  static std::vector<uint64_t> ascending() {
    std::vector<uint64_t> keys(kMany);
    std::iota(keys.begin(), keys.end(), 0);
    return keys;
  }
  static std::vector<uint64_t> shuffled(uint64_t seed) {
    std::vector<uint64_t> keys = ascending();
    std::shuffle(keys.begin(), keys.end(), std::mt19937_64(seed));
    return keys;
  }

  uint64_t pages_at_start_;
};

TEST_F(LargeTree, filled_in_order_has_full_nodes_and_is_found_after_a_restart) {
  fill(ascending());
  expect_all();
  EXPECT_GE(shape_.used_bytes * 100, shape_.pages * rvm::kNodeCapacity * 98);
  world_.reopen();
  expect_all();
  must(world_.rvm->truncate());
  world_.reopen();
  expect_all();
  erase_all(ascending());
  expect_nothing_left();
}

TEST_F(LargeTree, filled_at_random_is_well_filled_and_found_after_a_restart) {
  fill(shuffled(1));
  expect_all();
  EXPECT_GE(shape_.used_bytes * 100, shape_.pages * rvm::kNodeCapacity * 60);
  must(world_.rvm->truncate(rvm::Truncation::epoch));
  world_.reopen();
  expect_all();
  erase_all(shuffled(2));
  expect_nothing_left();
}

TEST_F(LargeTree, filled_backward_and_erased_backward_leaves_nothing) {
  std::vector<uint64_t> keys = ascending();
  std::reverse(keys.begin(), keys.end());
  fill(keys);
  expect_all();
  EXPECT_GE(shape_.used_bytes * 100, shape_.pages * rvm::kNodeCapacity * 45);
  erase_all(keys);
  expect_nothing_left();
}

TEST_F(LargeTree, shrinks_while_it_is_thinned_out) {
  fill(ascending());
  std::vector<uint64_t> victims;
  for (uint64_t key = 0; key < kMany; ++key) {
    if (key % 20 != 0) victims.push_back(key);
  }
  std::shuffle(victims.begin(), victims.end(), std::mt19937_64(3));
  erase_all(victims);
  check();
  EXPECT_EQ(shape_.entries, kMany / 20);
  EXPECT_GE(shape_.used_bytes * 100, shape_.pages * rvm::kNodeCapacity * 40);
  for (uint64_t key = 0; key < kMany; key += 20) {
    ASSERT_EQ(number_in(must(tree().find({key >> 8, key}))), key);
  }
}

// ---- growing while inserting
// ---------------------------------------------------------------------

// Records each new chunk in the very tree whose insertion asked for it, and takes pages meanwhile.
class RecordingInTree : public FixedSource {
 public:
  RecordingInTree() : FixedSource(16 << 20, 64) {}
  rvm::Result<rvm::ChunkPlace> grow(Transaction& tx, uint64_t index) override {
    for (uint64_t i = 0; i < 20; ++i) {
      RVM_TRY(Tree(*pool, kRoot).insert(tx, {index * 40 + i, 1}, Bytes(16)));
      ++recorded;
    }
    return FixedSource::grow(tx, index);
  }
  rvm::PagePool* pool = nullptr;
  uint64_t recorded = 0;
};

TEST(TreeGrowth, may_change_the_tree_that_asked_for_it) {
  auto own = std::make_unique<RecordingInTree>();
  RecordingInTree& source = *own;
  World world({}, std::move(own));
  source.pool = world.pool.get();
  Tree tree(*world.pool, kRoot);
  world.commit([&](Transaction& tx) { must(tree.create(tx)); });
  std::mt19937_64 random(4);
  std::vector<uint64_t> keys;
  world.commit([&](Transaction& tx) {
    for (uint64_t i = 0; i < 3000; ++i) {
      keys.push_back(random() % 4096 * 4096 + i);
      must(tree.insert(tx, {keys.back(), 0}, pattern(600, i)));
    }
  });
  EXPECT_GE(source.recorded, 60U);
  EXPECT_EQ(check_tree(tree, world).entries, 3000 + source.recorded);
  for (uint64_t i = 0; i < 3000; ++i) {
    ASSERT_EQ(copy(must(tree.find({keys[i], 0}))), pattern(600, i));
  }
  check_pool(world);
}

TEST(TreeGrowth, that_fails_for_want_of_space_leaves_the_tree_as_it_was_after_the_abort) {
  World world({.chunks_max = 2});
  Tree tree(*world.pool, kRoot);
  world.commit([&](Transaction& tx) { must(tree.create(tx)); });
  uint64_t inserted = 0;
  for (bool full = false; !full;) {
    Transaction tx = world.rvm->begin();
    const auto result = tree.insert(tx, {inserted, inserted}, pattern(1000, inserted));
    if (result) {
      must(tx.end(rvm::Commit::no_flush));
      ++inserted;
    } else {
      EXPECT_EQ(result.error().code, Errc::no_space) << rvm::describe(result.error());
      full = true;
    }
  }
  EXPECT_GT(inserted, 1400U);
  EXPECT_EQ(check_tree(tree, world).entries, inserted);
  world.commit([&](Transaction& tx) {
    for (uint64_t i = 0; i < inserted; ++i) must(tree.erase(tx, {i, i}));
  });
  EXPECT_EQ(world.pages_used(), 2U);
  check_pool(world);
}

}  // namespace
}  // namespace rvmfs::test
