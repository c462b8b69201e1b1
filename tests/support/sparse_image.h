// SPDX-License-Identifier: BSD-2-Clause
//
// The bytes of a medium as a value: a sparse map of pages, shared between copies until one of them
// writes (copy on write). Copying an image of some MiB takes about a microsecond, whatever was
// written to it, so that crash tests can build thousands of variants of one image.
//
//   image: 1 MiB chunk number -> chunk (shared) -> 256 pages (shared, or absent)
//
// Absent pages read as `fill` bytes: zeros for a file, a canary for a device whose old contents
// nobody may rely on.
//
// Thread rules: as an int. Different copies may be used by different threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

namespace rvmfs::test {

class SparseImage {
 public:
  static constexpr uint64_t kPageBytes = 4096;
  static constexpr uint64_t kChunkPages = 256;

  explicit SparseImage(uint64_t bytes = 0, std::byte fill = std::byte{0})
      : size_(bytes), fill_(fill) {}

  uint64_t size() const { return size_; }
  std::byte fill() const { return fill_; }

  // Shorter: the bytes beyond are forgotten. Longer: the new bytes are absent pages.
  void resize(uint64_t bytes);

  // Reads any range; bytes that were never written, also those beyond size(), are `fill`.
  void read(uint64_t offset, std::span<std::byte> out) const;

  // Writes and, where needed, grows.
  void write(uint64_t offset, std::span<const std::byte> in);

  // The range becomes absent (whole pages) or `fill` (parts of pages). Never changes size().
  void punch(uint64_t offset, uint64_t length);

  // Makes absent pages of the range present (they hold `fill`), and grows where needed.
  void allocate(uint64_t offset, uint64_t length);

  // What du(1) would say: present pages, in bytes.
  uint64_t allocated_bytes() const { return present_pages_ * kPageBytes; }

  // How many pages a write to this range would have to add.
  uint64_t absent_pages(uint64_t offset, uint64_t length) const;

  // The first offset >= `offset` that lies in a present page; UINT64_MAX if there is none.
  uint64_t next_present(uint64_t offset) const;

  // Same size and same bytes (absent and written `fill` are equal).
  friend bool operator==(const SparseImage& a, const SparseImage& b);

  // The first byte in which they differ, as a sentence; empty if they are equal.
  static std::string difference(const SparseImage& a, const SparseImage& b);

 private:
  using Page = std::array<std::byte, kPageBytes>;
  struct Chunk {
    std::array<std::shared_ptr<Page>, kChunkPages> pages;
  };

  const Page* find(uint64_t page) const;
  Page& writable(uint64_t page);
  void forget(uint64_t page);
  Chunk& writable_chunk(uint64_t chunk);

  std::map<uint64_t, std::shared_ptr<Chunk>> chunks_;
  uint64_t present_pages_ = 0;
  uint64_t size_ = 0;
  std::byte fill_{};
};

}  // namespace rvmfs::test
