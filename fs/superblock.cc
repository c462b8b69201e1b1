// SPDX-License-Identifier: BSD-2-Clause
//
// Superblocks and the owner record: see fs/superblock.h. Every field is checked before anybody uses
// it: geometry that does not fit is damage, whatever the hash says.
#include "fs/superblock.h"

#include "fs/core.h"
#include "seeded_bug.h"

#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <cstdio>
#include <cstring>

namespace rvmfs {

namespace {

using format::OwnerRecord;
using format::Superblock;

// XXH3 of the structure as it would be with a hash of zero.
template <typename T>
uint64_t hash_of(T record, uint64_t seed) {
  record.hash = 0;
  return XXH3_64bits_withSeed(&record, sizeof(record), seed);
}

enum class Found : uint8_t { good, damaged, none };

Result<Found> read_one(rvm::Device& device, uint64_t offset, Superblock& super) {
  if (device.size() < offset + sizeof(super)) return Found::none;
  RVM_TRY(device.read(offset, std::as_writable_bytes(std::span(&super, 1))));
  if (super.magic != format::kSuperblockMagic) return Found::none;
  return super.hash == hash_of(super, format::kSuperblockSeed) ? Found::good : Found::damaged;
}

bool geometry_is_sound(const Superblock& super) {
  const uint64_t chunk = rvm::format::kChunkBytes;
  return super.block_bytes == format::kBlockBytes &&
         super.volume_bytes >= format::kVolumeBytesMin &&
         super.volume_bytes <= format::kVolumeBytesMax &&
         super.volume_bytes % format::kBlockBytes == 0 && super.log_offset >= format::kLogOffset &&
         super.log_offset % rvm::kPageBytes == 0 && super.log_bytes % rvm::kPageBytes == 0 &&
         super.log_bytes >= rvm::kLogBytesMin && super.log_offset <= super.volume_bytes &&
         super.log_bytes <= super.volume_bytes - super.log_offset &&
         super.chunk0_offset % chunk == 0 &&
         super.chunk0_offset >= super.log_offset + super.log_bytes &&
         super.chunk0_offset <= super.volume_bytes - chunk;
}

Result<void> check(const Superblock& super) {
  if (super.version > format::kVersion || (super.features_incompat & ~kKnownIncompat)) {
    return fs_error(FsErrc::unknown_features);
  }
  if (super.version == 0 || !geometry_is_sound(super)) {
    return fs_error(FsErrc::damaged, "the superblock contradicts itself");
  }
  return {};
}

Result<void> write_one(rvm::Device& device, uint64_t offset, const Superblock& super) {
  return device.write(offset, std::as_bytes(std::span(&super, 1)));
}

void read_boot_id(std::span<char> out) {
  std::FILE* file = std::fopen("/proc/sys/kernel/random/boot_id", "re");
  if (file == nullptr) return;
  if (std::fgets(out.data(), static_cast<int>(out.size()), file) != nullptr) {
    out[std::strcspn(out.data(), "\n")] = '\0';
  }
  std::fclose(file);
}

}  // namespace

void seal(Superblock& super) { super.hash = hash_of(super, format::kSuperblockSeed); }

Result<Superblock> read_superblock(rvm::Device& device) {
  Superblock primary, copy;
  auto first = read_one(device, format::kSuperblockOffset, primary);
  if (first && *first == Found::good) {
    RVM_TRY(check(primary));
    return primary;
  }
  auto second = read_one(device, format::kSuperblockCopyOffset, copy);
  if (second && *second == Found::good) {
    RVM_TRY(check(copy));
    return copy;
  }
  if (!first) return first.error();
  if (!second) return second.error();
  if (*first == Found::none && *second == Found::none) return fs_error(FsErrc::not_rvmfs);
  return fs_error(FsErrc::damaged, "both superblocks are damaged", format::kSuperblockOffset);
}

Result<void> write_superblocks(rvm::Device& device, const Superblock& super) {
  RVM_TRY(write_one(device, format::kSuperblockCopyOffset, super));
  if (!RVM_SEEDED_BUG("superblocks_at_once")) RVM_TRY(device.flush());
  RVM_TRY(write_one(device, format::kSuperblockOffset, super));
  return device.flush();
}

Result<void> write_changed_superblocks(VolumeCore& core, Superblock& super) {
  seal(super);
  Result<void> written = write_superblocks(*core.device, super);
  if (!written) core.rvm->declare_failed();
  return written;
}

Result<void> change_superblocks(VolumeCore& core, Superblock super) {
  RVM_TRY(write_changed_superblocks(core, super));
  std::unique_lock lock(core.meta_lock);
  core.super = super;
  return {};
}

Result<void> heal_superblocks(rvm::Device& device, const Superblock& super) {
  for (const uint64_t offset : {format::kSuperblockCopyOffset, format::kSuperblockOffset}) {
    Superblock found;
    auto read = read_one(device, offset, found);
    if (read && *read == Found::good && found.hash == super.hash) continue;
    RVM_TRY(write_one(device, offset, super));
    RVM_TRY(device.flush());
  }
  return {};
}

Result<void> wipe_superblocks(rvm::Device& device) {
  const std::array<std::byte, format::kBlockBytes> zeros{};
  for (const uint64_t offset :
       {format::kSuperblockOffset, format::kSuperblockCopyOffset, format::kOwnerOffset}) {
    RVM_TRY(device.write(offset, zeros));
  }
  return device.flush();
}

Result<void> write_owner(rvm::Device& device, bool in_use, Time now) {
  OwnerRecord record{};
  record.magic = format::kOwnerMagic;
  record.since_seconds = record.heartbeat_seconds = now.seconds;
  if (in_use) {
    record.pid = static_cast<uint64_t>(::getpid());
    read_boot_id(record.boot_id);
    static_cast<void>(::gethostname(record.host, sizeof(record.host) - 1));  // else: no name
  }
  record.hash = hash_of(record, format::kOwnerMagic);
  return device.write(format::kOwnerOffset, std::as_bytes(std::span(&record, 1)));
}

}  // namespace rvmfs
