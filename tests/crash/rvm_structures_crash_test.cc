// SPDX-License-Identifier: BSD-2-Clause
//
// Crash states of librvm's structures: a search tree whose nodes split and empty again, and a heap,
// in a space that grows by chunks. After each crash both must be as after some commit, no older
// than the last one acknowledged as durable: every key with its value, every object with its bytes.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/crash/campaign.h"
#include "tests/rvm/structures_world.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

using rvm::Key;
using rvm::Transaction;
using rvm::Tree;

constexpr uint64_t kLogBytes = 1 << 20;
constexpr uint64_t kChunks = 6;

struct Piece {
  uint64_t length = 0, seed = 0;
  Bytes bytes() const { return pattern(length, seed); }
};

struct Contents {
  std::map<Key, Piece> keys;
  std::map<uint64_t, Piece> objects;  // by offset in the space
};

struct Account {
  std::vector<Contents> states;  // after commit i
  std::vector<size_t> begun_at;
  std::vector<std::pair<size_t, size_t>> durable;  // (events, commit)
};

rvm::Tuning small_spool() {
  rvm::Tuning tuning;
  tuning.spool_bytes_max = 64 * 1024;
  return tuning;
}

// Random changes, first more insertions than removals, then the other way round.
class Workload {
 public:
  Workload(Ensemble& devices, uint64_t seed) : devices_(devices), random_(seed) {
    must(rvm::Rvm::create_log(*devices.device(0), {.length = kLogBytes, .generation = 1000}));
    instance_ = std::make_unique<Structures>(devices.device(0), kLogBytes, kChunks, small_spool());
    Transaction tx = instance_->rvm->begin();
    instance_->create(tx);
    must(tx.end(rvm::Commit::flush));
    devices.restart();
    note(0);
    account_.durable.emplace_back(0, 0);
  }

  Account run(int commits) {
    for (int i = 1; i <= commits; ++i) {
      const size_t begun = devices_.event_count();
      const bool growing = i < commits * 2 / 3;
      Transaction tx = instance_->rvm->begin();
      for (int change = 0; change < 4; ++change) {
        if (random_() % 4 != 0) change_tree(tx, growing);
        if (random_() % 2 != 0) change_heap(tx, growing);
      }
      const bool flush = random_() % 5 == 0;
      must(tx.end(flush ? rvm::Commit::flush : rvm::Commit::no_flush));
      note(begun);
      if (flush) account_.durable.emplace_back(devices_.event_count(), account_.states.size() - 1);
      if (i % 40 == 39) must(instance_->rvm->truncate(rvm::Truncation::incremental));
    }
    instance_->rvm->abandon();
    return account_;
  }

 private:
  void note(size_t begun) {
    account_.states.push_back(now_);
    account_.begun_at.push_back(begun);
  }

  void change_tree(Transaction& tx, bool growing) {
    const bool insert = now_.keys.empty() || random_() % 10 < (growing ? 8 : 2);
    if (insert) {
      const Key key{random_() % 8, random_() % 500};
      const Piece value{random_() % 600, random_()};
      must(instance_->tree->put(tx, key, value.bytes()));
      now_.keys[key] = value;
      return;
    }
    auto victim = now_.keys.lower_bound({random_() % 8, random_() % 500});
    if (victim == now_.keys.end()) victim = now_.keys.begin();
    must(instance_->tree->erase(tx, victim->first));
    now_.keys.erase(victim);
  }

  void change_heap(Transaction& tx, bool growing) {
    if (now_.objects.empty() || random_() % 10 < (growing ? 7 : 3)) {
      const Piece object{1 + random_() % (random_() % 8 == 0 ? 20'000 : 300), random_()};
      const uint64_t offset = must(instance_->heap->allocate(tx, object.length));
      std::byte* bytes = must(instance_->space->modify(tx, offset, object.length));
      const Bytes wanted = object.bytes();
      std::copy(wanted.begin(), wanted.end(), bytes);
      now_.objects[offset] = object;
      return;
    }
    const auto victim =
        std::next(now_.objects.begin(), static_cast<long>(random_() % now_.objects.size()));
    must(instance_->heap->free(tx, victim->first));
    now_.objects.erase(victim);
  }

  Ensemble& devices_;
  std::mt19937_64 random_;
  std::unique_ptr<Structures> instance_;
  Contents now_;
  Account account_;
};

// Empty, or in what way the instance differs from these contents.
std::string difference(Structures& instance, const Contents& wanted) {
  Tree::Cursor cursor(*instance.tree);
  must(cursor.seek({0, 0}));
  for (const auto& [key, value] : wanted.keys) {
    if (!cursor.valid() || cursor.key() != key) return "another key";
    const Bytes bytes = value.bytes();
    if (!std::equal(bytes.begin(), bytes.end(), cursor.value().begin(), cursor.value().end())) {
      return "another value";
    }
    must(cursor.next());
  }
  if (cursor.valid()) return "a key too much";
  if (must(instance.heap->usage()).objects != wanted.objects.size()) return "other objects";
  for (const auto& [offset, object] : wanted.objects) {
    const std::byte* there = must(instance.space->read(offset, object.length));
    const Bytes bytes = object.bytes();
    if (!std::equal(bytes.begin(), bytes.end(), there)) return "another object";
  }
  return "";
}

std::string judge(const Account& account, Structures& instance, size_t point) {
  size_t first = 0, last = 0;
  for (const auto& [events, commit] : account.durable) {
    if (events <= point) first = commit;
  }
  for (size_t i = 0; i < account.states.size(); ++i) {
    if (account.begun_at[i] < point) last = i;
  }
  std::string differences;
  for (size_t commit = std::max(first, last) + 1; commit-- > first;) {
    const std::string wrong = difference(instance, account.states[commit]);
    if (!wrong.empty()) {
      differences += " [" + std::to_string(commit) + ": " + wrong + "]";
      continue;
    }
    Transaction tx = instance.rvm->begin();
    must(instance.tree->put(tx, {99, 99}, pattern(1000, 1)));
    must(instance.heap->allocate(tx, 5000));
    must(tx.end(rvm::Commit::flush));
    return "";
  }
  return "the structures are those of no commit:" + differences;
}

CheckResult check(const Account& account, const SparseImage& image, size_t point) {
  CheckResult result;
  Ensemble devices({image}, false);
  try {  // must() tells errors that way
    Structures instance(devices.device(0), kLogBytes, kChunks, small_spool());
    result.recovery = devices.history();
    result.failure = judge(account, instance, point);
  } catch (const std::exception& error) {
    result.failure = error.what();
  }
  return result;
}

TEST(RvmCrash, TreesThatSplitAndHeapsThatGrowAreAsAfterSomeCommit) {
  const std::string name = "rvm_structures";
  if (is_left_out(name)) GTEST_SKIP() << "RVMFS_CRASH_ONLY names another workload";
  Ensemble devices(
      {SparseImage(kLogBytes + (kChunks + 1) * rvm::format::kChunkBytes, std::byte{0xc5})}, false);
  const Account account = Workload(devices, crash_seed()).run(240);
  ASSERT_EQ(account.states.size(), 241u);
  const CampaignOptions options{
      .states = crash_states(share_of_slice(by_tier<size_t>(1200, 10'000, 100'000))),
      .follow_every = 60,
      .states_per_recovery = 12};
  Campaign campaign(name, crash_seed(), options,
                    [&](const std::vector<SparseImage>& images, size_t point, bool) {
                      return check(account, images[0], point);
                    });
  EXPECT_EQ(campaign.run(devices.history()), "");
}

}  // namespace
}  // namespace rvmfs::test
