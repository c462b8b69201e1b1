// SPDX-License-Identifier: BSD-2-Clause
//
// Which places recovery may write to on behalf of a log. A hash says that a log is undamaged, not
// that its maker meant well: so every place that the log or its page journal names is checked, and
// all of them before recovery writes anything at all.
//
// librvm itself refuses what no log of its own can hold: a segment that the log does not know,
// places beyond the end of a device, the log itself. What else a client's log may speak of, only
// the client knows (Options::log_may_name).
//
// Thread rules: as an int.
#pragma once

#include <functional>

#include "log_area.h"
#include "log_unit.h"
#include "rvm/rvm.h"

namespace rvm {

// Segment devices by id.
using SegmentLookup = std::function<Result<std::shared_ptr<Device>>(SegmentId)>;

class LogPlaces {
 public:
  LogPlaces(const LogArea& area, SegmentLookup segments,
            std::function<bool(const LogPlace&)> client, bool in_memory)
      : area_(area),
        segments_(std::move(segments)),
        client_(std::move(client)),
        in_memory_(in_memory) {}

  // Errors: damaged_log with the LSN, no_segment, and what opening a segment gives.
  Result<void> check_region(const Geometry& region, uint64_t lsn) const;
  Result<void> check_data(uint64_t offset, uint64_t length, uint64_t lsn) const;
  // A page of the page journal.
  Result<void> check_page(SegmentId segment, uint64_t offset) const;

 private:
  Result<bool> possible(SegmentId segment, uint64_t offset, uint64_t length) const;
  bool client_agrees(const LogPlace& place) const { return !client_ || client_(place); }

  const LogArea& area_;
  const SegmentLookup segments_;
  const std::function<bool(const LogPlace&)> client_;
  const bool in_memory_;  // nothing is written, so the end of a file that could grow is no limit
};

}  // namespace rvm
