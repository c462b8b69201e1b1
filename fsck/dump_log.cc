// SPDX-License-Identifier: BSD-2-Clause
//
// The log as text, for people: its status, then one line a unit and one line a record.
#include <fmt/format.h>

#include <ostream>

#include "fsck/check_state.h"
#include "fsck/log_reader.h"
#include "fsck/superblock_check.h"

namespace rvmfs::fsck {
namespace {

const char* record_name(rvm::format::RecordType type) {
  switch (type) {
    case rvm::format::RecordType::bytes: return "bytes";
    case rvm::format::RecordType::zeros: return "zeros";
    case rvm::format::RecordType::format: return "format";
    case rvm::format::RecordType::data: return "data";
    case rvm::format::RecordType::revoke: return "revoke";
  }
  return "?";
}

void dump_unit(const LogUnit& unit, std::ostream& out) {
  const auto& h = unit.header;
  out << fmt::format("unit lsn={} sequence={} bytes={} used={} records={} transactions={}{}\n",
                     h.lsn, h.sequence, h.unit_bytes, h.bytes_used, h.record_count, h.transactions,
                     (h.flags & rvm::format::kUnitContinues) != 0 ? " continues" : "");
  for (const LogUnit::Record& record : unit.records) {
    out << fmt::format("  {} at={} length={}\n", record_name(record.type),
                       unit.regions[record.region].segment_offset + record.offset, record.length);
  }
}

}  // namespace

rvm::Result<void> dump_log(rvm::Device& device, std::ostream& out) {
  FindingList findings;
  const CheckOptions options;
  CheckState state(device, options, findings);
  if (!check_superblock(state)) {
    return rvm::Error{rvm::Errc::damaged_structure, 0, 0, "the superblock is damaged"};
  }
  LogReader log(state.image, state.report, state.super.log_offset, state.super.log_bytes,
                state.super.chunk0_offset, state.super.volume_bytes);
  const bool opened = log.open();
  if (opened) {
    const auto& s = log.status();
    out << fmt::format("log offset={} bytes={} record_bytes={} block_bytes={} journal_pages={}\n",
                       state.super.log_offset, s.log_bytes, s.record_bytes, s.block_bytes,
                       s.journal_pages);
    out << fmt::format("status counter={} generation={} head_lsn={} head_sequence={} batch={}\n",
                       s.counter, s.generation, s.head_lsn, s.head_sequence, s.journal_batch);
    if (log.journal_pages_applied() != 0) {
      out << fmt::format("journal pages={}\n", log.journal_pages_applied());
    }
  }
  const bool whole = opened && log.replay([&](const LogUnit& unit) { dump_unit(unit, out); });
  if (!whole) {
    out << findings.text(true);
    return rvm::Error{rvm::Errc::damaged_log, 0, state.super.log_offset, "the log is damaged"};
  }
  out << fmt::format("end units={} bytes={}\n", log.units(), log.bytes());
  return {};
}

}  // namespace rvmfs::fsck
