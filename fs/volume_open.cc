// SPDX-License-Identifier: BSD-2-Clause
//
// Opening and closing a volume.
//
//   open    superblock -> log (recovers) -> space, pool, tree -> root checked -> orphans finished
//           -> owner record -> background thread
//   close   thread stopped -> orphans finished -> log truncated -> owner record -> closed
//   abandon thread stopped, and nothing is written: what a killed process leaves behind
//
// Opening costs the same whatever the volume's size: the log, the root page, and what is left to
// do.
#include <sys/stat.h>

#include <algorithm>

#include "fs/background.h"
#include "fs/block_allocator.h"
#include "fs/orphans.h"
#include "fs/superblock.h"
#include "seeded_bug.h"

namespace rvmfs {

namespace {

constexpr uint64_t kSpaceBytesMin = 1ULL << 36;
constexpr uint64_t kSpaceBytesMax = format::kChunkTableRefs * format::kRefsPerPage *
                                    format::kRefsPerPage * rvm::format::kChunkBytes;

Result<void> open_superblock(VolumeCore& core) {
  RVM_ASSIGN(core.super, read_superblock(*core.device));
  if ((core.super.features_ro_compat & ~kKnownRoCompat) && !core.options.read_only) {
    return fs_error(FsErrc::unknown_features, "it can be mounted read-only");
  }
  if (core.device->read_only() && !core.options.read_only) {
    return fs_error(FsErrc::read_only_volume, "the image is read-only");
  }
  // A file may be shorter than the volume; a device that is has lost its end.
  if (!core.device->can_grow() && !core.device->read_only() &&
      core.device->size() < core.super.volume_bytes) {
    return fs_error(FsErrc::damaged, "the device is smaller than the volume");
  }
  return {};
}

// A log may name metadata chunks, and have file data for blocks: nothing that lies before them (the
// superblocks, the log), and nothing behind the volume.
bool log_may_name(const format::Superblock& super, const rvm::LogPlace& place) {
  constexpr uint64_t kChunk = rvm::format::kChunkBytes;
  const auto from = [&](uint64_t begin) {
    return place.segment == rvm::kLogDeviceSegment && place.offset >= begin &&
           place.offset <= super.volume_bytes && place.length <= super.volume_bytes - place.offset;
  };
  switch (place.kind) {
    case rvm::LogPlace::Kind::region:
      return from(super.chunk0_offset) && rvm::Space::is_chunk(place) &&
             (place.hash_table_offset == super.chunk0_offset ||
              place.hash_table_offset >= super.chunk0_offset + kChunk);
    case rvm::LogPlace::Kind::page: return from(super.chunk0_offset);
    case rvm::LogPlace::Kind::data: return from(super.chunk0_offset + kChunk);
  }
  return false;
}

// A volume is one image: its log may name no other file. A hostile image that does is damaged.
void confine(rvm::Options& options, const format::Superblock& super) {
  options.log_may_name = [super](const rvm::LogPlace& place) { return log_may_name(super, place); };
  options.open_segment = [](std::string_view, bool) -> Result<std::shared_ptr<rvm::Device>> {
    return Error{.code = rvm::Errc::no_segment, .what = "a volume has no other segments"};
  };
}

Result<void> open_rvm(VolumeCore& core) {
  rvm::Options options;
  confine(options, core.super);
  options.log_device = core.device;
  options.log_offset = core.super.log_offset;
  options.tuning = core.options.tuning;
  options.tuning.resident_bytes_max = core.options.metadata_bytes_max;
  options.background = core.options.background;
  options.read_only = core.options.read_only;
  RVM_ASSIGN(core.rvm, rvm::Rvm::initialize(std::move(options)));
  // Addresses cost nothing; the volume may grow while it is open.
  const uint64_t space_bytes =
      std::clamp(core.super.volume_bytes * 4, kSpaceBytesMin, kSpaceBytesMax);
  RVM_ASSIGN(core.space, rvm::Space::open(*core.rvm, core, space_bytes));
  core.pool = std::make_unique<rvm::PagePool>(*core.space);
  core.tree = std::make_unique<rvm::Tree>(
      *core.pool, VolumeCore::kRootOffset + offsetof(format::VolumeRoot, tree));
  core.blocks = std::make_unique<BlockAllocator>(core);
  return {};
}

Result<void> check_root(VolumeCore& core) {
  return core.run_read<void>([&]() -> Result<void> {
    RVM_ASSIGN(const format::VolumeRoot root, core.root());
    if (root.blocks_total > core.super.volume_bytes / format::kBlockBytes ||
        root.blocks_used > root.blocks_total || root.next_inode < format::kFirstFreeInode ||
        root.next_inode > format::kInodeMax || root.inodes_used >= root.next_inode) {
      return fs_error(FsErrc::damaged, "the volume root contradicts itself");
    }
    RVM_ASSIGN(const format::InodeItem* item, core.inode(format::kRootInode));
    if (!S_ISDIR(item->mode)) return fs_error(FsErrc::damaged, "the root is not a directory");
    return {};
  });
}

Result<void> finish_close(VolumeCore& core) {
  {
    std::lock_guard lock(core.holds_mutex);
    core.holds.clear();  // nobody can hold what is going away
  }
  RVM_TRY(finish_all_orphans(core));
  RVM_TRY(core.rvm->flush(true));
  RVM_TRY(core.blocks->settle_freed());
  RVM_TRY(core.rvm->truncate());
  RVM_TRY(write_owner(*core.device, false, core.now()));
  RVM_TRY(core.rvm->close());
  return core.device->flush();
}

}  // namespace

Volume::Volume(std::unique_ptr<VolumeCore> core) : core_(std::move(core)) {}

Volume::~Volume() { static_cast<void>(close()); }

Result<std::unique_ptr<Volume>> Volume::open(std::shared_ptr<rvm::Device> device,
                                             const MountOptions& options) {
  auto core = std::make_unique<VolumeCore>();
  core->device = std::move(device);
  core->options = options;
  RVM_TRY(open_superblock(*core));
  RVM_TRY(open_rvm(*core));
  RVM_TRY(check_root(*core));
  if (!options.read_only) {
    if (!RVM_SEEDED_BUG("superblock_not_healed")) {
      RVM_TRY(heal_superblocks(*core->device, core->super));
    }
    if (!RVM_SEEDED_BUG("orphans_kept")) RVM_TRY(finish_all_orphans(*core));
    RVM_TRY(write_owner(*core->device, true, core->now()));
    if (options.background) start_background(*core);
  }
  return std::unique_ptr<Volume>(new Volume(std::move(core)));
}

Result<void> Volume::close() {
  if (core_->closed) return {};
  core_->closed = true;
  stop_background(*core_);
  Result<void> closed;
  if (core_->options.read_only) {
    closed = core_->rvm->close();
  } else if (core_->shut_down) {
    core_->rvm->abandon();  // all that was done before is durable
    return {};
  } else if (core_->rvm->failed()) {
    closed = fs_error(FsErrc::damaged, "a write of the log had failed");
  } else {
    closed = finish_close(*core_);
  }
  if (!closed) core_->rvm->abandon();  // the log has what was durable; the next open recovers it
  return closed;
}

void Volume::abandon() {
  if (core_->closed) return;
  core_->closed = true;
  stop_background(*core_);
  core_->rvm->abandon();
}

format::Superblock Volume::superblock() const {
  std::shared_lock lock(core_->meta_lock);
  return core_->super;
}
rvm::RecoveryReport Volume::recovery() const { return core_->rvm->query().recovery; }
rvm::Rvm& Volume::rvm() { return *core_->rvm; }
bool Volume::failed() const { return core_->rvm->failed(); }

}  // namespace rvmfs
