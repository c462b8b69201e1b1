// SPDX-License-Identifier: BSD-2-Clause
//
// Home pages, hash tables and the page journal (see page_store.h).

#include "page_store.h"

#include <algorithm>

#include "bytes.h"
#include "seeded_bug.h"

namespace rvm {

using format::HashTablePage;
using format::JournalEntry;
using format::JournalHeader;

namespace {

// Clean table pages kept in memory (4 KiB each).
constexpr size_t kTablesCachedMax = 2048;

std::span<std::byte> bytes_of(HashTablePage& page) {
  return std::as_writable_bytes(std::span(&page, 1));
}

uint64_t self_hash(HashTablePage& page, uint64_t offset) {
  return nonzero_hash(bytes_of(page).subspan(sizeof(uint64_t)), offset);
}

}  // namespace

PageStore::PageStore(LogArea& area, SegmentLookup segments)
    : area_(area), segments_(std::move(segments)) {}

Result<PageStore::TablePtr> PageStore::table(const Geometry& geometry, uint64_t page) {
  const TableId id{geometry.segment, table_page_offset(geometry, page)};
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = tables_.find(id); found != tables_.end()) return found->second;
  }
  auto loaded = std::make_shared<Table>();
  RVM_ASSIGN(const std::shared_ptr<Device> device, segments_(geometry.segment));
  RVM_TRY(device->read(id.second, bytes_of(loaded->page)));
  if (loaded->page.self_hash != self_hash(loaded->page, id.second)) {
    return Error{Errc::damaged_page, 0, id.second, "a page of hashes does not match its own hash"};
  }
  const std::lock_guard lock(mutex_);
  if (tables_.size() >= kTablesCachedMax) {
    std::erase_if(tables_, [](const auto& entry) { return !entry.second->fresh; });
  }
  // Somebody may have loaded or changed it meanwhile: theirs is at least as new.
  return tables_.try_emplace(id, std::move(loaded)).first->second;
}

Result<void> PageStore::load(const Geometry& geometry, uint64_t page, std::span<std::byte> out) {
  const uint64_t offset = geometry.segment_offset + page * kPageBytes;
  if (!geometry.hashed) {
    RVM_ASSIGN(const std::shared_ptr<Device> device, segments_(geometry.segment));
    return device->read(offset, out);
  }
  // A home write may replace content and hash together between our two looks: look again then.
  for (int attempt = 0;; ++attempt) {
    RVM_ASSIGN(const TablePtr before, table(geometry, page));
    const uint64_t expected = before->page.hashes[page % format::kHashesPerPage];
    if (expected == 0) {
      std::memset(out.data(), 0, out.size());
      return {};
    }
    RVM_ASSIGN(const std::shared_ptr<Device> device, segments_(geometry.segment));
    RVM_TRY(device->read(offset, out));
    if (nonzero_hash(out, offset) == expected || RVM_SEEDED_BUG("page_hash_ignored")) return {};
    RVM_ASSIGN(const TablePtr after, table(geometry, page));
    if (after->page.hashes[page % format::kHashesPerPage] == expected || attempt == 3) {
      return Error{Errc::damaged_page, 0, offset, "a page does not match its hash"};
    }
  }
}

bool PageStore::loads_without_device(const Geometry& geometry, uint64_t page) {
  if (!geometry.hashed) return false;
  const std::lock_guard lock(mutex_);
  const auto found = tables_.find({geometry.segment, table_page_offset(geometry, page)});
  return found != tables_.end() && found->second->page.hashes[page % format::kHashesPerPage] == 0;
}

void PageStore::forget_table(const Geometry& geometry) {
  if (!geometry.hashed) return;
  const std::lock_guard lock(mutex_);
  for (uint64_t page = 0; page < geometry.length / kPageBytes; page += format::kHashesPerPage) {
    tables_.erase({geometry.segment, table_page_offset(geometry, page)});
  }
}

void PageStore::format_table(const Geometry& geometry) {
  if (!geometry.hashed) return;
  const uint64_t pages = geometry.length / kPageBytes;
  const std::lock_guard lock(mutex_);
  for (uint64_t page = 0; page < pages; page += format::kHashesPerPage) {
    const TableId id{geometry.segment, table_page_offset(geometry, page)};
    auto fresh = std::make_shared<Table>();
    fresh->fresh = true;
    fresh->page.self_hash = self_hash(fresh->page, id.second);
    tables_[id] = std::move(fresh);
  }
}

Result<void> PageStore::write(std::vector<PageImage>& pages, uint64_t log_lsn,
                              format::StatusBlock& status) {
  std::span<PageImage> left(pages);
  while (!left.empty()) {
    const size_t count = batch_length(left);
    RVM_TRY(write_batch(left.first(count), log_lsn, status));
    left = left.subspan(count);
  }
  return {};
}

// As many pages as the journal holds together with their table pages.
size_t PageStore::batch_length(std::span<const PageImage> pages) const {
  std::set<TableId> tables;
  for (size_t count = 0; count < pages.size(); ++count) {
    const Geometry& geometry = pages[count].geometry;
    if (geometry.hashed) {
      tables.emplace(geometry.segment, table_page_offset(geometry, pages[count].page));
    }
    if (count + 1 + tables.size() > area_.journal_pages()) return count;
  }
  return pages.size();
}

Result<void> PageStore::write_batch(std::span<PageImage> pages, uint64_t log_lsn,
                                    format::StatusBlock& status) {
  // A batch that did not get home is whole in the journal only: it must stay there for recovery.
  if (home_incomplete_) {
    return Error{Errc::failed, 0, 0, "an earlier write of home pages failed"};
  }
  std::map<TableId, TablePtr> changed;
  std::vector<HomeWrite> writes;
  std::vector<std::pair<SegmentId, uint64_t>> discards;
  for (PageImage& image : pages) {
    const Geometry& geometry = image.geometry;
    const uint64_t offset = geometry.segment_offset + image.page * kPageBytes;
    const std::span<const std::byte> bytes(image.bytes.get(), kPageBytes);
    if (geometry.hashed) {
      const TableId id{geometry.segment, table_page_offset(geometry, image.page)};
      TablePtr& copy = changed[id];
      if (!copy) {
        RVM_ASSIGN(const TablePtr current, table(geometry, image.page));
        copy = std::make_shared<Table>(*current);
        copy->fresh = false;
      }
      const bool zero = all_zero(bytes);
      copy->page.hashes[image.page % format::kHashesPerPage] =
          zero ? 0 : nonzero_hash(bytes, offset);
      if (zero) {
        discards.emplace_back(geometry.segment, offset);
        continue;
      }
    }
    writes.push_back({geometry.segment, offset, image.bytes.get()});
  }
  for (auto& [id, copy] : changed) {
    copy->page.self_hash = self_hash(copy->page, id.second);
    if (RVM_SEEDED_BUG("table_not_in_batch") && writes.size() > 1) continue;
    writes.push_back({id.first, id.second, bytes_of(copy->page).data()});
  }

  RVM_TRY(reserve(writes));

  JournalHeader header{};
  header.magic = format::kJournalMagic;
  header.log_lsn = log_lsn;
  header.generation = status.generation;
  header.batch = status.journal_batch + 1;
  header.count = static_cast<uint32_t>(writes.size());
  std::vector<std::byte> journal((1 + writes.size()) * kPageBytes);
  for (size_t i = 0; i < writes.size(); ++i) {
    const std::span<const std::byte> bytes(writes[i].bytes, kPageBytes);
    header.entries[i] = {writes[i].segment, 0, writes[i].offset, hash64(bytes, writes[i].offset)};
    std::memcpy(journal.data() + (1 + i) * kPageBytes, bytes.data(), kPageBytes);
  }
  store(std::span(journal), header);
  header.hash = hash64(std::span(journal).first(kPageBytes), header.batch);
  store(std::span(journal), header);
  if (!RVM_SEEDED_BUG("journal_skipped")) {
    RVM_TRY(area_.device().write(area_.journal_offset(), journal));
  }
  // From here on: what a failed flush leaves behind is unknown, and later ones say nothing about
  // it.
  home_incomplete_ = true;
  if (!RVM_SEEDED_BUG("journal_skipped") && !RVM_SEEDED_BUG("journal_flush_skipped")) {
    RVM_TRY(area_.device().flush());
  }
  status.journal_batch = header.batch;

  std::set<SegmentId> touched;
  for (const HomeWrite& write : writes) {
    RVM_ASSIGN(const std::shared_ptr<Device> device, segments_(write.segment));
    RVM_TRY(device->write(write.offset, std::span(write.bytes, kPageBytes)));
    touched.insert(write.segment);
  }
  RVM_TRY(flush_devices(touched));
  home_incomplete_ = false;
  pages_written_ += writes.size();
  install(changed);
  // Only now: until the hash says "never written", the old content may be needed.
  for (const auto& [segment, offset] : discards) {
    RVM_ASSIGN(const std::shared_ptr<Device> device, segments_(segment));
    RVM_TRY(device->discard(offset, kPageBytes));
  }
  return {};
}

// Pages of zeros have no storage on the host. Where one gets bytes again and the host is full, that
// must show before the batch is begun: a batch that got home in part poisons everything.
Result<void> PageStore::reserve(std::vector<HomeWrite> writes) {
  std::sort(writes.begin(), writes.end(), [](const HomeWrite& a, const HomeWrite& b) {
    return std::pair(a.segment, a.offset) < std::pair(b.segment, b.offset);
  });
  for (size_t first = 0, next = 0; first < writes.size(); first = next) {
    uint64_t end = writes[first].offset;
    for (next = first; next < writes.size() && writes[next].segment == writes[first].segment &&
                       writes[next].offset == end;
         ++next) {
      end += kPageBytes;
    }
    RVM_ASSIGN(const std::shared_ptr<Device> device, segments_(writes[first].segment));
    if (!device->can_grow()) continue;
    RVM_TRY(device->allocate(writes[first].offset, end - writes[first].offset));
  }
  return {};
}

void PageStore::install(std::map<TableId, TablePtr>& changed) {
  const std::lock_guard lock(mutex_);
  for (auto& [id, copy] : changed) tables_[id] = std::move(copy);
}

Result<void> PageStore::flush_devices(const std::set<SegmentId>& segments) {
  if (RVM_SEEDED_BUG("home_flush_skipped")) return {};
  std::set<Device*> devices;
  for (const SegmentId segment : segments) {
    if (!devices.empty() && RVM_SEEDED_BUG("other_devices_not_flushed")) break;
    RVM_ASSIGN(const std::shared_ptr<Device> device, segments_(segment));
    if (devices.insert(device.get()).second) RVM_TRY(device->flush());
  }
  return {};
}

Result<JournalBatch> PageStore::read_journal(const format::StatusBlock& status) const {
  std::vector<std::byte> page(kPageBytes);
  RVM_TRY(area_.device().read(area_.journal_offset(), page));
  auto header = rvm::load<JournalHeader>(page);
  if (header.magic != format::kJournalMagic || header.generation != status.generation ||
      header.count > area_.journal_pages()) {
    return JournalBatch{};
  }
  const uint64_t hash = header.hash;
  header.hash = 0;
  store(std::span(page), header);
  if (hash64(page, header.batch) != hash) return JournalBatch{};
  const JournalBatch none{.log_lsn = header.log_lsn};
  if (header.batch <= status.journal_batch) return none;
  JournalBatch batch{.log_lsn = header.log_lsn,
                     .number = header.batch,
                     .entries = {header.entries, header.entries + header.count},
                     .pages = std::vector<std::byte>(header.count * kPageBytes)};
  RVM_TRY(area_.device().read(area_.journal_offset() + kPageBytes, batch.pages));
  for (uint32_t i = 0; i < header.count; ++i) {
    const auto bytes = std::span(batch.pages).subspan(i * kPageBytes, kPageBytes);
    // Not all of the batch arrived: then nothing of it went home.
    const bool arrived = hash64(bytes, header.entries[i].offset) == header.entries[i].hash;
    if (!arrived && !RVM_SEEDED_BUG("journal_hash_ignored")) return none;
  }
  return batch;
}

Result<void> PageStore::write_home(const JournalBatch& batch, format::StatusBlock& status) {
  if (batch.entries.empty()) return {};
  std::set<SegmentId> touched;
  for (size_t i = 0; i < batch.entries.size(); ++i) {
    const JournalEntry& entry = batch.entries[i];
    RVM_ASSIGN(const std::shared_ptr<Device> device, segments_(entry.segment));
    const auto bytes = std::span(batch.pages).subspan(i * kPageBytes, kPageBytes);
    RVM_TRY(device->write(entry.offset, bytes));
    touched.insert(entry.segment);
  }
  RVM_TRY(flush_devices(touched));
  pages_written_ += batch.entries.size();
  status.journal_batch = batch.number;
  return {};
}

}  // namespace rvm
