// SPDX-License-Identifier: BSD-2-Clause
//
// Sizes as people write and read them: 8M, 1.5 TiB.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rvmfs::mkfs {

// Bytes of "4096", "64K", "8m", "1G", "2T", "1P" (powers of 1024; "iB" and "B" may follow).
// nullopt: not a size, or more than 2^64.
std::optional<uint64_t> parse_size(std::string_view text);

// "1 TiB", "20.5 MiB", "512 bytes".
std::string size_text(uint64_t bytes);

}  // namespace rvmfs::mkfs
