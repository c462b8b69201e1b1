// SPDX-License-Identifier: BSD-2-Clause
//
// Edits of a sample image (harness.h).
//
//   byte 0      which sample
//   then edits of 12 bytes:
//     u8   part of the image (sealer.h)
//     u8   bits 0-1: width 1, 2, 4 or 8 bytes; bits 2-3: set, add, xor, or copy (the value is an
//          offset in the part); bit 4: the hash is left wrong
//     u16  where in the part
//     u64  value
//
// All little-endian, all taken modulo what there is, so that every string of bytes is an input.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>

#include "tests/fuzz/harness.h"
#include "tests/images/hostile_use.h"
#include "tests/images/nasty_values.h"
#include "tests/images/sample_images.h"

namespace rvmfs::test {
namespace {

constexpr size_t kEditsMax = 40;

#pragma pack(push, 1)
struct Edit {
  uint8_t part, how;
  uint16_t where;
  uint64_t value;
};
#pragma pack(pop)
static_assert(sizeof(Edit) == 12);

constexpr uint8_t kNotSealed = 16;

void apply(SparseImage& image, const ImagePart& part, const Edit& edit) {
  const uint64_t width = uint64_t{1} << (edit.how & 3);
  if (part.bytes < width) return;
  const uint64_t at = part.offset + edit.where % (part.bytes - width + 1);
  uint64_t value = 0;
  const auto bytes = std::as_writable_bytes(std::span(&value, 1)).first(width);
  image.read(at, bytes);
  switch (edit.how >> 2 & 3) {
    case 0: value = edit.value; break;
    case 1: value += edit.value; break;
    case 2: value ^= edit.value; break;
    default: image.read(part.offset + edit.value % (part.bytes - width + 1), bytes);
  }
  image.write(at, bytes);
  if ((edit.how & kNotSealed) == 0) seal(image, part);
}

SparseImage build(Input input) {
  const auto& samples = sample_images();
  const SampleImage& sample = samples[input.empty() ? 0 : input[0] % samples.size()];
  SparseImage image = sample.image;
  size_t edits = 0;
  for (size_t at = 1; at + sizeof(Edit) <= input.size() && edits < kEditsMax; ++edits) {
    Edit edit;
    std::memcpy(&edit, input.data() + at, sizeof(edit));
    at += sizeof(edit);
    apply(image, sample.parts[edit.part % sample.parts.size()], edit);
  }
  return image;
}

uint64_t likely_value(std::mt19937_64& random) {
  switch (random() % 4) {
    case 0: return random();
    case 1: return kNastyValues[random() % std::size(kNastyValues)];
    case 2: return random() % 256 * 4096;  // where a page of the first chunk is
    default: return random() % 100;        // an inode, a count
  }
}

Edit random_edit(std::mt19937_64& random) {
  Edit edit{};
  edit.part = static_cast<uint8_t>(random());
  edit.how = static_cast<uint8_t>(random() % 16 | (random() % 16 == 0 ? kNotSealed : 0));
  edit.where = static_cast<uint16_t>(random() % (random() % 2 == 0 ? 256 : 4096));
  edit.where &= static_cast<uint16_t>(~((1u << (edit.how & 3)) - 1));  // fields are aligned
  edit.value = likely_value(random);
  return edit;
}

// Keeps the edits whole.
size_t mutate_edits(uint8_t* data, size_t size, size_t max, std::mt19937_64& random,
                    ByteMutator bytes) {
  if (size == 0 || random() % 8 == 0) return bytes(data, size, max);
  std::vector<Edit> edits((size - 1) / sizeof(Edit));
  if (!edits.empty()) std::memcpy(edits.data(), data + 1, edits.size() * sizeof(Edit));
  const auto any = [&] { return random() % edits.size(); };
  switch (edits.empty() ? 0 : random() % 6) {
    case 0: edits.push_back(random_edit(random)); break;
    case 1: edits.erase(edits.begin() + static_cast<std::ptrdiff_t>(any())); break;
    case 2: edits[any()].value = likely_value(random); break;
    case 3: {
      const uint16_t step = static_cast<uint16_t>(1u << random() % 6);
      edits[any()].where += random() % 2 == 0 ? step : static_cast<uint16_t>(-step);
      break;
    }
    case 4: edits[any()] = random_edit(random); break;
    default: {
      Edit again = edits[any()];
      again.where = static_cast<uint16_t>(again.where + 8);
      edits.push_back(again);
    }
  }
  if (random() % 32 == 0) data[0] = static_cast<uint8_t>(random());
  const size_t count = std::min({edits.size(), kEditsMax, (max - 1) / sizeof(Edit)});
  if (count > 0) std::memcpy(data + 1, edits.data(), count * sizeof(Edit));
  return 1 + count * sizeof(Edit);
}

class EditHarness : public Harness {
 public:
  size_t mutate(uint8_t* data, size_t size, size_t max, std::mt19937_64& random,
                ByteMutator bytes) const override {
    return mutate_edits(data, size, max, random, bytes);
  }

  // Each sample as it is, and with a few edits.
  std::vector<ByteString> seeds() const override {
    std::vector<ByteString> all;
    std::mt19937_64 random(7);
    for (uint8_t sample = 0; sample < sample_images().size(); ++sample) {
      all.push_back({sample});
      for (int more = 0; more < 3; ++more) {
        ByteString seed = {sample};
        for (int i = 0; i <= more; ++i) {
          const Edit edit = random_edit(random);
          const auto* bytes = reinterpret_cast<const uint8_t*>(&edit);
          seed.insert(seed.end(), bytes, bytes + sizeof(edit));
        }
        all.push_back(std::move(seed));
      }
    }
    return all;
  }

  size_t bytes_max() const override { return 1 + kEditsMax * sizeof(Edit); }
};

class ImageHarness final : public EditHarness {
 public:
  const char* name() const override { return "image"; }
  std::string run(Input input) const override { return mount_hostile(build(input)); }
};

class FsckHarness final : public EditHarness {
 public:
  const char* name() const override { return "fsck"; }
  std::string run(Input input) const override {
    const SparseImage image = build(input);
    std::string wrong = check_hostile(image);
    return wrong.empty() ? repair_hostile(image) : wrong;
  }
};

}  // namespace

std::unique_ptr<Harness> image_harness() { return std::make_unique<ImageHarness>(); }
std::unique_ptr<Harness> fsck_harness() { return std::make_unique<FsckHarness>(); }

}  // namespace rvmfs::test
