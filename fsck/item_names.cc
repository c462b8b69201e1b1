// SPDX-License-Identifier: BSD-2-Clause
//
// Directory entries and extended attributes (see item_check.h): both are found by the hash of a
// name, so the name must hash to its key, and a name may be there once only.
#include <algorithm>
#include <string_view>

#include "fsck/hash.h"
#include "fsck/item_check.h"

#include <dirent.h>
#include <sys/stat.h>

namespace rvmfs::fsck {

namespace {

bool is_entry_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

uint64_t name_hash(std::string_view name, uint64_t seed) {
  return XXH3_64bits_withSeed(name.data(), name.size(), seed);
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

// True if `name` was seen already among the names with this hash (they follow each other).
bool ItemCheck::is_twin(std::vector<std::string>& names, uint64_t& chain_hash, uint64_t hash,
                        std::string name) {
  if (chain_hash != hash) {
    chain_hash = hash;
    names.clear();
  }
  if (std::find(names.begin(), names.end(), name) != names.end()) return true;
  names.push_back(std::move(name));
  return false;
}

void ItemCheck::entry(Key key, std::span<const std::byte> value) {
  const uint64_t rest = key.low & format::kRestMask;
  if (!S_ISDIR(current_.item.mode)) {
    state_.report.add(FindingId::entry_in_non_directory, "inode {}", current_.number);
    state_.repairs.erase_items.push_back(key);
    return;
  }
  const auto unusable = [&](const char* what) {
    state_.report.add(FindingId::entry_name, "in directory {}, key {:#x}: {}", current_.number,
                      rest, what);
    state_.repairs.erase_items.push_back(key);
  };
  ++current_.entries;
  if (value.size() < sizeof(format::DirectoryEntry)) return unusable("shape");
  const auto item = load<format::DirectoryEntry>(value);
  const auto name = text_of(value.subspan(sizeof(item)));
  if (name.size() != item.name_bytes || !is_entry_name(name)) return unusable("name");
  const uint64_t hash = name_hash(name, state_.super.name_hash_seed) >> 16;
  if (hash != rest >> 8) return unusable("the hash of the name");
  if (is_twin(entry_twins_, entry_hash_, hash, std::string(name))) return unusable("a second time");
  state_.entries.push_back({current_.number, rest, item.inode, item.type});
}

void ItemCheck::xattr_bad(const char* what) {
  const uint64_t first = attribute_.chain << 8;
  state_.report.add(FindingId::xattr_bad, "inode {}, key {:#x}: {}", current_.number, first, what);
  for (uint32_t piece = 0; piece < attribute_.piece; ++piece) {
    state_.repairs.erase_items.push_back(
        {current_.number, uint64_t{0x10} << format::kTypeShift | first | piece});
  }
  attribute_.open = false;
}

void ItemCheck::end_xattr() {
  if (attribute_.open && attribute_.missing != 0) xattr_bad("pieces are missing");
  attribute_.open = false;
}

void ItemCheck::xattr(Key key, std::span<const std::byte> value) {
  if (current_.going) return;  // pieces may be gone already
  const uint64_t rest = key.low & format::kRestMask;
  if ((rest & 0xff) == 0) {
    end_xattr();
    return xattr_first(key, value);
  }
  const bool fits = attribute_.open && attribute_.chain == rest >> 8 &&
                    attribute_.piece == (rest & 0xff) && !value.empty() &&
                    value.size() <= format::kXattrPieceBytes && value.size() <= attribute_.missing;
  if (!fits) {
    end_xattr();
    state_.report.add(FindingId::xattr_bad, "inode {}, key {:#x}: a piece of nothing",
                      current_.number, rest);
    state_.repairs.erase_items.push_back(key);
    return;
  }
  ++attribute_.piece;
  attribute_.missing -= static_cast<uint32_t>(value.size());
}

void ItemCheck::xattr_first(Key key, std::span<const std::byte> value) {
  const uint64_t rest = key.low & format::kRestMask;
  attribute_ = {true, rest >> 8, 1, 0};
  if (value.size() < sizeof(format::XattrHeader) || value.size() > format::kXattrPieceBytes) {
    return xattr_bad("shape");
  }
  const auto header = load<format::XattrHeader>(value);
  const auto behind = value.subspan(sizeof(header));
  if (header.name_bytes == 0 || header.name_bytes > behind.size() ||
      header.value_bytes > format::kXattrValueBytesMax ||
      behind.size() - header.name_bytes > header.value_bytes) {
    return xattr_bad("lengths");
  }
  const auto name = text_of(behind.first(header.name_bytes));
  if (name.find('\0') != std::string_view::npos) return xattr_bad("name");
  const uint64_t hash = name_hash(name, state_.super.name_hash_seed) >> 24;
  if (hash != rest >> 16) return xattr_bad("the hash of the name");
  if (is_twin(xattr_twins_, xattr_hash_, hash, std::string(name)))
    return xattr_bad("a second time");
  attribute_.missing =
      header.value_bytes - static_cast<uint32_t>(behind.size() - header.name_bytes);
}

}  // namespace rvmfs::fsck
