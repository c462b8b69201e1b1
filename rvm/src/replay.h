// SPDX-License-Identifier: BSD-2-Clause
//
// Replaying a stretch of the log onto home pages: the one piece of code behind recovery and epoch
// truncation. A stretch (epoch) is read, its records are gathered per page, and each page is read,
// patched and written home once.
//
// Applying the same stretch again gives the same pages, so it may be cut anywhere and repeated.
#pragma once

#include <map>
#include <vector>

#include "client_data.h"
#include "log_places.h"
#include "log_unit.h"
#include "page_store.h"

namespace rvm {

struct UnitPlace {
  uint64_t lsn;
  uint64_t sequence;
  uint32_t unit_bytes;
  uint32_t transactions;
  bool group_end;
};

// What a scan of the log from its head found.
struct LogScan {
  std::vector<UnitPlace> units;  // whole groups only
  uint64_t end_lsn = 0;          // behind the last whole group
  uint64_t next_sequence = 0;
  uint32_t last_unit_bytes = 0;
  bool tail_was_torn = false;
  // For recovery only:
  LoggedData data;                 // of whole groups
  std::vector<ReadUnit> contents;  // of the first of `units`
};

// Reads the units of a live log from the head to `end_lsn`; every one of them must be valid.
Result<LogScan> scan_live_log(const LogArea& area, uint64_t head_lsn, uint64_t head_sequence,
                              uint64_t end_lsn);
// For recovery: reads units from the head to where no valid one follows; damaged_log if one stands
// behind an invalid one, or if the log ends before `durable_lsn`. Checks every place that it names.
// Of the first units it keeps the contents, in whole groups, at most `keep_bytes` of log.
Result<LogScan> scan_found_log(const LogArea& area, uint64_t head_lsn, uint64_t head_sequence,
                               uint64_t durable_lsn, const LogPlaces& places, uint64_t keep_bytes);

struct ReplayResult {
  uint64_t pages = 0;
  uint64_t pages_damaged = 0;
};

// Applies the units (whole groups, in order) home; the log is durable up to `log_lsn`. `status`
// takes the journal's batch numbers. Data records are left out: scan_log() has them. In a live log,
// hash tables of formatted regions are in the store already, and may be newer than the record of
// their format; a damaged base page is an error (memory still has the page). In recovery such a
// page is counted and left damaged.
// `contents`, of the first of the units, are not read again.
enum class LogState : uint8_t { live, recovering };
Result<ReplayResult> replay(LogArea& area, PageStore& store, std::span<const UnitPlace> units,
                            std::vector<ReadUnit> contents, uint64_t log_lsn,
                            format::StatusBlock& status, LogState log_state);

// The longest prefix of whole groups with at most `bytes_max` of log, but at least one group.
size_t epoch_units(std::span<const UnitPlace> units, uint64_t bytes_max);

}  // namespace rvm
