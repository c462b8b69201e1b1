// SPDX-License-Identifier: BSD-2-Clause
//
// Copy on write works by reference counts: a chunk or page that only this image refers to is
// changed in place, any other is cloned first. Nobody else can gain a reference to an object whose
// count is one, so the check needs no lock.
#include "tests/support/sparse_image.h"

#include <algorithm>
#include <cstring>

namespace rvmfs::test {
namespace {

// Calls visit(page number, offset in page, length in page) for every page of the range.
template <typename Visit>
void for_pages(uint64_t offset, uint64_t length, Visit visit) {
  while (length > 0) {
    const uint64_t in_page = offset % SparseImage::kPageBytes;
    const uint64_t here = std::min(length, SparseImage::kPageBytes - in_page);
    visit(offset / SparseImage::kPageBytes, in_page, here);
    offset += here;
    length -= here;
  }
}

template <typename T>
bool sole_owner(const std::shared_ptr<T>& pointer) {
  if (pointer.use_count() != 1) return false;
  // Another copy may just have let go, in another thread: taking and dropping one reference more
  // orders what that thread read before what follows here, in the eyes of thread sanitizers too.
  const std::shared_ptr<T> ordering = pointer;  // NOLINT(performance-*)
  return true;
}

}  // namespace

const SparseImage::Page* SparseImage::find(uint64_t page) const {
  const auto chunk = chunks_.find(page / kChunkPages);
  if (chunk == chunks_.end()) return nullptr;
  return chunk->second->pages[page % kChunkPages].get();
}

SparseImage::Chunk& SparseImage::writable_chunk(uint64_t chunk) {
  std::shared_ptr<Chunk>& slot = chunks_[chunk];
  if (slot == nullptr) {
    slot = std::make_shared<Chunk>();
  } else if (!sole_owner(slot)) {
    slot = std::make_shared<Chunk>(*slot);
  }
  return *slot;
}

SparseImage::Page& SparseImage::writable(uint64_t page) {
  std::shared_ptr<Page>& slot = writable_chunk(page / kChunkPages).pages[page % kChunkPages];
  if (slot == nullptr) {
    slot = std::make_shared<Page>();
    slot->fill(fill_);
    ++present_pages_;
  } else if (!sole_owner(slot)) {
    slot = std::make_shared<Page>(*slot);
  }
  return *slot;
}

void SparseImage::forget(uint64_t page) {
  if (find(page) == nullptr) return;
  writable_chunk(page / kChunkPages).pages[page % kChunkPages].reset();
  --present_pages_;
}

void SparseImage::resize(uint64_t bytes) {
  if (bytes < size_) {
    const uint64_t last_chunk_end =
        chunks_.empty() ? 0 : (chunks_.rbegin()->first + 1) * kChunkPages * kPageBytes;
    if (last_chunk_end > bytes) punch(bytes, last_chunk_end - bytes);
  }
  size_ = bytes;
}

void SparseImage::read(uint64_t offset, std::span<std::byte> out) const {
  size_t done = 0;
  for_pages(offset, out.size(), [&](uint64_t page, uint64_t in_page, uint64_t length) {
    if (const Page* bytes = find(page)) {
      std::memcpy(out.data() + done, bytes->data() + in_page, length);
    } else {
      std::memset(out.data() + done, static_cast<int>(fill_), length);
    }
    done += length;
  });
}

void SparseImage::write(uint64_t offset, std::span<const std::byte> in) {
  size_t done = 0;
  for_pages(offset, in.size(), [&](uint64_t page, uint64_t in_page, uint64_t length) {
    std::memcpy(writable(page).data() + in_page, in.data() + done, length);
    done += length;
  });
  size_ = std::max(size_, offset + in.size());
}

void SparseImage::punch(uint64_t offset, uint64_t length) {
  // By chunks that exist, so that punching a terabyte of nothing costs nothing.
  const uint64_t end = offset + length;
  const uint64_t chunk_bytes = kChunkPages * kPageBytes;
  auto chunk = chunks_.lower_bound(offset / chunk_bytes);
  while (chunk != chunks_.end() && chunk->first * chunk_bytes < end) {
    const uint64_t number = chunk->first;
    ++chunk;
    const uint64_t from = std::max(offset, number * chunk_bytes);
    const uint64_t to = std::min(end, (number + 1) * chunk_bytes);
    for_pages(from, to - from, [&](uint64_t page, uint64_t in_page, uint64_t here) {
      if (here == kPageBytes) {
        forget(page);
      } else if (find(page) != nullptr) {
        std::memset(writable(page).data() + in_page, static_cast<int>(fill_), here);
      }
    });
  }
}

void SparseImage::allocate(uint64_t offset, uint64_t length) {
  // All reserved pages share one until they are written.
  const auto reserved = std::make_shared<Page>();
  reserved->fill(fill_);
  for_pages(offset, length, [&](uint64_t page, uint64_t, uint64_t) {
    if (find(page) != nullptr) return;
    writable_chunk(page / kChunkPages).pages[page % kChunkPages] = reserved;
    ++present_pages_;
  });
  size_ = std::max(size_, offset + length);
}

uint64_t SparseImage::absent_pages(uint64_t offset, uint64_t length) const {
  uint64_t absent = 0;
  for_pages(offset, length,
            [&](uint64_t page, uint64_t, uint64_t) { absent += find(page) == nullptr ? 1 : 0; });
  return absent;
}

uint64_t SparseImage::next_present(uint64_t offset) const {
  const uint64_t first = offset / kPageBytes;
  for (auto chunk = chunks_.lower_bound(first / kChunkPages); chunk != chunks_.end(); ++chunk) {
    for (uint64_t i = 0; i < kChunkPages; ++i) {
      const uint64_t page = chunk->first * kChunkPages + i;
      if (page >= first && chunk->second->pages[i] != nullptr) {
        return std::max(offset, page * kPageBytes);
      }
    }
  }
  return UINT64_MAX;
}

std::string SparseImage::difference(const SparseImage& a, const SparseImage& b) {
  if (a.size_ != b.size_) {
    return "sizes differ: " + std::to_string(a.size_) + " and " + std::to_string(b.size_);
  }
  const auto compare = [&](const SparseImage& left, const SparseImage& right) {
    for (const auto& [number, chunk] : left.chunks_) {
      const auto other = right.chunks_.find(number);
      if (other != right.chunks_.end() && other->second == chunk) continue;
      for (uint64_t i = 0; i < kChunkPages; ++i) {
        const uint64_t page = number * kChunkPages + i;
        const Page* mine = left.find(page);
        if (mine == nullptr || mine == right.find(page)) continue;
        Page theirs;
        right.read(page * kPageBytes, theirs);
        const auto at = std::mismatch(mine->begin(), mine->end(), theirs.begin()).first;
        if (at != mine->end()) {
          const auto in_page = static_cast<uint64_t>(at - mine->begin());
          return "bytes differ at " + std::to_string(page * kPageBytes + in_page);
        }
      }
    }
    return std::string();
  };
  std::string found = compare(a, b);
  if (found.empty()) found = compare(b, a);
  if (found.empty() && a.fill_ != b.fill_) found = "the fill bytes differ";
  return found;
}

bool operator==(const SparseImage& a, const SparseImage& b) {
  return SparseImage::difference(a, b).empty();
}

}  // namespace rvmfs::test
