// SPDX-License-Identifier: BSD-2-Clause
//
// The log's place on its device (layout: rvm/log_format.h): the two status copies, the page journal
// and the circular record area, addressed by LSN.
//
// Invariant: status() equals what is durable in both copies, except while write_status() runs, and
// after one that found no space (see there).
// Thread rules: reads and writes of records may run in parallel with each other; status() and
// segments() are read, and changed, by one thread at a time (the truncation lock).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rvm/device.h"
#include "rvm/log_format.h"
#include "rvm/rvm.h"

namespace rvm {

struct SegmentName {
  SegmentId id = 0;
  std::string name;
};

class LogArea {
 public:
  static Result<void> create(Device& device, const LogOptions& options);
  static Result<std::unique_ptr<LogArea>> open(std::shared_ptr<Device> device, uint64_t offset);

  const format::StatusBlock& status() const { return status_; }
  const std::vector<SegmentName>& segments() const { return segments_; }
  // A copy was damaged or older than the other when the log was opened.
  bool copies_differed() const { return copies_differed_; }

  // Writes both copies, a flush after each. On return the new status is durable.
  //
  // After no_space one of the copies may be old, new or torn, and the other is sound: both what it
  // says and what the new one says are true, as long as nobody uses the room behind the old head.
  // So it may be tried again, with this status or another: the next write begins with the copy in
  // doubt, and gives no number again (of the status, or of journal batches) that it may have. After
  // any other error nothing may be written any more.
  Result<void> write_status(const format::StatusBlock& status,
                            const std::vector<SegmentName>& segments);

  // Records, by LSN; wraps around the end of the area.
  Result<void> read(uint64_t lsn, std::span<std::byte> out) const;
  Result<void> write(uint64_t lsn, std::span<const std::byte> in) const;
  // They are durable when it returns. Errors: no_space: nothing was written; else as a failed
  // flush.
  Result<void> write_durable(uint64_t lsn, std::span<const std::byte> in) const;

  // Makes sure that the host need not find or mark storage when [lsn, lsn + length) is written:
  // writes zeros where nothing was ever written. Only for room that holds nothing any more.
  Result<void> prepare(uint64_t lsn, uint64_t length) const;

  uint64_t record_bytes() const { return record_bytes_; }
  uint32_t block_bytes() const { return block_bytes_; }
  uint32_t journal_pages() const { return journal_pages_; }
  // Does a range of the device touch the log itself?
  bool overlaps(uint64_t offset, uint64_t length) const {
    return offset < offset_ + status_.log_bytes && offset_ < offset + length;
  }
  // What is read of the log from now on comes from the medium.
  void forget_cached() const { device_->forget_cached(offset_, status_.log_bytes); }
  uint64_t unit_bytes_max() const;
  uint64_t journal_offset() const { return offset_ + 2 * format::kStatusBytes; }
  uint64_t records_offset() const;
  Device& device() const { return *device_; }

 private:
  LogArea(std::shared_ptr<Device> device, uint64_t offset)
      : device_(std::move(device)), offset_(offset) {}

  std::shared_ptr<Device> device_;
  uint64_t offset_;
  uint64_t record_bytes_ = 0;  // these three never change
  uint32_t block_bytes_ = 0, journal_pages_ = 0;
  format::StatusBlock status_{};
  std::vector<SegmentName> segments_;
  bool copies_differed_ = false;
  uint64_t stale_copy_ = 0;  // which copy the next status write begins with
};

}  // namespace rvm
