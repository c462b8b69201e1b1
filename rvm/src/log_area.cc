// SPDX-License-Identifier: BSD-2-Clause
//
// Status copies and circular addressing (see log_area.h).

#include "log_area.h"

#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "bytes.h"
#include "seeded_bug.h"

namespace rvm {
namespace {

using format::StatusBlock;

struct ParsedStatus {
  StatusBlock block;
  std::vector<SegmentName> segments;
};

uint32_t journal_pages_for(uint64_t log_bytes) {
  return static_cast<uint32_t>(std::clamp<uint64_t>(
      log_bytes / 8 / kPageBytes, format::kJournalPagesMin, format::kJournalPagesMax));
}

uint64_t record_bytes_for(uint64_t log_bytes, uint32_t journal_pages, uint32_t block_bytes) {
  return round_down(
      log_bytes - 2 * format::kStatusBytes - (1 + uint64_t{journal_pages}) * kPageBytes,
      block_bytes);
}

bool sane(const StatusBlock& s) {
  return s.block_bytes >= kSectorBytes && s.block_bytes <= kPageBytes &&
         std::has_single_bit(s.block_bytes) && s.log_bytes >= kLogBytesMin &&
         s.log_bytes <= (1ULL << 48) && s.journal_pages == journal_pages_for(s.log_bytes) &&
         s.record_bytes == record_bytes_for(s.log_bytes, s.journal_pages, s.block_bytes) &&
         s.head_lsn % s.block_bytes == 0 && s.head_lsn < (1ULL << 62);
}

std::vector<std::byte> serialize(StatusBlock block, const std::vector<SegmentName>& segments) {
  std::vector<std::byte> bytes(format::kStatusBytes);
  size_t used = sizeof(StatusBlock);
  for (const SegmentName& segment : segments) {
    store(std::span(bytes),
          format::SegmentEntry{segment.id, static_cast<uint32_t>(segment.name.size())}, used);
    used += sizeof(format::SegmentEntry);
    std::memcpy(bytes.data() + used, segment.name.data(), segment.name.size());
    used += round_up(segment.name.size(), 8);
  }
  block.segment_count = static_cast<uint32_t>(segments.size());
  block.bytes_used = static_cast<uint32_t>(used);
  block.hash = 0;
  store(std::span(bytes), block);
  block.hash = hash64(std::span(bytes).first(used), format::kStatusSeed);
  store(std::span(bytes), block);
  bytes.resize(round_up(used, kPageBytes));
  return bytes;
}

uint64_t serialized_bytes(const std::vector<SegmentName>& segments) {
  uint64_t used = sizeof(StatusBlock);
  for (const SegmentName& segment : segments) {
    used += sizeof(format::SegmentEntry) + round_up(segment.name.size(), 8);
  }
  return used;
}

bool parse_segments(std::span<const std::byte> bytes, uint32_t count,
                    std::vector<SegmentName>& out) {
  size_t at = sizeof(StatusBlock);
  for (uint32_t i = 0; i < count; ++i) {
    if (!within(at, sizeof(format::SegmentEntry), bytes.size())) return false;
    const auto entry = load<format::SegmentEntry>(bytes, at);
    at += sizeof(entry);
    if (entry.id == 0 || !within(at, round_up(entry.name_bytes, 8), bytes.size())) return false;
    out.push_back({entry.id, std::string(reinterpret_cast<const char*>(bytes.data() + at),
                                         entry.name_bytes)});
    at += round_up(entry.name_bytes, 8);
  }
  return at == bytes.size();
}

// nullopt: no valid copy here. `skew`: a copy of a newer version was seen; `magic`: ours at least.
std::optional<ParsedStatus> parse(std::span<std::byte> bytes, bool& skew, bool& magic) {
  auto block = load<StatusBlock>(bytes);
  if (block.magic != format::kStatusMagic) return std::nullopt;
  magic = true;
  if (block.bytes_used < sizeof(StatusBlock) || block.bytes_used > bytes.size())
    return std::nullopt;
  const uint64_t hash = block.hash;
  block.hash = 0;
  store(bytes, block);
  if (hash64(bytes.first(block.bytes_used), format::kStatusSeed) != hash) return std::nullopt;
  if (block.version != format::kLogVersion) {
    skew = true;
    return std::nullopt;
  }
  ParsedStatus parsed{block, {}};
  if (!sane(block) ||
      !parse_segments(bytes.first(block.bytes_used), block.segment_count, parsed.segments)) {
    return std::nullopt;
  }
  return parsed;
}

uint64_t random_generation() {
  uint64_t value = 0;
  while (getrandom(&value, sizeof(value), 0) != sizeof(value)) {
  }
  return value >> 1;  // room to grow
}

// With a chosen generation, units of an earlier log at this place could look like units of the new
// one.
Result<void> wipe(Device& device, const LogOptions& options) {
  if (device.can_grow()) return device.discard(options.offset, options.length);
  const std::vector<std::byte> zeros(1 << 20);
  for (uint64_t done = 0; done < options.length; done += zeros.size()) {
    const uint64_t count = std::min<uint64_t>(zeros.size(), options.length - done);
    RVM_TRY(device.write(options.offset + done, std::span(zeros).first(count)));
  }
  return device.flush();
}

}  // namespace

Result<void> LogArea::create(Device& device, const LogOptions& options) {
  if (options.offset % kPageBytes != 0 || options.length < kLogBytesMin ||
      options.length > (1ULL << 48) || options.block_bytes < kSectorBytes ||
      options.block_bytes > kPageBytes || !std::has_single_bit(options.block_bytes)) {
    return Error{Errc::invalid_argument, 0, options.length, "log offset, length or block size"};
  }
  if (options.generation != 0) RVM_TRY(wipe(device, options));
  RVM_TRY(device.allocate(options.offset, options.length));
  StatusBlock status{};
  status.magic = format::kStatusMagic;
  status.version = format::kLogVersion;
  status.counter = 1;
  status.log_bytes = options.length;
  status.block_bytes = options.block_bytes;
  status.journal_pages = journal_pages_for(options.length);
  status.record_bytes = record_bytes_for(options.length, status.journal_pages, options.block_bytes);
  status.generation = options.generation != 0 ? options.generation : random_generation();
  status.head_sequence = 1;
  const std::vector<std::byte> bytes = serialize(status, {});
  RVM_TRY(device.write(options.offset, bytes));
  RVM_TRY(device.write(options.offset + format::kStatusBytes, bytes));
  return device.flush();
}

Result<std::unique_ptr<LogArea>> LogArea::open(std::shared_ptr<Device> device, uint64_t offset) {
  std::unique_ptr<LogArea> area(new LogArea(std::move(device), offset));
  bool skew = false;
  bool magic = false;
  std::optional<ParsedStatus> copies[2];
  for (int i = 0; i < 2; ++i) {
    std::vector<std::byte> bytes(format::kStatusBytes);
    const auto read = area->device_->read(offset + i * format::kStatusBytes, bytes);
    if (read) copies[i] = parse(bytes, skew, magic);
    if (!read && i == 1 && !copies[0]) return read.error();
  }
  if (!copies[0] && !copies[1]) {
    if (skew) return Error{Errc::version_skew, 0, offset, "the log was written by a newer librvm"};
    if (magic) return Error{Errc::damaged_log, 0, offset, "both status blocks are damaged"};
    return Error{Errc::not_a_log, 0, offset, "no log here"};
  }
  area->copies_differed_ =
      !copies[0] || !copies[1] || copies[0]->block.counter != copies[1]->block.counter;
  const bool first =
      copies[0] && (!copies[1] || copies[0]->block.counter >= copies[1]->block.counter);
  // If only one copy is good, the next write must not begin with it: two crashes could lose both.
  area->stale_copy_ = area->copies_differed_ && first ? 1 : 0;
  area->status_ = copies[first ? 0 : 1]->block;
  area->segments_ = std::move(copies[first ? 0 : 1]->segments);
  area->record_bytes_ = area->status_.record_bytes;
  area->block_bytes_ = area->status_.block_bytes;
  area->journal_pages_ = area->status_.journal_pages;
  if (!area->device_->can_grow() &&
      !within(offset, area->status_.log_bytes, area->device_->size())) {
    return Error{Errc::damaged_log, 0, offset, "the device is shorter than its log"};
  }
  return area;
}

Result<void> LogArea::write_status(const StatusBlock& status,
                                   const std::vector<SegmentName>& segments) {
  if (serialized_bytes(segments) > format::kStatusBytes) {
    return Error{Errc::full, 0, segments.size(), "the log's table of segment names is full"};
  }
  StatusBlock next = status;
  next.counter = ++status_.counter;
  status_.journal_batch = std::max(status_.journal_batch, next.journal_batch);
  const std::vector<std::byte> bytes = serialize(next, segments);
  for (const uint64_t copy : {stale_copy_, 1 - stale_copy_}) {
    if (copy == 1 && RVM_SEEDED_BUG("status_one_copy")) continue;
    stale_copy_ = copy;
    RVM_TRY(device_->write(offset_ + copy * format::kStatusBytes, bytes));
    if (auto flushed = device_->flush(); !flushed) {
      // Whatever the host calls it: no second try is honest after a failed flush.
      Error error = flushed.error();
      error.code = Errc::io;
      return error;
    }
  }
  stale_copy_ = 0;
  status_ = next;
  segments_ = segments;
  return {};
}

uint64_t LogArea::records_offset() const {
  return journal_offset() + (1 + uint64_t{journal_pages_}) * kPageBytes;
}

uint64_t LogArea::unit_bytes_max() const {
  return std::min(format::kUnitBytesMax, round_down(record_bytes_ / 4, block_bytes_));
}

Result<void> LogArea::read(uint64_t lsn, std::span<std::byte> out) const {
  const uint64_t at = lsn % record_bytes_;
  uint64_t first = std::min<uint64_t>(out.size(), record_bytes_ - at);
  if (RVM_SEEDED_BUG("wrap_off_by_one_block") && first < out.size() && first > block_bytes_) {
    first -= block_bytes_;
  }
  RVM_TRY(device_->read(records_offset() + at, out.first(first)));
  if (first == out.size()) return {};
  return device_->read(records_offset(), out.subspan(first));
}

// not covered: only seeded bugs call it: records are written durably.
Result<void> LogArea::write(uint64_t lsn, std::span<const std::byte> in) const {
  const uint64_t at = lsn % record_bytes_;
  const uint64_t first = std::min<uint64_t>(in.size(), record_bytes_ - at);
  RVM_TRY(device_->write(records_offset() + at, in.first(first)));
  if (first == in.size()) return {};
  return device_->write(records_offset(), in.subspan(first));
}

Result<void> LogArea::prepare(uint64_t lsn, uint64_t length) const {
  static const std::vector<std::byte> zeros(256 * 1024);
  while (length > 0) {
    const uint64_t at = lsn % record_bytes_;
    const uint64_t piece = std::min({length, record_bytes_ - at, uint64_t{zeros.size()}});
    if (device_->first_hole(records_offset() + at, piece) < records_offset() + at + piece) {
      RVM_TRY(device_->write_durable(records_offset() + at, std::span(zeros).first(piece)));
    }
    lsn += piece;
    length -= piece;
  }
  return {};
}

Result<void> LogArea::write_durable(uint64_t lsn, std::span<const std::byte> in) const {
  if (RVM_SEEDED_BUG("log_flush_skipped")) return write(lsn, in);
  const uint64_t at = lsn % record_bytes_;
  const uint64_t first = std::min<uint64_t>(in.size(), record_bytes_ - at);
  RVM_TRY(device_->write_durable(records_offset() + at, in.first(first)));
  if (first == in.size()) return {};
  return device_->write_durable(records_offset(), in.subspan(first));
}

}  // namespace rvm
