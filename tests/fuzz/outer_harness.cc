// SPDX-License-Identifier: BSD-2-Clause
//
// Superblocks and logs made of the input's own bytes (harness.h).
//
//   superblock: byte 0: bit 0 the hashes are left wrong, bits 1-2 which sample; then the first
//               superblock, then the second; what is missing stays the sample's
//   log:        byte 0: bit 0 the headers and hashes are left as they are, bit 1 the last unit is
//               left without a hash; then units, to be put where the log of the clean sample begins
#include <algorithm>
#include <cstring>

#include "fs/format.h"
#include "rvm/log_format.h"
#include "tests/fuzz/harness.h"
#include "tests/images/hostile_use.h"
#include "tests/images/sample_images.h"

namespace rvmfs::test {
namespace {

using namespace rvm::format;
using format::Superblock;

std::string use(const SparseImage& image) {
  std::string wrong = check_hostile(image);
  if (wrong.empty()) wrong = mount_hostile(image);
  return wrong.empty() ? repair_hostile(image) : wrong;
}

ByteString bytes_of(const SparseImage& image, uint64_t offset, uint64_t count) {
  ByteString bytes(count);
  image.read(offset, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

class SuperblockHarness final : public Harness {
 public:
  const char* name() const override { return "superblock"; }

  std::string run(Input input) const override {
    const uint8_t flags = input.empty() ? 0 : input[0];
    const SampleImage& sample = sample_images()[flags >> 1 & 3];
    SparseImage image = sample.image;
    const auto parts = parts_of(sample, PartKind::superblock);
    for (size_t i = 0; i < parts.size(); ++i) {
      const size_t begin = 1 + i * sizeof(Superblock);
      if (begin < input.size()) {
        const size_t count = std::min(sizeof(Superblock), input.size() - begin);
        image.write(parts[i].offset, std::as_bytes(input.subspan(begin, count)));
      }
      if ((flags & 1) == 0) seal(image, parts[i]);
    }
    return use(image);
  }

  std::vector<ByteString> seeds() const override {
    std::vector<ByteString> all;
    for (uint8_t i = 0; i < sample_images().size(); ++i) {
      ByteString seed = {static_cast<uint8_t>(i << 1)};
      for (const ImagePart& part : parts_of(sample_images()[i], PartKind::superblock)) {
        const ByteString bytes = bytes_of(sample_images()[i].image, part.offset, 176);
        seed.resize(1 + (seed.size() > 1 ? sizeof(Superblock) : 0));
        seed.insert(seed.end(), bytes.begin(), bytes.end());
      }
      all.push_back(std::move(seed));
    }
    return all;
  }

  size_t bytes_max() const override { return 1 + 2 * sizeof(Superblock); }
};

class LogHarness final : public Harness {
 public:
  const char* name() const override { return "log"; }

  std::string run(Input input) const override {
    const uint8_t flags = input.empty() ? 0 : input[0];
    const SampleImage& sample = sample_images()[0];
    SparseImage image = sample.image;
    const Place place = place_of(sample);
    const Input units = input.subspan(std::min<size_t>(1, input.size()));
    const size_t count = std::min<uint64_t>(units.size(), place.end - place.begin);
    image.write(place.begin, std::as_bytes(units.first(count)));
    if ((flags & 1) == 0) seal_units(image, place, place.begin + count, (flags & 2) != 0);
    return use(image);
  }

  // The units of the samples that have some.
  std::vector<ByteString> seeds() const override {
    std::vector<ByteString> all = {{0}};
    for (const SampleImage& sample : sample_images()) {
      const auto parts = parts_of(sample, PartKind::unit);
      if (parts.empty()) continue;
      for (size_t count = 1; count <= parts.size(); ++count) {
        const uint64_t begin = parts[0].offset;
        const ImagePart& last = parts[count - 1];
        const ByteString bytes = bytes_of(sample.image, begin, last.offset + last.bytes - begin);
        ByteString seed = {static_cast<uint8_t>(count == parts.size() ? 0 : 2)};
        seed.insert(seed.end(), bytes.begin(), bytes.end());
        if (seed.size() <= bytes_max()) all.push_back(std::move(seed));
      }
    }
    return all;
  }

  size_t bytes_max() const override { return 1 + 32 * 1024; }

 private:
  struct Place {
    uint64_t begin, end;  // in the image
    StatusBlock status;
  };

  static Place place_of(const SampleImage& sample) {
    const auto super = load_from<Superblock>(sample.image, format::kSuperblockOffset);
    const auto status = load_from<StatusBlock>(sample.image, super.log_offset);
    const uint64_t records =
        super.log_offset + 2 * kStatusBytes + (1 + uint64_t{status.journal_pages}) * 4096;
    return {records + status.head_lsn % status.record_bytes, records + status.record_bytes, status};
  }

  // What makes a unit count is set; what it says stays.
  static void seal_units(SparseImage& image, const Place& place, uint64_t end, bool not_the_last) {
    uint64_t sequence = place.status.head_sequence;
    uint32_t previous = 0;
    for (uint64_t at = place.begin; at + sizeof(UnitHeader) <= end;) {
      auto header = load_from<UnitHeader>(image, at);
      header.magic = kUnitMagic;
      header.version = kLogVersion;
      header.generation = place.status.generation;
      header.sequence = sequence++;
      header.lsn = place.status.head_lsn + (at - place.begin);
      header.previous_bytes = previous;
      if (header.bytes_used < sizeof(UnitHeader) || header.bytes_used > end - at) {
        header.bytes_used = static_cast<uint32_t>(end - at);
      }
      header.unit_bytes = (header.bytes_used + place.status.block_bytes - 1) /
                          place.status.block_bytes * place.status.block_bytes;
      store_to(image, at, header);
      const bool last = at + header.unit_bytes + sizeof(UnitHeader) > end;
      if (!last || !not_the_last) {
        seal(image, {.kind = PartKind::unit,
                     .offset = at,
                     .bytes = header.bytes_used,
                     .seed = place.status.generation,
                     .limit = place.end});
      }
      previous = header.unit_bytes;
      at += header.unit_bytes;
    }
  }
};

}  // namespace

std::unique_ptr<Harness> superblock_harness() { return std::make_unique<SuperblockHarness>(); }
std::unique_ptr<Harness> log_harness() { return std::make_unique<LogHarness>(); }

}  // namespace rvmfs::test
