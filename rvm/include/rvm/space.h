// SPDX-License-Identifier: BSD-2-Clause
//
// A space: recoverable memory that grows. Chunks (hashed regions of equal size, anywhere in the
// segments) are placed next to each other in one reserved address range, so that a 64-bit offset
// names a place for ever. References are offsets (Ref<T>), never pointers; a mutable reference is
// handed out by a transaction only, so a forgotten declaration does not compile.
//
// Chunks are mapped on first use: opening a space costs the same whatever its size.
//
// A transaction that grew the space may abort. Its chunk stays mapped then, but nothing refers to
// it: the next format_chunk() of that index, at the same place or another, unmaps it first.
//
// The regions stay mapped when the space is destroyed and go with their Rvm; the Rvm may be
// destroyed before the space or after it.
//
// Thread rules: reads may run in parallel; growing excludes itself through the transaction's owner
// (one writer at a time), and may run in parallel with reads of older chunks.
#pragma once

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <type_traits>

#include "rvm/rvm.h"
#include "rvm/space_format.h"

namespace rvm {

// A typed offset in a space. Zero is "nothing" (page 0 of chunk 0 is never handed out).
template <typename T>
struct Ref {
  static_assert(std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T>);
  uint64_t offset = 0;
  explicit operator bool() const { return offset != 0; }
  friend bool operator==(Ref, Ref) = default;
};

struct ChunkPlace {
  SegmentId segment = kLogDeviceSegment;
  uint64_t offset = 0;  // bytes in the segment, of the chunk's page 0
};

// Knows where chunks lie and finds room for new ones.
class ChunkSource {
 public:
  virtual ~ChunkSource() = default;
  // Where chunk `index` lies. May itself read the space at chunks with a smaller index.
  virtual Result<ChunkPlace> locate(uint64_t index) = 0;
  // Finds kChunkBytes of room for chunk `index` and records the place so that locate() knows it
  // once the transaction has ended (and at once within it). May itself allocate pages of the space
  // (the page pool keeps some back for it). Errors: no_space, after which nothing may have been
  // changed (what is left can still be used); others, after which the caller aborts the
  // transaction.
  virtual Result<ChunkPlace> grow(Transaction& tx, uint64_t index) = 0;
};

class Space {
 public:
  // A log that holds nothing but a space names regions of this shape only. Where the chunks may
  // lie, the client knows.
  static bool is_chunk(const LogPlace& region);

  // `bytes_max` of address space are reserved (no memory behind them).
  static Result<std::unique_ptr<Space>> open(Rvm& rvm, ChunkSource& source, uint64_t bytes_max);
  ~Space();
  Space(const Space&) = delete;
  Space& operator=(const Space&) = delete;

  // Errors: out_of_range (also: crossing a chunk's end, page 0 of a chunk), damaged_page, io,
  // not_resident (inside a NoWait scope).
  Result<const std::byte*> read(uint64_t offset, uint64_t length);
  Result<std::byte*> modify(Transaction& tx, uint64_t offset, uint64_t length);

  template <typename T>
  Result<const T*> get(Ref<T> ref) {
    RVM_ASSIGN(const std::byte* bytes, read(ref.offset, sizeof(T)));
    return reinterpret_cast<const T*>(bytes);
  }
  template <typename T>
  Result<T*> modify(Transaction& tx, Ref<T> ref) {
    RVM_ASSIGN(std::byte * bytes, modify(tx, ref.offset, sizeof(T)));
    return reinterpret_cast<T*>(bytes);
  }

  // Maps and formats chunk `index` (all zeros) at a place just obtained from the source. An older
  // mapping of that index, left behind by an aborted transaction, is dropped.
  Result<void> format_chunk(Transaction& tx, uint64_t index, const ChunkPlace& place);

  Rvm& rvm() { return rvm_; }
  ChunkSource& source() { return source_; }
  uint64_t chunks_max() const { return chunks_max_; }

 private:
  // Zero-initialised memory that costs nothing until touched: one per possible chunk.
  struct ChunkSlot {
    Region* region;  // through std::atomic_ref; nullptr: not mapped
  };
  struct FreeMemory {
    void operator()(ChunkSlot* slots) const { std::free(slots); }
  };
  using ChunkSlots = std::unique_ptr<ChunkSlot[], FreeMemory>;

  Space(Rvm& rvm, ChunkSource& source, std::shared_ptr<AddressRange> addresses, ChunkSlots slots,
        uint64_t chunks_max);
  Result<Region*> region(uint64_t chunk);
  Result<Region*> locate_and_map(uint64_t chunk);
  Result<Region*> map_chunk(uint64_t chunk, const ChunkPlace& place);
  Result<void> unmap_stale(uint64_t chunk);

  Rvm& rvm_;
  ChunkSource& source_;
  std::shared_ptr<AddressRange> addresses_;  // shared with the regions in it
  ChunkSlots slots_;
  uint64_t chunks_max_;
  std::mutex map_mutex_;  // guards mapping; a mapped chunk is found without it
};

}  // namespace rvm
