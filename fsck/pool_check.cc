// SPDX-License-Identifier: BSD-2-Clause
//
// See pool_check.h.
#include "fsck/pool_check.h"

#include <algorithm>
#include <cstring>

#include "fsck/hash.h"

namespace rvmfs::fsck {

using namespace rvm::format;

namespace {

constexpr uint64_t kChunksMax =
    rvmfs::format::kChunkTableRefs * rvmfs::format::kRefsPerPage * rvmfs::format::kRefsPerPage;

void add_chunk_owners(CheckState& state) {
  using rvmfs::format::kBlockBytes;
  const uint64_t fixed_end = state.super.chunk0_offset + kChunkBytes;
  for (uint64_t block = 0; block < fixed_end / kBlockBytes;) {  // in steps that fit the count
    const uint64_t count = std::min<uint64_t>(fixed_end / kBlockBytes - block, UINT32_MAX);
    state.blocks.push_back({block, kOwnerVolume, static_cast<uint32_t>(count)});
    block += count;
  }
  for (size_t chunk = 1; chunk < state.space->chunk_count(); ++chunk) {
    state.blocks.push_back({state.space->chunk_offset(chunk) / kBlockBytes, kOwnerChunks,
                            static_cast<uint32_t>(kChunkBytes / kBlockBytes)});
  }
}

PageSet pages_of(const ChunkHeader& header) {
  PageSet pages;
  for (size_t page = 0; page < kChunkPages; ++page) {
    pages.set(page, (header.used[page / 64] >> (page % 64) & 1) != 0);
  }
  return pages;
}

PageSet expected_pages(const CheckState& state, size_t chunk) {
  PageSet pages = state.space->claimed(chunk);
  pages.set(0);
  pages.set(1);
  return pages;
}

struct PoolFacts {
  std::vector<uint64_t> next;  // of every chunk
  std::vector<bool> in_list, has_free;
  uint64_t pages_used = 0;  // as the headers say
};

void compare_pages(CheckState& state, size_t chunk, const PageSet& marked) {
  const PageSet expected = expected_pages(state, chunk);
  const PageSet leaked = marked & ~expected;
  const PageSet unmarked = expected & ~marked;
  if (leaked.any()) {
    state.report.add(FindingId::page_leaked, "{} pages of chunk {}", leaked.count(), chunk);
    state.repairs.pool = true;
  }
  if (unmarked.any()) {
    state.report.add(FindingId::page_unmarked, "{} pages of chunk {}", unmarked.count(), chunk);
    state.repairs.pool = true;
  }
  PageBytes page;
  for (size_t i = 2; i < kChunkPages; ++i) {
    if (marked.test(i) || expected.test(i)) continue;
    const uint64_t offset = chunk * kChunkBytes + i * kPage;
    if (state.space->known_zero(offset)) continue;
    if (!state.space->read(offset, "a free page", page)) continue;
    if (all_zero(page.view())) continue;
    state.report.add(FindingId::page_free_not_zero, "space offset {}", offset);
    state.repairs.pool = true;
  }
}

bool check_chunk(CheckState& state, size_t chunk, PoolFacts& facts) {
  PageBytes page;
  if (!state.space->read(chunk * kChunkBytes + kPoolPageOffset, "a chunk header", page)) {
    return false;
  }
  const auto header = load<ChunkHeader>(page.view());
  const PageSet marked = pages_of(header);
  const size_t free_pages = kChunkPages - marked.count();
  const char* fault = nullptr;
  if (header.magic != kChunkMagic)
    fault = "magic";
  else if (header.chunk_index != chunk)
    fault = "number";
  else if (header.free_pages != free_pages)
    fault = "count of free pages";
  else if (header.in_free_list > 1)
    fault = "mark of the free list";
  else if (!marked.test(0) || !marked.test(1))
    fault = "its own pages are not marked used";
  if (fault != nullptr) {
    state.report.add(FindingId::chunk_header_bad, "chunk {}: {}", chunk, fault);
    state.repairs.pool = true;
  }
  facts.next.push_back(header.next_with_free);
  facts.in_list.push_back(header.in_free_list == 1);
  facts.has_free.push_back(free_pages != 0);
  facts.pages_used += marked.count() - std::min<size_t>(marked.count(), 2);
  if (state.references_whole) compare_pages(state, chunk, marked);
  return true;
}

// The list may hold full chunks; it must hold every other one, each once.
void check_free_list(CheckState& state, const PoolFacts& facts) {
  const auto bad = [&](const char* what, uint64_t chunk) {
    state.report.add(FindingId::pool_free_list, "chunk {}: {}", chunk, what);
    state.repairs.pool = true;
  };
  std::vector<bool> seen(facts.next.size());
  for (uint64_t next = state.pool_root.first_with_free; next != 0;) {
    const uint64_t chunk = next - 1;
    if (chunk >= facts.next.size()) return bad("no such chunk", chunk);
    if (seen[chunk]) return bad("twice in the list", chunk);
    if (!facts.in_list[chunk]) return bad("in the list, and not marked so", chunk);
    seen[chunk] = true;
    next = facts.next[chunk];
  }
  for (size_t chunk = 0; chunk < facts.next.size(); ++chunk) {
    if (facts.in_list[chunk] && !seen[chunk]) return bad("marked to be in the list", chunk);
    if (facts.has_free[chunk] && !seen[chunk]) return bad("has free pages", chunk);
  }
}

}  // namespace

bool open_space(CheckState& state) {
  state.space.emplace(state.image, state.report, state.super.chunk0_offset,
                      state.super.volume_bytes);
  PageBytes page;
  if (!state.space->read(kPoolPageOffset, "the pool root", page)) return false;
  state.pool_root = load<PoolRoot>(page.view(), kPoolRootOffset - kPoolPageOffset);
  const PoolRoot& pool = state.pool_root;
  if (!state.space->read(kRootPageOffset, "the volume root", page)) return false;
  state.root = load<rvmfs::format::VolumeRoot>(page.view());
  if (state.root.magic != rvmfs::format::kVolumeRootMagic) {
    state.report.add(FindingId::root_bad, "magic");
    return false;
  }
  if (pool.magic != kPoolMagic || pool.chunk_count == 0 || pool.chunk_count > kChunksMax ||
      pool.chunk_count > state.super.volume_bytes / kChunkBytes) {
    state.report.add(FindingId::root_bad, "the pool root: {} chunks", pool.chunk_count);
    return false;
  }
  state.space->claim(kRootPageOffset, "the volume root");
  if (state.options.quick) return true;
  state.references_whole = state.space->load_chunks(state.root, pool.chunk_count);
  add_chunk_owners(state);
  return true;
}

void check_pool(CheckState& state) {
  PoolFacts facts;
  for (size_t chunk = 0; chunk < state.space->chunk_count(); ++chunk) {
    if (!check_chunk(state, chunk, facts)) return;  // told; the list cannot be judged
  }
  if (facts.next.size() != state.pool_root.chunk_count) return;
  check_free_list(state, facts);
  if (state.pool_root.pages_used != facts.pages_used) {
    state.report.add(FindingId::pool_root_bad, "it counts {} pages, the chunks {}",
                     state.pool_root.pages_used, facts.pages_used);
    state.repairs.pool = true;
  }
  state.summary.metadata_pages = facts.pages_used;
}

}  // namespace rvmfs::fsck
