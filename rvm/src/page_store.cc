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

uint64_t home_offset(const PageImage& image) {
  return image.geometry.segment_offset + image.page * kPageBytes;
}

// As its hash table has it: 0 for a page of zeros.
uint64_t hash_or_zero(const PageImage& image) {
  const std::span<const std::byte> bytes(image.bytes.get(), kPageBytes);
  return all_zero(bytes) ? 0 : nonzero_hash(bytes, home_offset(image));
}

// The end of the run of neighbours that begins at `first`, all of which are `alike`.
template <typename Write, typename Alike>
size_t run_end(std::span<const Write> writes, size_t first, Alike&& alike) {
  size_t next = first + 1;
  while (next < writes.size() && writes[next].segment == writes[next - 1].segment &&
         writes[next].offset == writes[next - 1].offset + kPageBytes &&
         alike(writes[next - 1], writes[next])) {
    ++next;
  }
  return next;
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

Result<bool> PageStore::is_new(const Geometry& geometry, uint64_t page) {
  if (!geometry.hashed) return false;
  const Result<TablePtr> hashes = table(geometry, page);
  if (!hashes && hashes.error().code == Errc::damaged_page) return false;
  if (!hashes) return hashes.error();
  return (*hashes)->page.hashes[page % format::kHashesPerPage] == 0 ||
         RVM_SEEDED_BUG("old_pages_in_place");
}

Result<void> PageStore::write_new(std::span<PageImage> pages) {
  std::vector<HomeWrite> writes;
  for (PageImage& image : pages) {
    if (image.path != PageImage::Path::in_place) continue;
    image.hash = hash_or_zero(image);
    if (image.hash == 0) continue;  // write() gives its storage back
    writes.push_back({image.geometry.segment, home_offset(image), image.bytes.get()});
  }
  RVM_TRY(reserve(writes));
  RVM_TRY(write_pages(writes));
  for (PageImage& image : pages) {
    if (image.path != PageImage::Path::in_place) continue;
    image.path = PageImage::Path::home;
    image.bytes.reset();
  }
  return {};
}

Result<void> PageStore::flush_new(std::span<const PageImage> pages) {
  std::set<SegmentId> touched;
  for (const PageImage& image : pages) {
    if (image.path == PageImage::Path::home) touched.insert(image.geometry.segment);
  }
  if (RVM_SEEDED_BUG("new_pages_not_flushed")) return {};
  return flush_devices(touched);
}

Result<void> PageStore::write(std::vector<PageImage>& pages, uint64_t log_lsn,
                              format::StatusBlock& status) {
  RVM_TRY(flush_new(pages));
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
  size_t journaled = 0;
  for (size_t count = 0; count < pages.size(); ++count) {
    const Geometry& geometry = pages[count].geometry;
    if (geometry.hashed) {
      tables.emplace(geometry.segment, table_page_offset(geometry, pages[count].page));
    }
    if (pages[count].path == PageImage::Path::journal) ++journaled;
    if (journaled + tables.size() > area_.journal_pages()) return count;
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
    const uint64_t offset = home_offset(image);
    const bool at_home = image.path == PageImage::Path::home;
    if (geometry.hashed) {
      const TableId id{geometry.segment, table_page_offset(geometry, image.page)};
      TablePtr& copy = changed[id];
      if (!copy) {
        RVM_ASSIGN(const TablePtr current, table(geometry, image.page));
        copy = std::make_shared<Table>(*current);
        copy->fresh = false;
      }
      if (!at_home) image.hash = hash_or_zero(image);
      copy->page.hashes[image.page % format::kHashesPerPage] = image.hash;
      if (image.hash == 0) {
        discards.emplace_back(geometry.segment, offset);
        continue;
      }
    }
    if (!at_home) writes.push_back({geometry.segment, offset, image.bytes.get()});
  }
  for (auto& [id, copy] : changed) {
    copy->page.self_hash = self_hash(copy->page, id.second);
    if (RVM_SEEDED_BUG("table_not_in_batch") && writes.size() > 1) continue;
    writes.push_back({id.first, id.second, bytes_of(copy->page).data()});
  }
  std::sort(writes.begin(), writes.end(), [](const HomeWrite& a, const HomeWrite& b) {
    return std::pair(a.segment, a.offset) < std::pair(b.segment, b.offset);
  });
  RVM_TRY(reserve(writes));

  JournalHeader header{};
  header.magic = format::kJournalMagic;
  header.log_lsn = log_lsn;
  header.generation = status.generation;
  header.batch = status.journal_batch + 1;
  header.count = static_cast<uint32_t>(writes.size());
  std::vector<std::byte> journal((1 + writes.size()) * kPageBytes);
  for (size_t i = 0; i < writes.size(); ++i) {
    const std::span<std::byte> bytes = std::span(journal).subspan((1 + i) * kPageBytes, kPageBytes);
    std::memcpy(bytes.data(), writes[i].bytes, kPageBytes);
    header.entries[i] = {writes[i].segment, 0, writes[i].offset, hash64(bytes, writes[i].offset)};
    writes[i].bytes = bytes.data();
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

  RVM_ASSIGN(const std::set<SegmentId> touched, write_pages(writes));
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
Result<void> PageStore::reserve(std::span<const HomeWrite> writes) {
  for (size_t first = 0, next = 0; first < writes.size(); first = next) {
    next = run_end(writes, first, [](const HomeWrite&, const HomeWrite&) { return true; });
    RVM_ASSIGN(const std::shared_ptr<Device> device, segments_(writes[first].segment));
    if (!device->can_grow()) continue;
    RVM_TRY(device->allocate(writes[first].offset, (next - first) * kPageBytes));
  }
  return {};
}

// The devices are not flushed yet.
Result<std::set<SegmentId>> PageStore::write_pages(std::span<const HomeWrite> writes) {
  std::set<SegmentId> touched;
  for (size_t first = 0, next = 0; first < writes.size(); first = next) {
    next = run_end(writes, first, [](const HomeWrite& a, const HomeWrite& b) {
      return a.bytes + kPageBytes == b.bytes;
    });
    RVM_ASSIGN(const std::shared_ptr<Device> device, segments_(writes[first].segment));
    RVM_TRY(device->write(writes[first].offset,
                          std::span(writes[first].bytes, (next - first) * kPageBytes)));
    touched.insert(writes[first].segment);
  }
  return touched;
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
  std::vector<HomeWrite> writes;
  for (const JournalEntry& entry : batch.entries) {
    writes.push_back(
        {entry.segment, entry.offset, batch.pages.data() + writes.size() * kPageBytes});
  }
  RVM_ASSIGN(const std::set<SegmentId> touched, write_pages(writes));
  RVM_TRY(flush_devices(touched));
  pages_written_ += batch.entries.size();
  status.journal_batch = batch.number;
  return {};
}

}  // namespace rvm
