// SPDX-License-Identifier: BSD-2-Clause
//
// Hostile values under right hashes: every field of every structure of small images is set to
// values that break arithmetic, the hashes are made right again, and programs use the image
// (hostile_use.h). All of it ends, in bounded time and memory, without a fault.
//
// The commit tier takes evenly chosen fields and values; nightly takes all of them, but some of
// the image with so many pages that there are millions; release takes those, too. Both take more
// random combinations.
//
//   RVMFS_HOSTILE_ONLY=sample:number   one of them, as a failure prints it
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <iterator>
#include <optional>
#include <random>

#include "tests/images/hostile_use.h"
#include "tests/images/nasty_values.h"
#include "tests/images/sample_images.h"
#include "tests/support/environment.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

constexpr uint64_t kTooManyForANight = 2'000'000;
constexpr uint64_t kOfTooMany = 30'000;

struct Field {
  size_t part;
  uint32_t offset;  // in the part
  uint32_t width;   // bytes
};

// Every aligned place that is not in a long run of zeros: a value there would be in free space.
std::vector<Field> fields_of(const SampleImage& sample) {
  constexpr uint32_t kAlways = 128;
  std::vector<Field> fields;
  for (size_t part = 0; part < sample.parts.size(); ++part) {
    const ImagePart& where = sample.parts[part];
    std::vector<std::byte> bytes(where.bytes);
    sample.image.read(where.offset, bytes);
    for (const uint32_t width : {8, 4, 2, 1}) {
      for (uint32_t at = 0; at + width <= bytes.size(); at += width) {
        const bool zero = std::all_of(bytes.begin() + at, bytes.begin() + at + width,
                                      [](std::byte byte) { return byte == std::byte{0}; });
        if (!zero || at < kAlways) fields.push_back({part, at, width});
      }
    }
  }
  return fields;
}

void set(SparseImage& image, const ImagePart& part, uint32_t offset, uint32_t width,
         uint64_t value) {
  const auto bytes = std::as_bytes(std::span(&value, 1)).first(width);
  image.write(part.offset + offset, bytes);
  seal(image, part);
}

std::string use(const SparseImage& image) {
  std::string wrong = within_limits([&] { return check_hostile(image); });
  if (wrong.empty()) wrong = within_limits([&] { return mount_hostile(image); });
  if (wrong.empty()) wrong = within_limits([&] { return repair_hostile(image); });
  return wrong;
}

class HostileValues : public ::testing::TestWithParam<size_t> {
 protected:
  const SampleImage& sample() const { return sample_images()[GetParam()]; }

  // The number of the one that RVMFS_HOSTILE_ONLY asks for; UINT64_MAX: all. Nothing of this test
  // if it asks for another.
  std::optional<uint64_t> only(const std::string& name) const {
    const std::string text = text_from_environment("RVMFS_HOSTILE_ONLY");
    if (text.empty()) return UINT64_MAX;
    char word[64] = {};
    unsigned long number = 0;
    if (std::sscanf(text.c_str(), "%63[^:]:%lu", word, &number) != 2 || name != word) return {};
    return number;
  }

  void run(const std::string& name, uint64_t count, uint64_t wanted,
           const std::function<SparseImage(uint64_t)>& make) {
    const auto one = only(name);
    if (!one) GTEST_SKIP();
    Total total(name);
    // Odd and no multiple of 5: with 20 values, a sample of the numbers has all values in it.
    uint64_t stride = count / wanted | 1;
    if (stride % 5 == 0) stride += 2;
    const uint64_t first = *one != UINT64_MAX ? *one : slice().index * stride;
    for (uint64_t number = first; number < count; number += stride * slice().count) {
      const std::string wrong = use(make(number));
      total.add("images");
      total.progress(number, count);
      if (!wrong.empty()) {
        total.fail();
        FAIL() << wrong
               << fmt::format(
                      "\nreproduce: RVMFS_HOSTILE_ONLY={}:{} (all tests named "
                      "HostileValues)",
                      name, number);
      }
      if (*one != UINT64_MAX) return;
    }
  }
};

TEST_P(HostileValues, in_any_field_under_right_hashes_end_in_answers_and_never_in_a_fault) {
  const std::vector<Field> fields = fields_of(sample());
  const uint64_t values = std::size(kNastyValues);
  const uint64_t count = fields.size() * values;
  const uint64_t in_a_night = count > kTooManyForANight ? kOfTooMany : count;
  const uint64_t wanted = by_tier<uint64_t>(250, in_a_night, count);
  run("hostile_" + sample().name, count, wanted, [&](uint64_t number) {
    const Field& field = fields[number / values];
    SparseImage image = sample().image;
    set(image, sample().parts[field.part], field.offset, field.width,
        kNastyValues[number % values]);
    return image;
  });
}

TEST_P(HostileValues, together_in_several_fields_end_in_answers_too) {
  const std::vector<Field> fields = fields_of(sample());
  const uint64_t count = by_tier<uint64_t>(150, 20'000, 200'000);
  run("hostile_many_" + sample().name, count, count, [&](uint64_t number) {
    std::mt19937_64 random(number);
    SparseImage image = sample().image;
    for (uint64_t i = 2 + random() % 6; i > 0; --i) {
      const Field& field = fields[random() % fields.size()];
      const uint64_t value =
          random() % 3 == 0 ? random() : kNastyValues[random() % std::size(kNastyValues)];
      set(image, sample().parts[field.part], field.offset, field.width, value);
    }
    return image;
  });
}

constexpr const char* kSamples[] = {"clean", "logged", "journaled", "chunks"};

INSTANTIATE_TEST_SUITE_P(of, HostileValues, ::testing::Values(0, 1, 2, 3),
                         [](const auto& info) { return kSamples[info.param]; });

}  // namespace
}  // namespace rvmfs::test
