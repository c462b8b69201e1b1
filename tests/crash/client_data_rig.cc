// SPDX-License-Identifier: BSD-2-Clause
//
// See client_data_rig.h.
#include "tests/crash/client_data_rig.h"

#include <cstring>

#include "tests/support/bytes.h"

namespace rvmfs::test {
namespace {

constexpr uint64_t kLogBytes = 384 * 1024;
constexpr uint64_t kRefsOffset = kLogBytes;  // a region: for each block, a write it must have
constexpr uint64_t kDataOffset = kRefsOffset + rvm::kPageBytes;
constexpr uint64_t kBlocks = kClientBlocks;
constexpr uint64_t kSectors = kClientSectors;
constexpr uint64_t kReusedBlocks = 4;  // the last ones become a region
constexpr uint64_t kReusedBytes = kReusedBlocks * rvm::kPageBytes;
constexpr uint64_t kReusedOffset = kDataOffset + (kBlocks - kReusedBlocks) * rvm::kPageBytes;
constexpr uint64_t kDeviceBytes = kDataOffset + kBlocks * rvm::kPageBytes;
constexpr size_t kReusedFlag = kBlocks;  // in the region of references
constexpr std::byte kReusedFill{0x5a};
constexpr std::byte kCanary{0xc5};

Bytes sector_bytes(uint64_t sector, size_t write) {
  if (write == 0) return Bytes(rvm::kSectorBytes, kCanary);
  Bytes bytes = pattern(rvm::kSectorBytes, write * kSectors + sector);
  std::memcpy(bytes.data(), &write, sizeof write);
  return bytes;
}

std::string why(const rvm::Error& error) { return rvm::describe(error); }

}  // namespace

ClientRig::ClientRig(uint64_t seed)
    : random_(seed),
      ensemble_({SparseImage(kDeviceBytes, kCanary)}, false),
      fault_(std::make_shared<FaultDevice>(ensemble_.device(0))) {
  fault_->when_flush_fails([this] { ensemble_.flush_failed(0); });
}

std::string ClientRig::run(int steps) {
  for (int i = 0; i < steps; ++i) {
    const std::string failure = step(i == steps * 3 / 4);
    if (failure.empty()) continue;
    if (fault_->faults() == 0) return failure;
    if (account_.refused++ == 0) account_.refused_at = event_count();
  }
  account_.statistics = rvm_->statistics();
  account_.history = ensemble_.history();
  rvm_->abandon();
  return "";
}

std::string ClientRig::open() {
  const rvm::LogOptions log{.length = kLogBytes, .generation = 1000};  // equal runs, equal events
  if (const auto made = rvm::Rvm::create_log(*fault_, log); !made) return why(made.error());
  auto rvm = rvm::Rvm::initialize({.log_device = fault_, .background = false});
  if (!rvm) return why(rvm.error());
  rvm_ = std::move(*rvm);
  const auto refs = rvm_->map({.offset = kRefsOffset, .length = rvm::kPageBytes});
  if (!refs) return why(refs.error());
  refs_ = *refs;
  rvm::Transaction tx = rvm_->begin();
  if (const auto made = tx.format(*refs_); !made) return why(made.error());
  if (const auto ended = tx.end(rvm::Commit::flush); !ended) return why(ended.error());
  if (const auto moved = rvm_->truncate(); !moved) return why(moved.error());
  ensemble_.restart();
  return "";
}

std::string ClientRig::step(bool reuse) {
  if (reuse) return reuse_blocks();
  switch (random_() % 16) {
    case 0:
    case 1: return flush();
    case 2: return truncate();
    case 3: return write(kSectors / 2);  // more than goes through the log
    case 4: return log_data_alone_and_truncate();
    default: return write(24);
  }
}

std::string ClientRig::write(uint64_t sectors_max, Refer refers) {
  const uint64_t usable = kSectors - (reused_ ? kReusedBlocks * 8 : 0);
  const uint64_t count = 1 + random_() % sectors_max;
  const uint64_t first = random_() % (usable - std::min(count, usable - 1));
  const size_t number = account_.writes.size();
  if (std::string failure = put(first, count); !failure.empty()) return failure;
  if (refers == Refer::no || random_() % 3 == 0) return "";
  rvm::Transaction tx = rvm_->begin();
  if (std::string failure = refer(tx, first / 8, number); !failure.empty()) return failure;
  tx.order_after_device_writes();
  const bool now = random_() % 4 == 0;
  return end(std::move(tx), now ? rvm::Commit::flush : rvm::Commit::no_flush);
}

std::string ClientRig::put(uint64_t first, uint64_t count) {
  const size_t number = account_.writes.size();
  account_.writes.push_back({ensemble_.event_count(), first, first + count - 1});
  Bytes bytes;
  for (uint64_t sector = first; sector < first + count; ++sector) {
    const Bytes one = sector_bytes(sector, number);
    bytes.insert(bytes.end(), one.begin(), one.end());
    latest_[sector] = number;
  }
  const uint64_t offset = kDataOffset + first * rvm::kSectorBytes;
  if (const auto put = ensemble_.device(0)->write(offset, bytes); !put) return why(put.error());
  rvm_->note_write(offset, bytes.size());
  return "";
}

std::string ClientRig::overwrite_without_promise() {
  std::string failure = put(100, 8);
  if (failure.empty()) failure = flush();
  if (failure.empty()) failure = put(96, kSectors / 2);
  if (!failure.empty()) return failure;
  rvm::Transaction tx = rvm_->begin();  // it does not refer to the data
  if (failure = refer(tx, kReusedFlag, 0); !failure.empty()) return failure;
  if (failure = end(std::move(tx), rvm::Commit::no_flush); !failure.empty()) return failure;
  const auto forced = rvm_->flush();
  account_.history = ensemble_.history();
  rvm_->abandon();
  return forced ? "" : why(forced.error());
}

std::string ClientRig::refer(rvm::Transaction& tx, uint64_t slot, size_t number) {
  const auto place = tx.modify(*refs_, slot * sizeof number, sizeof number);
  if (!place) return why(place.error());
  std::memcpy(*place, &number, sizeof number);
  return "";
}

std::string ClientRig::flush() {
  if (const auto flushed = rvm_->flush(true); !flushed) return why(flushed.error());
  account_.durable.emplace_back(ensemble_.event_count(), latest_);
  note_committed();
  return "";
}

// No page is written home by this truncation, so no flush of pages helps the data.
std::string ClientRig::log_data_alone_and_truncate() {
  std::string failure = truncate();
  if (failure.empty()) failure = write(8, Refer::no);
  if (failure.empty()) failure = flush();
  return failure.empty() ? truncate() : failure;
}

std::string ClientRig::truncate() {
  const auto mode = random_() % 2 == 0 ? rvm::Truncation::incremental : rvm::Truncation::epoch;
  const auto moved = rvm_->truncate(mode);
  return moved ? "" : why(moved.error());
}

std::string ClientRig::reuse_blocks() {
  reused_ = true;
  const auto region = rvm_->map({.offset = kReusedOffset, .length = kReusedBytes});
  if (!region) return why(region.error());
  rvm_->note_reuse(kReusedOffset, kReusedBytes);
  rvm::Transaction tx = rvm_->begin();
  if (const auto made = tx.format(**region); !made) return why(made.error());
  const auto bytes = tx.modify(**region, 0, kReusedBytes);
  if (!bytes) return why(bytes.error());
  std::memset(*bytes, static_cast<int>(kReusedFill), kReusedBytes);
  if (std::string failure = refer(tx, kReusedFlag, 1); !failure.empty()) return failure;
  return end(std::move(tx), rvm::Commit::no_flush);
}

std::string ClientRig::end(rvm::Transaction tx, rvm::Commit mode) {
  const auto ended = tx.end(mode);
  if (!ended) return why(ended.error());
  if (mode == rvm::Commit::flush) note_committed();
  return "";
}

void ClientRig::note_committed() {
  const auto bytes = refs_->read(0, sizeof(ClientReferences));
  if (!bytes) return;  // the region is one page, which the format made resident
  ClientReferences references;
  std::memcpy(references.data(), *bytes, sizeof references);
  account_.committed.emplace_back(ensemble_.event_count(), references);
}

namespace {

class Judge {
 public:
  Judge(const ClientAccount& account, rvm::Device& device, rvm::Rvm& rvm, size_t point,
        bool has_garbage)
      : account_(account), device_(device), rvm_(rvm), point_(point), has_garbage_(has_garbage) {}

  std::string run() {
    const auto region = rvm_.map({.offset = kRefsOffset, .length = rvm::kPageBytes});
    if (!region) return rvm::describe(region.error());
    const auto bytes = (*region)->read(0, rvm::kPageBytes);
    if (!bytes) return rvm::describe(bytes.error());
    std::memcpy(refs_.data(), *bytes, sizeof refs_);
    if (std::string wrong = check_references(); !wrong.empty()) return wrong;
    const bool reused = refs_[kReusedFlag] != 0;
    if (reused) {
      const Bytes expected(kReusedBytes, kReusedFill);
      if (read_all(device_, kReusedOffset, kReusedBytes) != expected) {
        return "old data lie where a region is";
      }
    }
    note_lower_bounds();
    const uint64_t end = kSectors - (reused ? kReusedBlocks * 8 : 0);
    for (uint64_t sector = 0; sector < end; ++sector) {
      if (std::string wrong = check_sector(sector); !wrong.empty()) return wrong;
    }
    return "";
  }

 private:
  // They only grow.
  std::string check_references() {
    for (const auto& [events, committed] : account_.committed) {
      if (events > point_) break;
      for (size_t slot = 0; slot < committed.size(); ++slot) {
        if (refs_[slot] < committed[slot]) return "what was committed to the region is gone";
      }
    }
    return "";
  }

  void note_lower_bounds() {
    for (const auto& [events, writes] : account_.durable) {
      if (events <= point_) oldest_ = writes;
    }
    for (uint64_t block = 0; block < kBlocks; ++block) {
      const size_t number = refs_[block];
      if (number == 0 || number >= account_.writes.size()) continue;
      const ClientWrite& write = account_.writes[number];
      for (uint64_t sector = write.first; sector <= write.last; ++sector) {
        oldest_[sector] = std::max(oldest_[sector], number);
      }
    }
  }

  std::string check_sector(uint64_t sector) {
    const Bytes there =
        read_all(device_, kDataOffset + sector * rvm::kSectorBytes, rvm::kSectorBytes);
    bool may_be_garbage = false;
    for (size_t number = account_.writes.size() - 1; number + 1 > oldest_[sector]; --number) {
      const ClientWrite& write = account_.writes[number];
      const bool touched = number == 0 || (write.first <= sector && sector <= write.last);
      if (touched && write.begun_at <= point_) {
        if (there == sector_bytes(sector, number)) return "";
        may_be_garbage |= has_garbage_ && number > oldest_[sector];
      }
      if (number == 0) break;
    }
    if (may_be_garbage) return "";
    size_t found = 0;
    std::memcpy(&found, there.data(), sizeof found);
    return "sector " + std::to_string(sector) + " must be of write " +
           std::to_string(oldest_[sector]) + " or later, and is of " + std::to_string(found);
  }

  const ClientAccount& account_;
  rvm::Device& device_;
  rvm::Rvm& rvm_;
  const size_t point_;
  const bool has_garbage_;
  ClientReferences refs_{};
  std::vector<size_t> oldest_ = std::vector<size_t>(kSectors, 0);
};

}  // namespace

CheckResult check_client_state(const ClientAccount& account, const SparseImage& image, size_t point,
                               bool garbage) {
  CheckResult result;
  Ensemble devices({image}, false);
  auto rvm = rvm::Rvm::initialize({.log_device = devices.device(0), .background = false});
  if (!rvm) {
    result.failure = rvm::describe(rvm.error());
    return result;
  }
  result.recovery = devices.history();
  result.failure = Judge(account, *devices.device(0), **rvm, point, garbage).run();
  (*rvm)->abandon();
  return result;
}

}  // namespace rvmfs::test
