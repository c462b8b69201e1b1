// SPDX-License-Identifier: BSD-2-Clause
//
// Regions: mapping, demand loading, the NoWait scope, reserved address ranges.

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "bytes.h"
#include "instance.h"

namespace rvm {
namespace {

thread_local NoWait* current_scope = nullptr;

Result<std::byte*> map_memory(uint64_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return Error{Errc::out_of_memory, errno, bytes, "the host gives no address space"};
  }
  // Pages are loaded and dropped one by one; a huge page would undo both.
  (void)madvise(memory, bytes, MADV_NOHUGEPAGE);
  return static_cast<std::byte*>(memory);
}

Error closed_error() { return Error{Errc::failed, 0, 0, "the instance is closed"}; }

}  // namespace

// ---- AddressRange
// --------------------------------------------------------------------------------

Result<AddressRange> AddressRange::reserve(uint64_t bytes) {
  AddressRange range;
  RVM_ASSIGN(range.base_, map_memory(round_up(bytes, kPageBytes)));
  range.bytes_ = round_up(bytes, kPageBytes);
  return range;
}

AddressRange::AddressRange(AddressRange&& other) noexcept { *this = std::move(other); }

AddressRange& AddressRange::operator=(AddressRange&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

AddressRange::~AddressRange() {
  if (base_ != nullptr) munmap(base_, bytes_);
}

// ---- NoWait
// --------------------------------------------------------------------------------------

NoWait::NoWait() { current_scope = this; }
NoWait::~NoWait() { current_scope = nullptr; }
NoWait* NoWait::current() {
  return current_scope != nullptr && !current_scope->suspended_ ? current_scope : nullptr;
}
void NoWait::note(Region& region, uint64_t offset, uint64_t length) {
  missing_.push_back({&region, offset, length});
}

Result<void> NoWait::load_missing() {
  suspended_ = true;
  Result<void> result;
  for (const Missing& missing : missing_) {
    if (const auto read = missing.region->read(missing.offset, missing.length); !read) {
      result = read.error();
      break;
    }
  }
  missing_.clear();
  suspended_ = false;
  return result;
}

// ---- Region
// --------------------------------------------------------------------------------------

Region::Region() : state_(std::make_unique<RegionState>()) {}

Region::~Region() {
  if (state_->owns_memory) munmap(base_, length_);
  if (state_->shadow != nullptr) munmap(state_->shadow, length_);
}

Result<const std::byte*> Region::read(uint64_t offset, uint64_t length) {
  RVM_TRY(state_->impl->make_resident(*state_, offset, length));
  return base_ + offset;
}

Result<void> Rvm::Impl::make_resident(RegionState& region, uint64_t offset, uint64_t length) {
  if (!within(offset, length, region.region->length())) {
    return Error{Errc::out_of_range, 0, offset, "outside the region"};
  }
  if (length == 0) return {};
  constexpr uint8_t kBoth = PageState::kResident | PageState::kAccessed;
  for (uint64_t page = offset / kPageBytes; page <= (offset + length - 1) / kPageBytes; ++page) {
    std::atomic<uint8_t>& flags = region.pages[page].flags;
    const uint8_t now = flags.load(std::memory_order_acquire);
    if ((now & PageState::kResident) != 0) {
      if ((now & PageState::kAccessed) == 0) flags.store(kBoth, std::memory_order_release);
      continue;
    }
    NoWait* const scope = NoWait::current();
    if (scope != nullptr && !store->loads_without_device(region.geometry, page)) {
      scope->note(*region.region, page * kPageBytes, kPageBytes);
      return Error{Errc::not_resident, 0, offset, "the page must be read first"};
    }
    RVM_TRY(load_page(region, page));
  }
  return {};
}

Result<void> Rvm::Impl::load_page(RegionState& region, uint64_t page) {
  alignas(kPageBytes) std::byte buffer[kPageBytes];
  for (;;) {
    const uint64_t epoch = drop_epoch.load(std::memory_order_acquire);
    const Result<void> loaded = store->load(region.geometry, page, buffer);
    const std::lock_guard lock(mutex);
    PageState& state = region.pages[page];
    if ((state.flags.load(std::memory_order_relaxed) & PageState::kResident) != 0) return {};
    // A page that was loaded, changed, written home and dropped since we read would come back old.
    if (epoch != drop_epoch.load(std::memory_order_relaxed)) continue;
    // Not before: while another thread's change of the page was on its way home, what we read and
    // the hash that we compared it with need not belong together.
    RVM_TRY(loaded);
    std::memcpy(region.page_bytes(page), buffer, kPageBytes);
    if (region.shadow != nullptr) {
      std::memcpy(region.shadow + page * kPageBytes, buffer, kPageBytes);
    }
    state.flags.store(PageState::kResident | PageState::kAccessed, std::memory_order_release);
    resident_pages.fetch_add(1, std::memory_order_relaxed);
    ++stats.pages_loaded;
    return {};
  }
}

bool Rvm::Impl::overlaps_mapped(const Region& region) const {
  const std::byte* const end = region.base() + region.length();
  if (auto next = regions_by_address.lower_bound(end); next != regions_by_address.begin()) {
    const Region& before = *std::prev(next)->second;
    if (before.base() + before.length() > region.base()) return true;
  }
  const SegmentId segment = region.state_->geometry.segment;
  const uint64_t end_offset = region.segment_offset() + region.length();
  if (auto next = regions_by_bytes.lower_bound({segment, end_offset});
      next != regions_by_bytes.begin()) {
    const auto& [key, before] = *std::prev(next);
    if (key.first == segment && key.second + before->length() > region.segment_offset())
      return true;
  }
  return false;
}

Result<Region*> Rvm::map(const RegionOptions& options) {
  if (impl_->closed) return closed_error();
  if (options.length == 0 || options.length % kPageBytes != 0 || options.offset % kPageBytes != 0 ||
      options.hash_table_offset % kPageBytes != 0 || options.offset > (1ULL << 62) ||
      options.length > (1ULL << 62) ||
      reinterpret_cast<uintptr_t>(options.address) % kPageBytes != 0) {
    return Error{Errc::invalid_argument, 0, options.offset,
                 "a region begins and ends at multiples of the page size"};
  }
  RVM_TRY(impl_->segment(options.segment));
  std::unique_ptr<Region> region(new Region());
  RegionState& state = *region->state_;
  region->length_ = options.length;
  region->segment_offset_ = options.offset;
  if (options.address != nullptr) {
    region->base_ = static_cast<std::byte*>(options.address);
    state.address_owner = options.address_owner;
  } else {
    RVM_ASSIGN(region->base_, map_memory(options.length));
    state.owns_memory = true;
  }
  if (impl_->options.check_undeclared) {
    RVM_ASSIGN(state.shadow, map_memory(options.length));
  }
  state.impl = impl_.get();
  state.region = region.get();
  state.geometry = {options.segment, options.offset, options.length, options.hashed,
                    options.hash_table_offset};
  state.page_count = options.length / kPageBytes;
  state.pages = std::make_unique<PageState[]>(state.page_count);
  state.droppable = options.load == Load::demand;
  Region* mapped = region.get();
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->overlaps_mapped(*region)) {
      return Error{Errc::overlap, 0, options.offset, "overlaps a mapped region"};
    }
    impl_->regions_by_address[region->base_] = mapped;
    impl_->regions_by_bytes[{options.segment, options.offset}] = mapped;
    impl_->regions.push_back(std::move(region));
  }
  if (options.load == Load::eager) {
    if (auto loaded = impl_->make_resident(*mapped->state_, 0, options.length); !loaded) {
      // not covered: nobody else knows the region, so nobody has changed it.
      RVM_TRY(unmap(mapped));
      return loaded.error();
    }
  }
  return mapped;
}

Result<void> Rvm::unmap(Region* region) {
  // The truncation lock: no page of the region is being written home.
  const std::lock_guard truncating(impl_->truncate_mutex);
  const std::lock_guard lock(impl_->mutex);
  const auto found = std::find_if(impl_->regions.begin(), impl_->regions.end(),
                                  [&](const auto& mapped) { return mapped.get() == region; });
  if (found == impl_->regions.end()) {
    return Error{Errc::not_mapped, 0, 0, "not a region of this instance"};
  }
  const RegionState& state = *region->state_;
  uint64_t resident = 0;
  for (uint64_t page = 0; page < state.page_count; ++page) {
    const PageState& p = state.pages[page];
    if (!p.quiescent() || p.first_lsn != kNoLsn) {
      return Error{Errc::uncommitted, 0, page * kPageBytes,
                   "the region has bytes that are not home: end transactions and truncate first"};
    }
    resident += p.flags & PageState::kResident;
  }
  // (Bytes that an open transaction has declared are in pages that are not quiescent.)
  for (const TransactionState* tx : impl_->open) {
    if (std::find(tx->formats.begin(), tx->formats.end(), &state) != tx->formats.end()) {
      return Error{Errc::uncommitted, 0, 0, "an open transaction has formatted the region"};
    }
  }
  impl_->resident_pages.fetch_sub(resident);
  impl_->drop_epoch.fetch_add(1);
  // Memory that the client reserved is given back empty.
  if (!state.owns_memory && state.droppable) {
    (void)madvise(region->base_, region->length_, MADV_DONTNEED);
  }
  impl_->regions_by_address.erase(region->base_);
  impl_->regions_by_bytes.erase({state.geometry.segment, state.geometry.segment_offset});
  impl_->regions.erase(found);
  impl_->clock_region = 0;
  impl_->clock_page = 0;
  return {};
}

}  // namespace rvm
