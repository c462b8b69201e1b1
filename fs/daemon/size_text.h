// SPDX-License-Identifier: BSD-2-Clause
//
// Sizes as people write them: "4096", "256M", "2T", "1.5G" is not one of them. Suffixes are powers
// of 1024: K M G T P, in either case, with an optional "iB" or "B".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rvmfs {

// Bytes; nullopt if the text is not a size or does not fit 64 bits.
std::optional<uint64_t> parse_size(std::string_view text);

// A decimal number that fits 32 bits, nothing around it.
std::optional<uint32_t> parse_number(std::string_view text);

// "48 KiB", "3 MiB", "17 bytes": rounded down to the largest unit that leaves a number.
std::string format_size(uint64_t bytes);

}  // namespace rvmfs
