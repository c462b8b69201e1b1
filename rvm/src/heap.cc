// SPDX-License-Identifier: BSD-2-Clause
//
// A recoverable heap: slabs for small objects, runs of pages for large ones.
//
// Every call reads what it needs from the space and keeps nothing, so that an aborted transaction
// leaves nothing behind. The page pool is asked for pages before anything of the heap is looked at:
// growing may run the client's code.
//
// Invariants of a slab: free_objects is the number of clear bits below its capacity; it is in the
// list of its class exactly if free_objects > 0; it never has all objects free.
#include "rvm/heap.h"

#include <bit>

namespace rvm {

namespace {

using format::HeapRoot;
using format::kHeapClassBytes;
using format::kHeapClasses;
using format::kSlabHeaderBytes;
using format::SlabHeader;

Error damaged(uint64_t offset, const char* what) {
  return {.code = Errc::damaged_structure, .position = offset, .what = what};
}

Error not_an_object(uint64_t offset) {
  return {.code = Errc::invalid_argument, .position = offset, .what = "not an allocated object"};
}

constexpr uint32_t capacity(uint32_t size_class) {
  return static_cast<uint32_t>((kPageBytes - kSlabHeaderBytes) / kHeapClassBytes[size_class]);
}
static_assert(capacity(0) <= 256);

uint32_t class_for(uint64_t bytes) {
  uint32_t size_class = 0;
  while (kHeapClassBytes[size_class] < bytes) ++size_class;
  return size_class;
}

uint64_t pages_for(uint64_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes; }

template <typename T>
Result<void> set_field(Space& space, Transaction& tx, uint64_t offset, T value) {
  RVM_ASSIGN(std::byte * bytes, space.modify(tx, offset, sizeof(T)));
  std::memcpy(bytes, &value, sizeof(T));
  return {};
}

}  // namespace

struct Heap::Slab {
  uint64_t page;
  const SlabHeader* header;  // in the space: follows every change

  uint32_t object_bytes() const { return kHeapClassBytes[header->size_class]; }
  bool is_used(uint32_t index) const { return (header->used[index / 64] >> (index % 64) & 1) != 0; }
  uint64_t object(uint32_t index) const {
    return page + kSlabHeaderBytes + uint64_t{index} * object_bytes();
  }
  uint32_t first_free() const {
    uint32_t index = 0;
    while (is_used(index)) ++index;
    return index;
  }
};

Result<void> Heap::create(Transaction& tx) {
  RVM_ASSIGN(HeapRoot * fresh, pool_.space().modify(tx, Ref<HeapRoot>{root_offset_}));
  *fresh = HeapRoot{};
  fresh->magic = format::kHeapMagic;
  return runs_.create(tx);
}

Result<const HeapRoot*> Heap::root() {
  RVM_ASSIGN(const HeapRoot* found, pool_.space().get(Ref<HeapRoot>{root_offset_}));
  if (found->magic != format::kHeapMagic) return damaged(root_offset_, "no heap at this root");
  return found;
}

// Errors: invalid_argument if the page is no slab.
Result<Heap::Slab> Heap::slab(uint64_t page) {
  Result<const SlabHeader*> header = pool_.space().get(Ref<SlabHeader>{page});
  if (!header) {
    const Errc code = header.error().code;
    const bool outside = code == Errc::out_of_range || code == Errc::not_found;
    return outside ? not_an_object(page) : header.error();
  }
  const Slab found{page, *header};
  if (found.header->magic != format::kSlabMagic || found.header->self != page) {
    return not_an_object(page);
  }
  if (found.header->size_class >= kHeapClasses) return damaged(page, "slab of unknown size class");
  const uint32_t objects = capacity(found.header->size_class);
  uint32_t used = 0;
  for (const uint64_t word : found.header->used) used += static_cast<uint32_t>(std::popcount(word));
  for (uint32_t bit = objects; bit < 256; ++bit) {
    if (found.is_used(bit)) return damaged(page, "slab has more objects than fit");
  }
  if (used + found.header->free_objects != objects) {
    return damaged(page, "slab counter contradicts its bitmap");
  }
  return found;
}

Result<Heap::Slab> Heap::slab_of_object(uint64_t offset) {
  const uint64_t in_page = offset % kPageBytes;
  if (in_page < kSlabHeaderBytes) return not_an_object(offset);
  RVM_ASSIGN(const Slab found, slab(offset - in_page));
  const uint64_t at = in_page - kSlabHeaderBytes;
  const auto index = static_cast<uint32_t>(at / found.object_bytes());
  if (at % found.object_bytes() != 0 || index >= capacity(found.header->size_class) ||
      !found.is_used(index)) {
    return not_an_object(offset);
  }
  return found;
}

Result<uint64_t> Heap::allocate(Transaction& tx, uint64_t bytes) {
  if (bytes == 0 || bytes > kObjectBytesMax) {
    return Error{
        .code = Errc::invalid_argument, .position = bytes, .what = "object of no such size"};
  }
  RVM_TRY(root());
  if (bytes > format::kHeapSmallBytesMax) return allocate_run(tx, bytes);
  return allocate_small(tx, class_for(bytes));
}

Result<uint64_t> Heap::allocate_small(Transaction& tx, uint32_t size_class) {
  RVM_ASSIGN(const HeapRoot* heap, root());
  Slab from{};
  if (heap->first_with_free[size_class] == 0) {
    RVM_ASSIGN(from, new_slab(tx, size_class));
  } else {
    Result<Slab> first = slab(heap->first_with_free[size_class]);
    if (!first || first->header->size_class != size_class || first->header->free_objects == 0) {
      const bool other_error = !first && first.error().code != Errc::invalid_argument;
      return other_error ? first.error() : damaged(root_offset_, "free list of a heap is broken");
    }
    from = *first;
  }
  const uint32_t index = from.first_free();
  RVM_TRY(set_object_used(tx, from, index, true));
  if (from.header->free_objects == 0) RVM_TRY(unlink(tx, from));
  RVM_TRY(count(tx, 1, from.object_bytes(), 0));
  return from.object(index);
}

Result<Heap::Slab> Heap::new_slab(Transaction& tx, uint32_t size_class) {
  RVM_ASSIGN(const uint64_t page, pool_.allocate(tx));
  RVM_ASSIGN(SlabHeader * header, pool_.space().modify(tx, Ref<SlabHeader>{page}));
  *header = SlabHeader{};
  header->magic = format::kSlabMagic;
  header->size_class = static_cast<uint16_t>(size_class);
  header->free_objects = static_cast<uint16_t>(capacity(size_class));
  header->self = page;
  const Slab fresh{page, header};
  RVM_TRY(link(tx, fresh));
  RVM_TRY(count(tx, 0, 0, 1));
  return fresh;
}

Result<uint64_t> Heap::allocate_run(Transaction& tx, uint64_t bytes) {
  const uint64_t pages = pages_for(bytes);
  RVM_ASSIGN(const uint64_t offset, pool_.allocate(tx, static_cast<uint32_t>(pages)));
  RVM_TRY(runs_.insert(tx, {offset, 0}, std::as_bytes(std::span(&bytes, 1))));
  RVM_TRY(count(tx, 1, static_cast<int64_t>(pages * kPageBytes), static_cast<int64_t>(pages)));
  return offset;
}

Result<void> Heap::free(Transaction& tx, uint64_t offset) {
  RVM_TRY(root());
  return offset % kPageBytes == 0 ? free_run(tx, offset) : free_small(tx, offset);
}

Result<void> Heap::free_small(Transaction& tx, uint64_t offset) {
  RVM_ASSIGN(const Slab owner, slab_of_object(offset));
  const uint32_t bytes = owner.object_bytes();
  const auto index = static_cast<uint32_t>((offset - owner.object(0)) / bytes);
  RVM_ASSIGN(std::byte * object, pool_.space().modify(tx, offset, bytes));
  std::memset(object, 0, bytes);
  const bool was_full = owner.header->free_objects == 0;
  RVM_TRY(set_object_used(tx, owner, index, false));
  RVM_TRY(count(tx, -1, -int64_t{bytes}, 0));
  if (was_full) return link(tx, owner);  // a slab has room for two objects at least
  if (owner.header->free_objects != capacity(owner.header->size_class)) return {};
  RVM_TRY(unlink(tx, owner));
  RVM_TRY(count(tx, 0, 0, -1));
  return pool_.free(tx, owner.page);
}

// Pages of the run at `offset`. Errors: invalid_argument if there is none.
Result<uint64_t> Heap::run_pages(uint64_t offset) {
  Result<std::span<const std::byte>> found = runs_.find({offset, 0});
  if (!found) return found.error() == Errc::not_found ? not_an_object(offset) : found.error();
  uint64_t bytes = 0;
  if (found->size() != sizeof(bytes)) return damaged(offset, "record of a page run is damaged");
  std::memcpy(&bytes, found->data(), sizeof(bytes));
  if (bytes == 0 || bytes > kObjectBytesMax) {
    return damaged(offset, "page run of impossible length");
  }
  return pages_for(bytes);
}

Result<void> Heap::free_run(Transaction& tx, uint64_t offset) {
  RVM_ASSIGN(const uint64_t pages, run_pages(offset));
  RVM_TRY(runs_.erase(tx, {offset, 0}));
  RVM_TRY(count(tx, -1, -static_cast<int64_t>(pages * kPageBytes), -static_cast<int64_t>(pages)));
  return pool_.free(tx, offset, static_cast<uint32_t>(pages));
}

Result<uint64_t> Heap::usable_bytes(uint64_t offset) {
  RVM_TRY(root());
  if (offset % kPageBytes == 0) {
    RVM_ASSIGN(const uint64_t pages, run_pages(offset));
    return pages * kPageBytes;
  }
  RVM_ASSIGN(const Slab owner, slab_of_object(offset));
  return uint64_t{owner.object_bytes()};
}

Result<Heap::Usage> Heap::usage() {
  RVM_ASSIGN(const HeapRoot* heap, root());
  return Usage{heap->objects, heap->bytes_allocated, heap->pages};
}

Result<void> Heap::set_object_used(Transaction& tx, const Slab& slab, uint32_t index, bool used) {
  const uint32_t word = index / 64;
  const uint64_t bit = uint64_t{1} << (index % 64);
  const uint64_t bits = used ? slab.header->used[word] | bit : slab.header->used[word] & ~bit;
  RVM_TRY(set_field(pool_.space(), tx, slab.page + offsetof(SlabHeader, used) + word * 8, bits));
  const int free_objects = slab.header->free_objects + (used ? -1 : 1);
  return set_field(pool_.space(), tx, slab.page + offsetof(SlabHeader, free_objects),
                   static_cast<uint16_t>(free_objects));
}

// Puts the slab at the front of its class's list.
Result<void> Heap::link(Transaction& tx, const Slab& slab_in) {
  const uint32_t size_class = slab_in.header->size_class;
  RVM_ASSIGN(const HeapRoot* heap, root());
  const uint64_t next = heap->first_with_free[size_class];
  if (next != 0) {
    RVM_ASSIGN(const Slab follower, slab(next));
    if (follower.header->size_class != size_class || follower.header->previous != 0) {
      return damaged(next, "free list of a heap is broken");
    }
    RVM_TRY(set_field(pool_.space(), tx, next + offsetof(SlabHeader, previous), slab_in.page));
  }
  RVM_TRY(set_field(pool_.space(), tx, slab_in.page + offsetof(SlabHeader, next), next));
  return set_field(pool_.space(), tx,
                   root_offset_ + offsetof(HeapRoot, first_with_free) + size_class * 8,
                   slab_in.page);
}

Result<void> Heap::unlink(Transaction& tx, const Slab& slab_out) {
  Space& space = pool_.space();
  const uint32_t size_class = slab_out.header->size_class;
  const uint64_t next = slab_out.header->next;
  const uint64_t previous = slab_out.header->previous;
  RVM_ASSIGN(const HeapRoot* heap, root());
  if (previous == 0) {
    if (heap->first_with_free[size_class] != slab_out.page) {
      return damaged(slab_out.page, "free list of a heap is broken");
    }
    RVM_TRY(set_field(space, tx,
                      root_offset_ + offsetof(HeapRoot, first_with_free) + size_class * 8, next));
  } else {
    RVM_ASSIGN(const Slab before, slab(previous));
    if (before.header->next != slab_out.page) {
      return damaged(previous, "free list of a heap is broken");
    }
    RVM_TRY(set_field(space, tx, previous + offsetof(SlabHeader, next), next));
  }
  if (next != 0) {
    RVM_ASSIGN(const Slab after, slab(next));
    if (after.header->previous != slab_out.page) {
      return damaged(next, "free list of a heap is broken");
    }
    RVM_TRY(set_field(space, tx, next + offsetof(SlabHeader, previous), previous));
  }
  RVM_ASSIGN(std::byte * links, space.modify(tx, slab_out.page + offsetof(SlabHeader, next), 16));
  std::memset(links, 0, 16);
  return {};
}

// Adds to the counters of the root.
Result<void> Heap::count(Transaction& tx, int64_t objects, int64_t bytes, int64_t pages) {
  RVM_ASSIGN(const HeapRoot* heap, root());
  const uint64_t sums[3] = {heap->objects + static_cast<uint64_t>(objects),
                            heap->bytes_allocated + static_cast<uint64_t>(bytes),
                            heap->pages + static_cast<uint64_t>(pages)};
  static_assert(offsetof(HeapRoot, pages) - offsetof(HeapRoot, objects) == 16);
  RVM_ASSIGN(std::byte * target,
             pool_.space().modify(tx, root_offset_ + offsetof(HeapRoot, objects), sizeof(sums)));
  std::memcpy(target, sums, sizeof(sums));
  return {};
}

}  // namespace rvm
