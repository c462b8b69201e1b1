// SPDX-License-Identifier: BSD-2-Clause
//
// See memory_meter.h. What operator new does when malloc has nothing is as in the standard library:
// ask the new-handler, again and again, and throw if there is none.
#include "tests/images/memory_meter.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace rvmfs::test {
namespace {

std::atomic<uint64_t> in_use{0}, peak{0}, count{0};
std::atomic<uint64_t> fail_at{UINT64_MAX};

void* take(std::size_t size, std::size_t alignment) {
  for (;;) {
    void* memory = nullptr;
    if (count.fetch_add(1) < fail_at.load()) {
      memory = alignment <= alignof(std::max_align_t) ? std::malloc(size == 0 ? 1 : size)
                                                      : std::aligned_alloc(alignment, size);
    }
    if (memory != nullptr) {
      const uint64_t now =
          in_use.fetch_add(malloc_usable_size(memory)) + malloc_usable_size(memory);
      uint64_t most = peak.load();
      while (most < now && !peak.compare_exchange_weak(most, now)) {
      }
      return memory;
    }
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

void give(void* memory) {
  if (memory == nullptr) return;
  in_use.fetch_sub(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

uint64_t memory_in_use() { return in_use.load(); }
uint64_t memory_peak() { return peak.load(); }
void reset_memory_peak() { peak.store(in_use.load()); }
uint64_t allocations() { return count.load(); }
void fail_allocation(uint64_t nth) { fail_at.store(count.load() + nth); }
void stop_failing_allocations() { fail_at.store(UINT64_MAX); }

}  // namespace rvmfs::test

void* operator new(std::size_t size) { return rvmfs::test::take(size, 1); }
void* operator new[](std::size_t size) { return rvmfs::test::take(size, 1); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return rvmfs::test::take(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return rvmfs::test::take(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return rvmfs::test::take(size, 1);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return rvmfs::test::take(size, 1);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept { rvmfs::test::give(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { rvmfs::test::give(memory); }
void operator delete(void* memory) noexcept { rvmfs::test::give(memory); }
void operator delete[](void* memory) noexcept { rvmfs::test::give(memory); }
void operator delete(void* memory, std::size_t) noexcept { rvmfs::test::give(memory); }
void operator delete[](void* memory, std::size_t) noexcept { rvmfs::test::give(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { rvmfs::test::give(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { rvmfs::test::give(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  rvmfs::test::give(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  rvmfs::test::give(memory);
}
