// SPDX-License-Identifier: BSD-2-Clause
//
// Hostile images whose log or page journal, under right hashes, names places that are not the
// metadata's or the data's: superblocks, the log itself, what lies behind the volume. Neither a
// mount nor a repair writes anything then.
#include "fs/volume.h"
#include "fsck/fsck.h"
#include "tests/images/forged_image.h"
#include "tests/images/memory_meter.h"
#include "tests/support/memory_device.h"

namespace rvmfs::test {
namespace {

using namespace rvm::format;

constexpr uint64_t kPage = rvm::kPageBytes;

class ForgedLog : public ForgedImage {
 protected:
  // The first region of the first unit is a chunk that begins there.
  void move_region(uint64_t chunk) {
    change_region([&](RegionEntry& region) {
      region.segment_offset = chunk + kPage;
      region.hash_table_offset = chunk;
    });
  }

  // The first unit says nothing but that these bytes of the image are to be data.
  void data_record(uint64_t offset, uint64_t length) {
    const ImagePart part = first_unit();
    auto header = load_from<UnitHeader>(image_, part.offset);
    header.region_count = header.record_count = 1;
    const RegionEntry region{0, kRegionDevice, 0, kDeviceRegionBytes, 0};
    const RecordHeader record{static_cast<uint16_t>(RecordType::data), 0, 0, offset, length};
    uint64_t at = part.offset + sizeof header;
    store_to(image_, at, region);
    store_to(image_, at += sizeof region, record);
    at += sizeof record;
    image_.write(at, std::vector<std::byte>(length, std::byte{'d'}));
    header.bytes_used = static_cast<uint32_t>(at + length - part.offset);
    ASSERT_LE(header.bytes_used, header.unit_bytes);
    store_to(image_, part.offset, header);
    seal(image_, part);
  }

  // By all who could recover it, and no byte of the image changes.
  void must_be_refused(const std::string& what) {
    SCOPED_TRACE(what);
    const std::string said = refused_by_mounts();
    EXPECT_NE(said.find("may not"), std::string::npos) << said;
    std::string text;
    for (const char* option : {"-n", "-y"}) {
      EXPECT_EQ(run_fsck(option, text) & fsck::kExitLeft, fsck::kExitLeft) << option << text;
      EXPECT_NE(text.find("log"), std::string::npos) << text;
    }
    image_ = sample_.image;
  }

  // And with the values that the sample had, the image is fine.
  void must_be_accepted() {
    const auto device = std::make_shared<MemoryDevice>(image_);
    MountOptions options;
    options.background = false;
    const auto volume = Volume::open(device, options);
    EXPECT_TRUE(volume.has_value()) << explain(volume.error());
    image_ = sample_.image;
  }

  const uint64_t superblock_ = parts_of(sample_, PartKind::superblock)[0].offset;
  const format::Superblock super_ = load_from<format::Superblock>(image_, superblock_);
};

TEST_F(ForgedLog, MayNotNameRegionsOutsideOfTheMetadata) {
  const uint64_t end = super_.volume_bytes;
  for (const uint64_t chunk :
       {uint64_t{0}, superblock_, super_.log_offset, super_.log_offset + super_.log_bytes - kPage,
        super_.chunk0_offset - kPage, super_.chunk0_offset + kPage, end - kChunkBytes + kPage, end,
        end + kChunkBytes, uint64_t{1} << 61}) {
    move_region(chunk);
    must_be_refused("chunk at " + std::to_string(chunk));
  }
  move_region(super_.chunk0_offset);
  must_be_accepted();
}

TEST_F(ForgedLog, MayNotNameRegionsThatAreNoChunks) {
  change_region([](RegionEntry& region) { region.flags = 0; });
  must_be_refused("without hashes");
  change_region([](RegionEntry& region) { region.length += kPage; });
  must_be_refused("longer");
  change_region([](RegionEntry& region) { region.length = uint64_t{1} << 62; });
  must_be_refused("as long as it can be");
  change_region([](RegionEntry& region) { region.hash_table_offset -= kPage; });
  must_be_refused("hashes elsewhere");
  change_region([&](RegionEntry& region) { region.hash_table_offset = super_.log_offset; });
  must_be_refused("hashes in the log");
}

TEST_F(ForgedLog, MayNotHaveDataForPlacesThatAreNoBlocks) {
  const uint64_t end = super_.volume_bytes;
  for (const uint64_t offset :
       {uint64_t{0}, superblock_, super_.log_offset, super_.log_offset + super_.log_bytes - 512,
        super_.chunk0_offset, super_.chunk0_offset + kChunkBytes - 512, end, end + kChunkBytes,
        uint64_t{1} << 61}) {
    ASSERT_NO_FATAL_FAILURE(data_record(offset, 512));
    must_be_refused("data at " + std::to_string(offset));
  }
  ASSERT_NO_FATAL_FAILURE(data_record(end - 512, 1024));
  must_be_refused("data over the end");
  ASSERT_NO_FATAL_FAILURE(data_record(end - 512, 512));
  must_be_accepted();
}

TEST_F(ForgedLog, MayNotHaveJournaledPagesOutsideOfTheMetadata) {
  const uint64_t end = super_.volume_bytes;
  for (const uint64_t offset :
       {uint64_t{0}, superblock_ / kPage * kPage, super_.log_offset, super_.chunk0_offset - kPage,
        super_.chunk0_offset + 1, end, end + kPage, uint64_t{1} << 61}) {
    journal_page(0, offset);
    must_be_refused("page at " + std::to_string(offset));
  }
}

// Each record alone is harmless, and all of them together would be gigabytes of patches.
TEST_F(ForgedLog, WithVeryManyRecordsOfAWholeRegionEndsSoon) {
  const ImagePart part = first_unit();
  const auto first = load_from<UnitHeader>(image_, part.offset);
  const auto region = load_from<RegionEntry>(image_, part.offset + sizeof(UnitHeader));
  const auto status = load_from<StatusBlock>(image_, parts_of(sample_, PartKind::status)[0].offset);
  UnitHeader header = first;
  header.region_count = 1;
  header.unit_bytes = static_cast<uint32_t>(status.record_bytes / 4 / kPage * kPage);
  header.record_count = static_cast<uint32_t>(
      (header.unit_bytes - sizeof(UnitHeader) - sizeof(RegionEntry)) / sizeof(RecordHeader));
  header.bytes_used = static_cast<uint32_t>(sizeof(UnitHeader) + sizeof(RegionEntry) +
                                            header.record_count * sizeof(RecordHeader));
  uint64_t at = part.offset;
  store_to(image_, at, header);
  store_to(image_, at += sizeof header, region);
  at += sizeof region;
  const RecordHeader zeros{static_cast<uint16_t>(RecordType::zeros), 0, 0, 0, region.length};
  for (uint32_t i = 0; i < header.record_count; ++i, at += sizeof zeros) {
    store_to(image_, at, zeros);
  }
  seal(image_, part);
  const auto device = std::make_shared<MemoryDevice>(image_);
  MountOptions options;
  options.background = false;
  // All of the metadata are zeros then: no volume, but no end of memory either.
  const uint64_t before = memory_in_use();
  reset_memory_peak();
  EXPECT_FALSE(Volume::open(device, options).has_value());
  EXPECT_LT(memory_peak() - before, 6u << 20) << header.record_count << " records";
}

}  // namespace
}  // namespace rvmfs::test
