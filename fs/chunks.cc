// SPDX-License-Identifier: BSD-2-Clause
//
// Where the chunks of the metadata space lie: the chunk table (fs/format.h) is itself in the space.
//
//   VolumeRoot::chunk_table[i / 512 / 512] -> level-1 page [i / 512 % 512] -> leaf page [i % 512]
//
// To find chunk i its leaf page must be read, which lies in a chunk with a smaller index (it was
// allocated before chunk i existed), which is found in the same way: the search ends at chunk 0,
// which the superblock names. A chunk that is mapped already needs no search. An image that breaks
// the rule is damaged; one that keeps it may still make the chain long, so its depth is bounded.
#include "fs/block_allocator.h"
#include "fs/core.h"

namespace rvmfs {

namespace {

using format::kRefsPerPage;
using format::VolumeRoot;
using rvm::format::kChunkBytes;

constexpr int kSearchDepthMax = 1024;
thread_local int search_depth = 0;

struct SearchDepth {
  SearchDepth() { ++search_depth; }
  ~SearchDepth() { --search_depth; }
};

Error damaged(uint64_t index) { return fs_error(FsErrc::damaged, "chunk table is damaged", index); }

uint64_t root_word(uint64_t index) {
  return VolumeCore::kRootOffset + offsetof(VolumeRoot, chunk_table) +
         index / kRefsPerPage / kRefsPerPage * 8;
}

Result<uint64_t> read_word(rvm::Space& space, uint64_t offset) {
  RVM_ASSIGN(const uint64_t* word, space.get(rvm::Ref<uint64_t>{offset}));
  return *word;
}

Result<void> write_word(rvm::Space& space, rvm::Transaction& tx, uint64_t offset, uint64_t value) {
  RVM_ASSIGN(uint64_t * word, space.modify(tx, rvm::Ref<uint64_t>{offset}));
  *word = value;
  return {};
}

// Space offset of entry `entry` of the page that `word` names, for the search of chunk `index`.
Result<uint64_t> entry_of(uint64_t page, uint64_t entry, uint64_t index) {
  if (page == 0 || page % rvm::kPageBytes != 0 || page / kChunkBytes >= index) {
    return damaged(index);
  }
  return page + entry % kRefsPerPage * 8;
}

// The entry in the page that the word at `word_offset` names; the page is allocated if there is
// none.
Result<uint64_t> make_entry(VolumeCore& core, rvm::Transaction& tx, uint64_t word_offset,
                            uint64_t entry, uint64_t index) {
  RVM_ASSIGN(uint64_t page, read_word(*core.space, word_offset));
  if (page == 0) {
    RVM_ASSIGN(page, core.pool->allocate(tx));
    RVM_TRY(write_word(*core.space, tx, word_offset, page));
  }
  return entry_of(page, entry, index);
}

}  // namespace

Result<rvm::ChunkPlace> VolumeCore::locate(uint64_t index) {
  if (index == 0) return rvm::ChunkPlace{rvm::kLogDeviceSegment, super.chunk0_offset};
  const SearchDepth depth;
  if (index / kRefsPerPage / kRefsPerPage >= format::kChunkTableRefs ||
      search_depth > kSearchDepthMax) {
    return damaged(index);
  }
  RVM_ASSIGN(const uint64_t level1, read_word(*space, root_word(index)));
  RVM_ASSIGN(const uint64_t level1_entry, entry_of(level1, index / kRefsPerPage, index));
  RVM_ASSIGN(const uint64_t leaf, read_word(*space, level1_entry));
  RVM_ASSIGN(const uint64_t leaf_entry, entry_of(leaf, index, index));
  RVM_ASSIGN(const uint64_t place, read_word(*space, leaf_entry));
  if (place < super.chunk0_offset + kChunkBytes || place % rvm::kPageBytes != 0 ||
      place > super.volume_bytes - kChunkBytes) {
    return damaged(index);
  }
  return rvm::ChunkPlace{rvm::kLogDeviceSegment, place};
}

Result<rvm::ChunkPlace> VolumeCore::grow(rvm::Transaction& tx, uint64_t index) {
  if (index / kRefsPerPage / kRefsPerPage >= format::kChunkTableRefs) {
    return Error{.code = rvm::Errc::no_space,
                 .what = "no more metadata than the chunk table holds"};
  }
  Result<uint64_t> place = blocks->allocate_chunk(tx);
  if (!place) {
    if (is(place.error(), FsErrc::volume_full)) {
      return Error{.code = rvm::Errc::no_space, .what = "no room for more metadata"};
    }
    return place.error();
  }
  RVM_ASSIGN(const uint64_t level1_entry,
             make_entry(*this, tx, root_word(index), index / kRefsPerPage, index));
  RVM_ASSIGN(const uint64_t leaf_entry, make_entry(*this, tx, level1_entry, index, index));
  RVM_TRY(write_word(*space, tx, leaf_entry, *place));
  return rvm::ChunkPlace{rvm::kLogDeviceSegment, *place};
}

}  // namespace rvmfs
