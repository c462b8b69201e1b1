// SPDX-License-Identifier: BSD-2-Clause
//
// Pages of a space: one bitmap per chunk in its header, chunks with free pages in a list.
//
// Nothing is kept in memory: every call reads the pool root and the headers it needs, so an aborted
// transaction leaves nothing to repair. Each change declares single fields: an allocation logs one
// word of the bitmap and two counters.
//
// Headers are checked when read. The walk along the free list ends on a damaged list too: unlinking
// clears in_free_list, so a cycle meets a chunk that says that it is not in the list; the search
// for runs looks at kRunSearchChunks chunks at most, and then grows.
#include "rvm/page_pool.h"

#include <bit>
#include <cstddef>

namespace rvm {

namespace {

using format::ChunkHeader;
using format::kChunkBytes;
using format::kChunkPages;
using format::PoolRoot;

constexpr uint64_t kUsablePages = kChunkPages - 2;  // of a chunk: without hash table and header
constexpr int kRunSearchChunks = 16;

uint64_t header_offset(uint64_t chunk) { return chunk * kChunkBytes + format::kPoolPageOffset; }

uint32_t first_usable_page(uint64_t chunk) { return chunk == 0 ? 3 : 2; }

Error damaged(uint64_t offset, const char* what) {
  return {.code = Errc::damaged_structure, .position = offset, .what = what};
}

bool is_used(const ChunkHeader& header, uint32_t page) {
  return (header.used[page / 64] >> (page % 64) & 1) != 0;
}

// The bits of pages [begin, end) that lie in `word` of a bitmap; at least one does.
uint64_t bits_of_word(uint32_t word, uint32_t begin, uint32_t end) {
  const uint32_t low = begin > word * 64 ? begin - word * 64 : 0;
  const uint32_t high = end < word * 64 + 64 ? end - word * 64 : 64;
  return (~uint64_t{0} >> (64 - (high - low))) << low;
}

// First page of `count` free ones side by side; kChunkPages if there are none.
uint32_t find_run(const ChunkHeader& header, uint64_t chunk, uint32_t count) {
  uint32_t length = 0;
  for (uint32_t page = first_usable_page(chunk); page < kChunkPages; ++page) {
    length = is_used(header, page) ? 0 : length + 1;
    if (length == count) return page + 1 - count;
  }
  return kChunkPages;
}

template <typename T>
Result<void> set_field(Space& space, Transaction& tx, uint64_t offset, T value) {
  RVM_ASSIGN(std::byte * bytes, space.modify(tx, offset, sizeof(T)));
  std::memcpy(bytes, &value, sizeof(T));
  return {};
}

Result<void> write_header(Space& space, Transaction& tx, uint64_t index, uint64_t next_with_free) {
  const uint32_t pages_taken = first_usable_page(index);
  ChunkHeader header{};
  header.magic = format::kChunkMagic;
  header.free_pages = static_cast<uint32_t>(kChunkPages - pages_taken);
  header.chunk_index = index;
  header.next_with_free = next_with_free;
  header.in_free_list = 1;
  header.used[0] = (uint64_t{1} << pages_taken) - 1;
  return set_field(space, tx, header_offset(index), header);
}

}  // namespace

struct PagePool::Chunk {
  uint64_t index;
  const ChunkHeader* header;  // in the space: follows every change
  uint64_t field(size_t offset_in_header) const { return header_offset(index) + offset_in_header; }
};

Result<void> PagePool::create(Transaction& tx, Space& space, const ChunkPlace& chunk0) {
  RVM_TRY(space.format_chunk(tx, 0, chunk0));
  RVM_TRY(write_header(space, tx, 0, 0));
  PoolRoot root{};
  root.magic = format::kPoolMagic;
  root.chunk_count = 1;
  root.first_with_free = 1;
  root.pages_used = 1;  // the root page of the client
  return set_field(space, tx, format::kPoolRootOffset, root);
}

Result<PoolRoot> PagePool::root() {
  RVM_ASSIGN(const PoolRoot* root, space_.get(Ref<PoolRoot>{format::kPoolRootOffset}));
  if (root->magic != format::kPoolMagic || root->chunk_count == 0 ||
      root->chunk_count > space_.chunks_max() || root->first_with_free > root->chunk_count ||
      root->pages_used > root->chunk_count * kUsablePages) {
    return damaged(format::kPoolRootOffset, "page pool root contradicts itself");
  }
  return *root;
}

// Of a chunk that the root counts.
Result<PagePool::Chunk> PagePool::chunk(uint64_t index, const PoolRoot& root) {
  RVM_ASSIGN(const ChunkHeader* header, space_.get(Ref<ChunkHeader>{header_offset(index)}));
  if (header->magic != format::kChunkMagic || header->chunk_index != index ||
      header->free_pages > kUsablePages || header->next_with_free > root.chunk_count) {
    return damaged(header_offset(index), "chunk header contradicts itself");
  }
  return Chunk{index, header};
}

Result<uint64_t> PagePool::allocate(Transaction& tx, uint32_t count) {
  if (count == 0 || count > kRunPagesMax) {
    return Error{.code = Errc::invalid_argument, .what = "page run of impossible length"};
  }
  RVM_TRY(make_room(tx, count));
  if (count == 1) return take_page(tx);
  Result<uint64_t> run = take_run(tx, count);
  if (run || run.error().code != Errc::full || growth_paused_) return run;
  RVM_TRY(add_chunk(tx));
  return take_run(tx, count);
}

Result<void> PagePool::reserve(Transaction& tx, uint64_t pages) { return make_room(tx, pages); }

// Grows until `pages` can be taken and the reserve is still there. Without room to grow, the
// reserve counts as well.
Result<void> PagePool::make_room(Transaction& tx, uint64_t pages) {
  while (!growth_paused_) {
    RVM_ASSIGN(const PoolRoot now, root());
    const uint64_t free_pages = now.chunk_count * kUsablePages - now.pages_used;
    if (free_pages >= kGrowReserve && free_pages - kGrowReserve >= pages) return {};
    Result<void> grown = add_chunk(tx);
    if (grown) continue;
    if (grown.error() == Errc::no_space && free_pages >= pages) return {};
    return grown;
  }
  return {};
}

Result<void> PagePool::add_chunk(Transaction& tx) {
  RVM_ASSIGN(const PoolRoot before, root());
  const uint64_t index = before.chunk_count;
  if (index >= space_.chunks_max()) {
    return Error{.code = Errc::no_space, .position = index, .what = "the space has its full size"};
  }
  GrowthPause pause(*this);
  RVM_ASSIGN(const ChunkPlace place, space_.source().grow(tx, index));
  RVM_TRY(space_.format_chunk(tx, index, place));
  // Read again: grow() may have allocated pages.
  RVM_ASSIGN(const PoolRoot now, root());
  RVM_TRY(write_header(space_, tx, index, now.first_with_free));
  RVM_TRY(
      set_field(space_, tx, format::kPoolRootOffset + offsetof(PoolRoot, chunk_count), index + 1));
  return set_field(space_, tx, format::kPoolRootOffset + offsetof(PoolRoot, first_with_free),
                   index + 1);
}

Result<uint64_t> PagePool::take_page(Transaction& tx) {
  for (;;) {
    RVM_ASSIGN(const PoolRoot now, root());
    if (now.first_with_free == 0) {
      if (now.pages_used < now.chunk_count * kUsablePages) {
        return damaged(format::kPoolRootOffset, "free pages are missing from the free list");
      }
      return Error{.code = Errc::full, .what = "no free page, and growing is paused"};
    }
    RVM_ASSIGN(const Chunk first, chunk(now.first_with_free - 1, now));
    if (first.header->in_free_list != 1) {
      return damaged(header_offset(first.index), "chunk in the free list says that it is not");
    }
    if (first.header->free_pages == 0) {
      RVM_TRY(unlink_first(tx, first));
      continue;
    }
    const uint32_t page = find_run(*first.header, first.index, 1);
    if (page == kChunkPages) {
      return damaged(header_offset(first.index), "chunk counts free pages and has none");
    }
    RVM_TRY(mark(tx, first, page, 1, true));
    return first.index * kChunkBytes + page * kPageBytes;
  }
}

// full: no chunk that was looked at has such a run.
Result<uint64_t> PagePool::take_run(Transaction& tx, uint32_t count) {
  RVM_ASSIGN(const PoolRoot now, root());
  uint64_t next = now.first_with_free;
  for (int looked_at = 0; next != 0 && looked_at < kRunSearchChunks; ++looked_at) {
    RVM_ASSIGN(const Chunk candidate, chunk(next - 1, now));
    if (candidate.header->free_pages >= count) {
      const uint32_t page = find_run(*candidate.header, candidate.index, count);
      if (page != kChunkPages) {
        RVM_TRY(mark(tx, candidate, page, count, true));
        return candidate.index * kChunkBytes + page * kPageBytes;
      }
    }
    next = candidate.header->next_with_free;
  }
  return Error{.code = Errc::full, .what = "no run of free pages"};
}

Result<void> PagePool::free(Transaction& tx, uint64_t offset, uint32_t count) {
  const uint64_t index = offset / kChunkBytes;
  const auto page = static_cast<uint32_t>(offset % kChunkBytes / kPageBytes);
  RVM_ASSIGN(const PoolRoot now, root());
  if (offset % kPageBytes != 0 || index >= now.chunk_count || page < first_usable_page(index) ||
      count == 0 || count > kChunkPages - page) {
    return Error{.code = Errc::invalid_argument, .position = offset, .what = "no such pages"};
  }
  RVM_ASSIGN(const Chunk owner, chunk(index, now));
  for (uint32_t i = 0; i < count; ++i) {
    if (!is_used(*owner.header, page + i)) {
      return damaged(offset + i * kPageBytes, "a free page was freed");
    }
  }
  RVM_ASSIGN(std::byte * bytes, space_.modify(tx, offset, count * kPageBytes));
  std::memset(bytes, 0, count * kPageBytes);
  RVM_TRY(mark(tx, owner, page, count, false));
  if (owner.header->in_free_list == 0) return link_first(tx, owner);
  return {};
}

Result<void> PagePool::mark(Transaction& tx, const Chunk& chunk, uint32_t page, uint32_t count,
                            bool used) {
  RVM_ASSIGN(const PoolRoot now, root());
  const uint64_t free_pages = chunk.header->free_pages;
  if (!used && (free_pages + count > kUsablePages || now.pages_used < count)) {
    return damaged(header_offset(chunk.index), "page counters contradict the bitmap");
  }
  for (uint32_t word = page / 64; word <= (page + count - 1) / 64; ++word) {
    const uint64_t mask = bits_of_word(word, page, page + count);
    const uint64_t bits = used ? chunk.header->used[word] | mask : chunk.header->used[word] & ~mask;
    RVM_TRY(set_field(space_, tx, chunk.field(offsetof(ChunkHeader, used) + word * 8), bits));
  }
  RVM_TRY(set_field(space_, tx, chunk.field(offsetof(ChunkHeader, free_pages)),
                    static_cast<uint32_t>(used ? free_pages - count : free_pages + count)));
  return set_field(space_, tx, format::kPoolRootOffset + offsetof(PoolRoot, pages_used),
                   used ? now.pages_used + count : now.pages_used - count);
}

Result<void> PagePool::unlink_first(Transaction& tx, const Chunk& chunk) {
  RVM_TRY(set_field(space_, tx, format::kPoolRootOffset + offsetof(PoolRoot, first_with_free),
                    chunk.header->next_with_free));
  RVM_TRY(set_field(space_, tx, chunk.field(offsetof(ChunkHeader, next_with_free)), uint64_t{0}));
  return set_field(space_, tx, chunk.field(offsetof(ChunkHeader, in_free_list)), uint32_t{0});
}

Result<void> PagePool::link_first(Transaction& tx, const Chunk& chunk) {
  RVM_ASSIGN(const PoolRoot now, root());
  RVM_TRY(set_field(space_, tx, chunk.field(offsetof(ChunkHeader, next_with_free)),
                    now.first_with_free));
  RVM_TRY(set_field(space_, tx, chunk.field(offsetof(ChunkHeader, in_free_list)), uint32_t{1}));
  return set_field(space_, tx, format::kPoolRootOffset + offsetof(PoolRoot, first_with_free),
                   chunk.index + 1);
}

}  // namespace rvm
