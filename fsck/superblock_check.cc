// SPDX-License-Identifier: BSD-2-Clause
//
// See superblock_check.h.
#include "fsck/superblock_check.h"

#include <cstring>
#include <optional>

#include "fsck/hash.h"

namespace rvmfs::fsck {
namespace {

using format::kBlockBytes;
using format::Superblock;

std::optional<Superblock> read_copy(CheckState& state, uint64_t offset) {
  std::byte bytes[sizeof(Superblock)];
  if (!state.image.read(offset, bytes)) return std::nullopt;
  const auto super = load<Superblock>(bytes);
  if (super.magic != format::kSuperblockMagic) return std::nullopt;
  if (self_hash_of(bytes, offsetof(Superblock, hash), format::kSuperblockSeed) != super.hash) {
    return std::nullopt;
  }
  return super;
}

// Ranges are written so that no sum can overflow.
bool fields_are_sane(const Superblock& s) {
  const uint64_t volume = s.volume_bytes;
  return s.block_bytes == kBlockBytes && volume >= format::kVolumeBytesMin &&
         volume <= format::kVolumeBytesMax && volume % kBlockBytes == 0 &&
         s.log_offset >= format::kSuperblockCopyOffset + kBlockBytes &&
         s.log_offset % kBlockBytes == 0 && s.log_bytes % kBlockBytes == 0 &&
         s.log_offset <= volume && s.log_bytes <= volume - s.log_offset &&
         s.chunk0_offset % kBlockBytes == 0 && s.chunk0_offset >= s.log_offset + s.log_bytes &&
         s.chunk0_offset <= volume && rvm::format::kChunkBytes <= volume - s.chunk0_offset;
}

}  // namespace

bool check_superblock(CheckState& state) {
  const auto first = read_copy(state, format::kSuperblockOffset);
  const auto copy = read_copy(state, format::kSuperblockCopyOffset);
  if (!first && !copy) {
    state.report.add(FindingId::superblock_damaged, "at bytes {} and {}", format::kSuperblockOffset,
                     format::kSuperblockCopyOffset);
    return false;
  }
  state.super = first ? *first : *copy;
  const Superblock& s = state.super;
  if (s.version != format::kVersion || (s.features_incompat & ~kKnownIncompat) != 0 ||
      (s.features_ro_compat & ~kKnownRoCompat) != 0) {
    state.report.add(FindingId::features_unknown, "version {}, features {:#x} and {:#x}", s.version,
                     s.features_incompat, s.features_ro_compat);
    return false;
  }
  if (!fields_are_sane(s)) {
    state.report.add(FindingId::superblock_fields,
                     "size {}, log at {} of {} bytes, first chunk at {}", s.volume_bytes,
                     s.log_offset, s.log_bytes, s.chunk0_offset);
    return false;
  }
  if (!first) {
    state.report.add(FindingId::superblock_first_damaged);
    state.repairs.superblock_first = true;
  } else if (!copy) {
    state.report.add(FindingId::superblock_copy_damaged);
    state.repairs.superblock_copy = true;
  } else if (std::memcmp(&*first, &*copy, sizeof(Superblock)) != 0) {
    state.report.add(FindingId::superblock_copies_differ);
    state.repairs.superblock_copy = true;
  }
  return true;
}

void check_owner(CheckState& state) {
  std::byte bytes[sizeof(format::OwnerRecord)];
  if (!state.image.read(format::kOwnerOffset, bytes)) {
    state.report.add(FindingId::image_unreadable, "owner record");
    return;
  }
  if (all_zero(bytes)) return;  // nobody ever
  const auto owner = load<format::OwnerRecord>(bytes);
  if (owner.magic != format::kOwnerMagic ||
      self_hash_of(bytes, offsetof(format::OwnerRecord, hash), format::kOwnerMagic) != owner.hash) {
    // A mount that was cut while it wrote the record leaves this; the record is advice only.
    state.report.add(FindingId::owner_record_damaged);
    state.repairs.owner_record = true;
    state.summary.owner_held = true;
    return;
  }
  if (owner.pid != 0) {
    state.report.add(FindingId::owner_record_held, "process {} on host {}", owner.pid,
                     std::string(owner.host, strnlen(owner.host, sizeof(owner.host))));
    state.repairs.owner_record = true;
    state.summary.owner_held = true;
  }
}

}  // namespace rvmfs::fsck
