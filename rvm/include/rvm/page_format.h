// SPDX-License-Identifier: BSD-2-Clause
//
// On-disk format of page hash tables. Format headers hold constants, structs and static asserts
// only; librvm, mkfs and fsck share them and nothing else. All integers are little-endian.
//
// A hashed region of n pages has a table of ceil(n / 511) table pages. Table page t holds the
// hashes of region pages t * 511 ... t * 511 + 510. It begins with its own hash.
//
// hash of page p       = XXH3_64bits_withSeed(4096 bytes, seed = segment offset of the page);
//                        a result of 0 is stored as 1
// 0 in the table       = the page was never written: it is all zeros, whatever the medium holds
// self_hash            = XXH3_64bits_withSeed(bytes 8 ... 4095 of the table page,
//                        seed = segment offset of the table page); a result of 0 is stored as 1
// A table page whose self_hash does not match is damaged (an all-zero table page too).
#pragma once

#include <cstdint>

namespace rvm::format {

inline constexpr uint64_t kHashPageBytes = 4096;
inline constexpr uint64_t kHashesPerPage = 511;

struct HashTablePage {
  uint64_t self_hash;
  uint64_t hashes[kHashesPerPage];
};
static_assert(sizeof(HashTablePage) == kHashPageBytes);

}  // namespace rvm::format
