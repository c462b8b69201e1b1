// SPDX-License-Identifier: BSD-2-Clause
//
// A hostile image whose log names another file of the host as a segment: neither a mount nor a
// repair opens it, and nothing is written to it.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "fsck/fsck.h"
#include "tests/images/forged_image.h"
#include "tests/support/temp_dir.h"

namespace rvmfs::test {
namespace {

using namespace rvm::format;

constexpr uint64_t kVictimBytes = 1 << 20;

class ForeignSegment : public ForgedImage {
 protected:
  void SetUp() override {
    ForgedImage::SetUp();
    std::ofstream file(victim_, std::ios::binary);
    file << std::string(kVictimBytes, 'v');
    ASSERT_TRUE(file.flush().good());
  }

  bool victim_is_whole() const {
    std::ifstream file(victim_, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {}) == std::string(kVictimBytes, 'v');
  }

  // The log knows segment 1 by this name.
  void name_segment() {
    for (const ImagePart& part : parts_of(sample_, PartKind::status)) {
      auto status = load_from<StatusBlock>(image_, part.offset);
      const uint64_t at = part.offset + status.bytes_used;
      store_to(image_, at, SegmentEntry{1, static_cast<uint32_t>(victim_.size())});
      image_.write(at + sizeof(SegmentEntry), std::as_bytes(std::span(victim_)));
      status.bytes_used +=
          static_cast<uint32_t>(sizeof(SegmentEntry) + (victim_.size() + 7) / 8 * 8);
      status.segment_count = 1;
      store_to(image_, part.offset, status);
      seal(image_, part);
    }
  }

  void must_be_refused() {
    EXPECT_NE(refused_by_mounts(), "");
    EXPECT_TRUE(victim_is_whole());
    std::string text;
    const int code = run_fsck("-y", text);
    EXPECT_NE(code & (fsck::kExitLeft | fsck::kExitOperational), 0) << text;
    EXPECT_TRUE(victim_is_whole());
  }

  TempDir folder_;
  const std::string victim_ = folder_.file("victim");
};

TEST_F(ForeignSegment, NamedByTheLogIsNotWrittenTo) {
  name_segment();
  change_region([](RegionEntry& region) {
    region.segment = 1;
    region.flags = 0;
    region.segment_offset = 0;
  });
  must_be_refused();
}

TEST_F(ForeignSegment, NamedByTheJournalIsNotWrittenTo) {
  name_segment();
  journal_page(1, 0);
  must_be_refused();
}

}  // namespace
}  // namespace rvmfs::test
