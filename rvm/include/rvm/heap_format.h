// SPDX-License-Identifier: BSD-2-Clause
//
// On-disk format of a recoverable heap (rvm/heap.h). Constants, structs and static asserts only.
// All integers are little-endian.
//
// Objects of up to kHeapSmallBytesMax bytes are rounded up to a size class and lie in slab pages of
// their class: SlabHeader, then as many objects as fit, object i at kSlabHeaderBytes + i * class
// bytes. The slabs of a class that have a free object are linked in a list from the root; a slab
// without objects is given back at once. Larger objects are runs of pages; the tree `runs`
// (rvm/space_format.h) knows them: key {space offset of the run, 0}, value u64 bytes asked for.
// Free objects and free pages are all zeros.
#pragma once

#include <cstdint>

#include "rvm/space_format.h"

namespace rvm::format {

inline constexpr uint32_t kHeapMagic = 0x70616548U;  // "Heap"
inline constexpr uint32_t kSlabMagic = 0x62616c53U;  // "Slab"

// Steps of 16 bytes, then those sizes of which a whole number fills a page.
inline constexpr uint32_t kHeapClassBytes[] = {16,  32,  48,  64,  80,   96,   112, 128, 144,
                                               160, 176, 192, 208, 224,  240,  256, 336, 400,
                                               496, 576, 672, 800, 1008, 1344, 2016};
inline constexpr uint32_t kHeapClasses = sizeof(kHeapClassBytes) / sizeof(kHeapClassBytes[0]);
inline constexpr uint32_t kHeapSmallBytesMax = kHeapClassBytes[kHeapClasses - 1];
inline constexpr uint32_t kSlabHeaderBytes = 64;
static_assert(kHeapClasses == 25);

struct HeapRoot {
  uint32_t magic;
  uint32_t reserved;
  uint64_t objects;          // allocated
  uint64_t bytes_allocated;  // size classes and whole pages of them
  uint64_t pages;            // of slabs and runs, without those of the tree
  TreeRoot runs;
  uint64_t first_with_free[kHeapClasses];  // space offset of the first slab of the list; 0: none
};
static_assert(sizeof(HeapRoot) == 248);

struct SlabHeader {
  uint32_t magic;
  uint16_t size_class;  // index in kHeapClassBytes
  uint16_t free_objects;
  uint64_t self;            // space offset of this page
  uint64_t next, previous;  // in the list of slabs with a free object; 0: end
  uint64_t used[4];         // bit i: object i is allocated
};
static_assert(sizeof(SlabHeader) == kSlabHeaderBytes);

}  // namespace rvm::format
