// SPDX-License-Identifier: BSD-2-Clause
//
// The core of librvm through its public interface: transactions, durability across reopening,
// truncation, optimisations, back-pressure, errors, demand loading and dropping.

#include "rvm/rvm.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "tests/support/memory_device.h"

namespace rvm {
namespace {

constexpr uint64_t kLogBytes = 1 << 20;
constexpr uint64_t kRegionOffset = 2 << 20;
constexpr uint64_t kTableOffset = kLogBytes;
constexpr uint64_t kRegionBytes = 1 << 20;

class RvmTest : public ::testing::Test {
 protected:
  void SetUp() override {
    device_ = rvmfs::test::MemoryDevice::file(8 << 20);
    ASSERT_TRUE(Rvm::create_log(*device_, {.length = kLogBytes}));
    open();
    auto tx = rvm_->begin();
    ASSERT_TRUE(tx.format(*region_));
    ASSERT_TRUE(tx.end(Commit::flush));
  }

  void open() {
    Options options;
    options.log_device = device_;
    options.background = background_;
    options.tuning = tuning_;
    options.check_undeclared = check_undeclared_;
    auto opened = Rvm::initialize(options);
    ASSERT_TRUE(opened) << describe(opened.error());
    rvm_ = std::move(*opened);
    map();
  }

  void map() {
    auto mapped = rvm_->map({.offset = kRegionOffset,
                             .length = kRegionBytes,
                             .hashed = true,
                             .hash_table_offset = kTableOffset});
    ASSERT_TRUE(mapped) << describe(mapped.error());
    region_ = *mapped;
  }

  void crash() {
    rvm_->abandon();
    rvm_.reset();
    open();
  }

  void put(uint64_t offset, std::string_view text, Commit mode) {
    auto tx = rvm_->begin();
    auto bytes = tx.modify(*region_, offset, text.size());
    ASSERT_TRUE(bytes) << describe(bytes.error());
    std::memcpy(*bytes, text.data(), text.size());
    auto ended = tx.end(mode);
    ASSERT_TRUE(ended) << describe(ended.error());
  }

  std::string get(uint64_t offset, size_t length) {
    auto bytes = region_->read(offset, length);
    if (!bytes) return "error: " + describe(bytes.error());
    return {reinterpret_cast<const char*>(*bytes), length};
  }

  std::shared_ptr<rvmfs::test::MemoryDevice> device_;
  std::unique_ptr<Rvm> rvm_;
  Region* region_ = nullptr;
  bool background_ = false;
  bool check_undeclared_ = true;
  Tuning tuning_;
};

TEST_F(RvmTest, AFlushedCommitSurvivesAKill) {
  put(100, "hello", Commit::flush);
  crash();
  EXPECT_EQ(get(100, 5), "hello");
  EXPECT_TRUE(rvm_->query().recovery.was_needed);
}

TEST_F(RvmTest, ALazyCommitIsLostByAKillAndKeptByAFlush) {
  put(100, "first", Commit::no_flush);
  crash();
  EXPECT_EQ(get(100, 5), std::string(5, '\0'));
  put(100, "again", Commit::no_flush);
  ASSERT_TRUE(rvm_->flush());
  crash();
  EXPECT_EQ(get(100, 5), "again");
}

TEST_F(RvmTest, CloseKeepsLazyCommits) {
  put(100, "close", Commit::no_flush);
  ASSERT_TRUE(rvm_->close());
  rvm_.reset();
  open();
  EXPECT_EQ(get(100, 5), "close");
}

TEST_F(RvmTest, AbortRestoresOverlappingRanges) {
  put(0, "0123456789", Commit::flush);
  {
    auto tx = rvm_->begin();
    std::memcpy(*tx.modify(*region_, 2, 4), "aaaa", 4);
    std::memcpy(*tx.modify(*region_, 0, 8), "bbbbbbbb", 8);
    std::memcpy(*tx.modify(*region_, 3, 7), "ccccccc", 7);
  }
  EXPECT_EQ(get(0, 10), "0123456789");
  EXPECT_EQ(rvm_->statistics().transactions_aborted, 1u);
}

TEST_F(RvmTest, ANoRestoreTransactionCannotBeAborted) {
  auto tx = rvm_->begin(Restore::no);
  ASSERT_TRUE(tx.modify(*region_, 0, 4));
  auto aborted = tx.abort();
  ASSERT_FALSE(aborted);
  EXPECT_EQ(aborted.error().code, Errc::invalid_argument);
}

TEST_F(RvmTest, BothTruncationsEmptyTheLogAndKeepEverything) {
  for (const Truncation mode : {Truncation::incremental, Truncation::epoch}) {
    for (uint64_t i = 0; i < 200; ++i) put(i * 4096, "page " + std::to_string(i), Commit::no_flush);
    auto truncated = rvm_->truncate(mode);
    ASSERT_TRUE(truncated) << describe(truncated.error());
    EXPECT_EQ(rvm_->query().log_bytes_used, 0u);
    EXPECT_EQ(rvm_->query().dirty_pages, 0u);
    crash();
    EXPECT_FALSE(rvm_->query().recovery.was_needed);
    for (uint64_t i = 0; i < 200; ++i) {
      const std::string text = "page " + std::to_string(i);
      EXPECT_EQ(get(i * 4096, text.size()), text);
    }
  }
}

TEST_F(RvmTest, AnOpenTransactionsBytesNeverGoHome) {
  put(0, "committed", Commit::flush);
  auto tx = rvm_->begin();
  std::memcpy(*tx.modify(*region_, 0, 9), "different", 9);
  ASSERT_TRUE(rvm_->truncate(Truncation::incremental));
  EXPECT_EQ(rvm_->query().log_bytes_used, 0u);
  EXPECT_GE(rvm_->statistics().truncations_epoch, 1u);
  rvm_->abandon();
  auto abandoned = std::move(rvm_);
  open();
  EXPECT_EQ(get(0, 9), "committed");
  ASSERT_TRUE(tx.abort());
}

TEST_F(RvmTest, ALogThatFillsUpMakesRoomByItself) {
  const std::string block(8000, 'x');
  for (int i = 0; i < 1000; ++i) {
    put(static_cast<uint64_t>(i % 100) * 8192, block + std::to_string(i), Commit::flush);
  }
  EXPECT_GT(rvm_->statistics().log_full_waits, 0u);
  crash();
  for (int i = 900; i < 1000; ++i) {
    const std::string text = std::to_string(i);
    EXPECT_EQ(get(static_cast<uint64_t>(i % 100) * 8192 + 8000, text.size()), text);
  }
}

TEST_F(RvmTest, ATransactionLargerThanTheLogIsRefusedAndStaysActive) {
  auto tx = rvm_->begin();
  std::memset(*tx.modify(*region_, 0, 900 << 10), 7, 900 << 10);
  auto ended = tx.end(Commit::flush);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Errc::too_big);
  EXPECT_TRUE(tx.active());
  ASSERT_TRUE(tx.abort());
  EXPECT_EQ(get(1000, 4), std::string(4, '\0'));
}

TEST_F(RvmTest, ATransactionOfSeveralUnitsIsWholeAfterAKill) {
  {
    auto tx = rvm_->begin();
    std::memset(*tx.modify(*region_, 0, 300 << 10), 7, 300 << 10);
    ASSERT_TRUE(tx.end(Commit::flush));
  }
  EXPECT_GT(rvm_->statistics().log_units_written, 2u);
  crash();
  EXPECT_EQ(get((300 << 10) - 2, 3), std::string("\7\7\0", 3));
}

TEST_F(RvmTest, IntraTransactionRangesAreLoggedOnce) {
  const auto before = rvm_->statistics();
  auto tx = rvm_->begin();
  ASSERT_TRUE(tx.modify(*region_, 0, 100));
  ASSERT_TRUE(tx.modify(*region_, 50, 100));
  ASSERT_TRUE(tx.modify(*region_, 150, 10));
  ASSERT_TRUE(tx.modify(*region_, 0, 100));
  std::memset(*tx.modify(*region_, 0, 160), 1, 160);
  ASSERT_TRUE(tx.end(Commit::flush));
  const auto after = rvm_->statistics();
  EXPECT_EQ(after.log_payload_bytes - before.log_payload_bytes, 160u);
  EXPECT_EQ(after.bytes_saved_intra - before.bytes_saved_intra, 100u + 100 + 10 + 100 + 160 - 160);
}

TEST_F(RvmTest, LazyCommitsThatAreOverwrittenAreLoggedOnce) {
  const auto before = rvm_->statistics();
  for (int i = 0; i < 50; ++i)
    put(0, std::string(100, static_cast<char>('a' + i % 26)), Commit::no_flush);
  ASSERT_TRUE(rvm_->flush());
  const auto after = rvm_->statistics();
  EXPECT_EQ(after.log_payload_bytes - before.log_payload_bytes, 100u);
  EXPECT_EQ(after.bytes_saved_inter - before.bytes_saved_inter, 4900u);
}

TEST_F(RvmTest, WithTheOptimisationsOffEverythingIsLoggedAndStillRight) {
  rvm_->set_tuning({.coalesce_ranges = false, .coalesce_transactions = false});
  const auto before = rvm_->statistics();
  for (int i = 0; i < 50; ++i) {
    auto tx = rvm_->begin();
    ASSERT_TRUE(tx.modify(*region_, 0, 100));
    std::memset(*tx.modify(*region_, 0, 100), 'a' + i % 26, 100);
    ASSERT_TRUE(tx.end(Commit::no_flush));
  }
  ASSERT_TRUE(rvm_->flush());
  EXPECT_EQ(rvm_->statistics().log_payload_bytes - before.log_payload_bytes, 10000u);
  crash();
  EXPECT_EQ(get(0, 2), std::string(2, 'a' + 49 % 26));
}

TEST_F(RvmTest, UndeclaredChangesAreFoundAtCommit) {
  auto tx = rvm_->begin();
  std::byte* const bytes = *tx.modify(*region_, 64, 8);
  bytes[8] = std::byte{1};  // one too many
  auto ended = tx.end(Commit::flush);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Errc::undeclared_change);
  EXPECT_EQ(ended.error().position, 72u);
}

TEST_F(RvmTest, AnotherOpenTransactionsBytesAreNotUndeclared) {
  auto other = rvm_->begin();
  std::memset(*other.modify(*region_, 80, 8), 2, 8);
  auto tx = rvm_->begin();
  std::memset(*tx.modify(*region_, 64, 8), 1, 8);
  EXPECT_TRUE(tx.end(Commit::flush));
  ASSERT_TRUE(other.abort());
}

TEST_F(RvmTest, ADamagedPageCostsItselfOnly) {
  put(0, "page zero", Commit::flush);
  put(4096, "page one", Commit::flush);
  ASSERT_TRUE(rvm_->truncate());
  ASSERT_TRUE(rvm_->close());
  std::byte byte{};
  ASSERT_TRUE(device_->read(kRegionOffset + 4096 + 17, std::span(&byte, 1)));
  byte ^= std::byte{1};
  ASSERT_TRUE(device_->write(kRegionOffset + 4096 + 17, std::span(&byte, 1)));
  rvm_.reset();
  open();
  EXPECT_EQ(get(0, 9), "page zero");
  auto damaged = region_->read(4096, 8);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, Errc::damaged_page);
  EXPECT_EQ(damaged.error().position, kRegionOffset + 4096);
}

TEST_F(RvmTest, DamageInTheMiddleOfTheLogIsAnErrorWithItsPosition) {
  for (int i = 0; i < 20; ++i) put(0, "commit " + std::to_string(i), Commit::flush);
  rvm_->abandon();
  rvm_.reset();
  // Unit 5 of the log (blocks of 4096; the first unit formats the region).
  const uint64_t records = 2 * 16384 + (1 + 32) * 4096;
  std::byte byte{0x55};
  ASSERT_TRUE(device_->write(records + 5 * 4096 + 100, std::span(&byte, 1)));
  Options options;
  options.log_device = device_;
  auto opened = Rvm::initialize(options);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::damaged_log);
  EXPECT_EQ(opened.error().position, 5u * 4096);
}

TEST_F(RvmTest, CleanPagesAreDroppedAndComeBack) {
  for (uint64_t i = 0; i < 200; ++i) put(i * 4096, "page " + std::to_string(i), Commit::no_flush);
  EXPECT_EQ(rvm_->reclaim(0), 0u) << "dirty pages must stay";
  ASSERT_TRUE(rvm_->truncate());
  EXPECT_GE(rvm_->reclaim(0), 200u * 4096);
  EXPECT_EQ(rvm_->query().resident_bytes, 0u);
  EXPECT_EQ(get(77 * 4096, 7), "page 77");
}

TEST_F(RvmTest, InsideANoWaitScopeAMissingPageIsNotWaitedFor) {
  put(0, "here", Commit::flush);
  ASSERT_TRUE(rvm_->truncate());
  rvm_->reclaim(0);
  NoWait scope;
  auto missing = region_->read(0, 4);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::not_resident);
  ASSERT_TRUE(scope.load_missing());
  EXPECT_EQ(get(0, 4), "here");
}

TEST_F(RvmTest, ZeroPagesGiveTheirStorageBack) {
  put(8192, std::string(4096, 'z'), Commit::flush);
  ASSERT_TRUE(rvm_->truncate());
  put(8192, std::string(4096, '\0'), Commit::flush);
  ASSERT_TRUE(rvm_->truncate());
  std::vector<std::byte> raw(4096, std::byte{1});
  ASSERT_TRUE(device_->read(kRegionOffset + 8192, raw));
  EXPECT_EQ(raw, std::vector<std::byte>(4096));
  crash();
  EXPECT_EQ(get(8192, 3), std::string(3, '\0'));
}

TEST_F(RvmTest, ReadOnlyRecoversInMemoryAndWritesNothing) {
  put(100, "hello", Commit::flush);
  rvm_->abandon();
  rvm_.reset();
  std::vector<std::byte> before(8 << 20), after(8 << 20);
  ASSERT_TRUE(device_->read(0, before));
  Options options;
  options.log_device = device_;
  options.read_only = true;
  auto opened = Rvm::initialize(options);
  ASSERT_TRUE(opened) << describe(opened.error());
  rvm_ = std::move(*opened);
  map();
  EXPECT_EQ(get(100, 5), "hello");
  auto tx = rvm_->begin();
  auto refused = tx.modify(*region_, 0, 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::read_only);
  ASSERT_TRUE(tx.abort());
  ASSERT_TRUE(rvm_->close());
  ASSERT_TRUE(device_->read(0, after));
  EXPECT_EQ(before, after);
}

TEST_F(RvmTest, ManyThreadsCommitInParallelWhileTheLogIsTruncated) {
  ASSERT_TRUE(rvm_->close());
  rvm_.reset();
  background_ = true;
  tuning_.truncate_percent = 10;
  open();
  constexpr int kThreads = 6;
  constexpr int kRounds = 300;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 1; i <= kRounds; ++i) {
        auto tx = rvm_->begin();
        for (uint64_t place = 0; place < 8; ++place) {
          auto bytes = tx.modify(*region_, place * 65536 + static_cast<uint64_t>(t) * 512, 400);
          ASSERT_TRUE(bytes);
          std::memset(*bytes, i % 251, 400);
        }
        if (i % 7 == 0) {
          ASSERT_TRUE(tx.end(Commit::flush));
        } else {
          ASSERT_TRUE(tx.end(Commit::no_flush));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(rvm_->flush());
  crash();
  for (int t = 0; t < kThreads; ++t) {
    for (uint64_t place = 0; place < 8; ++place) {
      EXPECT_EQ(get(place * 65536 + static_cast<uint64_t>(t) * 512, 400),
                std::string(400, static_cast<char>(kRounds % 251)));
    }
  }
}

TEST_F(RvmTest, RegionsMayNotOverlapAndUnmapOnlyWhenHome) {
  auto again = rvm_->map({.offset = kRegionOffset + 4096, .length = 4096});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::overlap);
  put(0, "x", Commit::flush);
  auto unmapped = rvm_->unmap(region_);
  ASSERT_FALSE(unmapped);
  EXPECT_EQ(unmapped.error().code, Errc::uncommitted);
  ASSERT_TRUE(rvm_->truncate());
  ASSERT_TRUE(rvm_->unmap(region_));
  map();
  EXPECT_EQ(get(0, 1), "x");
}

}  // namespace
}  // namespace rvm
