// SPDX-License-Identifier: BSD-2-Clause
//
// See forged_image.h.

#include "tests/images/forged_image.h"

#include <sstream>

#include "fs/volume.h"
#include "fsck/fsck.h"
#include "tests/support/memory_device.h"

namespace rvmfs::test {

using namespace rvm::format;
using rvm::kPageBytes;

void ForgedImage::change_region(const std::function<void(RegionEntry&)>& change) {
  const ImagePart unit = first_unit();
  auto region = load_from<RegionEntry>(image_, unit.offset + sizeof(UnitHeader));
  change(region);
  store_to(image_, unit.offset + sizeof(UnitHeader), region);
  seal(image_, unit);
}

void ForgedImage::journal_page(uint32_t segment, uint64_t offset) {
  const ImagePart part = parts_of(sample_, PartKind::journal)[0];
  const auto status = load_from<StatusBlock>(image_, parts_of(sample_, PartKind::status)[0].offset);
  JournalHeader header{};
  header.magic = kJournalMagic;
  header.generation = status.generation;
  header.batch = status.journal_batch + 1;
  header.count = 1;
  header.entries[0].segment = segment;
  header.entries[0].offset = offset;
  store_to(image_, part.offset, header);
  image_.write(part.offset + kPageBytes, std::vector<std::byte>(kPageBytes, std::byte{'j'}));
  seal(image_, {.kind = PartKind::journal_page,
                .offset = part.offset + kPageBytes,
                .bytes = kPageBytes,
                .sealer = part.offset,
                .index = 0});
}

std::string ForgedImage::refused_by_mounts() const {
  std::string said;
  for (const bool read_only : {true, false}) {
    const auto device = std::make_shared<MemoryDevice>(image_);
    MountOptions options;
    options.read_only = read_only;
    options.background = false;
    const auto volume = Volume::open(device, options);
    EXPECT_FALSE(volume.has_value());
    if (volume) return {};
    said = explain(volume.error());
    EXPECT_EQ(errno_of(volume.error()), EIO) << said;
    EXPECT_EQ(SparseImage::difference(image_, device->snapshot()), "");
  }
  return said;
}

int ForgedImage::run_fsck(const std::string& option, std::string& text) const {
  const auto device = std::make_shared<MemoryDevice>(image_);
  std::ostringstream out;
  const int code = fsck::run_fsck(
      {option, "-f", "image"}, out, out,
      [&](const std::string&,
          const rvm::FileOptions&) -> rvm::Result<std::shared_ptr<rvm::Device>> { return device; });
  text = out.str();
  EXPECT_EQ(SparseImage::difference(image_, device->snapshot()), "") << option;
  return code;
}

}  // namespace rvmfs::test
