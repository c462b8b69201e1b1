// SPDX-License-Identifier: BSD-2-Clause
//
// See repair_session.h.
#include "fsck/repair_session.h"

#include <algorithm>
#include <cstring>

namespace rvmfs::fsck {

using format::GroupDescriptor;
using format::kBlockBytes;
using format::kGroupBlocks;
using format::kGroupsPerPage;
using format::kRefsPerPage;
using format::VolumeRoot;
using rvm::format::kChunkBytes;
using rvm::format::kRootPageOffset;

namespace {

constexpr uint64_t kChunkBlocks = kChunkBytes / kBlockBytes;
constexpr uint64_t kChunksMore = 4096;  // address space for chunks that a repair may add

uint64_t group_word(uint64_t group) {
  return kRootPageOffset + offsetof(VolumeRoot, group_table) +
         group / kGroupsPerPage / kRefsPerPage * 8;
}

uint64_t chunk_word(uint64_t index) {
  return kRootPageOffset + offsetof(VolumeRoot, chunk_table) +
         index / kRefsPerPage / kRefsPerPage * 8;
}

// What the check before found sound lies there (log_records.cc); this is for an image that changed
// since.
bool log_may_name(const format::Superblock& super, const rvm::LogPlace& place) {
  return place.segment == 0 && place.offset >= super.chunk0_offset &&
         place.offset <= super.volume_bytes && place.length <= super.volume_bytes - place.offset &&
         (place.kind != rvm::LogPlace::Kind::region || rvm::Space::is_chunk(place));
}

}  // namespace

rvm::Options confined_options(const std::shared_ptr<rvm::Device>& device,
                              const format::Superblock& super) {
  rvm::Options options;
  options.log_device = device;
  options.log_offset = super.log_offset;
  options.background = false;
  options.log_may_name = [super](const rvm::LogPlace& place) { return log_may_name(super, place); };
  options.open_segment = [](std::string_view, bool) -> rvm::Result<std::shared_ptr<rvm::Device>> {
    return rvm::Error{rvm::Errc::no_segment, 0, 0, "a volume has no other segments"};
  };
  return options;
}

rvm::Result<std::unique_ptr<RepairSession>> RepairSession::open(std::shared_ptr<rvm::Device> device,
                                                                const CheckState& state) {
  std::unique_ptr<RepairSession> session(new RepairSession(state));
  RVM_ASSIGN(session->rvm_, rvm::Rvm::initialize(confined_options(device, state.super)));
  const uint64_t chunks = state.space->chunk_count() + kChunksMore;
  RVM_ASSIGN(session->space_, rvm::Space::open(*session->rvm_, *session, chunks * kChunkBytes));
  session->pool_ = std::make_unique<rvm::PagePool>(*session->space_);
  session->tree_ =
      std::make_unique<rvm::Tree>(*session->pool_, kRootPageOffset + offsetof(VolumeRoot, tree));
  return session;
}

rvm::Result<void> RepairSession::close() {
  RVM_TRY(rvm_->flush());
  RVM_TRY(rvm_->truncate());
  return rvm_->close();
}

rvm::Result<void> RepairSession::commit(rvm::Transaction& tx) {
  const auto ended = tx.end(rvm::Commit::no_flush);
  if (!ended) return ended.error();
  return {};
}

rvm::Result<VolumeRoot*> RepairSession::root(rvm::Transaction& tx) {
  return space_->modify(tx, rvm::Ref<VolumeRoot>{kRootPageOffset});
}

rvm::Result<uint64_t> RepairSession::read_word(uint64_t offset) {
  RVM_ASSIGN(const uint64_t* word, space_->get(rvm::Ref<uint64_t>{offset}));
  return *word;
}

// The page that the word names; a new one if it names none.
rvm::Result<uint64_t> RepairSession::page_at(rvm::Transaction& tx, uint64_t word_offset) {
  RVM_ASSIGN(uint64_t page, read_word(word_offset));
  if (page != 0) return page;
  RVM_ASSIGN(page, pool_->allocate(tx));
  RVM_ASSIGN(uint64_t * word, space_->modify(tx, rvm::Ref<uint64_t>{word_offset}));
  *word = page;
  return page;
}

rvm::Result<uint64_t> RepairSession::descriptor_of(uint64_t group) {
  RVM_ASSIGN(const uint64_t level1, read_word(group_word(group)));
  if (level1 == 0) return uint64_t{0};
  RVM_ASSIGN(const uint64_t leaf, read_word(level1 + group / kGroupsPerPage % kRefsPerPage * 8));
  if (leaf == 0) return uint64_t{0};
  return leaf + group % kGroupsPerPage * sizeof(GroupDescriptor);
}

rvm::Result<uint64_t> RepairSession::descriptor_with_bitmap(rvm::Transaction& tx, uint64_t group) {
  rvm::PagePool::GrowthPause pause(*pool_);  // growing would come back to here
  RVM_ASSIGN(const uint64_t level1, page_at(tx, group_word(group)));
  RVM_ASSIGN(const uint64_t leaf, page_at(tx, level1 + group / kGroupsPerPage % kRefsPerPage * 8));
  const uint64_t descriptor = leaf + group % kGroupsPerPage * sizeof(GroupDescriptor);
  RVM_TRY(page_at(tx, descriptor + offsetof(GroupDescriptor, bitmap)));
  return descriptor;
}

rvm::Result<rvm::ChunkPlace> RepairSession::locate(uint64_t index) {
  const size_t known = state_.space->chunk_count();
  if (index < known) {
    return rvm::ChunkPlace{rvm::kLogDeviceSegment, state_.space->chunk_offset(index)};
  }
  if (index - known < grown_.size()) {
    return rvm::ChunkPlace{rvm::kLogDeviceSegment, grown_[index - known]};
  }
  return rvm::Error{rvm::Errc::damaged_structure, 0, index, "no such chunk"};
}

// The first megabyte, aligned, whose blocks are all free.
rvm::Result<uint64_t> RepairSession::find_room_for_chunk() {
  const uint64_t total = state_.root.blocks_total;
  for (uint64_t group = 0; group * kGroupBlocks < total; ++group) {
    RVM_ASSIGN(const uint64_t place, descriptor_of(group));
    uint64_t bitmap = 0;
    if (place != 0) {
      RVM_ASSIGN(bitmap, read_word(place + offsetof(GroupDescriptor, bitmap)));
    }
    const std::byte* bits = nullptr;
    if (bitmap != 0) {
      RVM_ASSIGN(bits, space_->read(bitmap, kGroupBlocks / 8));
    }
    for (uint64_t first = 0; first < kGroupBlocks; first += kChunkBlocks) {
      const uint64_t block = group * kGroupBlocks + first;
      if (block + kChunkBlocks > total) break;
      const bool is_free =
          bits == nullptr || std::all_of(bits + first / 8, bits + (first + kChunkBlocks) / 8,
                                         [](std::byte b) { return b == std::byte{0}; });
      if (is_free) return block;
    }
  }
  return rvm::Error{rvm::Errc::no_space, 0, 0, "no room for more metadata"};
}

rvm::Result<void> RepairSession::mark_chunk(rvm::Transaction& tx, uint64_t block) {
  RVM_ASSIGN(const uint64_t place, descriptor_with_bitmap(tx, block / kGroupBlocks));
  RVM_ASSIGN(GroupDescriptor * descriptor, space_->modify(tx, rvm::Ref<GroupDescriptor>{place}));
  descriptor->used += static_cast<uint32_t>(kChunkBlocks);
  RVM_ASSIGN(std::byte * bits,
             space_->modify(tx, descriptor->bitmap + block % kGroupBlocks / 8, kChunkBlocks / 8));
  std::memset(bits, 0xff, kChunkBlocks / 8);
  RVM_ASSIGN(VolumeRoot * volume, root(tx));
  volume->blocks_used += kChunkBlocks;
  return {};
}

rvm::Result<rvm::ChunkPlace> RepairSession::grow(rvm::Transaction& tx, uint64_t index) {
  if (index / kRefsPerPage / kRefsPerPage >= format::kChunkTableRefs) {
    return rvm::Error{rvm::Errc::no_space, 0, index, "the chunk table is full"};
  }
  RVM_ASSIGN(const uint64_t block, find_room_for_chunk());
  RVM_TRY(mark_chunk(tx, block));
  RVM_ASSIGN(const uint64_t level1, page_at(tx, chunk_word(index)));
  RVM_ASSIGN(const uint64_t leaf, page_at(tx, level1 + index / kRefsPerPage % kRefsPerPage * 8));
  const uint64_t slot = leaf + index % kRefsPerPage * 8;
  RVM_ASSIGN(uint64_t * word, space_->modify(tx, rvm::Ref<uint64_t>{slot}));
  *word = block * kBlockBytes;
  grown_.resize(index - state_.space->chunk_count() + 1);
  grown_.back() = block * kBlockBytes;
  return rvm::ChunkPlace{rvm::kLogDeviceSegment, block * kBlockBytes};
}

}  // namespace rvmfs::fsck
