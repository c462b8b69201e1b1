// SPDX-License-Identifier: BSD-2-Clause
//
// On-disk format of a space (rvm/space.h), its page pool (rvm/page_pool.h) and its search trees
// (rvm/tree.h). Constants, structs and static asserts only. All integers are little-endian.
//
// A space is a sequence of chunks of kChunkBytes. A space offset is chunk index * kChunkBytes +
// offset in the chunk. Chunk layout in pages of 4096 bytes:
//   page 0        hash table page of pages 1 ... 255 (rvm/page_format.h); not addressable
//   page 1        ChunkHeader; in chunk 0 also PoolRoot
//   page 2        in chunk 0: the root page, which belongs to the client
//   other pages   allocated one by one, or in runs
//
// A tree node is one page: NodeHeader, then the slot array (u16 offsets of cells in the node, in
// key order) growing upward, free space, then cells growing downward from the end of the page.
//   leaf cell:  LeafCell, value bytes, zeros to a multiple of 8
//   inner cell: InnerCell; keys of subtree i are >= cell i's key and < cell i + 1's key; the first
//               cell's key is a lower bound of everything in the subtree's range (0,0 on the left
//               edge)
#pragma once

#include <cstddef>
#include <cstdint>

namespace rvm::format {

inline constexpr uint64_t kChunkBytes = 1 << 20;
inline constexpr uint64_t kChunkPages = 256;
inline constexpr uint64_t kPoolPageOffset = 1 * 4096;  // in chunk 0: ChunkHeader, then PoolRoot
inline constexpr uint64_t kPoolRootOffset = kPoolPageOffset + 256;
inline constexpr uint64_t kRootPageOffset = 2 * 4096;  // in chunk 0

inline constexpr uint32_t kChunkMagic = 0x6b6e6843U;  // "Chnk"
inline constexpr uint32_t kPoolMagic = 0x6c6f6f50U;   // "Pool"

struct ChunkHeader {
  uint32_t magic;
  uint32_t free_pages;
  uint64_t chunk_index;
  uint64_t next_with_free;  // chunk index + 1 of the next chunk in the free list; 0: end
  uint32_t in_free_list;    // 1: linked in the list that begins at PoolRoot::first_with_free
  uint32_t reserved;
  uint64_t used[4];  // bit p of word p / 64: page p is in use (pages 0, 1 always; in chunk 0
                     // the root page too)
};
static_assert(sizeof(ChunkHeader) == 64);

struct PoolRoot {
  uint32_t magic;
  uint32_t reserved;
  uint64_t chunk_count;
  uint64_t first_with_free;  // chunk index + 1; 0: no chunk has a free page
  uint64_t pages_used;       // allocated pages in all chunks, without pages 0 and 1 of each
};
static_assert(sizeof(PoolRoot) == 32);

inline constexpr uint32_t kNodeMagic = 0x65646f4eU;  // "Node"
inline constexpr uint16_t kNodeBytes = 4096;
inline constexpr uint32_t kTreeValueBytesMax = 1280;
inline constexpr uint32_t kTreeHeightMax = 16;

struct NodeHeader {
  uint32_t magic;
  uint16_t level;             // 0: leaf
  uint16_t count;             // cells
  uint16_t cells_begin;       // offset of the lowest byte used by cells
  uint16_t fragmented_bytes;  // unused bytes above cells_begin
  uint32_t reserved;
  uint64_t reserved2[2];
};
static_assert(sizeof(NodeHeader) == 32);

struct LeafCell {
  uint64_t key_high, key_low;
  uint16_t value_bytes;
  uint16_t reserved[3];
};
static_assert(sizeof(LeafCell) == 24);

struct InnerCell {
  uint64_t key_high, key_low;
  uint64_t child;  // space offset of the child node's page
};
static_assert(sizeof(InnerCell) == 24);

struct TreeRoot {   // lies wherever the client wants it
  uint64_t root;    // space offset of the root node; 0: no tree here
  uint32_t height;  // levels; 1: the root is a leaf
  uint32_t reserved;
};
static_assert(sizeof(TreeRoot) == 16);

}  // namespace rvm::format
