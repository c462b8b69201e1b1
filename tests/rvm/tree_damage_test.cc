// SPDX-License-Identifier: BSD-2-Clause
//
// Search trees with damaged nodes: every contradiction that reading meets is damaged_structure, and
// random damage never leads outside the page, to a hang or to another kind of error.
#include <gtest/gtest.h>

#include <cstddef>
#include <random>

#include "rvm/tree.h"
#include "tests/rvm/structures_world.h"
#include "tree_ops.h"

namespace rvmfs::test {
namespace {

using rvm::Errc;
using rvm::Key;
using rvm::Node;
using rvm::Transaction;
using rvm::Tree;
using rvm::format::InnerCell;
using rvm::format::LeafCell;
using rvm::format::NodeHeader;
using rvm::format::TreeRoot;

constexpr uint64_t kRoot = rvm::format::kRootPageOffset + 64;
constexpr uint64_t kEntries = 20'000;  // three levels

class DamagedTree : public testing::Test {
 protected:
  DamagedTree() : tree_(*world_.pool, kRoot) {
    world_.commit([&](Transaction& tx) {
      must(tree_.create(tx));
      for (uint64_t i = 0; i < kEntries; ++i) {
        must(tree_.insert(tx, {i / 100, i % 100 * 2}, pattern(i % 100 == 0 ? 600 : 20, i)));
      }
    });
    top_ = must(rvm::TreeOps{tree_}.root());
    EXPECT_EQ(top_.height, 3U);
    root_ = must(rvm::load_node(*world_.space, top_.root, 2));
    inner_ = must(rvm::load_node(*world_.space, root_.inner_cell(0)->child, 1));
    leaf_ = must(rvm::load_node(*world_.space, inner_.inner_cell(0)->child, 0));
  }

  template <typename Field>
  void set(const Node& node, size_t offset, Field value) {
    world_.damage(node.offset + offset, value);
  }
  void set_slot(const Node& node, uint32_t index, uint16_t value) {
    set(node, sizeof(NodeHeader) + index * 2, value);
  }
  // Everything that goes through the first leaf must find the damage. (Destroying does not look at
  // the entries, so that even a tree with damaged ones can be destroyed.)
  void expect_damage(bool when_destroyed = true) {
    EXPECT_ERROR(tree_.find({0, 1}), Errc::damaged_structure);
    EXPECT_ERROR(tree_.first_at_or_after({0, 1}), Errc::damaged_structure);
    EXPECT_ERROR(tree_.last_at_or_before({0, 1}), Errc::damaged_structure);
    Tree::Cursor cursor(tree_);
    EXPECT_ERROR(cursor.seek({0, 1}), Errc::damaged_structure);
    refuses([&](Transaction& tx) { return tree_.insert(tx, {0, 1}, Bytes(100)); });
    refuses([&](Transaction& tx) { return tree_.put(tx, {0, 1}, Bytes(100)); });
    refuses([&](Transaction& tx) { return tree_.erase(tx, {0, 2}); });
    if (when_destroyed) refuses([&](Transaction& tx) { return tree_.destroy(tx); });
    Transaction tx = world_.rvm->begin();
    EXPECT_ERROR(tree_.modify(tx, {0, 2}, 0, 1), Errc::damaged_structure);
  }
  template <typename Change>
  void refuses(Change&& change) {
    Transaction tx = world_.rvm->begin();
    EXPECT_ERROR(change(tx), Errc::damaged_structure);
    must(tx.abort());
  }

  World world_;
  Tree tree_;
  TreeRoot top_;
  Node root_, inner_, leaf_;
};

TEST_F(DamagedTree, is_found_in_the_tree_root) {
  for (const TreeRoot bad :
       {TreeRoot{0, 3, 0}, TreeRoot{top_.root, 0, 0}, TreeRoot{top_.root, 17, 0},
        TreeRoot{top_.root + 8, 3, 0}, TreeRoot{top_.root, 2, 0}, TreeRoot{top_.root, 16, 0},
        TreeRoot{UINT64_MAX - 4095, 3, 0}, TreeRoot{4096, 3, 0}}) {
    SCOPED_TRACE(std::to_string(bad.root) + " height " + std::to_string(bad.height));
    world_.damage(kRoot, bad);
    expect_damage();
  }
}

TEST_F(DamagedTree, is_found_when_a_node_is_of_another_kind) {
  set(leaf_, 0, uint32_t{0});
  expect_damage();
  set(leaf_, 0, rvm::format::kNodeMagic);
  set(leaf_, offsetof(NodeHeader, level), uint16_t{1});
  expect_damage();
}

TEST_F(DamagedTree, is_found_in_the_counts_of_a_header) {
  const NodeHeader good = leaf_.header();
  NodeHeader bad = good;
  bad.count = 3000;
  set(leaf_, 0, bad);
  expect_damage();
  bad = good;
  bad.cells_begin = 4097;
  set(leaf_, 0, bad);
  expect_damage();
  bad = good;
  bad.cells_begin = 32;
  set(leaf_, 0, bad);
  expect_damage();
  bad = good;
  bad.fragmented_bytes = 65535;
  set(leaf_, 0, bad);
  expect_damage();
  bad = good;
  bad.count = 0;
  set(leaf_, 0, bad);
  expect_damage(/*when_destroyed=*/false);
}

TEST_F(DamagedTree, is_found_when_an_inner_node_is_empty) {
  set(inner_, offsetof(NodeHeader, count), uint16_t{0});
  expect_damage();
}

TEST_F(DamagedTree, is_found_when_a_slot_points_outside) {
  for (const uint16_t bad : {0, 8, 24, 4095, 4096, 4080, 65535, 1001}) {
    SCOPED_TRACE(bad);
    const uint16_t good = leaf_.slots()[0];
    for (uint32_t i = 0; i < leaf_.count(); ++i) set_slot(leaf_, i, bad);
    expect_damage(/*when_destroyed=*/false);
    for (uint32_t i = 0; i < leaf_.count(); ++i) set_slot(leaf_, i, good);
  }
  for (uint32_t i = 0; i < inner_.count(); ++i) set_slot(inner_, i, 4088);
  expect_damage();
}

TEST_F(DamagedTree, is_found_when_a_value_is_longer_than_its_page) {
  for (const uint16_t bad : {1281, 65535, 1280}) {
    for (uint32_t i = 0; i < leaf_.count(); ++i) {
      if (bad == 1280 && leaf_.slots()[i] + 24 + 1280 <= 4096) continue;
      set(leaf_, leaf_.slots()[i] + offsetof(LeafCell, value_bytes), bad);
    }
    EXPECT_ERROR(tree_.find({0, 2}), Errc::damaged_structure);
    EXPECT_ERROR(tree_.first_at_or_after({0, 1}), Errc::damaged_structure);
    refuses([&](Transaction& tx) { return tree_.erase(tx, {0, 2}); });
    refuses([&](Transaction& tx) { return tree_.put(tx, {0, 2}, Bytes(4)); });
    refuses([&](Transaction& tx) { return tree_.modify(tx, {0, 2}, 0, 1); });
  }
}

TEST_F(DamagedTree, is_found_when_a_child_is_no_page_of_the_space) {
  for (const uint64_t bad : {uint64_t{0}, leaf_.offset + 16, uint64_t{1} << 60, UINT64_MAX << 12,
                             uint64_t{4096}, uint64_t{120} << 20, root_.offset, inner_.offset}) {
    SCOPED_TRACE(bad);
    set(inner_, inner_.slots()[0] + offsetof(InnerCell, child), bad);
    expect_damage();
  }
}

TEST_F(DamagedTree, is_found_when_a_node_hangs_in_two_places) {
  const uint64_t second = inner_.inner_cell(1)->child;
  set(inner_, inner_.slots()[0] + offsetof(InnerCell, child), second);
  refuses([&](Transaction& tx) { return tree_.destroy(tx); });
  Tree::Cursor cursor(tree_);
  EXPECT_ERROR(
      [&]() -> rvm::Result<void> {
        RVM_TRY(cursor.seek({0, 0}));
        for (uint64_t i = 0; i <= kEntries && cursor.valid(); ++i) RVM_TRY(cursor.next());
        EXPECT_FALSE(cursor.valid()) << "the walk does not end";
        return rvm::Error{.code = Errc::damaged_structure};  // an early end is right, too
      }(),
      Errc::damaged_structure);
}

TEST_F(DamagedTree, is_found_when_a_key_is_there_twice) {
  const Key first = leaf_.key(0);
  set(leaf_, leaf_.slots()[1], first.high);
  set(leaf_, leaf_.slots()[1] + 8, first.low);
  Tree::Cursor cursor(tree_);
  must(cursor.seek({0, 0}));
  EXPECT_ERROR(cursor.next(), Errc::damaged_structure);
  EXPECT_FALSE(cursor.valid());
}

TEST_F(DamagedTree, is_found_when_a_leaf_lies_below_its_lower_bound) {
  const Key bound = inner_.key(1);
  const Node second = must(rvm::load_node(*world_.space, inner_.inner_cell(1)->child, 0));
  for (uint32_t i = 0; i < second.count(); ++i) {
    set(second, second.slots()[i], uint64_t{0});
    set(second, second.slots()[i] + 8, uint64_t{0});
  }
  const Key just_below{bound.high, bound.low - 1};
  EXPECT_ERROR(tree_.first_at_or_after(just_below), Errc::damaged_structure);
  Tree::Cursor cursor(tree_);
  EXPECT_ERROR(cursor.seek(just_below), Errc::damaged_structure);
}

TEST_F(DamagedTree, is_found_when_two_neighbours_are_one_node) {
  world_.commit([&](Transaction& tx) {
    for (uint64_t i = 0; i < 40; ++i) (void)tree_.erase(tx, leaf_.key(1));
  });
  set(inner_, inner_.slots()[1] + offsetof(InnerCell, child), leaf_.offset);
  rvm::Result<void> erased;
  Transaction tx = world_.rvm->begin();
  for (int i = 0; i < 60 && erased; ++i) erased = tree_.erase(tx, leaf_.key(1));
  EXPECT_ERROR(erased, Errc::damaged_structure);
}

TEST_F(DamagedTree, of_any_kind_gives_errors_and_no_worse) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  // damaged_page: a reference into a part of the medium that no chunk was ever written to.
  const auto acceptable = [](const auto& result) -> testing::AssertionResult {
    if (result) return testing::AssertionSuccess();
    const Errc code = result.error().code;
    for (const Errc fine : {Errc::damaged_structure, Errc::damaged_page, Errc::not_found,
                            Errc::exists, Errc::out_of_range}) {
      if (code == fine) return testing::AssertionSuccess();
    }
    return testing::AssertionFailure() << rvm::describe(result.error());
  };
  for (int round = 0; round < 600; ++round) {
    Transaction tx = world_.rvm->begin();
    for (int hits = 0; hits < 3; ++hits) {
      const uint64_t which = random() % 3;
      const Node& node = which == 0 ? root_ : which == 1 ? inner_ : leaf_;
      const uint64_t at = random() % 3 == 0 ? random() % 64 : random() % 4096;
      const uint64_t offset = node.offset + std::min<uint64_t>(at, 4094);
      const auto value = static_cast<uint16_t>(random() % 2 == 0 ? random() : random() % 4200);
      std::memcpy(must(world_.space->modify(tx, offset, 2)), &value, 2);
    }
    for (int i = 0; i < 30; ++i) {
      const Key key{random() % 4 == 0 ? random() % 200 : random() % 2, random() % 200};
      ASSERT_TRUE(acceptable(tree_.find(key)));
      ASSERT_TRUE(acceptable(tree_.first_at_or_after(key)));
      ASSERT_TRUE(acceptable(tree_.last_at_or_before(key)));
      // As a client would: after an error nothing more is done in the transaction.
      const uint64_t kind = random() % 4;
      const Bytes value = pattern(random() % 1280, random());
      const rvm::Result<void> changed = kind == 0   ? tree_.insert(tx, key, value)
                                        : kind == 1 ? tree_.put(tx, key, value)
                                                    : tree_.erase(tx, key);
      ASSERT_TRUE(acceptable(changed));
      if (!changed && changed.error() != Errc::not_found && changed.error() != Errc::exists) {
        break;
      }
    }
    Tree::Cursor cursor(tree_);
    uint64_t steps = 0;
    if (cursor.seek({0, 0})) {
      while (cursor.valid() && ++steps < 10 * kEntries && cursor.next()) {
      }
    }
    ASSERT_LT(steps, 10 * kEntries) << "the walk does not end";
    if (round % 10 == 0) {
      ASSERT_TRUE(acceptable(tree_.destroy(tx)));
    }
    must(tx.abort());
  }
}

}  // namespace
}  // namespace rvmfs::test
