// SPDX-License-Identifier: BSD-2-Clause
//
// Damage to superblocks, the owner record and the log (damages.h).
#include <cstring>

#include "fsck/hash.h"
#include "rvm/log_format.h"
#include "tests/fsck/damages.h"

namespace rvmfs::test {
namespace {

using format::kSuperblockCopyOffset;
using format::kSuperblockOffset;
using format::Superblock;
using fsck::FindingId;
using rvm::format::StatusBlock;
using rvm::format::UnitHeader;

void edit_both(ImageTest& test, const std::function<void(Superblock&)>& change) {
  test.edit_superblock(kSuperblockOffset, change);
  test.edit_superblock(kSuperblockCopyOffset, change);
}

template <typename T>
T read_at(ImageTest& test, uint64_t offset) {
  T value;
  EXPECT_TRUE(test.open(true)->read(offset, std::as_writable_bytes(std::span(&value, 1))));
  return value;
}

void write_owner(ImageTest& test, uint64_t pid) {
  format::OwnerRecord owner{};
  owner.magic = format::kOwnerMagic;
  owner.pid = pid;
  std::strcpy(owner.host, "elsewhere");
  owner.hash = fsck::hash_of(std::as_bytes(std::span(&owner, 1)), format::kOwnerMagic);
  test.overwrite(format::kOwnerOffset, std::as_bytes(std::span(&owner, 1)));
}

// Three units in the log, and nobody there to apply them.
void fill_log(ImageTest& test) {
  test.use_volume(
      [](Volume& volume) {
        for (const char* name : {"one", "two", "three"}) {
          EXPECT_TRUE(volume.mkdir(1, name, 0755, {0, 0}));
          EXPECT_TRUE(volume.sync());
        }
      },
      true);
}

StatusBlock status_of(ImageTest& test) { return read_at<StatusBlock>(test, format::kLogOffset); }

uint64_t place_of_unit(const StatusBlock& status, uint64_t lsn) {
  return format::kLogOffset + 2 * rvm::format::kStatusBytes +
         (1 + uint64_t{status.journal_pages}) * 4096 + lsn % status.record_bytes;
}

// Changes unit number `index` behind the head and gives it a right hash.
void edit_unit(ImageTest& test, int index,
               const std::function<void(std::span<std::byte>)>& change) {
  const StatusBlock status = status_of(test);
  uint64_t lsn = status.head_lsn;
  for (int i = 0; i < index; ++i) {
    lsn += read_at<UnitHeader>(test, place_of_unit(status, lsn)).unit_bytes;
  }
  const uint64_t place = place_of_unit(status, lsn);
  auto header = read_at<UnitHeader>(test, place);
  ASSERT_EQ(header.magic, rvm::format::kUnitMagic);
  std::vector<std::byte> bytes(header.bytes_used);
  ASSERT_TRUE(test.open(true)->read(place, bytes));
  change(bytes);
  std::memcpy(&header, bytes.data(), sizeof(header));
  header.hash = fsck::self_hash_of(bytes, offsetof(UnitHeader, hash), status.generation);
  std::memcpy(bytes.data(), &header, sizeof(header));
  test.overwrite(place, bytes);
}

void edit_status(ImageTest& test, const std::function<void(StatusBlock&)>& change) {
  for (const uint64_t copy : {0, 1}) {
    const uint64_t place = format::kLogOffset + copy * rvm::format::kStatusBytes;
    auto status = read_at<StatusBlock>(test, place);
    change(status);
    status.hash = 0;
    status.hash = fsck::hash_of(std::as_bytes(std::span(&status, 1)), rvm::format::kStatusSeed);
    test.overwrite(place, std::as_bytes(std::span(&status, 1)));
  }
}

size_t first_record(std::span<const std::byte> unit) {
  const auto header = fsck::load<UnitHeader>(unit);
  return sizeof(UnitHeader) + header.region_count * sizeof(rvm::format::RegionEntry);
}

std::vector<Damage> superblock_damages() {
  return {
      {FindingId::superblock_damaged,
       [](ImageTest& test) {
         test.flip(kSuperblockOffset + 100);
         test.flip(kSuperblockCopyOffset + 100);
       }},
      {FindingId::superblock_first_damaged,
       [](ImageTest& test) { test.flip(kSuperblockOffset + 100); }},
      {FindingId::superblock_copy_damaged,
       [](ImageTest& test) { test.flip(kSuperblockCopyOffset + 100); }},
      {FindingId::superblock_copies_differ,
       [](ImageTest& test) {
         test.edit_superblock(kSuperblockCopyOffset, [](Superblock& s) { s.label[0] = 'x'; });
       }},
      {FindingId::superblock_fields,
       [](ImageTest& test) { edit_both(test, [](Superblock& s) { s.log_bytes = 1ull << 60; }); }},
      {FindingId::features_unknown,
       [](ImageTest& test) { edit_both(test, [](Superblock& s) { s.features_incompat = 4; }); }},
      {FindingId::owner_record_damaged,
       [](ImageTest& test) {
         write_owner(test, 0);
         test.flip(format::kOwnerOffset + 60);
       }},
      {FindingId::owner_record_held, [](ImageTest& test) { write_owner(test, 4711); }},
  };
}

std::vector<Damage> log_damages() {
  return {
      {FindingId::log_status_damaged,
       [](ImageTest& test) {
         test.flip(format::kLogOffset + 40);
         test.flip(format::kLogOffset + rvm::format::kStatusBytes + 40);
       }},
      {FindingId::log_status_copy_damaged,
       [](ImageTest& test) { test.flip(format::kLogOffset + 40); }},
      {FindingId::log_status_fields,
       [](ImageTest& test) {
         edit_status(test, [](StatusBlock& status) { status.record_bytes = 1ull << 50; });
       }},
      {FindingId::log_damaged,
       [](ImageTest& test) {
         fill_log(test);
         const StatusBlock status = status_of(test);
         test.flip(place_of_unit(status, status.head_lsn) + 80);
       }},
      {FindingId::log_unit_malformed,
       [](ImageTest& test) {
         fill_log(test);
         edit_unit(test, 1, [](std::span<std::byte> unit) {
           unit[first_record(unit)] = std::byte{9};  // the type
         });
       }},
      {FindingId::log_foreign_segment,
       [](ImageTest& test) {
         fill_log(test);
         edit_unit(test, 0, [](std::span<std::byte> unit) {
           unit[sizeof(UnitHeader)] = std::byte{5};  // the segment of the first region
         });
       }},
      {FindingId::log_torn_tail,
       [](ImageTest& test) {
         fill_log(test);
         edit_unit(test, 2, [](std::span<std::byte> unit) {
           unit[offsetof(UnitHeader, flags)] = std::byte{rvm::format::kUnitContinues};
         });
       }},
      {FindingId::log_replayed, fill_log},
  };
}

}  // namespace

std::vector<Damage> outer_damages() {
  std::vector<Damage> all = superblock_damages();
  for (Damage& damage : log_damages()) all.push_back(std::move(damage));
  return all;
}

}  // namespace rvmfs::test
