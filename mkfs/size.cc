// SPDX-License-Identifier: BSD-2-Clause
//
// See size.h.
#include "mkfs/size.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>

namespace rvmfs::mkfs {
namespace {

constexpr std::string_view kSuffixes = "KMGTP";

}  // namespace

std::optional<uint64_t> parse_size(std::string_view text) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest_begin, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{}) return std::nullopt;
  std::string rest(rest_begin, end);
  for (char& c : rest) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (rest.empty() || rest == "B") return number;
  const size_t power = kSuffixes.find(rest[0]);
  if (power == std::string_view::npos) return std::nullopt;
  const std::string_view unit = std::string_view(rest).substr(1);
  if (!unit.empty() && unit != "B" && unit != "IB") return std::nullopt;
  const unsigned shift = 10 * (static_cast<unsigned>(power) + 1);
  if (number > UINT64_MAX >> shift) return std::nullopt;
  return number << shift;
}

std::string size_text(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  size_t power = 0;
  while (power + 1 < kSuffixes.size() && bytes >> (10 * (power + 2)) != 0) ++power;
  const uint64_t unit = uint64_t{1} << (10 * (power + 1));
  if (bytes % unit == 0) return fmt::format("{} {}iB", bytes / unit, kSuffixes[power]);
  return fmt::format("{:.1f} {}iB", static_cast<double>(bytes) / static_cast<double>(unit),
                     kSuffixes[power]);
}

}  // namespace rvmfs::mkfs
