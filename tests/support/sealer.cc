// SPDX-License-Identifier: BSD-2-Clause
//
// See sealer.h. The hashes are those of docs/FORMAT.md.
#include "tests/support/sealer.h"

#include <algorithm>

#include "fs/format.h"
#include "fsck/hash.h"
#include "rvm/log_format.h"
#include "rvm/page_format.h"

namespace rvmfs::test {
namespace {

using namespace rvm::format;
using format::Superblock;

constexpr uint64_t kPage = kHashPageBytes;

std::vector<std::byte> bytes_at(const SparseImage& image, uint64_t offset, uint64_t count) {
  std::vector<std::byte> bytes(count);
  image.read(offset, bytes);
  return bytes;
}

struct Log {
  uint64_t journal, records;  // offsets in the image
  StatusBlock status;
};

Log log_of(const SparseImage& image, uint64_t log_offset) {
  auto status = load_from<StatusBlock>(image, log_offset);
  const auto other = load_from<StatusBlock>(image, log_offset + kStatusBytes);
  if (other.magic == kStatusMagic && other.counter > status.counter) status = other;
  const uint64_t journal = log_offset + 2 * kStatusBytes;
  return {journal, journal + (1 + uint64_t{status.journal_pages}) * kPage, status};
}

void add_journal(const SparseImage& image, const Log& log, std::vector<ImagePart>& parts) {
  const auto header = load_from<JournalHeader>(image, log.journal);
  parts.push_back({.kind = PartKind::journal, .offset = log.journal, .bytes = kPage});
  if (header.magic != kJournalMagic || header.count > kJournalPagesMax) return;
  for (uint32_t i = 0; i < header.count; ++i) {
    parts.push_back({.kind = PartKind::journal_page,
                     .offset = log.journal + (1 + uint64_t{i}) * kPage,
                     .bytes = kPage,
                     .sealer = log.journal,
                     .index = i});
  }
}

// Units that do not wrap around the end of the area: a sample has no others.
void add_units(const SparseImage& image, const Log& log, std::vector<ImagePart>& parts) {
  const StatusBlock& status = log.status;
  uint64_t lsn = status.head_lsn;
  for (uint64_t sequence = status.head_sequence;; ++sequence) {
    const uint64_t at = lsn % status.record_bytes;
    const auto header = load_from<UnitHeader>(image, log.records + at);
    if (header.magic != kUnitMagic || header.generation != status.generation ||
        header.sequence != sequence || header.unit_bytes > status.record_bytes - at) {
      break;
    }
    parts.push_back({.kind = PartKind::unit,
                     .offset = log.records + at,
                     .bytes = header.bytes_used,
                     .seed = status.generation,
                     .limit = log.records + status.record_bytes});
    lsn += header.unit_bytes;
  }
  if (!parts.empty() && parts.back().kind == PartKind::unit) parts.back().is_last = true;
}

// Chunks in the order of their numbers, as the pages at home say.
std::vector<uint64_t> chunk_places(const SparseImage& image, const Superblock& super) {
  std::vector<uint64_t> places = {super.chunk0_offset};
  const auto place_of = [&](uint64_t space_offset) {
    const uint64_t chunk = space_offset / kChunkBytes;
    return chunk < places.size() ? places[chunk] + space_offset % kChunkBytes : 0;
  };
  const auto root = load_from<format::VolumeRoot>(image, super.chunk0_offset + kRootPageOffset);
  const auto pool = load_from<PoolRoot>(image, super.chunk0_offset + kPoolRootOffset);
  const uint64_t level1 = root.chunk_table[0] == 0 ? 0 : place_of(root.chunk_table[0]);
  if (level1 == 0) return places;
  const uint64_t leaf = place_of(load_from<uint64_t>(image, level1));
  for (uint64_t i = 1; leaf != 0 && i < std::min(pool.chunk_count, format::kRefsPerPage); ++i) {
    places.push_back(load_from<uint64_t>(image, leaf + 8 * i));
  }
  return places;
}

void add_chunk(const SparseImage& image, uint64_t place, std::vector<ImagePart>& parts) {
  parts.push_back({.kind = PartKind::hash_table, .offset = place, .bytes = kPage});
  const auto table = load_from<HashTablePage>(image, place);
  for (uint32_t i = 0; i + 1 < kChunkPages; ++i) {
    if (table.hashes[i] == 0) continue;
    parts.push_back({.kind = PartKind::page,
                     .offset = place + (i + 1) * kPage,
                     .bytes = kPage,
                     .sealer = place,
                     .index = i});
  }
}

// The hash at byte `hash_at`, over `count` bytes with itself taken as zero.
void seal_self(SparseImage& image, uint64_t offset, uint64_t count, size_t hash_at, uint64_t seed) {
  const auto bytes = bytes_at(image, offset, count);
  store_to(image, offset + hash_at, fsck::self_hash_of(bytes, hash_at, seed));
}

void seal_journal(SparseImage& image, uint64_t offset) {
  const auto header = load_from<JournalHeader>(image, offset);
  seal_self(image, offset, kPage, offsetof(JournalHeader, hash), header.batch);
}

void seal_table(SparseImage& image, uint64_t offset) {
  const auto bytes = bytes_at(image, offset + 8, kPage - 8);
  store_to(image, offset, fsck::page_hash_of(bytes, offset));
}

uint64_t length_within(uint64_t says, uint64_t least, uint64_t most, uint64_t otherwise) {
  return says >= least && says <= most ? says : otherwise;
}

}  // namespace

const char* name_of(PartKind kind) {
  switch (kind) {
    case PartKind::superblock: return "superblock";
    case PartKind::owner: return "owner record";
    case PartKind::status: return "log status";
    case PartKind::journal: return "journal header";
    case PartKind::journal_page: return "journal page";
    case PartKind::unit: return "log unit";
    case PartKind::hash_table: return "hash table";
    case PartKind::page: return "page";
  }
  return "";
}

std::vector<ImagePart> image_parts(const SparseImage& sound) {
  std::vector<ImagePart> parts;
  const auto super = load_from<Superblock>(sound, format::kSuperblockOffset);
  if (super.magic != format::kSuperblockMagic) return parts;
  for (const uint64_t at : {format::kSuperblockOffset, format::kSuperblockCopyOffset}) {
    parts.push_back({.kind = PartKind::superblock, .offset = at, .bytes = sizeof(Superblock)});
  }
  parts.push_back({.kind = PartKind::owner,
                   .offset = format::kOwnerOffset,
                   .bytes = sizeof(format::OwnerRecord)});
  const Log log = log_of(sound, super.log_offset);
  for (const uint64_t copy : {0, 1}) {
    parts.push_back({.kind = PartKind::status,
                     .offset = super.log_offset + copy * kStatusBytes,
                     .bytes = log.status.bytes_used});
  }
  add_journal(sound, log, parts);
  add_units(sound, log, parts);
  for (const uint64_t place : chunk_places(sound, super)) add_chunk(sound, place, parts);
  return parts;
}

void seal(SparseImage& image, const ImagePart& part) {
  switch (part.kind) {
    case PartKind::superblock:
      return seal_self(image, part.offset, part.bytes, offsetof(Superblock, hash),
                       format::kSuperblockSeed);
    case PartKind::owner:
      return seal_self(image, part.offset, part.bytes, offsetof(format::OwnerRecord, hash),
                       format::kOwnerMagic);
    case PartKind::status: {
      const auto status = load_from<StatusBlock>(image, part.offset);
      const uint64_t used =
          length_within(status.bytes_used, sizeof(StatusBlock), kStatusBytes, part.bytes);
      return seal_self(image, part.offset, used, offsetof(StatusBlock, hash), kStatusSeed);
    }
    case PartKind::journal: return seal_journal(image, part.offset);
    case PartKind::journal_page: {
      const uint64_t entry =
          part.sealer + offsetof(JournalHeader, entries) + part.index * sizeof(JournalEntry);
      const auto home = load_from<JournalEntry>(image, entry).offset;
      const auto bytes = bytes_at(image, part.offset, part.bytes);
      store_to(image, entry + offsetof(JournalEntry, hash), fsck::hash_of(bytes, home));
      return seal_journal(image, part.sealer);
    }
    case PartKind::unit: {
      const auto header = load_from<UnitHeader>(image, part.offset);
      const uint64_t used = length_within(header.bytes_used, sizeof(UnitHeader),
                                          part.limit - part.offset, part.bytes);
      return seal_self(image, part.offset, used, offsetof(UnitHeader, hash), part.seed);
    }
    case PartKind::hash_table: return seal_table(image, part.offset);
    case PartKind::page: {
      const auto bytes = bytes_at(image, part.offset, part.bytes);
      store_to(image, part.sealer + 8 + 8 * uint64_t{part.index},
               fsck::page_hash_of(bytes, part.offset));
      return seal_table(image, part.sealer);
    }
  }
}

}  // namespace rvmfs::test
