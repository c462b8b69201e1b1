// SPDX-License-Identifier: BSD-2-Clause
//
// A small world for tests of persistent structures: a memory device that begins with a log and goes
// on with chunks at fixed places, an Rvm on it, a space and its page pool. It can be closed and
// opened again, as a process would. Errors that a test does not expect throw, which fails the test.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "rvm/heap.h"
#include "rvm/page_pool.h"
#include "rvm/tree.h"
#include "tests/support/bytes.h"
#include "tests/support/memory_device.h"

namespace rvmfs::test {

template <typename T>
T must(rvm::Result<T> result) {
  if (!result) throw std::runtime_error(rvm::describe(result.error()));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// Chunk i lies at base + i * kChunkBytes, as long as i < chunks_max.
class FixedSource : public rvm::ChunkSource {
 public:
  FixedSource(uint64_t base, uint64_t chunks) : base_(base), chunks_max(chunks) {}

  rvm::Result<rvm::ChunkPlace> locate(uint64_t index) override {
    if (index >= chunks_max) {
      return rvm::Error{
          .code = rvm::Errc::out_of_range, .position = index, .what = "no such chunk"};
    }
    return rvm::ChunkPlace{rvm::kLogDeviceSegment, base_ + index * rvm::format::kChunkBytes};
  }
  rvm::Result<rvm::ChunkPlace> grow(rvm::Transaction&, uint64_t index) override {
    ++grown;
    if (index >= chunks_max) {
      return rvm::Error{.code = rvm::Errc::no_space, .position = index, .what = "no room"};
    }
    return locate(index);
  }

 private:
  uint64_t base_;

 public:
  uint64_t chunks_max;
  int grown = 0;
};

struct WorldOptions {
  uint64_t log_bytes = 16 << 20;
  uint64_t chunks_max = 64;
  uint64_t space_chunks = 128;  // of address space
  std::byte medium{0xc5};       // what the device holds at first
};

class World {
 public:
  using Options = WorldOptions;

  explicit World(Options options = {}, std::unique_ptr<rvm::ChunkSource> own_source = nullptr)
      : device(MemoryDevice::disk(
            options.log_bytes + (options.chunks_max + 1) * rvm::format::kChunkBytes,
            options.medium)),
        fixed(options.log_bytes, options.chunks_max),
        own_source_(std::move(own_source)),
        options_(options) {
    must(rvm::Rvm::create_log(*device, {.length = options.log_bytes}));
    open();
    commit([&](rvm::Transaction& tx) {
      must(rvm::PagePool::create(tx, *space, must(source().locate(0))));
    });
  }

  rvm::ChunkSource& source() { return own_source_ ? *own_source_ : fixed; }

  void open() {
    rvm::Options options;
    options.log_device = device;
    rvm = must(rvm::Rvm::initialize(std::move(options)));
    space =
        must(rvm::Space::open(*rvm, source(), options_.space_chunks * rvm::format::kChunkBytes));
    pool = std::make_unique<rvm::PagePool>(*space);
  }

  // A clean end of the process, and a new one.
  void reopen() {
    pool.reset();
    space.reset();
    must(rvm->close());
    rvm.reset();
    open();
  }

  template <typename Work>
  void commit(Work&& work) {
    rvm::Transaction tx = rvm->begin();
    work(tx);
    must(tx.end(rvm::Commit::no_flush));
  }

  template <typename Work>
  void abort(Work&& work) {
    rvm::Transaction tx = rvm->begin();
    work(tx);
    must(tx.abort());
  }

  uint64_t pages_used() { return must(pool->root()).pages_used; }

  // Bytes of the space, changed behind the back of the structures that own them.
  template <typename T>
  void damage(uint64_t offset, T value) {
    commit([&](rvm::Transaction& tx) {
      std::byte* bytes = must(space->modify(tx, offset, sizeof(T)));
      std::memcpy(bytes, &value, sizeof(T));
    });
  }

  std::shared_ptr<MemoryDevice> device;
  FixedSource fixed;
  std::unique_ptr<rvm::Rvm> rvm;
  std::unique_ptr<rvm::Space> space;
  std::unique_ptr<rvm::PagePool> pool;

 private:
  std::unique_ptr<rvm::ChunkSource> own_source_;
  Options options_;
};

// An instance with a tree and a heap, on a device that has a log of so many bytes before its
// chunks. It ends as a process that is killed.
struct Structures {
  static constexpr uint64_t kTreeRoot = rvm::format::kRootPageOffset + 64;
  static constexpr uint64_t kHeapRoot = rvm::format::kRootPageOffset + 1024;

  Structures(std::shared_ptr<rvm::Device> device, uint64_t log_bytes, uint64_t chunks,
             const rvm::Tuning& tuning = {})
      : source(log_bytes, chunks) {
    rvm::Options options;
    options.log_device = std::move(device);
    options.background = false;
    options.tuning = tuning;
    rvm = must(rvm::Rvm::initialize(std::move(options)));
    space = must(rvm::Space::open(*rvm, source, 2 * chunks * rvm::format::kChunkBytes));
    pool = std::make_unique<rvm::PagePool>(*space);
    tree = std::make_unique<rvm::Tree>(*pool, kTreeRoot);
    heap = std::make_unique<rvm::Heap>(*pool, kHeapRoot);
  }
  ~Structures() { rvm->abandon(); }

  // The first thing on an empty device.
  void create(rvm::Transaction& tx) {
    must(rvm::PagePool::create(tx, *space, must(source.locate(0))));
    must(tree->create(tx));
    must(heap->create(tx));
  }

  FixedSource source;
  std::unique_ptr<rvm::Rvm> rvm;
  std::unique_ptr<rvm::Space> space;
  std::unique_ptr<rvm::PagePool> pool;
  std::unique_ptr<rvm::Tree> tree;
  std::unique_ptr<rvm::Heap> heap;
};

// The pool's records agree with each other: bitmaps, counters and the free list.
void check_pool(World& world);

}  // namespace rvmfs::test
