// SPDX-License-Identifier: BSD-2-Clause
//
// The metadata space as an independent reader sees it: finds chunks through the volume root's
// table, reads pages and checks their hashes, and remembers which pages something refers to.
//
//   space offset = chunk * kChunkBytes + offset in the chunk; page 0 of a chunk has no address
//
// claim() is called once for every reference to a page: a page that is claimed twice, or that no
// chunk holds, is reported, so that every walk over claimed pages ends.
#pragma once

#include <bitset>
#include <vector>

#include "fs/format.h"
#include "fsck/image.h"
#include "fsck/report.h"

namespace rvmfs::fsck {

using PageSet = std::bitset<rvm::format::kChunkPages>;  // of one chunk

class SpaceReader {
 public:
  SpaceReader(const Image& image, Report& report, uint64_t chunk0_offset, uint64_t volume_bytes)
      : image_(image), report_(report), volume_bytes_(volume_bytes) {
    chunks_.push_back(chunk0_offset);
    claimed_.emplace_back();
  }

  // Reads the chunk table of the root; chunk_count comes from the pool root. False: a place is
  // missing or damaged (reported), and the chunks from there on are unknown.
  bool load_chunks(const format::VolumeRoot& root, uint64_t chunk_count);

  // The page at `offset` (page-aligned), verified. False: damaged or unreadable (reported with
  // `what`, the kind of page).
  bool read(uint64_t offset, const char* what, PageBytes& out) const;

  // A reference to a page. False: it leads nowhere or to a page in use already (reported).
  bool claim(uint64_t offset, const char* what);

  bool known_zero(uint64_t offset) const;
  size_t chunk_count() const { return chunks_.size(); }
  uint64_t chunk_offset(size_t chunk) const { return chunks_[chunk]; }  // in the image
  const PageSet& claimed(size_t chunk) const { return claimed_[chunk]; }

 private:
  bool exists(uint64_t offset) const;
  bool add_place(uint64_t index, uint64_t place);

  const Image& image_;
  Report& report_;
  const uint64_t volume_bytes_;
  std::vector<uint64_t> chunks_;
  std::vector<PageSet> claimed_;
};

}  // namespace rvmfs::fsck
