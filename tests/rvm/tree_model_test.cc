// SPDX-License-Identifier: BSD-2-Clause
//
// Search trees under random use against std::map: mixed value sizes, aborted transactions,
// restarts. A failure prints its seed; RVM_TREE_SEED=<seed> runs it again.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <random>

#include "rvm/tree.h"
#include "tests/rvm/structures_world.h"
#include "tests/rvm/tree_check.h"

namespace rvmfs::test {
namespace {

using rvm::Errc;
using rvm::Key;
using rvm::Transaction;
using rvm::Tree;

constexpr uint64_t kRoot = rvm::format::kRootPageOffset + 64;
using Model = std::map<Key, Bytes>;

struct Profile {
  const char* name;
  uint64_t keys_high, keys_low;  // how many different ones
  size_t value_bytes_max;
  unsigned erase_percent;  // of the operations, in every second phase reversed with inserts
  int rounds;
};

void PrintTo(const Profile& profile, std::ostream* out) { *out << profile.name; }

uint64_t new_seed() {
  const char* given = std::getenv("RVM_TREE_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
}

class TreeAgainstModel : public testing::TestWithParam<Profile> {
 protected:
  TreeAgainstModel() : seed_(new_seed()), random_(seed_) {
    find_tree();
    world_.commit([&](Transaction& tx) { must(tree().create(tx)); });
    pages_at_start_ = world_.pages_used();
  }

  Tree& tree() { return *tree_; }
  // As the world has it now.
  void find_tree() { tree_.emplace(*world_.pool, kRoot); }
  uint64_t pick(uint64_t below) { return random_() % below; }
  Key random_key() { return {pick(GetParam().keys_high), pick(GetParam().keys_low)}; }
  // Mostly short, sometimes of any length.
  Bytes random_value() {
    const size_t most = GetParam().value_bytes_max;
    const size_t bytes = pick(4) == 0 ? pick(most + 1) : pick(std::min<size_t>(most, 40) + 1);
    return pattern(bytes, random_());
  }

  void insert(Transaction& tx, Model& model) {
    const Key key = random_key();
    const Bytes value = random_value();
    const auto result = tree().insert(tx, key, value);
    if (model.contains(key)) {
      EXPECT_ERROR(result, Errc::exists);
    } else {
      ASSERT_OK(result);
      model[key] = value;
    }
  }
  void put(Transaction& tx, Model& model) {
    const Key key = random_key();
    const Bytes value = random_value();
    ASSERT_OK(tree().put(tx, key, value));
    model[key] = value;
  }
  void modify(Transaction& tx, Model& model) {
    if (model.empty()) return;
    auto entry = model.lower_bound(random_key());
    if (entry == model.end()) entry = model.begin();
    const auto offset = static_cast<uint32_t>(pick(entry->second.size() + 1));
    const auto length = static_cast<uint32_t>(pick(entry->second.size() - offset + 1));
    const auto part = tree().modify(tx, entry->first, offset, length);
    ASSERT_OK(part);
    for (uint32_t i = 0; i < length; ++i) {
      entry->second[offset + i] = (*part)[i] = static_cast<std::byte>(random_());
    }
  }
  void erase(Transaction& tx, Model& model) {
    Key key = random_key();
    const auto near = model.lower_bound(key);
    if (near != model.end() && pick(10) != 0) key = near->first;
    const auto result = tree().erase(tx, key);
    if (model.erase(key) == 1) {
      ASSERT_OK(result);
    } else {
      EXPECT_ERROR(result, Errc::not_found);
    }
  }

  void one_operation(Transaction& tx, Model& model, unsigned erase_percent) {
    if (pick(100) < erase_percent) return erase(tx, model);
    const uint64_t kind = pick(10);
    if (kind < 5) return insert(tx, model);
    if (kind < 8) return put(tx, model);
    return modify(tx, model);
  }

  void compare(const Model& model) {
    Tree::Cursor cursor(tree());
    auto expected = model.begin();
    for (must(cursor.seek({0, 0})); cursor.valid(); must(cursor.next()), ++expected) {
      ASSERT_NE(expected, model.end());
      ASSERT_EQ(cursor.key(), expected->first);
      ASSERT_TRUE(std::ranges::equal(cursor.value(), expected->second));
    }
    ASSERT_EQ(expected, model.end());
    for (int i = 0; i < 50; ++i) compare_at(model, random_key());
  }
  void compare_at(const Model& model, Key key) {
    const auto found = tree().find(key);
    ASSERT_EQ(found.has_value(), model.contains(key));
    const auto after = must(tree().first_at_or_after(key));
    const auto up = model.lower_bound(key);
    ASSERT_EQ(after.has_value(), up != model.end());
    if (after) {
      ASSERT_EQ(after->key, up->first);
    }
    const auto before = must(tree().last_at_or_before(key));
    const auto down = model.upper_bound(key);
    ASSERT_EQ(before.has_value(), down != model.begin());
    if (before) {
      ASSERT_EQ(before->key, std::prev(down)->first);
    }
  }

  // A transaction of many operations, with a memory or without. Looks at the tree in between.
  void run(Transaction& tx, Model& model, unsigned erase_percent, bool with_memory) {
    std::optional<Tree::Memory> memory;
    if (with_memory) memory.emplace(tree());
    for (int i = 0; i < 60 && !HasFailure(); ++i) {
      one_operation(tx, model, erase_percent);
      for (int j = 0; with_memory && j < 3; ++j) compare_at(model, random_key());
    }
    if (with_memory && pick(20) == 0) compare(model);
  }

  World world_;
  std::optional<Tree> tree_;
  uint64_t seed_;
  std::mt19937_64 random_;
  uint64_t pages_at_start_ = 0;
};

TEST_P(TreeAgainstModel, agrees_after_every_transaction_and_leaves_no_page_behind) {
  SCOPED_TRACE("RVM_TREE_SEED=" + std::to_string(seed_));
  Model model;
  for (int round = 0; round < GetParam().rounds; ++round) {
    const unsigned erase_percent =
        round / 40 % 2 == 0 ? GetParam().erase_percent : 100 - GetParam().erase_percent;
    Model after = model;
    Transaction tx = world_.rvm->begin();
    run(tx, after, erase_percent, round % 2 == 1);
    if (pick(5) == 0) {
      must(tx.abort());
    } else {
      must(tx.end(rvm::Commit::no_flush));
      model = std::move(after);
    }
    if (round % 100 == 99) {
      world_.reopen();
      find_tree();
    }
    if (round % 10 == 0) {
      compare(model);
      const TreeShape shape = check_tree(tree(), world_);
      ASSERT_EQ(shape.entries, model.size());
      ASSERT_EQ(world_.pages_used(), pages_at_start_ - 1 + shape.pages);
    }
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
  world_.commit([&](Transaction& tx) {
    for (const auto& entry : model) must(tree().erase(tx, entry.first));
  });
  EXPECT_EQ(world_.pages_used(), pages_at_start_);
  check_pool(world_);
}

INSTANTIATE_TEST_SUITE_P(Profiles, TreeAgainstModel,
                         testing::Values(Profile{"few_keys_of_all_sizes", 4, 60, 1280, 40, 300},
                                         Profile{"many_small_values", 50, 400, 24, 30, 400},
                                         Profile{"many_mixed_values", 16, 500, 600, 35, 400},
                                         Profile{"large_values_only_a_few_per_leaf", 3, 700, 1280,
                                                 30, 300}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace rvmfs::test
