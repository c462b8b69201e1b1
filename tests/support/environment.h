// SPDX-License-Identifier: BSD-2-Clause
//
// Numbers for tests from the environment, with a default.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace rvmfs::test {

inline uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 0);
}

inline std::string text_from_environment(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

}  // namespace rvmfs::test
