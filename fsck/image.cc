// SPDX-License-Identifier: BSD-2-Clause
//
// See image.h.
#include "fsck/image.h"

#include <algorithm>
#include <bitset>
#include <cstring>

#include "fsck/hash.h"

namespace rvmfs::fsck {
namespace {

void apply(const std::vector<Patch>& patches, PageBytes& page) {
  for (const Patch& patch : patches) {
    if (patch.data != nullptr) {
      std::memcpy(page.bytes + patch.offset, patch.data, patch.length);
    } else {
      std::memset(page.bytes + patch.offset, 0, patch.length);
    }
  }
}

// True if the patches leave nothing of the base page.
bool cover_all(const std::vector<Patch>& patches) {
  std::bitset<kPage> covered;
  for (const Patch& patch : patches) {
    for (uint32_t i = 0; i < patch.length; ++i) covered.set(patch.offset + i);
  }
  return covered.all();
}

}  // namespace

rvm::Result<void> Image::read_device(uint64_t offset, std::span<std::byte> out) const {
  const uint64_t end = device_.size();
  const uint64_t there = offset >= end ? 0 : std::min<uint64_t>(out.size(), end - offset);
  if (there != 0) RVM_TRY(device_.read(offset, out.first(there)));
  if (there < out.size()) std::memset(out.data() + there, 0, out.size() - there);
  return {};
}

rvm::Result<void> Image::read(uint64_t offset, std::span<std::byte> out) const {
  RVM_TRY(read_device(offset, out));
  if (out.empty()) return {};
  const uint64_t end = offset + out.size();
  for (auto sector = data_.lower_bound(offset / rvm::kSectorBytes * rvm::kSectorBytes);
       sector != data_.end() && sector->first < end; ++sector) {
    const auto& [begin, bytes] = *sector;
    const uint64_t from = std::max(begin, offset);
    const uint64_t to = std::min(begin + bytes.length, end);
    if (from < to)
      std::memcpy(out.data() + (from - offset), bytes.data + (from - begin), to - from);
  }
  if (journal_.empty()) return {};
  for (uint64_t page = offset / kPage * kPage; page < end; page += kPage) {
    const auto found = journal_.find(page);
    if (found == journal_.end()) continue;
    const uint64_t from = std::max(page, offset);
    const uint64_t to = std::min(page + kPage, end);
    std::memcpy(out.data() + (from - offset), found->second->bytes + (from - page), to - from);
  }
  return {};
}

// The pointer is good until the next call.
const Image::Table* Image::table(uint64_t offset) const {
  if (tables_.size() >= kTablesMax) tables_.clear();
  auto& slot = tables_[offset];
  if (slot) return slot.get();
  slot = std::make_unique<Table>();
  Table& table = *slot;
  table.state = PageState::good;
  if (formatted_.count(offset) != 0) {
    std::memset(&table.page, 0, sizeof(table.page));
    return &table;
  }
  auto bytes = std::as_writable_bytes(std::span(&table.page, 1));
  if (!read(offset, bytes)) {
    table.state = PageState::unreadable;
  } else if (page_hash_of(bytes.subspan(8), offset) != table.page.self_hash) {
    table.state = PageState::table_damaged;
  }
  return &table;
}

PageState Image::read_hashed(uint64_t offset, uint64_t table_offset, uint64_t index,
                             PageBytes& out) const {
  const auto found = patches_.find(offset);
  const std::vector<Patch>* patches = found == patches_.end() ? nullptr : &found->second;
  const Table* hashes = table(table_offset + index / rvm::format::kHashesPerPage * kPage);
  const uint64_t hash = hashes->page.hashes[index % rvm::format::kHashesPerPage];

  PageState state = hashes->state;
  if (state == PageState::good && hash == 0) {
    std::memset(out.bytes, 0, kPage);
    if (patches == nullptr) return PageState::never_written;
  } else if (state == PageState::good) {
    if (!read(offset, out.bytes)) {
      state = PageState::unreadable;
    } else if (page_hash_of(out.view(), offset) != hash) {
      state = PageState::damaged;
    }
  }
  if (patches == nullptr) return state;
  if (state != PageState::good && !cover_all(*patches)) return state;
  apply(*patches, out);
  return PageState::good;
}

bool Image::known_zero(uint64_t offset, uint64_t table_offset, uint64_t index) const {
  if (patches_.count(offset) != 0) return false;
  const Table* hashes = table(table_offset + index / rvm::format::kHashesPerPage * kPage);
  if (hashes->state != PageState::good) return false;
  const uint64_t hash = hashes->page.hashes[index % rvm::format::kHashesPerPage];
  if (hash == 0) return true;
  static constexpr PageBytes kZeroPage{};
  return hash == page_hash_of(kZeroPage.view(), offset);
}

void Image::set_journal_page(uint64_t offset, std::unique_ptr<PageBytes> page) {
  journal_[offset] = std::move(page);
}

void Image::format_region(uint64_t offset, uint64_t length, uint64_t table) {
  for (uint64_t page = 0; page < length; page += kPage) patches_.erase(offset + page);
  const uint64_t pages = length / kPage;
  for (uint64_t first = 0; first < pages; first += rvm::format::kHashesPerPage) {
    formatted_.insert(table);
    table += kPage;
  }
}

bool Image::patch(uint64_t offset, const std::byte* data, uint64_t length) {
  while (length != 0) {
    if (++patch_count_ > kPatchesMax) return false;
    const uint64_t within = offset % kPage;
    const uint64_t here = std::min(length, kPage - within);
    auto& patches = patches_[offset - within];
    if (here == kPage) patches.clear();
    patches.push_back({data, static_cast<uint16_t>(within), static_cast<uint16_t>(here)});
    if (data != nullptr) data += here;
    offset += here;
    length -= here;
  }
  return true;
}

bool Image::set_data(uint64_t offset, const std::byte* data, uint64_t length) {
  while (length != 0) {
    if (++patch_count_ > kPatchesMax) return false;
    const uint64_t here = std::min(length, rvm::kSectorBytes);
    data_[offset] = {data, here};
    data += here;
    offset += here;
    length -= here;
  }
  return true;
}

void Image::drop_data(uint64_t offset, uint64_t length) {
  data_.erase(data_.lower_bound(offset), data_.lower_bound(offset + length));
}

void Image::keep_unit(std::vector<std::byte> unit) {
  kept_bytes_ += unit.size();
  units_.push_back(std::move(unit));
}

}  // namespace rvmfs::fsck
