// SPDX-License-Identifier: BSD-2-Clause
//
// Reads a log (rvm/log_format.h) with its own eyes and lays what it says over the image.
//
//   open()    the valid status copy with the higher counter, then the page journal
//   replay()  the units from the head on; a group counts if its last unit is there
//
// What stands behind the last valid unit is a torn tail (dropped, a note) or, if a valid later unit
// of this log stands within reach, damage in the middle (nothing is judged then). Damage too, if
// the page journal notes that the log was durable beyond that place.
//
// Bounded memory: the units of the log are kept (at most kLogBytesKeptMax), and the image's
// patches.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "fsck/image.h"
#include "fsck/report.h"
#include "rvm/log_format.h"

namespace rvmfs::fsck {

// A unit whose hash is right and whose records have been checked.
struct LogUnit {
  rvm::format::UnitHeader header;
  std::vector<rvm::format::RegionEntry> regions;
  struct Record {
    rvm::format::RecordType type;
    uint32_t region;
    uint64_t offset, length;  // in the region, bytes
    const std::byte* data;    // types that carry bytes only; points into the unit's bytes
  };
  std::vector<Record> records;
};

class LogReader {
 public:
  static constexpr uint64_t kLogBytesKeptMax = 2ull << 30;

  // The log lies at [offset, offset + length) of the image; chunks and blocks lie between
  // `chunk0_offset` and `volume_bytes`.
  LogReader(Image& image, Report& report, uint64_t offset, uint64_t length, uint64_t chunk0_offset,
            uint64_t volume_bytes)
      : image_(image),
        report_(report),
        offset_(offset),
        length_(length),
        chunk0_offset_(chunk0_offset),
        volume_bytes_(volume_bytes) {}

  // False: the log cannot be used (reported).
  bool open();
  // Calls `seen` (if any) for every valid unit, whether its group counts or not, then applies the
  // groups that count. False: damage (reported).
  bool replay(const std::function<void(const LogUnit&)>& seen = {});

  const rvm::format::StatusBlock& status() const { return status_; }
  bool status_copy_damaged() const { return status_copy_damaged_; }
  uint64_t units() const { return units_; }  // valid ones
  uint64_t bytes() const { return bytes_; }  // of them
  uint64_t journal_pages_applied() const { return journal_pages_; }

 private:
  enum class UnitState : uint8_t { valid, invalid, unreadable };

  bool read_status(uint64_t at, rvm::format::StatusBlock& out);
  bool status_is_sane();
  bool read_journal();
  UnitState read_unit(uint64_t lsn, uint64_t sequence_min, bool exact,
                      rvm::format::UnitHeader& header, std::vector<std::byte>& bytes);
  bool header_is_sane(const rvm::format::UnitHeader& header, uint64_t lsn) const;
  rvm::Result<void> read_records(uint64_t lsn, std::span<std::byte> out) const;
  // `unreadable`: a place where one could stand cannot be read.
  bool later_unit_follows(uint64_t lsn, uint64_t sequence, bool& unreadable);
  bool parse(std::span<const std::byte> bytes, LogUnit& unit);
  bool region_is_sane(const rvm::format::RegionEntry& region, uint64_t lsn);
  bool data_is_sane(const rvm::format::RecordHeader& record) const;
  bool apply(const LogUnit& unit);
  bool too_many();
  uint64_t unit_bytes_max() const;

  Image& image_;
  Report& report_;
  const uint64_t offset_, length_, chunk0_offset_, volume_bytes_;
  rvm::format::StatusBlock status_{};
  bool status_copy_damaged_ = false;
  uint64_t record_area_ = 0;  // offset in the image
  uint64_t durable_lsn_ = 0;  // as the page journal notes
  uint64_t units_ = 0, bytes_ = 0, journal_pages_ = 0;
};

}  // namespace rvmfs::fsck
