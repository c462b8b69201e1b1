// SPDX-License-Identifier: BSD-2-Clause
//
// A space over chunks: finds the region of an offset, maps chunks on first use, formats new ones.
//
//   space offset = chunk * kChunkBytes + offset in the chunk; page 0 of a chunk is its hash table
//   and has no address; region of a chunk = its pages 1 ... 255.
//
// The table of chunks is one slot per possible chunk in memory that the host provides when touched.
// A slot goes from nullptr to a region once (acquire/release), except that format_chunk() replaces
// the region of a chunk that an aborted transaction left behind: nobody can hold a reference into
// such a chunk, because the structures that would name it were restored.
//
// The source is asked where a chunk lies without holding map_mutex_, since it may read the space.
#include "rvm/space.h"

#include <utility>

namespace rvm {

namespace {

constexpr uint64_t kFirstPage = kPageBytes;  // offset in a chunk of the first byte of its region

Error outside(uint64_t offset) {
  return {.code = Errc::out_of_range, .position = offset, .what = "offset outside the space"};
}

bool fits(uint64_t chunk, uint64_t in_chunk, uint64_t length, uint64_t chunks_max) {
  return chunk < chunks_max && in_chunk >= kFirstPage && length <= format::kChunkBytes - in_chunk;
}

}  // namespace

Space::Space(Rvm& rvm, ChunkSource& source, std::shared_ptr<AddressRange> addresses,
             ChunkSlots slots, uint64_t chunks_max)
    : rvm_(rvm),
      source_(source),
      addresses_(std::move(addresses)),
      slots_(std::move(slots)),
      chunks_max_(chunks_max) {}

Space::~Space() = default;

bool Space::is_chunk(const LogPlace& region) {
  return region.kind == LogPlace::Kind::region && region.hashed &&
         region.length == format::kChunkBytes - kFirstPage && region.offset >= kFirstPage &&
         region.hash_table_offset == region.offset - kFirstPage;
}

Result<std::unique_ptr<Space>> Space::open(Rvm& rvm, ChunkSource& source, uint64_t bytes_max) {
  const uint64_t chunks_max = bytes_max / format::kChunkBytes;
  if (chunks_max == 0) {
    return Error{.code = Errc::invalid_argument, .what = "a space has at least one chunk"};
  }
  RVM_ASSIGN(AddressRange range, AddressRange::reserve(chunks_max * format::kChunkBytes));
  ChunkSlots slots(static_cast<ChunkSlot*>(std::calloc(chunks_max, sizeof(ChunkSlot))));
  if (!slots) return Error{.code = Errc::out_of_memory, .what = "no memory for the chunk table"};
  return std::unique_ptr<Space>(new Space(
      rvm, source, std::make_shared<AddressRange>(std::move(range)), std::move(slots), chunks_max));
}

Result<const std::byte*> Space::read(uint64_t offset, uint64_t length) {
  const uint64_t chunk = offset / format::kChunkBytes;
  const uint64_t in_chunk = offset % format::kChunkBytes;
  if (!fits(chunk, in_chunk, length, chunks_max_)) return outside(offset);
  Region* mapped = std::atomic_ref(slots_[chunk].region).load(std::memory_order_acquire);
  if (mapped == nullptr) {
    RVM_ASSIGN(mapped, locate_and_map(chunk));
  }
  return mapped->read(in_chunk - kFirstPage, length);
}

Result<std::byte*> Space::modify(Transaction& tx, uint64_t offset, uint64_t length) {
  const uint64_t chunk = offset / format::kChunkBytes;
  const uint64_t in_chunk = offset % format::kChunkBytes;
  if (!fits(chunk, in_chunk, length, chunks_max_)) return outside(offset);
  RVM_ASSIGN(Region * mapped, region(chunk));
  return tx.modify(*mapped, in_chunk - kFirstPage, length);
}

Result<Region*> Space::region(uint64_t chunk) {
  Region* mapped = std::atomic_ref(slots_[chunk].region).load(std::memory_order_acquire);
  if (mapped != nullptr) return mapped;
  return locate_and_map(chunk);
}

Result<Region*> Space::locate_and_map(uint64_t chunk) {
  RVM_ASSIGN(const ChunkPlace place, source_.locate(chunk));
  std::lock_guard lock(map_mutex_);
  Region* mapped = std::atomic_ref(slots_[chunk].region).load(std::memory_order_acquire);
  if (mapped != nullptr) return mapped;  // another reader was faster
  return map_chunk(chunk, place);
}

// Under map_mutex_.
Result<Region*> Space::map_chunk(uint64_t chunk, const ChunkPlace& place) {
  RegionOptions options;
  options.segment = place.segment;
  options.offset = place.offset + kFirstPage;
  options.length = format::kChunkBytes - kFirstPage;
  options.address = addresses_->base() + chunk * format::kChunkBytes + kFirstPage;
  options.address_owner = addresses_;
  options.hashed = true;
  options.hash_table_offset = place.offset;
  RVM_ASSIGN(Region * mapped, rvm_.map(options));
  std::atomic_ref(slots_[chunk].region).store(mapped, std::memory_order_release);
  return mapped;
}

// Under map_mutex_. The chunk was mapped by a transaction that aborted, so it holds neither
// declared nor committed bytes, and unmapping it needs no more than saying so. Should the same
// chunk have been committed once (a client that gave chunks back and grows again), its bytes must
// go home first.
Result<void> Space::unmap_stale(uint64_t chunk) {
  std::atomic_ref slot(slots_[chunk].region);
  Region* stale = slot.load(std::memory_order_acquire);
  if (stale == nullptr) return {};
  Result<void> unmapped = rvm_.unmap(stale);
  if (!unmapped) {
    RVM_TRY(rvm_.truncate(Truncation::epoch));
    unmapped = rvm_.unmap(stale);
  }
  RVM_TRY(unmapped);
  slot.store(nullptr, std::memory_order_release);
  return {};
}

Result<void> Space::format_chunk(Transaction& tx, uint64_t index, const ChunkPlace& place) {
  if (index >= chunks_max_) return outside(index * format::kChunkBytes);
  std::lock_guard lock(map_mutex_);
  RVM_TRY(unmap_stale(index));
  RVM_ASSIGN(Region * mapped, map_chunk(index, place));
  return tx.format(*mapped);
}

}  // namespace rvm
