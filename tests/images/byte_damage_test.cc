// SPDX-License-Identifier: BSD-2-Clause
//
// Every byte of the superblocks, the log and the metadata pages of small images, changed: what is
// read afterwards is right, or an error of the object, or the mount is refused; never a wrong
// answer. Nothing takes long or much memory.
//
// The commit tier takes evenly chosen bytes; nightly and release take all of them, also those of
// the log that hold nothing, and change each in one more way.
//
//   RVMFS_DAMAGE_ONLY=sample:offset:how   one of them, as a failure prints it
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "rvm/log_format.h"
#include "tests/images/damage_judge.h"
#include "tests/images/memory_meter.h"
#include "tests/support/environment.h"
#include "tests/support/processor_time.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

constexpr uint64_t kMemoryMax = 64 << 20;
constexpr double kSecondsMax = 20;  // of processor time, with sanitizers

struct Range {
  uint64_t begin, end;  // in the image
  bool last_unit;
};

enum How : uint64_t { flip_bit, zero, invert, kWays };
constexpr const char* kHow[] = {"flip", "zero", "invert"};

std::vector<Range> ranges_of(const SampleImage& sample) {
  std::vector<Range> ranges;
  for (const ImagePart& part : sample.parts) {
    // Damage to the last unit cannot be told from a write that was cut, unless the page journal
    // says that the unit was durable (docs/PROMISES.md, P14).
    const bool may_lose = part.is_last && sample.name != "journaled";
    ranges.push_back({part.offset, part.offset + part.bytes, may_lose});
  }
  if (tier() == Tier::commit) return ranges;
  // The rest of the log, where nothing is, or what an earlier life left.
  const auto super = load_from<format::Superblock>(sample.image, format::kSuperblockOffset);
  std::vector<Range> rest;
  uint64_t at = super.log_offset;
  for (const Range& range : ranges) {
    if (range.begin < super.log_offset || range.begin >= super.chunk0_offset) continue;
    if (range.begin > at) rest.push_back({at, range.begin, false});
    at = std::max(at, range.end);
  }
  rest.push_back({at, super.log_offset + super.log_bytes, false});
  ranges.insert(ranges.end(), rest.begin(), rest.end());
  return ranges;
}

bool damage(SparseImage& image, uint64_t offset, How how) {
  const auto before = load_from<std::byte>(image, offset);
  std::byte after = before;
  if (how == flip_bit) after ^= static_cast<std::byte>(1u << (offset * 5 + offset / 8) % 8);
  if (how == invert) after = ~after;
  if (how == zero) after = std::byte{0};
  store_to(image, offset, after);
  return before != after;
}

class ByteDamage : public ::testing::TestWithParam<size_t> {
 protected:
  const SampleImage& sample() const { return sample_images()[GetParam()]; }

  // Empty, or what is wrong.
  std::string try_one(uint64_t offset, How how, bool last_unit, Total& total) {
    SparseImage image = sample().image;
    if (!damage(image, offset, how)) {
      total.add("unchanged");
      return "";
    }
    reset_memory_peak();
    const uint64_t before = memory_in_use();
    const double begin = processor_seconds();
    const Verdict verdict = judge_damaged(sample(), image, last_unit);
    const double seconds = processor_seconds() - begin;
    total.add("images");
    total.add(verdict.whole ? "right" : verdict.mounted ? "in_part" : "refused");
    std::string wrong = verdict.wrong;
    if (wrong.empty() && seconds > kSecondsMax) wrong = fmt::format("it took {} s", seconds);
    if (wrong.empty() && memory_peak() - before > kMemoryMax) {
      wrong = fmt::format("it took {} bytes of memory", memory_peak() - before);
    }
    if (wrong.empty()) return "";
    return fmt::format("{}\nreproduce: RVMFS_DAMAGE_ONLY={}:{}:{} (all tests named ByteDamage)",
                       wrong, sample().name, offset, kHow[how]);
  }

  // RVMFS_DAMAGE_ONLY, if it is about this sample.
  bool only(uint64_t& offset, How& how) {
    const std::string text = text_from_environment("RVMFS_DAMAGE_ONLY");
    char name[32] = {}, word[16] = {};
    unsigned long at = 0;
    if (std::sscanf(text.c_str(), "%31[^:]:%lu:%15s", name, &at, word) != 3) return false;
    if (name != sample().name) return false;
    offset = at;
    for (const How each : {flip_bit, zero, invert}) {
      if (kHow[each] == std::string(word)) how = each;
    }
    return true;
  }
};

TEST_P(ByteDamage, of_any_kind_gives_the_right_answer_or_an_error_and_never_a_wrong_one) {
  Total total("byte_damage_" + sample().name);
  const std::vector<Range> ranges = ranges_of(sample());
  uint64_t only_offset = 0;
  How only_how = flip_bit;
  const bool has_only = only(only_offset, only_how);
  if (!has_only && !text_from_environment("RVMFS_DAMAGE_ONLY").empty()) GTEST_SKIP();
  uint64_t bytes = 0;
  for (const Range& range : ranges) bytes += range.end - range.begin;
  const uint64_t ways = by_tier<uint64_t>(2, kWays, kWays);
  const uint64_t trials = bytes * ways;
  // Odd, so that both ways are taken; prime to the sizes of the structures.
  const uint64_t step =
      has_only ? 1 : by_tier<uint64_t>(trials / 1500 | 1, slice().count, slice().count);
  uint64_t number = 0, next = has_only ? 0 : slice().index;
  for (const Range& range : ranges) {
    const uint64_t end = number + (range.end - range.begin) * ways;
    for (; next < end; next += step) {
      const uint64_t offset = range.begin + (next - number) / ways;
      const How how = static_cast<How>((next - number) % ways);
      if (has_only && (offset != only_offset || how != only_how)) continue;
      const std::string wrong = try_one(offset, how, range.last_unit, total);
      total.progress(next, trials);
      if (wrong.empty()) continue;
      total.fail();
      FAIL() << wrong;
    }
    number = end;
  }
}

constexpr const char* kSamples[] = {"clean", "logged", "journaled"};

INSTANTIATE_TEST_SUITE_P(of, ByteDamage, ::testing::Values(0, 1, 2),
                         [](const auto& info) { return kSamples[info.param]; });

}  // namespace
}  // namespace rvmfs::test
