// SPDX-License-Identifier: BSD-2-Clause
//
// See space_reader.h.
#include "fsck/space_reader.h"

#include "fsck/hash.h"

namespace rvmfs::fsck {

using rvm::format::kChunkBytes;

bool SpaceReader::exists(uint64_t offset) const {
  return offset % kPage == 0 && offset / kChunkBytes < chunks_.size() &&
         offset % kChunkBytes >= kPage;
}

bool SpaceReader::read(uint64_t offset, const char* what, PageBytes& out) const {
  if (!exists(offset)) {
    report_.add(FindingId::tree_reference_bad, "{} at space offset {}", what, offset);
    return false;
  }
  const uint64_t chunk = offset / kChunkBytes;
  const uint64_t table = chunks_[chunk];
  const uint64_t place = table + offset % kChunkBytes;
  const uint64_t index = offset % kChunkBytes / kPage - 1;
  switch (image_.read_hashed(place, table, index, out)) {
    case PageState::good:
    case PageState::never_written: return true;
    case PageState::damaged:
      report_.add(FindingId::page_damaged, "{} at byte {} of the image", what, place);
      return false;
    case PageState::table_damaged:
      report_.add(FindingId::hash_table_damaged, "of chunk {}, byte {} of the image; needed for {}",
                  chunk, table, what);
      return false;
    case PageState::unreadable: break;
  }
  report_.add(FindingId::image_unreadable, "{} at byte {}", what, place);
  return false;
}

bool SpaceReader::claim(uint64_t offset, const char* what) {
  const uint64_t page = offset % kChunkBytes / kPage;
  if (!exists(offset) || page < 2) {
    report_.add(FindingId::tree_reference_bad, "{} at space offset {}", what, offset);
    return false;
  }
  PageSet& set = claimed_[offset / kChunkBytes];
  if (set.test(page)) {
    report_.add(FindingId::page_shared, "space offset {}, the second time for {}", offset, what);
    return false;
  }
  set.set(page);
  return true;
}

bool SpaceReader::known_zero(uint64_t offset) const {
  const uint64_t table = chunks_[offset / kChunkBytes];
  return image_.known_zero(table + offset % kChunkBytes, table, offset % kChunkBytes / kPage - 1);
}

bool SpaceReader::add_place(uint64_t index, uint64_t place) {
  if (place == 0) {
    report_.add(FindingId::chunk_missing, "chunk {}", index);
    return false;
  }
  if (place % kPage != 0 || place > volume_bytes_ || kChunkBytes > volume_bytes_ - place) {
    report_.add(FindingId::chunk_place_bad, "chunk {} at byte {}", index, place);
    return false;
  }
  chunks_.push_back(place);
  claimed_.emplace_back();
  return true;
}

bool SpaceReader::load_chunks(const format::VolumeRoot& root, uint64_t chunk_count) {
  constexpr uint64_t kRefs = format::kRefsPerPage;
  PageBytes level1, leaf;
  for (uint64_t index = 1; index < chunk_count; ++index) {
    const uint64_t leaf_number = index / kRefs;
    if (index == 1 || index % kRefs == 0) {
      if (index == 1 || leaf_number % kRefs == 0) {
        const uint64_t top = leaf_number / kRefs;
        if (top >= format::kChunkTableRefs || root.chunk_table[top] == 0) {
          report_.add(FindingId::chunk_missing, "chunk {} and those behind it", index);
          return false;
        }
        if (!claim(root.chunk_table[top], "a page of the chunk table") ||
            !read(root.chunk_table[top], "a page of the chunk table", level1)) {
          return false;
        }
      }
      const auto leaf_offset = load<uint64_t>(level1.view(), leaf_number % kRefs * 8);
      if (leaf_offset == 0) {
        report_.add(FindingId::chunk_missing, "chunk {} and those behind it", index);
        return false;
      }
      if (!claim(leaf_offset, "a page of the chunk table") ||
          !read(leaf_offset, "a page of the chunk table", leaf)) {
        return false;
      }
    }
    if (!add_place(index, load<uint64_t>(leaf.view(), index % kRefs * 8))) return false;
  }
  return true;
}

}  // namespace rvmfs::fsck
