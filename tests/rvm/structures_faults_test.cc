// SPDX-License-Identifier: BSD-2-Clause
//
// Trees, heaps and page pools on a device that fails: each operation meets an error at each page
// that it reads, and meets an instance that fails while it reads. It gives that very error (never a
// word of damage), the transaction can be aborted, and everything is as it was.

#include <functional>

#include "tests/rvm/structures_world.h"
#include "tests/support/hook_device.h"

namespace rvmfs::test {
namespace {

using rvm::Errc;
using rvm::Error;
using rvm::Heap;
using rvm::Key;
using rvm::Result;
using rvm::Transaction;
using rvm::Tree;

constexpr uint64_t kLogBytes = 2 << 20;
constexpr uint64_t kChunks = 8;
constexpr uint64_t kSecondTreeRoot = rvm::format::kRootPageOffset + 2048;
constexpr uint64_t kEntries = 9'000;  // three levels

// Heap objects that the operations know of.
struct Objects {
  uint64_t lonely = 0;                       // alone in its slab
  uint64_t first = 0, middle = 0, last = 0;  // in slabs of a list
  uint64_t of_full_slab = 0;
  uint64_t run = 0;
};

struct OnHookedDevice {
  explicit OnHookedDevice(SparseImage image)
      : memory(std::make_shared<MemoryDevice>(std::move(image))) {}
  std::shared_ptr<MemoryDevice> memory;
  std::shared_ptr<HookDevice> device = std::make_shared<HookDevice>(memory);
};

struct Hooked : OnHookedDevice, Structures {
  explicit Hooked(SparseImage image)
      : OnHookedDevice(std::move(image)), Structures(device, kLogBytes, kChunks) {}

  void commit(const std::function<void(Transaction&)>& work) {
    Transaction tx = rvm->begin();
    work(tx);
    must(tx.end(rvm::Commit::no_flush));
  }
};

// Everything at home, nothing in the log; made once.
struct Prepared {
  SparseImage image;
  Objects objects;
};

Objects fill(Hooked& s) {
  Objects objects;
  s.commit([&](Transaction& tx) { s.create(tx); });
  for (uint64_t i = 0; i < kEntries; i += 1000) {
    s.commit([&](Transaction& tx) {
      for (uint64_t k = i; k < i + 1000; ++k) {
        must(s.tree->insert(tx, {k / 100, k % 100 * 2}, pattern(k % 50 == 0 ? 900 : 40, k)));
      }
    });
  }
  s.commit([&](Transaction& tx) {
    objects.lonely = must(s.heap->allocate(tx, 700));
    objects.run = must(s.heap->allocate(tx, 20'000));
    std::vector<uint64_t> all;  // four slabs of two
    for (int i = 0; i < 8; ++i) all.push_back(must(s.heap->allocate(tx, 2016)));
    objects.of_full_slab = all[0];
    for (const int i : {2, 4, 6}) must(s.heap->free(tx, all[static_cast<size_t>(i)]));
    objects.last = all[3];
    objects.middle = all[5];
    objects.first = all[7];
  });
  must(s.rvm->truncate());
  return objects;
}

const Prepared& prepared() {
  static const Prepared made = [] {
    SparseImage image(kLogBytes + (kChunks + 1) * rvm::format::kChunkBytes);
    MemoryDevice raw(image);
    must(rvm::Rvm::create_log(raw, {.length = kLogBytes}));
    Hooked structures(raw.snapshot());
    const Objects objects = fill(structures);
    return Prepared{structures.memory->snapshot(), objects};
  }();
  return made;
}

using Operation = std::function<Result<void>(Structures&, Transaction&)>;

template <typename T>
Result<void> only_error(const Result<T>& result) {
  if (!result) return result.error();
  return {};
}

std::vector<std::pair<std::string, Operation>> tree_operations() {
  std::vector<std::pair<std::string, Operation>> all;
  const auto add = [&](const char* name, Operation operation) {
    all.emplace_back(name, std::move(operation));
  };
  add("create",
      [](Structures& s, Transaction& tx) { return Tree(*s.pool, kSecondTreeRoot).create(tx); });
  add("destroy", [](Structures& s, Transaction& tx) { return s.tree->destroy(tx); });
  add("find", [](Structures& s, Transaction&) { return only_error(s.tree->find({40, 4})); });
  add("first at or after", [](Structures& s, Transaction&) -> Result<void> {
    for (uint64_t low = 1; low < 200; low += 20) RVM_TRY(s.tree->first_at_or_after({40, low}));
    return {};
  });
  add("last at or before", [](Structures& s, Transaction&) -> Result<void> {
    for (uint64_t low = 1; low < 200; low += 4) RVM_TRY(s.tree->last_at_or_before({41, low}));
    return {};
  });
  add("cursor", [](Structures& s, Transaction&) -> Result<void> {
    Tree::Cursor cursor(*s.tree);
    RVM_TRY(cursor.seek({30, 0}));
    for (int i = 0; i < 400 && cursor.valid(); ++i) RVM_TRY(cursor.next());
    return {};
  });
  add("modify", [](Structures& s, Transaction& tx) {
    return only_error(s.tree->modify(tx, {40, 4}, 0, 8));
  });
  add("insert many", [](Structures& s, Transaction& tx) -> Result<void> {
    for (uint64_t low = 1; low < 60; low += 2) {
      RVM_TRY(s.tree->insert(tx, {40, low}, pattern(1000, low)));
    }
    return {};
  });
  add("put many", [](Structures& s, Transaction& tx) -> Result<void> {
    for (uint64_t low = 0; low < 120; low += 2) {
      RVM_TRY(s.tree->put(tx, {50, low}, pattern(low % 4 == 0 ? 1200 : 3, low)));
    }
    return {};
  });
  add("erase forward", [](Structures& s, Transaction& tx) -> Result<void> {
    for (uint64_t k = 0; k < 3000; ++k) RVM_TRY(s.tree->erase(tx, {k / 100, k % 100 * 2}));
    return {};
  });
  add("erase backward", [](Structures& s, Transaction& tx) -> Result<void> {
    for (uint64_t k = 3000; k-- > 0;) RVM_TRY(s.tree->erase(tx, {k / 100, k % 100 * 2}));
    return {};
  });
  add("erase all", [](Structures& s, Transaction& tx) -> Result<void> {
    for (uint64_t k = 0; k < kEntries; ++k) RVM_TRY(s.tree->erase(tx, {k / 100, k % 100 * 2}));
    return {};
  });
  return all;
}

std::vector<std::pair<std::string, Operation>> heap_operations() {
  std::vector<std::pair<std::string, Operation>> all;
  const auto allocate = [&](uint64_t bytes) {
    all.emplace_back("allocate " + std::to_string(bytes), [bytes](Structures& s, Transaction& tx) {
      return only_error(s.heap->allocate(tx, bytes));
    });
  };
  const auto free = [&](const char* name, uint64_t Objects::*object) {
    all.emplace_back(name, [object](Structures& s, Transaction& tx) {
      return s.heap->free(tx, prepared().objects.*object);
    });
    all.emplace_back(std::string("size of ") + name, [object](Structures& s, Transaction&) {
      return only_error(s.heap->usable_bytes(prepared().objects.*object));
    });
  };
  for (const uint64_t bytes : {16, 700, 2016, 20'000}) allocate(bytes);
  free("free a lonely one", &Objects::lonely);
  free("free the first slab", &Objects::first);
  free("free the middle slab", &Objects::middle);
  free("free the last slab", &Objects::last);
  free("free of a full slab", &Objects::of_full_slab);
  free("free a run", &Objects::run);
  all.emplace_back("usage",
                   [](Structures& s, Transaction&) { return only_error(s.heap->usage()); });
  all.emplace_back("create", [](Structures& s, Transaction& tx) {
    return Heap(*s.pool, kSecondTreeRoot).create(tx);
  });
  return all;
}

std::vector<std::pair<std::string, Operation>> pool_operations() {
  std::vector<std::pair<std::string, Operation>> all;
  all.emplace_back("allocate",
                   [](Structures& s, Transaction& tx) { return only_error(s.pool->allocate(tx)); });
  all.emplace_back("allocate runs", [](Structures& s, Transaction& tx) -> Result<void> {
    for (int i = 0; i < 3; ++i) RVM_TRY(s.pool->allocate(tx, 200));
    return {};
  });
  all.emplace_back("reserve",
                   [](Structures& s, Transaction& tx) { return s.pool->reserve(tx, 700); });
  all.emplace_back("free", [](Structures& s, Transaction& tx) {
    return s.pool->free(tx, prepared().objects.run, 2);
  });
  return all;
}

enum class Mode : uint8_t { read_fails, instance_fails };

class StructuresOnAFailingDevice : public ::testing::TestWithParam<Mode> {
 protected:
  // The operation, met by the fault at its read number `nth`; false if it has no such read.
  static bool meets_fault(const std::string& name, const Operation& operation, uint64_t nth) {
    SCOPED_TRACE(name + ", read " + std::to_string(nth));
    Hooked s(prepared().image);
    bool met = false;
    uint64_t reads = 0;
    s.device->hook = [&](DeviceCall kind, uint64_t) -> Result<void> {
      if (kind != DeviceCall::read || reads++ != nth) return {};
      met = true;
      if (GetParam() == Mode::read_fails) return Error{Errc::io, EIO, 0, "injected fault"};
      s.rvm->declare_failed();
      return {};
    };
    Transaction tx = s.rvm->begin();
    const Result<void> done = operation(s, tx);
    s.device->hook = nullptr;
    if (!met) EXPECT_OK(done);
    if (met && GetParam() == Mode::read_fails) EXPECT_FALSE(done);
    if (!done) {
      EXPECT_EQ(done.error().code, GetParam() == Mode::read_fails ? Errc::io : Errc::failed)
          << rvm::describe(done.error());
    }
    EXPECT_OK(tx.abort());
    if (met) expect_unchanged(s);
    return met;
  }

  // After the abort every entry is there, and so is every object.
  static void expect_unchanged(Structures& s) {
    Tree::Cursor cursor(*s.tree);
    uint64_t count = 0;
    EXPECT_OK(cursor.seek({0, 0}));
    for (; cursor.valid(); ++count) {
      if (const auto next = cursor.next(); !next) {
        ADD_FAILURE() << rvm::describe(next.error());
        return;
      }
    }
    EXPECT_EQ(count, kEntries);
    EXPECT_EQ(must(s.heap->usage()).objects, 7U);
  }

  static void with_each_read(const std::vector<std::pair<std::string, Operation>>& operations) {
    for (const auto& [name, operation] : operations) {
      // Of a long operation some of the later reads: they are of the same kind.
      for (uint64_t nth = 0; meets_fault(name, operation, nth); nth += nth < 40 ? 1 : 17) {
        if (HasFailure()) return;
      }
    }
  }
};

TEST_P(StructuresOnAFailingDevice, trees_give_its_error_and_are_as_they_were) {
  with_each_read(tree_operations());
}

TEST_P(StructuresOnAFailingDevice, heaps_give_its_error_and_are_as_they_were) {
  with_each_read(heap_operations());
}

TEST_P(StructuresOnAFailingDevice, pools_give_its_error_and_are_as_they_were) {
  with_each_read(pool_operations());
}

INSTANTIATE_TEST_SUITE_P(Faults, StructuresOnAFailingDevice,
                         ::testing::Values(Mode::read_fails, Mode::instance_fails));

// Every change begins with a page that is in memory already: it fails at its first change.
TEST(StructuresOfAFailedInstance, refuse_every_change) {
  for (const auto& operations : {tree_operations(), heap_operations(), pool_operations()}) {
    for (const auto& [name, operation] : operations) {
      SCOPED_TRACE(name);
      Hooked s(prepared().image);
      {
        Transaction tx = s.rvm->begin();
        EXPECT_OK(operation(s, tx));
        EXPECT_OK(tx.abort());
      }
      s.rvm->declare_failed();
      Transaction tx = s.rvm->begin();
      const Result<void> done = operation(s, tx);
      if (!done) EXPECT_EQ(done.error().code, Errc::failed) << rvm::describe(done.error());
    }
  }
}

}  // namespace
}  // namespace rvmfs::test
