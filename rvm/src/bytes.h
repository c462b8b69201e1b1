// SPDX-License-Identifier: BSD-2-Clause
//
// Small helpers for on-disk structures: they are copied in and out of byte buffers, never
// dereferenced in place, so that alignment and aliasing are no concern. Hosts are little-endian.
#pragma once

#include <xxhash.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace rvm {

static_assert(std::endian::native == std::endian::little, "the formats are little-endian");

template <typename T>
T load(std::span<const std::byte> bytes, size_t offset = 0) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

template <typename T>
void store(std::span<std::byte> bytes, const T& value, size_t offset = 0) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

constexpr uint64_t round_up(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}
constexpr uint64_t round_down(uint64_t value, uint64_t unit) { return value / unit * unit; }

inline uint64_t hash64(std::span<const std::byte> bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

// Hash as stored in tables, where zero means "never written".
inline uint64_t nonzero_hash(std::span<const std::byte> bytes, uint64_t seed) {
  const uint64_t hash = hash64(bytes, seed);
  return hash == 0 ? 1 : hash;
}

// Offset and length lie within [0, limit), without overflow.
constexpr bool within(uint64_t offset, uint64_t length, uint64_t limit) {
  return offset <= limit && length <= limit - offset;
}

inline bool all_zero(std::span<const std::byte> bytes) {
  return bytes.empty() || (bytes[0] == std::byte{0} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace rvm
