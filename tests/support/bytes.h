// SPDX-License-Identifier: BSD-2-Clause
//
// Bytes for tests: patterns that tell where they came from, and reads and writes of a Device that
// stop the test on an error.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "rvm/device.h"

namespace rvmfs::test {

using Bytes = std::vector<std::byte>;

inline Bytes filled(size_t count, uint8_t value) { return Bytes(count, std::byte{value}); }

// `count` bytes that depend on `seed` and on their place, and repeat at no sector distance.
inline Bytes pattern(size_t count, uint64_t seed) {
  Bytes bytes(count);
  uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
  for (std::byte& byte : bytes) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<std::byte>(state >> 56);
  }
  return bytes;
}

inline Bytes to_bytes(std::string_view text) {
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return Bytes(first, first + text.size());
}

// The bytes read, or an empty vector and a failed expectation.
inline Bytes read_all(rvm::Device& device, uint64_t offset, size_t count) {
  Bytes bytes(count);
  const auto result = device.read(offset, bytes);
  EXPECT_TRUE(result) << rvm::describe(result.error());
  return result ? bytes : Bytes();
}

inline void write_all(rvm::Device& device, uint64_t offset, const Bytes& bytes) {
  const auto result = device.write(offset, bytes);
  EXPECT_TRUE(result) << rvm::describe(result.error());
}

}  // namespace rvmfs::test

// The Result must be a success / the named error; prints the error in words otherwise.
#define EXPECT_OK(expression)                                                 \
  do {                                                                        \
    const auto& expect_ok_result = (expression);                              \
    EXPECT_TRUE(expect_ok_result) << rvm::describe(expect_ok_result.error()); \
  } while (false)
#define ASSERT_OK(expression)                                                 \
  do {                                                                        \
    const auto& assert_ok_result = (expression);                              \
    ASSERT_TRUE(assert_ok_result) << rvm::describe(assert_ok_result.error()); \
  } while (false)
#define EXPECT_ERROR(expression, expected_code)                                 \
  do {                                                                          \
    const auto& expect_error_result = (expression);                             \
    ASSERT_FALSE(expect_error_result) << "succeeded, expected " #expected_code; \
    EXPECT_EQ(expect_error_result.error().code, expected_code)                  \
        << rvm::describe(expect_error_result.error());                          \
  } while (false)
