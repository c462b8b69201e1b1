// SPDX-License-Identifier: BSD-2-Clause
//
// The three ways in which the formats use XXH3, and reading fixed structures out of bytes.
#pragma once

#define XXH_STATIC_LINKING_ONLY  // a hash state on the stack
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace rvmfs::fsck {

inline uint64_t hash_of(std::span<const std::byte> bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

// Page hashes: 0 means "never written" in a table, so a hash of 0 is stored as 1.
inline uint64_t page_hash_of(std::span<const std::byte> bytes, uint64_t seed) {
  const uint64_t hash = hash_of(bytes, seed);
  return hash == 0 ? 1 : hash;
}

// The hash of a structure that holds its own hash, 8 bytes at `hash_at`, taken as zero.
inline uint64_t self_hash_of(std::span<const std::byte> bytes, size_t hash_at, uint64_t seed) {
  const uint64_t zero = 0;
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_64bits_reset_withSeed(&state, seed);
  XXH3_64bits_update(&state, bytes.data(), hash_at);
  XXH3_64bits_update(&state, &zero, sizeof(zero));
  XXH3_64bits_update(&state, bytes.data() + hash_at + sizeof(zero),
                     bytes.size() - hash_at - sizeof(zero));
  return XXH3_64bits_digest(&state);
}

// A copy of the structure at `offset`; the caller has checked the bounds.
template <typename T>
T load(std::span<const std::byte> bytes, size_t offset = 0) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

inline bool all_zero(std::span<const std::byte> bytes) {
  return bytes.empty() || (bytes[0] == std::byte{0} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace rvmfs::fsck
