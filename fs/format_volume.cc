// SPDX-License-Identifier: BSD-2-Clause
//
// Making an empty volume.
//
//   old superblocks wiped, durably      from here on nobody takes the device for a volume
//   log                                 empty, its host space allocated
//   chunk 0                             page pool, root page, tree, root inode, bitmaps of the
//                                       blocks in use: one transaction, then written home
//   superblock copy, superblock         the second one makes the volume: written last, after a
//   flush
//
// Nothing is taken from what the device holds: every page that is read later was written here, or
// is marked as never written. The cost does not depend on the size of the volume.
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "fs/core.h"
#include "fs/inode.h"
#include "fs/superblock.h"

namespace rvmfs {

namespace {

using format::GroupDescriptor;
using format::InodeItem;
using format::kBlockBytes;
using format::kGroupBlocks;
using format::Superblock;
using format::VolumeRoot;
using rvm::format::kChunkBytes;

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kLogBytesMax = 4ULL << 30;  // the bitmaps of the log's blocks fit into chunk 0

// Chunk 0 and no other.
class FirstChunk : public rvm::ChunkSource {
 public:
  explicit FirstChunk(uint64_t offset) : offset_(offset) {}
  Result<rvm::ChunkPlace> locate(uint64_t) override {
    return rvm::ChunkPlace{rvm::kLogDeviceSegment, offset_};
  }
  Result<rvm::ChunkPlace> grow(rvm::Transaction&, uint64_t) override {
    return Error{.code = rvm::Errc::no_space, .what = "an empty volume has one chunk"};
  }

 private:
  uint64_t offset_;
};

Result<Superblock> plan(const rvm::Device& device, const FormatOptions& options) {
  Superblock super{};
  super.magic = format::kSuperblockMagic;
  std::memcpy(super.uuid, options.uuid, sizeof(super.uuid));
  if (options.label.size() > sizeof(super.label)) {
    return fs_error(FsErrc::bad_argument, "the label is too long");
  }
  std::memcpy(super.label, options.label.data(), options.label.size());
  super.version = format::kVersion;
  super.block_bytes = kBlockBytes;
  super.volume_bytes = options.volume_bytes / kBlockBytes * kBlockBytes;
  if (super.volume_bytes < format::kVolumeBytesMin ||
      super.volume_bytes > format::kVolumeBytesMax) {
    return fs_error(FsErrc::bad_argument, "no volume can have this size", options.volume_bytes);
  }
  if (!device.can_grow() && super.volume_bytes > device.size()) {
    return fs_error(FsErrc::bad_argument, "the volume is larger than the device", device.size());
  }
  super.log_offset = format::kLogOffset;
  super.log_bytes = options.log_bytes != 0 ? options.log_bytes / rvm::kPageBytes * rvm::kPageBytes
                                           : default_log_bytes(super.volume_bytes);
  if (super.log_bytes < rvm::kLogBytesMin || super.log_bytes > kLogBytesMax ||
      super.log_bytes > super.volume_bytes / 2) {
    return fs_error(FsErrc::bad_argument, "no log of this volume can have this size",
                    options.log_bytes);
  }
  super.chunk0_offset =
      (super.log_offset + super.log_bytes + kChunkBytes - 1) / kChunkBytes * kChunkBytes;
  super.name_hash_seed = options.name_hash_seed;
  super.created_seconds = options.now.seconds;
  seal(super);
  return super;
}

// An old log of the same generation must not be taken for the new one's. A file was cut off, so its
// log area is zeros and the generation may follow from the options (images that can be reproduced);
// elsewhere it is random.
uint64_t log_generation(const rvm::Device& device, const Superblock& super) {
  if (!device.can_grow()) return 0;
  return std::max<uint64_t>(
      1, XXH3_64bits_withSeed(super.uuid, sizeof(super.uuid), super.name_hash_seed) >> 1);
}

Result<void> prepare(rvm::Device& device, const Superblock& super) {
  RVM_TRY(wipe_superblocks(device));
  if (device.can_grow()) {
    if (device.size() > format::kLogOffset) RVM_TRY(device.resize(format::kLogOffset));
    RVM_TRY(device.resize(super.chunk0_offset + kChunkBytes));
  }
  RVM_TRY(device.allocate(super.log_offset, super.log_bytes));
  RVM_TRY(device.allocate(super.chunk0_offset, kChunkBytes));
  return rvm::Rvm::create_log(device, {.offset = super.log_offset,
                                       .length = super.log_bytes,
                                       .generation = log_generation(device, super)});
}

// Builds the contents of chunk 0 in one transaction.
class Builder {
 public:
  Builder(rvm::Space& space, const Superblock& super, const FormatOptions& options)
      : space_(space), super_(super), options_(options), pool_(space), tx_(space.rvm().begin()) {}

  Result<void> build() {
    RVM_TRY(rvm::PagePool::create(tx_, space_, {rvm::kLogDeviceSegment, super_.chunk0_offset}));
    RVM_TRY(write_root());
    RVM_TRY(write_root_inode());
    RVM_TRY(mark_used());
    RVM_ASSIGN(const rvm::CommitTicket ticket, tx_.end(rvm::Commit::flush));
    static_cast<void>(ticket);
    return {};
  }

 private:
  uint64_t blocks_used() const { return (super_.chunk0_offset + kChunkBytes) / kBlockBytes; }

  Result<void> write_root() {
    RVM_ASSIGN(VolumeRoot * root,
               space_.modify(tx_, rvm::Ref<VolumeRoot>{VolumeCore::kRootOffset}));
    root->magic = format::kVolumeRootMagic;
    root->blocks_total = super_.volume_bytes / kBlockBytes;
    root->blocks_used = blocks_used();
    root->next_inode = format::kFirstFreeInode;
    root->inodes_used = 1;
    return {};
  }

  Result<void> write_root_inode() {
    InodeItem item{};
    item.mode = S_IFDIR | (options_.root_mode & 07777);
    item.uid = options_.root_uid;
    item.gid = options_.root_gid;
    item.nlink = 2;
    item.parent = format::kRootInode;
    set_atime(item, options_.now);
    set_mtime(item, options_.now);
    set_ctime(item, options_.now);
    item.btime_seconds = options_.now.seconds;
    item.btime_nanoseconds = options_.now.nanoseconds;
    rvm::Tree tree(pool_, VolumeCore::kRootOffset + offsetof(VolumeRoot, tree));
    RVM_TRY(tree.create(tx_));
    return tree.insert(tx_, item_key(format::kRootInode, format::ItemType::inode),
                       std::as_bytes(std::span(&item, 1)));
  }

  // The first blocks, up to the end of chunk 0. They are all in the first page of descriptors.
  Result<void> mark_used() {
    RVM_ASSIGN(const uint64_t level1, pool_.allocate(tx_));
    RVM_ASSIGN(const uint64_t descriptors, pool_.allocate(tx_));
    RVM_TRY(write(VolumeCore::kRootOffset + offsetof(VolumeRoot, group_table), level1));
    RVM_TRY(write(level1, descriptors));
    static_assert(kLogBytesMax / kBlockBytes / kGroupBlocks + 1 < format::kGroupsPerPage);
    for (uint64_t group = 0; group * kGroupBlocks < blocks_used(); ++group) {
      const uint64_t used = std::min(blocks_used() - group * kGroupBlocks, kGroupBlocks);
      RVM_ASSIGN(const uint64_t bitmap, pool_.allocate(tx_));
      RVM_TRY(write(descriptors + group * sizeof(GroupDescriptor),
                    GroupDescriptor{bitmap, static_cast<uint32_t>(used), 0}));
      RVM_TRY(fill_bitmap(bitmap, used));
    }
    return {};
  }

  Result<void> fill_bitmap(uint64_t bitmap, uint64_t used) {
    RVM_ASSIGN(std::byte * bytes, space_.modify(tx_, bitmap, kGroupBlocks / 8));
    std::memset(bytes, 0xff, used / 8);
    if (used % 8 != 0) bytes[used / 8] = static_cast<std::byte>((1u << used % 8) - 1);
    return {};
  }

  template <typename T>
  Result<void> write(uint64_t offset, const T& value) {
    RVM_ASSIGN(T * place, space_.modify(tx_, rvm::Ref<T>{offset}));
    *place = value;
    return {};
  }

  rvm::Space& space_;
  const Superblock& super_;
  const FormatOptions& options_;
  rvm::PagePool pool_;
  rvm::Transaction tx_;
};

Result<void> write_metadata(std::shared_ptr<rvm::Device> device, const Superblock& super,
                            const FormatOptions& options) {
  rvm::Options rvm_options;
  rvm_options.log_device = std::move(device);
  rvm_options.log_offset = super.log_offset;
  rvm_options.background = false;
  RVM_ASSIGN(const std::unique_ptr<rvm::Rvm> instance,
             rvm::Rvm::initialize(std::move(rvm_options)));
  FirstChunk source(super.chunk0_offset);
  RVM_ASSIGN(const std::unique_ptr<rvm::Space> space,
             rvm::Space::open(*instance, source, kChunkBytes));
  RVM_TRY(Builder(*space, super, options).build());
  RVM_TRY(instance->truncate());
  return instance->close();
}

}  // namespace

uint64_t default_log_bytes(uint64_t volume_bytes) {
  return std::clamp(volume_bytes / 64 / kMiB * kMiB, kMiB, 64 * kMiB);
}

Result<void> format_volume(std::shared_ptr<rvm::Device> device, const FormatOptions& options) {
  RVM_ASSIGN(const Superblock super, plan(*device, options));
  RVM_TRY(prepare(*device, super));
  RVM_TRY(write_metadata(device, super, options));
  RVM_TRY(device->flush());
  return write_superblocks(*device, super);
}

}  // namespace rvmfs
