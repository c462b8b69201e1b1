// SPDX-License-Identifier: BSD-2-Clause
//
// Crash states of data that a client writes to the log's device by itself (Rvm::note_write), as a
// filesystem does with file contents: through the log where they are few, by a flush where they are
// many, in any order, over each other, with truncations in between.
//
// Every sector of the data area says which write it comes from. In every state: a sector is from
// one write, whole; not older than the last flush(true), nor than the write that a recovered
// transaction refers to; and bytes that became a region's are the region's.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

#include "rvm/rvm.h"
#include "tests/crash/campaign.h"
#include "tests/support/bytes.h"
#include "tests/support/memory_device.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

constexpr uint64_t kLogBytes = 384 * 1024;
constexpr uint64_t kRefsOffset = kLogBytes;  // a region: for each block, a write it must have
constexpr uint64_t kDataOffset = kRefsOffset + rvm::kPageBytes;
constexpr uint64_t kBlocks = 64;
constexpr uint64_t kSectors = kBlocks * 8;
constexpr uint64_t kReusedBlocks = 4;  // the last ones become a region
constexpr uint64_t kReusedBytes = kReusedBlocks * rvm::kPageBytes;
constexpr uint64_t kReusedOffset = kDataOffset + (kBlocks - kReusedBlocks) * rvm::kPageBytes;
constexpr uint64_t kDeviceBytes = kDataOffset + kBlocks * rvm::kPageBytes;
constexpr size_t kReusedFlag = kBlocks;  // in the region of references
constexpr std::byte kReusedFill{0x5a};
constexpr std::byte kCanary{0xc5};

struct Write {
  size_t begun_at = 0;           // events
  uint64_t first = 0, last = 0;  // sectors
};

struct Account {
  std::vector<Write> writes{1};                                 // by number; 0: the canary
  std::vector<std::pair<size_t, std::vector<size_t>>> durable;  // (events, write of each sector)
  rvm::Statistics statistics{};
  EnsembleHistory history;
};

Bytes sector_bytes(uint64_t sector, size_t write) {
  if (write == 0) return Bytes(rvm::kSectorBytes, kCanary);
  Bytes bytes = pattern(rvm::kSectorBytes, write * kSectors + sector);
  std::memcpy(bytes.data(), &write, sizeof write);
  return bytes;
}

class Workload {
 public:
  explicit Workload(uint64_t seed)
      : random_(seed), ensemble_({SparseImage(kDeviceBytes, kCanary)}, false) {}

  // The first thing that went wrong.
  std::string run(int steps) {
    std::string failure = open();
    for (int i = 0; i < steps && failure.empty(); ++i) failure = step(i == steps * 3 / 4);
    if (!failure.empty()) return failure;
    account_.statistics = rvm_->statistics();
    account_.history = ensemble_.history();
    rvm_->abandon();
    return "";
  }
  const Account& account() const { return account_; }

 private:
  static std::string why(const rvm::Error& error) { return rvm::describe(error); }

  std::string open() {
    const auto device = ensemble_.device(0);
    if (const auto made = rvm::Rvm::create_log(*device, {.length = kLogBytes}); !made) {
      return why(made.error());
    }
    auto rvm = rvm::Rvm::initialize({.log_device = device, .background = false});
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

  std::string step(bool reuse) {
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

  enum class Refer : uint8_t { no, mostly };
  std::string write(uint64_t sectors_max, Refer refers = Refer::mostly) {
    const uint64_t usable = kSectors - (reused_ ? kReusedBlocks * 8 : 0);
    const uint64_t count = 1 + random_() % sectors_max;
    const uint64_t first = random_() % (usable - std::min(count, usable - 1));
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
    if (refers == Refer::no || random_() % 3 == 0) return "";
    rvm::Transaction tx = rvm_->begin();
    if (std::string failure = refer(tx, first / 8, number); !failure.empty()) return failure;
    tx.order_after_device_writes();
    const bool now = random_() % 4 == 0;
    const auto ended = tx.end(now ? rvm::Commit::flush : rvm::Commit::no_flush);
    return ended ? "" : why(ended.error());
  }

  std::string refer(rvm::Transaction& tx, uint64_t slot, size_t number) {
    const auto place = tx.modify(*refs_, slot * sizeof number, sizeof number);
    if (!place) return why(place.error());
    std::memcpy(*place, &number, sizeof number);
    return "";
  }

  std::string flush() {
    if (const auto flushed = rvm_->flush(true); !flushed) return why(flushed.error());
    account_.durable.emplace_back(ensemble_.event_count(), latest_);
    return "";
  }

  // No page is written home by this truncation, so no flush of pages helps the data.
  std::string log_data_alone_and_truncate() {
    std::string failure = truncate();
    if (failure.empty()) failure = write(8, Refer::no);
    if (failure.empty()) failure = flush();
    return failure.empty() ? truncate() : failure;
  }

  std::string truncate() {
    const auto mode = random_() % 2 == 0 ? rvm::Truncation::incremental : rvm::Truncation::epoch;
    const auto moved = rvm_->truncate(mode);
    return moved ? "" : why(moved.error());
  }

  std::string reuse_blocks() {
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
    const auto ended = tx.end(rvm::Commit::no_flush);
    return ended ? "" : why(ended.error());
  }

  std::mt19937_64 random_;
  Ensemble ensemble_;
  std::unique_ptr<rvm::Rvm> rvm_;
  rvm::Region* refs_ = nullptr;
  std::vector<size_t> latest_ = std::vector<size_t>(kSectors, 0);  // write of each sector
  bool reused_ = false;
  Account account_;
};

class Judge {
 public:
  Judge(const Account& account, rvm::Device& device, rvm::Rvm& rvm, size_t point, bool has_garbage)
      : account_(account), device_(device), rvm_(rvm), point_(point), has_garbage_(has_garbage) {}

  std::string run() {
    const auto region = rvm_.map({.offset = kRefsOffset, .length = rvm::kPageBytes});
    if (!region) return rvm::describe(region.error());
    const auto bytes = (*region)->read(0, rvm::kPageBytes);
    if (!bytes) return rvm::describe(bytes.error());
    std::memcpy(refs_.data(), *bytes, sizeof refs_);
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
  void note_lower_bounds() {
    for (const auto& [events, writes] : account_.durable) {
      if (events <= point_) oldest_ = writes;
    }
    for (uint64_t block = 0; block < kBlocks; ++block) {
      const size_t number = refs_[block];
      if (number == 0 || number >= account_.writes.size()) continue;
      const Write& write = account_.writes[number];
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
      const Write& write = account_.writes[number];
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

  const Account& account_;
  rvm::Device& device_;
  rvm::Rvm& rvm_;
  const size_t point_;
  const bool has_garbage_;
  std::array<size_t, kBlocks + 1> refs_{};
  std::vector<size_t> oldest_ = std::vector<size_t>(kSectors, 0);
};

CheckResult check(const Account& account, const SparseImage& image, size_t point, bool garbage) {
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

TEST(ClientDataCrash, NoSectorIsOlderThanWhatWasPromisedOfIt) {
  if (is_left_out("client_data")) GTEST_SKIP() << "RVMFS_CRASH_ONLY names another workload";
  Workload workload(crash_seed());
  ASSERT_EQ(workload.run(160), "");
  const Account& account = workload.account();
  // Both ways were taken, or this test would say little.
  ASSERT_GT(account.statistics.data_bytes_logged, 50'000u);
  ASSERT_GT(account.statistics.data_flushes, 5u);
  const size_t states = crash_states(share_of_slice(by_tier<size_t>(2500, 20'000, 200'000)));
  Campaign campaign("client_data", crash_seed(), {.states = states},
                    [&](const std::vector<SparseImage>& images, size_t point, bool garbage) {
                      return check(account, images[0], point, garbage);
                    });
  EXPECT_EQ(campaign.run(account.history), "");
  std::printf("%zu writes, %zu events\n", account.writes.size() - 1, account.history.order.size());
}

}  // namespace
}  // namespace rvmfs::test
