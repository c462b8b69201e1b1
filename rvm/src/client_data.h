// SPDX-License-Identifier: BSD-2-Clause
//
// Data that the client wrote to the log's device by itself (Rvm::note_write): file contents, say.
// They are at home already, in the host's cache; a force has to make them durable before, or
// together with, the transactions that refer to them. There are two ways:
//
//   flush   the whole device, before the log is written: one more wait for the medium
//   log     a copy of the bytes goes into the group; the home copy becomes durable with the next
//           truncation. For few bytes, as in write() + fsync(), this saves a flush.
//
// A logged copy stands in the log until the head has passed it ("live"), and recovery would write
// it home. So when its bytes change again, the force that makes the new ones durable either logs
// them too (the later record wins) or revokes the copy: recovery then leaves those bytes alone.
// As long as no force does, the copy counts: it is what was promised last.
// The same for bytes that are given another use (Rvm::note_reuse): else recovery would write old
// data over pages.
//
// Invariant: where the log has a copy that counts, home holds the same bytes, or newer ones that no
// force has promised yet.
//
// Thread rules: ClientData is guarded by Impl::mutex; the rest needs no lock.
#pragma once

#include <vector>

#include "log_unit.h"
#include "range_map.h"

namespace rvm {

// What one force has to see to.
struct ClientDataBatch {
  struct Range {
    uint64_t begin, end;
  };
  bool flush = false;          // the device, before the log is written
  std::vector<Range> logged;   // goes into the log, whole sectors
  std::vector<Range> revoked;  // of the live copies
  std::vector<Range> written;  // everything that was noted, for put_back
  std::vector<Range> reused;
  uint64_t note = 0;  // notes up to this one are covered

  bool writes_records() const { return !logged.empty() || !revoked.empty(); }
};

class ClientData {
 public:
  void note_write(uint64_t offset, uint64_t length);
  void note_reuse(uint64_t offset, uint64_t length);

  // For a force. Bytes are logged if they are at most `log_bytes_max`; otherwise the device is
  // flushed if `must` (a transaction or a caller waits for them), and left alone if not.
  ClientDataBatch take(bool must, uint64_t log_bytes_max);
  void put_back(const ClientDataBatch& batch);
  // The batch's records are durable in the group at `lsn`.
  void logged(const ClientDataBatch& batch, uint64_t lsn);

  // Has the log copies before `lsn` whose home may not be durable?
  bool has_live_before(uint64_t lsn) const;
  void head_advanced(uint64_t head_lsn);

  uint64_t last_note() const { return notes_; }
  size_t pending_ranges() const { return written_.count() + reused_.count(); }

 private:
  RangeMap<bool> written_, reused_;  // since the last take
  RangeMap<uint64_t> live_;          // LSN of the newest group with a copy of these bytes
  uint64_t notes_ = 0;
};

// Adds the batch's records to a group. The bytes are read back from the device. Errors: io.
Result<void> add_records(const ClientDataBatch& batch, Device& device, UnitBuilder& builder);

// What recovery found: for each byte its newest copy in the log, if that was not revoked.
class LoggedData {
 public:
  struct Piece {
    format::RecordType type;
    uint64_t offset, length;
    uint64_t lsn;  // of the bytes
  };
  // In log order.
  void add(const Piece& piece);
  // Writes every byte home. Errors: io.
  Result<void> write_home(const LogArea& area) const;
  bool empty() const { return newest_.empty(); }
  uint64_t bytes() const { return newest_.bytes(); }

 private:
  RangeMap<uint64_t> newest_;  // LSN minus offset: stays the same when a range is cut
};

}  // namespace rvm
