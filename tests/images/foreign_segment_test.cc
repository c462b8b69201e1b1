// SPDX-License-Identifier: BSD-2-Clause
//
// A hostile image whose log names another file of the host as a segment: neither a mount nor a
// repair opens it, and nothing is written to it.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "fs/volume.h"
#include "fsck/fsck.h"
#include "rvm/log_format.h"
#include "tests/images/sample_images.h"
#include "tests/support/memory_device.h"
#include "tests/support/temp_dir.h"

namespace rvmfs::test {
namespace {

using namespace rvm::format;

constexpr uint64_t kVictimBytes = 1 << 20;

class ForeignSegment : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(sample_.name, "logged");
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

  // The first region of the first unit lies there.
  void move_region(uint32_t segment, uint64_t offset) {
    const ImagePart unit = parts_of(sample_, PartKind::unit)[0];
    auto region = load_from<RegionEntry>(image_, unit.offset + sizeof(UnitHeader));
    region.segment = segment;
    region.flags = 0;
    region.segment_offset = offset;
    store_to(image_, unit.offset + sizeof(UnitHeader), region);
    seal(image_, unit);
  }

  // The journal has one page, of there.
  void journal_page(uint32_t segment, uint64_t offset) {
    const ImagePart part = parts_of(sample_, PartKind::journal)[0];
    const auto status =
        load_from<StatusBlock>(image_, parts_of(sample_, PartKind::status)[0].offset);
    JournalHeader header{};
    header.magic = kJournalMagic;
    header.generation = status.generation;
    header.batch = status.journal_batch + 1;
    header.count = 1;
    header.entries[0].segment = segment;
    header.entries[0].offset = offset;
    store_to(image_, part.offset, header);
    image_.write(part.offset + 4096, std::vector<std::byte>(4096, std::byte{'j'}));
    seal(image_, {.kind = PartKind::journal_page,
                  .offset = part.offset + 4096,
                  .bytes = 4096,
                  .sealer = part.offset,
                  .index = 0});
  }

  void must_be_refused() {
    for (const bool read_only : {true, false}) {
      const auto device = std::make_shared<MemoryDevice>(image_);
      MountOptions options;
      options.read_only = read_only;
      options.background = false;
      const auto volume = Volume::open(device, options);
      ASSERT_FALSE(volume.has_value());
      EXPECT_EQ(errno_of(volume.error()), EIO) << explain(volume.error());
      EXPECT_TRUE(victim_is_whole());
    }
    const auto device = std::make_shared<MemoryDevice>(image_);
    std::ostringstream out;
    const int code =
        fsck::run_fsck({"-y", "-f", "image"}, out, out,
                       [&](const std::string&, const rvm::FileOptions&)
                           -> rvm::Result<std::shared_ptr<rvm::Device>> { return device; });
    EXPECT_NE(code & (fsck::kExitLeft | fsck::kExitOperational), 0) << out.str();
    EXPECT_TRUE(victim_is_whole());
  }

  TempDir folder_;
  const std::string victim_ = folder_.file("victim");
  const SampleImage& sample_ = sample_images()[1];
  SparseImage image_ = sample_.image;
};

TEST_F(ForeignSegment, NamedByTheLogIsNotWrittenTo) {
  name_segment();
  move_region(1, 0);
  must_be_refused();
}

TEST_F(ForeignSegment, NamedByTheJournalIsNotWrittenTo) {
  name_segment();
  journal_page(1, 0);
  must_be_refused();
}

}  // namespace
}  // namespace rvmfs::test
