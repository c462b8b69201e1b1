// SPDX-License-Identifier: BSD-2-Clause
//
// Crash states hold what a power loss may leave and nothing else: flushed bytes always, pending
// ones in every subset, torn sectors old, new or garbage. The last test is the budget of crash
// tests.
#include "tests/support/recording_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <set>
#include <string>

#include "tests/support/bytes.h"
#include "tests/support/crash_states.h"
#include "tests/support/memory_device.h"

namespace rvmfs::test {
namespace {

Bytes bytes_of(const SparseImage& image, uint64_t offset, size_t count) {
  Bytes bytes(count);
  image.read(offset, bytes);
  return bytes;
}

class CrashStatesOf : public testing::Test {
 protected:
  CrashStates states() { return CrashStates(device_.history()); }
  RecordingDevice device_{SparseImage(16384)};
};

TEST_F(CrashStatesOf, a_flushed_write_always_have_it) {
  write_all(device_, 0, filled(512, 1));
  EXPECT_OK(device_.flush());
  write_all(device_, 512, filled(512, 2));
  CrashStates states = this->states();
  states.seek(3);
  ASSERT_EQ(states.pending_count(), 1u);
  for (const CrashChoice& choice : states.interesting(50, 1)) {
    EXPECT_EQ(bytes_of(states.build(choice), 0, 512), filled(512, 1)) << states.describe(choice);
  }
  EXPECT_EQ(bytes_of(states.build(states.all_lost()), 512, 512), filled(512, 0));
  EXPECT_EQ(bytes_of(states.build(states.all_kept()), 512, 512), filled(512, 2));
}

TEST_F(CrashStatesOf, a_write_before_its_flush_may_lack_it_although_it_was_flushed_later) {
  write_all(device_, 0, filled(512, 1));
  EXPECT_OK(device_.flush());
  CrashStates states = this->states();
  states.seek(1);
  EXPECT_EQ(bytes_of(states.build(states.all_lost()), 0, 512), filled(512, 0));
  states.seek(2);
  EXPECT_EQ(states.pending_count(), 0u);
  EXPECT_EQ(bytes_of(states.build(states.all_lost()), 0, 512), filled(512, 1));
  states.seek(0);
  EXPECT_EQ(bytes_of(states.build(states.all_kept()), 0, 512), filled(512, 0));
}

TEST_F(CrashStatesOf, three_pending_writes_are_all_eight_subsets) {
  for (uint8_t i = 0; i < 3; ++i) write_all(device_, uint64_t{i} * 512, filled(512, 9));
  CrashStates states = this->states();
  states.seek(3);
  std::set<std::string> seen;
  for (const CrashChoice& choice : states.interesting(100, 1)) {
    const Bytes bytes = bytes_of(states.build(choice), 0, 1536);
    std::string kept;
    for (size_t i = 0; i < 3; ++i) {
      const auto sector = Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(i * 512),
                                bytes.begin() + static_cast<std::ptrdiff_t>((i + 1) * 512));
      kept += sector == filled(512, 9) ? '+' : sector == filled(512, 0) ? '-' : '?';
    }
    seen.insert(kept);
  }
  for (const char* subset : {"---", "--+", "-+-", "-++", "+--", "+-+", "++-", "+++"}) {
    EXPECT_TRUE(seen.contains(subset)) << subset;
  }
  EXPECT_TRUE(std::any_of(seen.begin(), seen.end(), [](const std::string& s) {
    return s.find('?') != std::string::npos;
  })) << "no state with a garbage sector";
}

TEST_F(CrashStatesOf, a_durable_write_always_have_it_once_it_returned_and_others_as_before) {
  write_all(device_, 0, filled(512, 1));
  EXPECT_OK(device_.write_durable(0, filled(512, 2)));
  write_all(device_, 512, filled(512, 3));
  CrashStates states = this->states();
  states.seek(2);  // it has been issued, and has not returned
  EXPECT_EQ(states.pending_count(), 2u);
  EXPECT_EQ(bytes_of(states.build(states.all_lost()), 0, 512), filled(512, 0));
  states.seek(4);
  EXPECT_EQ(states.pending_count(), 2u);
  for (const CrashChoice& choice : states.interesting(50, 1)) {
    EXPECT_EQ(bytes_of(states.build(choice), 0, 512), filled(512, 2)) << states.describe(choice);
  }
  EXPECT_EQ(bytes_of(states.build(states.all_lost()), 512, 512), filled(512, 0));
}

TEST_F(CrashStatesOf, a_failed_flush_may_lack_its_writes_for_ever) {
  write_all(device_, 0, filled(512, 1));
  EXPECT_OK(device_.flush());
  write_all(device_, 0, filled(512, 2));
  write_all(device_, 512, filled(512, 3));
  device_.flush_failed();
  write_all(device_, 512, filled(512, 4));
  write_all(device_, 1024, filled(512, 5));
  EXPECT_OK(device_.flush());
  EXPECT_OK(device_.flush());
  CrashStates states = this->states();
  states.seek(states.event_count());
  ASSERT_EQ(states.pending_count(), 2u);
  std::set<Bytes> seen;
  for (const CrashChoice& choice : states.interesting(50, 1)) {
    const SparseImage image = states.build(choice);
    EXPECT_EQ(bytes_of(image, 512, 512), filled(512, 4)) << "written again, and flushed";
    EXPECT_EQ(bytes_of(image, 1024, 512), filled(512, 5));
    seen.insert(bytes_of(image, 0, 512));
  }
  EXPECT_TRUE(seen.contains(filled(512, 1)));
  EXPECT_TRUE(seen.contains(filled(512, 2)));
}

TEST_F(CrashStatesOf, two_writes_of_one_sector_show_either_or_the_old_bytes) {
  write_all(device_, 0, filled(512, 1));
  write_all(device_, 0, filled(512, 2));
  CrashStates states = this->states();
  states.seek(2);
  EXPECT_EQ(bytes_of(states.build(states.all_kept()), 0, 512), filled(512, 2));
  EXPECT_EQ(bytes_of(states.build(states.only_kept(0)), 0, 512), filled(512, 1));
  EXPECT_EQ(bytes_of(states.build(states.only_lost(0)), 0, 512), filled(512, 2));
  EXPECT_EQ(bytes_of(states.build(states.all_lost()), 0, 512), filled(512, 0));
}

TEST_F(CrashStatesOf, a_torn_write_have_each_sector_old_new_or_garbage) {
  write_all(device_, 0, filled(4096, 1));
  EXPECT_OK(device_.flush());
  write_all(device_, 100, filled(1000, 2));  // sectors 0, 1 and 2, the outer ones in part
  CrashStates states = this->states();
  states.seek(3);
  ASSERT_EQ(states.sector_count(0), 3u);

  const Bytes lost = bytes_of(states.build(states.torn(0, 1, SectorFate::lost, true)), 0, 4096);
  Bytes expected = filled(4096, 1);
  std::fill_n(expected.begin() + 100, 412, std::byte{2});
  std::fill_n(expected.begin() + 1024, 76, std::byte{2});
  EXPECT_EQ(lost, expected);

  const Bytes torn = bytes_of(states.build(states.torn(0, 0, SectorFate::garbage, true)), 0, 4096);
  Bytes whole = filled(4096, 1);
  std::fill_n(whole.begin() + 100, 1000, std::byte{2});
  EXPECT_FALSE(std::equal(torn.begin(), torn.begin() + 100, whole.begin()));
  EXPECT_TRUE(std::equal(torn.begin() + 512, torn.end(), whole.begin() + 512));
}

TEST_F(CrashStatesOf, a_growing_write_may_lack_the_growth) {
  write_all(device_, 16384, filled(1000, 3));
  CrashStates states = this->states();
  states.seek(1);
  EXPECT_EQ(states.build(states.all_lost()).size(), 16384u);
  EXPECT_EQ(states.build(states.all_kept()).size(), 17384u);
  EXPECT_EQ(states.build(states.torn(0, 1, SectorFate::garbage, true)).size(), 17384u);
  EXPECT_EQ(states.build(states.torn(0, 1, SectorFate::lost, true)).size(), 16896u);
}

TEST_F(CrashStatesOf, discards_and_resizes_may_be_lost_as_writes_may) {
  write_all(device_, 0, filled(8192, 4));
  EXPECT_OK(device_.flush());
  EXPECT_OK(device_.discard(0, 4096));
  EXPECT_OK(device_.resize(6000));
  EXPECT_OK(device_.allocate(16384, 4096));
  CrashStates states = this->states();
  states.seek(states.event_count());
  ASSERT_EQ(states.pending_count(), 3u);
  EXPECT_EQ(bytes_of(states.build(states.only_kept(0)), 0, 4096), filled(4096, 0));
  EXPECT_EQ(bytes_of(states.build(states.only_lost(0)), 0, 4096), filled(4096, 4));
  EXPECT_EQ(states.build(states.only_kept(1)).size(), 6000u);
  EXPECT_EQ(states.build(states.only_kept(2)).size(), 20480u);
  EXPECT_EQ(states.build(states.all_lost()).size(), 16384u);
  EXPECT_TRUE(states.build(states.all_kept()) == device_.snapshot());
}

TEST_F(CrashStatesOf, a_seed_are_the_same_every_time_and_all_different) {
  for (uint64_t i = 0; i < 10; ++i) write_all(device_, i * 1024, pattern(1024, i));
  CrashStates states = this->states();
  states.seek(10);
  const auto once = states.interesting(200, 7);
  const auto again = states.interesting(200, 7);
  ASSERT_EQ(once.size(), 200u);
  ASSERT_EQ(again.size(), 200u);
  std::set<std::string> different;
  for (size_t i = 0; i < once.size(); ++i) {
    EXPECT_EQ(states.describe(once[i]), states.describe(again[i]));
    EXPECT_TRUE(states.build(once[i]) == states.build(again[i]));
    different.insert(states.describe(once[i]));
  }
  EXPECT_EQ(different.size(), 200u);
}

// Sector by sector: '+' new, '-' old, '?' neither.
std::set<std::string> sectors_seen(const CrashStates& states,
                                   const std::vector<CrashChoice>& choices, size_t count,
                                   uint8_t new_byte) {
  std::set<std::string> seen;
  for (const CrashChoice& choice : choices) {
    const SparseImage image = states.build(choice);
    std::string text;
    for (size_t i = 0; i < count; ++i) {
      const Bytes sector = bytes_of(image, i * 512, 512);
      text += sector == filled(512, new_byte) ? '+' : sector == filled(512, 0) ? '-' : '?';
    }
    seen.insert(text);
  }
  return seen;
}

TEST_F(CrashStatesOf, a_thorough_walk_has_every_subset_of_twelve_pending_writes) {
  for (uint64_t i = 0; i < 12; ++i) write_all(device_, i * 512, filled(512, 9));
  CrashStates states = this->states();
  states.seek(12);
  std::set<std::string> seen = sectors_seen(states, states.thorough(true, 5000, 1), 12, 9);
  std::erase_if(seen, [](const std::string& text) { return text.find('?') != text.npos; });
  EXPECT_EQ(seen.size(), 4096u);
  // Where no flush follows, they come later.
  const auto prefixes = sectors_seen(states, states.thorough(false, 5000, 1), 12, 9);
  EXPECT_EQ(prefixes, (std::set<std::string>{"++++++++++++", "+++++++++++-", "+++++++++++?"}));
}

TEST_F(CrashStatesOf, a_thorough_walk_tears_the_newest_write_in_every_way_that_differs) {
  write_all(device_, 1024, filled(512, 9));
  EXPECT_OK(device_.flush());
  write_all(device_, 0, filled(2048, 9));  // its third sector is there already
  CrashStates states = this->states();
  states.seek(3);
  const std::set<std::string> expected = {"++++", "?+++", "+?++", "++?+", "+++?",
                                          "-+++", "+-++", "+++-", "+-+-", "--++"};
  EXPECT_EQ(sectors_seen(states, states.thorough(false, 100, 1), 4, 9), expected);
}

TEST_F(CrashStatesOf, a_thorough_walk_with_a_limit_are_that_many_and_always_the_prefix) {
  for (uint64_t i = 0; i < 20; ++i) write_all(device_, i * 512, filled(512, 9));
  CrashStates states = this->states();
  states.seek(20);
  for (const size_t limit : {1, 2, 7, 500}) {
    const auto choices = states.thorough(true, limit, 3);
    EXPECT_EQ(choices.size(), limit);
    EXPECT_TRUE(states.build(choices.back()) == device_.snapshot());
  }
}

TEST_F(CrashStatesOf, a_choice_can_be_read_by_people) {
  write_all(device_, 0, filled(512, 1));
  EXPECT_OK(device_.flush());
  write_all(device_, 512, filled(1024, 2));
  EXPECT_OK(device_.discard(4096, 4096));
  CrashStates states = this->states();
  states.seek(4);
  EXPECT_EQ(states.describe(states.torn(0, 1, SectorFate::lost, false)),
            "crash after 4 events: write 512+1024 torn +-, discard 4096+4096 lost");
}

TEST_F(CrashStatesOf, a_device_that_was_restarted_begin_with_what_it_had) {
  write_all(device_, 0, filled(512, 1));
  device_.restart();
  EXPECT_EQ(device_.event_count(), 0u);
  EXPECT_EQ(bytes_of(states().durable(), 0, 512), filled(512, 1));
}

TEST_F(CrashStatesOf, an_image_of_eight_mebibytes_are_cheap) {
  SparseImage image(8 << 20);
  image.write(0, pattern(8 << 20, 1));
  RecordingDevice device(image);
  for (uint64_t i = 0; i < 16; ++i) write_all(device, i * 300000, pattern(4096, i));
  CrashStates states(device.history());
  states.seek(16);
  const auto choices = states.interesting(1000, 1);
  const std::clock_t begin = std::clock();  // processor time: others may be busy too
  uint64_t sum = 0;
  for (const CrashChoice& choice : choices) sum += states.build(choice).allocated_bytes();
  const double milliseconds = 1000.0 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  EXPECT_EQ(choices.size(), 1000u);
  EXPECT_EQ(sum, uint64_t{1000} * (8 << 20));
  // Some 30 us a state; the bound is far above what sanitizers cost, and far below a full copy of
  // the image.
  EXPECT_LT(milliseconds / 1000, 1.0) << "ms for one state";
}

}  // namespace
}  // namespace rvmfs::test
