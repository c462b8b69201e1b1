// SPDX-License-Identifier: BSD-2-Clause
//
// Hostile images: bytes of every structure are changed at random and all hashes made right again,
// so that nothing but the checks of the values themselves stands in the way. A check must end, with
// findings or without, and never touch memory that is not its own (the sanitizer builds see to
// that).
//
// RVMFS_HOSTILE_ROUNDS=n makes it longer; a failure names the seed that runs it again.
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <random>
#include <sstream>

#include "fsck/hash.h"
#include "rvm/log_format.h"
#include "tests/fsck/image_fixture.h"
#include "tests/images/nasty_values.h"
#include "tests/support/memory_device.h"

namespace rvmfs::test {
namespace {

using rvm::format::HashTablePage;
using rvm::format::UnitHeader;

class HostileTest : public ImageTest {
 protected:
  void SetUp() override {
    make_volume();
    use_volume(
        [](Volume& volume) {
          for (const char* name : {"one", "two", "three"}) {
            ASSERT_TRUE(volume.mkdir(1, name, 0755, {0, 0}).has_value());
            ASSERT_TRUE(volume.sync().has_value());
          }
        },
        true);
    image_bytes_ = bytes();
    find_unit();
    if (const char* text = std::getenv("RVMFS_HOSTILE_ROUNDS")) rounds_ = std::atoi(text);
  }

  uint64_t nasty() {
    if (random_() % 3 == 0) return random_();
    return kNastyValues[random_() % std::size(kNastyValues)];
  }

  void mutate(std::span<std::byte> bytes) {
    const int changes = 1 + static_cast<int>(random_() % 4);
    for (int i = 0; i < changes; ++i) {
      const size_t width = size_t{1} << random_() % 4;
      if (bytes.size() < width) continue;
      const size_t at = random_() % (bytes.size() / width) * width;
      const uint64_t value = nasty();
      std::memcpy(bytes.data() + at, &value, width);
    }
  }

  template <typename T>
  void mutate_sealed(uint64_t offset, uint64_t seed) {
    const auto bytes = std::span(image_bytes_).subspan(offset, sizeof(T));
    mutate(bytes.subspan(16));  // magic and hash stay
    T value = fsck::load<T>(bytes);
    value.hash = 0;
    value.hash = fsck::hash_of(std::as_bytes(std::span(&value, 1)), seed);
    std::memcpy(bytes.data(), &value, sizeof(value));
  }

  // A page of chunk 0 that was written once.
  void mutate_page() {
    const uint64_t table_place = place_of(0);
    auto table = fsck::load<HashTablePage>(image_bytes_, table_place);
    uint64_t index = random_() % 255;
    while (table.hashes[index] == 0) index = (index + 1) % 255;
    const uint64_t place = table_place + (index + 1) * 4096;
    const auto page = std::span(image_bytes_).subspan(place, 4096);
    mutate(random_() % 2 == 0 ? page.first(512) : page);
    table.hashes[index] = fsck::page_hash_of(page, place);
    const auto table_bytes = std::as_bytes(std::span(&table, 1)).subspan(8);
    table.self_hash = fsck::page_hash_of(table_bytes, table_place);
    std::memcpy(image_bytes_.data() + table_place, &table, sizeof(table));
  }

  // The unit at the head of the log.
  void find_unit() {
    const auto status = fsck::load<rvm::format::StatusBlock>(image_bytes_, format::kLogOffset);
    unit_place_ = format::kLogOffset + 2 * rvm::format::kStatusBytes +
                  (1 + uint64_t{status.journal_pages}) * 4096 +
                  status.head_lsn % status.record_bytes;
    unit_bytes_ = fsck::load<UnitHeader>(image_bytes_, unit_place_).bytes_used;
    generation_ = status.generation;
  }

  void mutate_unit() {
    const auto unit = std::span(image_bytes_).subspan(unit_place_, unit_bytes_);
    mutate(unit.subspan(random_() % 2 == 0 ? 44 : sizeof(UnitHeader)));
    auto header = fsck::load<UnitHeader>(unit);
    header.hash = fsck::self_hash_of(unit, offsetof(UnitHeader, hash), generation_);
    std::memcpy(unit.data(), &header, sizeof(header));
  }

  void mutate_something() {
    switch (random_() % 8) {
      case 0:
        mutate_sealed<format::Superblock>(format::kSuperblockOffset, format::kSuperblockSeed);
        break;
      case 1:
        mutate_sealed<rvm::format::StatusBlock>(format::kLogOffset, rvm::format::kStatusSeed);
        break;
      case 2: mutate_unit(); break;
      default: mutate_page();
    }
  }

  std::vector<std::byte> image_bytes_;
  uint64_t unit_place_ = 0, unit_bytes_ = 0, generation_ = 0;
  std::mt19937_64 random_;
  int rounds_ = 300;
};

TEST_F(HostileTest, any_values_under_right_hashes_end_in_findings_and_never_in_a_fault) {
  const std::vector<std::byte> sound = image_bytes_;
  int damaged = 0;
  for (int seed = 0; seed < rounds_; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    random_.seed(static_cast<uint64_t>(seed));
    image_bytes_ = sound;
    const int count = 1 + seed % 3;
    for (int i = 0; i < count; ++i) mutate_something();
    auto device = MemoryDevice::file();
    ASSERT_TRUE(device->write(0, image_bytes_).has_value());
    fsck::FindingList findings;
    const auto summary = fsck::check_image(*device, {}, findings);
    if (!summary.clean()) ++damaged;
    EXPECT_EQ(summary.clean(), findings.text().empty()) << findings.text();
    std::ostringstream log;
    static_cast<void>(fsck::dump_log(*device, log));  // an error is an answer
  }
  EXPECT_GT(damaged, rounds_ / 3);
}

}  // namespace
}  // namespace rvmfs::test
