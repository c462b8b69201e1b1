// SPDX-License-Identifier: BSD-2-Clause
//
// Sizes as people write them.
#include "fs/daemon/size_text.h"

#include <fmt/format.h>

#include <charconv>

namespace rvmfs {
namespace {

constexpr std::string_view kSuffixes = "KMGTP";

// Takes the suffix ("M", "MiB", "mb") off; its shift, or nullopt if it is none.
std::optional<int> shift_of(std::string_view suffix) {
  if (suffix.empty() || suffix == "B") return 0;
  const char letter = suffix[0] >= 'a' ? static_cast<char>(suffix[0] - 'a' + 'A') : suffix[0];
  const size_t power = kSuffixes.find(letter);
  if (power == std::string_view::npos) return std::nullopt;
  suffix.remove_prefix(1);
  if (!suffix.empty() && suffix != "iB" && suffix != "B") return std::nullopt;
  return static_cast<int>(10 * (power + 1));
}

}  // namespace

std::optional<uint64_t> parse_size(std::string_view text) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return std::nullopt;
  const std::optional<int> shift = shift_of({rest, static_cast<size_t>(end - rest)});
  if (!shift || number > UINT64_MAX >> *shift) return std::nullopt;
  return number << *shift;
}

std::optional<uint32_t> parse_number(std::string_view text) {
  uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end) return std::nullopt;
  return number;
}

std::string format_size(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  size_t power = 0;
  while (power + 1 < kSuffixes.size() && bytes >> (10 * (power + 2)) != 0) ++power;
  return fmt::format("{} {}iB", bytes >> (10 * (power + 1)), kSuffixes[power]);
}

}  // namespace rvmfs
