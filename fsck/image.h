// SPDX-License-Identifier: BSD-2-Clause
//
// The image as recovery would leave it, without writing: the device, over it the pages of the page
// journal, over them the changes of the log.
//
//   device bytes  <-  journal pages  <-  patches of the log (pages of hashed regions only)
//                                    <-  data sectors of the log (everything else)
//
// A page of a hashed region is checked as base page (device or journal) against its table's hash
// before patches are laid over it; a base that fails counts only if the patches do not cover all of
// it. Patches point into the log units that hold them, which the image keeps: memory is bounded by
// the size of the log and kPatchesMax.
//
// Bytes beyond the end of the device read as zeros: an image file may be shorter than its volume.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "rvm/device.h"
#include "rvm/page_format.h"

namespace rvmfs::fsck {

inline constexpr uint64_t kPage = rvm::format::kHashPageBytes;

struct alignas(8) PageBytes {
  std::byte bytes[kPage];
  std::span<const std::byte> view() const { return bytes; }
};

// New bytes within one page; `data` is null for zeros.
struct Patch {
  const std::byte* data;
  uint16_t offset;
  uint16_t length;
};

// How reading a page of a hashed region went.
enum class PageState : uint8_t { good, never_written, damaged, table_damaged, unreadable };

class Image {
 public:
  static constexpr uint64_t kPatchesMax = 1 << 24;
  static constexpr size_t kTablesMax = 16384;  // tables of page hashes kept in memory

  explicit Image(rvm::Device& device) : device_(device) {}
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  // Device bytes with journal pages and data sectors over them.
  rvm::Result<void> read(uint64_t offset, std::span<std::byte> out) const;

  // A page of a hashed region: page number `index` of the region whose table lies at `table`.
  PageState read_hashed(uint64_t offset, uint64_t table, uint64_t index, PageBytes& out) const;
  // True if the page's hash alone tells that it is all zeros (or was never written).
  bool known_zero(uint64_t offset, uint64_t table, uint64_t index) const;

  // -- the overlay; called by the log's reader only.
  void set_journal_page(uint64_t offset, std::unique_ptr<PageBytes> page);
  void format_region(uint64_t offset, uint64_t length, uint64_t table);
  // [offset, offset + length) become `data` (kept by the caller through keep_unit), or zeros.
  // False: too many patches.
  [[nodiscard]] bool patch(uint64_t offset, const std::byte* data, uint64_t length);
  // The sectors from `offset` on hold `data` (kept as with patch), or what the device holds again.
  // False: too many.
  [[nodiscard]] bool set_data(uint64_t offset, const std::byte* data, uint64_t length);
  void drop_data(uint64_t offset, uint64_t length);
  void keep_unit(std::vector<std::byte> unit);
  std::span<const std::byte> last_unit() const { return units_.back(); }
  uint64_t kept_bytes() const { return kept_bytes_; }

 private:
  struct Table;
  const Table* table(uint64_t offset) const;
  rvm::Result<void> read_device(uint64_t offset, std::span<std::byte> out) const;

  struct Table {
    PageState state;
    rvm::format::HashTablePage page;
  };

  rvm::Device& device_;
  std::unordered_map<uint64_t, std::unique_ptr<PageBytes>> journal_;
  std::unordered_map<uint64_t, std::vector<Patch>> patches_;
  struct DataSector {
    const std::byte* data;
    uint64_t length;  // shorter than a sector at the end of the device only
  };
  std::map<uint64_t, DataSector> data_;     // by offset
  std::unordered_set<uint64_t> formatted_;  // offsets of the tables of formatted regions
  std::vector<std::vector<std::byte>> units_;
  uint64_t kept_bytes_ = 0, patch_count_ = 0;
  mutable std::unordered_map<uint64_t, std::unique_ptr<Table>> tables_;
};

}  // namespace rvmfs::fsck
