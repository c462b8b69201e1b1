// SPDX-License-Identifier: BSD-2-Clause
//
// The spool: new values of lazy commits that are not in the log yet.
//
// With the inter-transaction optimisation a page of a region has at most one SpoolPage, and a byte
// that is committed twice is kept (and later logged) once. Without it, records are appended in
// order. Only committed bytes are ever in here, so a force can write them whatever transactions are
// open.
//
// Thread rules: guarded by the instance's mutex. A spool that was detached for a force belongs to
// the forcing thread.
#pragma once

#include <array>
#include <bit>
#include <memory>
#include <vector>

#include "log_unit.h"
#include "rvm/rvm.h"

namespace rvm {

struct SpoolPage {
  RegionState* region;
  uint64_t page;
  std::array<uint64_t, kPageBytes / 64> declared{};  // a bit for each committed byte
  std::array<std::byte, kPageBytes> bytes;

  // Copies [begin, begin + from.size()) in; returns how many bytes were not there before.
  uint64_t put(uint64_t begin, std::span<const std::byte> from);
  // Takes over bytes of an older page that this one does not have.
  void merge_older(const SpoolPage& older);
  // Calls sink(begin, end) for each run of declared bytes.
  template <typename Sink>
  void for_each_run(Sink&& sink) const;
};

struct SpoolRecord {
  RegionState* region;
  format::RecordType type;
  uint64_t offset, length;
  size_t bytes_at;  // in Spool::record_bytes
};

struct Spool {
  std::vector<std::unique_ptr<SpoolPage>> pages;
  std::vector<SpoolRecord> records;  // written before the pages
  std::vector<std::byte> record_bytes;
  uint64_t bytes = 0;  // upper bound of what it takes in the log
  uint32_t transactions = 0;
  bool after_device_writes = false;
  CommitTicket last_ticket = 0;

  bool empty() const { return transactions == 0; }
};

template <typename Sink>
void SpoolPage::for_each_run(Sink&& sink) const {
  constexpr uint64_t kBits = 64;
  uint64_t at = 0;
  const auto next = [&](uint64_t from, bool value) {
    while (from < kPageBytes) {
      uint64_t word = declared[from / kBits];
      if (!value) word = ~word;
      word >>= from % kBits;
      if (word != 0) return from + static_cast<uint64_t>(std::countr_zero(word));
      from = (from / kBits + 1) * kBits;
    }
    return kPageBytes;
  };
  while ((at = next(at, true)) < kPageBytes) {
    const uint64_t end = next(at, false);
    sink(at, end);
    at = end;
  }
}

}  // namespace rvm
