// SPDX-License-Identifier: BSD-2-Clause
//
// Data that the client wrote by itself (see client_data.h).

#include "client_data.h"

#include <algorithm>

#include "bytes.h"
#include "seeded_bug.h"

namespace rvm {
namespace {

const Geometry kWholeDevice{0, 0, format::kDeviceRegionBytes, false, 0, true};

template <typename Value>
std::vector<ClientDataBatch::Range> list(const RangeMap<Value>& map) {
  std::vector<ClientDataBatch::Range> ranges;
  for (const auto& [begin, rest] : map.ranges()) ranges.push_back({begin, rest.end});
  return ranges;
}

}  // namespace

void ClientData::note_write(uint64_t offset, uint64_t length) {
  written_.set(offset, offset + length, true);
  reused_.erase(offset, offset + length);
  ++notes_;
}

void ClientData::note_reuse(uint64_t offset, uint64_t length) {
  reused_.set(offset, offset + length, true);
  written_.erase(offset, offset + length);
  ++notes_;
}

ClientDataBatch ClientData::take(bool must, uint64_t log_bytes_max) {
  ClientDataBatch batch;
  // Records are of whole sectors: the one at an edge may be torn at home, and then needs all of its
  // bytes; and a flush makes all of them durable.
  RangeMap<bool> sectors;
  for (const auto& [begin, rest] : written_.ranges()) {
    sectors.set(round_down(begin, kSectorBytes), round_up(rest.end, kSectorBytes), true);
  }
  const bool few = sectors.bytes() <= log_bytes_max;
  batch.reused = list(reused_);
  reused_ = {};
  if (few || must) {
    batch.note = notes_;
    batch.written = list(written_);
    written_ = {};
  }
  RangeMap<bool> revoked;
  const auto revoke = [&](const std::vector<ClientDataBatch::Range>& ranges) {
    for (const ClientDataBatch::Range& range : ranges) {
      live_.for_each_within(range.begin, range.end, [&](uint64_t begin, uint64_t end, uint64_t) {
        revoked.set(begin, end, true);
      });
    }
  };
  revoke(batch.reused);
  if (few) {
    batch.logged = list(sectors);
  } else if (must || RVM_SEEDED_BUG("revoked_without_flush")) {
    batch.flush = must;
    revoke(list(sectors));
  }
  if (!RVM_SEEDED_BUG("revoke_forgotten")) batch.revoked = list(revoked);
  return batch;
}

void ClientData::put_back(const ClientDataBatch& batch) {
  // What was noted since is newer.
  const RangeMap<bool> newer_written = std::move(written_);
  const RangeMap<bool> newer_reused = std::move(reused_);
  written_ = {};
  reused_ = {};
  for (const auto& range : batch.reused) reused_.set(range.begin, range.end, true);
  for (const auto& range : batch.written) written_.set(range.begin, range.end, true);
  for (const auto& [begin, rest] : newer_reused.ranges()) {
    reused_.set(begin, rest.end, true);
    written_.erase(begin, rest.end);
  }
  for (const auto& [begin, rest] : newer_written.ranges()) {
    written_.set(begin, rest.end, true);
    reused_.erase(begin, rest.end);
  }
}

void ClientData::logged(const ClientDataBatch& batch, uint64_t lsn) {
  for (const auto& range : batch.revoked) live_.erase(range.begin, range.end);
  for (const auto& range : batch.logged) live_.set(range.begin, range.end, lsn);
}

bool ClientData::has_live_before(uint64_t lsn) const {
  return std::any_of(live_.ranges().begin(), live_.ranges().end(),
                     [lsn](const auto& range) { return range.second.value < lsn; });
}

void ClientData::head_advanced(uint64_t head_lsn) {
  live_.erase_if([head_lsn](uint64_t lsn) { return lsn < head_lsn; });
}

Result<void> add_records(const ClientDataBatch& batch, Device& device, UnitBuilder& builder) {
  std::vector<std::byte> bytes;
  for (const auto& range : batch.revoked) {
    builder.add(&kWholeDevice, kWholeDevice, format::RecordType::revoke, range.begin,
                range.end - range.begin, nullptr);
  }
  for (const auto& range : batch.logged) {
    // The last sector of a file may be cut short.
    const uint64_t end = std::min(range.end, device.size());
    if (end <= range.begin) continue;
    bytes.resize(end - range.begin);
    RVM_TRY(device.read(range.begin, bytes));
    builder.add(&kWholeDevice, kWholeDevice, format::RecordType::data, range.begin, bytes.size(),
                bytes.data());
  }
  return {};
}

void LoggedData::add(const Piece& piece) {
  const uint64_t end = piece.offset + piece.length;
  if (piece.type == format::RecordType::revoke) {
    newest_.erase(piece.offset, end);
  } else {
    newest_.set(piece.offset, end, piece.lsn - piece.offset);
  }
}

Result<void> LoggedData::write_home(const LogArea& area) const {
  constexpr uint64_t kPieceMax = 1 << 20;
  std::vector<std::byte> bytes;
  for (const auto& [begin, rest] : newest_.ranges()) {
    for (uint64_t at = begin; at < rest.end; at += bytes.size()) {
      bytes.resize(std::min(kPieceMax, rest.end - at));
      RVM_TRY(area.read(rest.value + at, bytes));
      RVM_TRY(area.device().write(at, bytes));
    }
  }
  return {};
}

}  // namespace rvm
