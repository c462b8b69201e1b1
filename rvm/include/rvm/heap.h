// SPDX-License-Identifier: BSD-2-Clause
//
// A recoverable heap: allocate and free objects of any size inside transactions, over a page pool,
// so without a fixed size. Small objects share pages by size class; larger ones take runs of pages.
//
// Layout: rvm/heap_format.h. An offset that was never handed out, or was freed already, is told
// from an allocated one by the page's own records and is refused; nothing is changed then.
//
// Thread rules: calls are serialised by the caller.
#pragma once

#include <cstddef>

#include "rvm/heap_format.h"
#include "rvm/page_pool.h"
#include "rvm/tree.h"

namespace rvm {

class Heap {
 public:
  // The heap whose root (kRootBytes) lies at `root_offset` of the pool's space.
  Heap(PagePool& pool, uint64_t root_offset)
      : pool_(pool),
        root_offset_(root_offset),
        runs_(pool, root_offset + offsetof(format::HeapRoot, runs)) {}
  static constexpr uint64_t kRootBytes = 512;
  static constexpr uint64_t kObjectBytesMax = 248 * kPageBytes;

  // Writes an empty heap's root.
  Result<void> create(Transaction& tx);

  // Space offset of `bytes` zeroed bytes, aligned to 16 (to kPageBytes above 2016 bytes).
  // Errors: invalid_argument (0 or more than kObjectBytesMax), the pool's errors.
  Result<uint64_t> allocate(Transaction& tx, uint64_t bytes);
  // The object's bytes become zeros. Errors: invalid_argument if `offset` is not an allocated
  // object; damaged_structure.
  Result<void> free(Transaction& tx, uint64_t offset);
  // Bytes that can be used at `offset` (the size class).
  Result<uint64_t> usable_bytes(uint64_t offset);

  template <typename T>
  Result<Ref<T>> create_object(Transaction& tx) {
    RVM_ASSIGN(uint64_t offset, allocate(tx, sizeof(T)));
    return Ref<T>{offset};
  }

  struct Usage {
    uint64_t objects, bytes_allocated, pages;
  };
  Result<Usage> usage();

 private:
  struct Slab;  // one slab page, checked
  Result<const format::HeapRoot*> root();
  Result<Slab> slab(uint64_t page);
  Result<Slab> slab_of_object(uint64_t offset);
  Result<Slab> new_slab(Transaction& tx, uint32_t size_class);
  Result<uint64_t> allocate_small(Transaction& tx, uint32_t size_class);
  Result<uint64_t> allocate_run(Transaction& tx, uint64_t bytes);
  Result<void> free_small(Transaction& tx, uint64_t offset);
  Result<void> free_run(Transaction& tx, uint64_t offset);
  Result<uint64_t> run_pages(uint64_t offset);
  Result<void> set_object_used(Transaction& tx, const Slab& slab, uint32_t index, bool used);
  Result<void> link(Transaction& tx, const Slab& slab);
  Result<void> unlink(Transaction& tx, const Slab& slab);
  Result<void> count(Transaction& tx, int64_t objects, int64_t bytes, int64_t pages);

  PagePool& pool_;
  uint64_t root_offset_;
  Tree runs_;
};

static_assert(sizeof(format::HeapRoot) <= Heap::kRootBytes);

}  // namespace rvm
