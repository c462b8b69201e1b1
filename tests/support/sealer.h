// SPDX-License-Identifier: BSD-2-Clause
//
// Makes hashes right again after bytes of an image were changed, so that hostile values get past
// the hashes and meet the checks of the values themselves.
//
// image_parts() lists, from a sound image, every structure that is under a hash: where it lies and
// how it is sealed. The list stays good while the bytes are changed: what a part's own fields say
// afterwards is not believed, except a length that the hash covers and that stays within reach.
//
// Thread rules: as an int.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/support/sparse_image.h"

namespace rvmfs::test {

enum class PartKind : uint8_t {
  superblock,
  owner,
  status,        // of the log
  journal,       // its header
  journal_page,  // of the batch that the header describes
  unit,          // of the log, from the head on
  hash_table,    // page 0 of a chunk
  page,          // of metadata, that was written once
};
const char* name_of(PartKind kind);

struct ImagePart {
  PartKind kind;
  uint64_t offset = 0;  // in the image, bytes
  uint64_t bytes = 0;
  uint64_t seed = 0;     // unit: the log's generation
  uint64_t limit = 0;    // unit: end of the record area; a longer length is not sealed
  uint64_t sealer = 0;   // page, journal_page: where the page lies that has the hash
  uint32_t index = 0;    // page, journal_page: which hash of it
  bool is_last = false;  // unit: no valid one follows
};

// Of a sound image; nothing if it is no volume.
std::vector<ImagePart> image_parts(const SparseImage& sound);

// Makes the hash of this part right, and those that cover it.
void seal(SparseImage& image, const ImagePart& part);

// A copy of the structure at `offset`.
template <typename T>
T load_from(const SparseImage& image, uint64_t offset) {
  T value;
  image.read(offset, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}
template <typename T>
void store_to(SparseImage& image, uint64_t offset, const T& value) {
  image.write(offset, std::as_bytes(std::span(&value, 1)));
}

}  // namespace rvmfs::test
