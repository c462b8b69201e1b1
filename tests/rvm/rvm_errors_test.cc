// SPDX-License-Identifier: BSD-2-Clause
//
// Every error that the public interface names, and what holds after it: of transactions, regions
// and instances. (Failing devices: failing_calls_test.cc.)

#include "rvm/rvm.h"

#include "tests/rvm/rvm_world.h"

namespace rvm {
namespace {

using rvmfs::test::DeviceCall;
using rvmfs::test::RvmWorld;

class TransactionErrors : public RvmWorld {};

TEST_F(TransactionErrors, after_its_end_it_answers_no_transaction) {
  auto tx = rvm_->begin();
  ASSERT_OK(tx.end(Commit::no_flush));
  EXPECT_FALSE(tx.active());
  EXPECT_ERROR(tx.modify(*region_, 0, 1), Errc::no_transaction);
  EXPECT_ERROR(tx.format(*region_), Errc::no_transaction);
  EXPECT_ERROR(tx.abort(), Errc::no_transaction);
  EXPECT_ERROR(tx.end(Commit::flush), Errc::no_transaction);
  tx.order_after_device_writes();
  EXPECT_FALSE(tx.active());
}

TEST_F(TransactionErrors, assigned_another_one_it_aborts_and_takes_over) {
  auto first = rvm_->begin();
  std::memcpy(*first.modify(*region_, 0, 5), "first", 5);
  auto second = rvm_->begin();
  std::memcpy(*second.modify(*region_, 100, 6), "second", 6);
  Transaction& same = second;
  second = std::move(same);
  EXPECT_TRUE(second.active());
  first = std::move(second);
  EXPECT_EQ(get(0, 5), std::string(5, '\0'));
  ASSERT_OK(first.end(Commit::flush));
  EXPECT_EQ(get(100, 6), "second");
  EXPECT_EQ(rvm_->statistics().transactions_aborted, 1u);
}

TEST_F(TransactionErrors, bytes_outside_of_the_region_are_out_of_range) {
  auto tx = rvm_->begin();
  EXPECT_ERROR(tx.modify(*region_, kRegionBytes, 1), Errc::out_of_range);
  EXPECT_ERROR(tx.modify(*region_, 1, ~0ULL), Errc::out_of_range);
  EXPECT_ERROR(region_->read(kRegionBytes - 1, 2), Errc::out_of_range);
  EXPECT_OK(tx.modify(*region_, kRegionBytes, 0));  // no bytes at all are fine
  EXPECT_OK(tx.abort());
}

TEST_F(TransactionErrors, a_page_that_cannot_be_read_is_an_error_and_the_transaction_goes_on) {
  put(0, "zero");
  put(kPageBytes, "one");
  ASSERT_OK(rvm_->truncate());
  rvm_->reclaim(0);
  auto tx = rvm_->begin();
  device_->fail_range(DeviceCall::read, kRegionOffset + kPageBytes, 1);
  EXPECT_ERROR(tx.modify(*region_, kPageBytes, 3), Errc::io);
  EXPECT_OK(tx.modify(*region_, 0, 4));
  device_->clear();
  EXPECT_OK(tx.modify(*region_, kPageBytes, 3));
  EXPECT_OK(tx.abort());
  EXPECT_EQ(get(kPageBytes, 3), "one");
}

TEST_F(TransactionErrors, when_the_instance_has_failed_a_commit_undoes_the_memory) {
  put(0, "old", Commit::flush);
  auto tx = rvm_->begin();
  std::memcpy(*tx.modify(*region_, 0, 3), "new", 3);
  rvm_->declare_failed();
  EXPECT_ERROR(tx.modify(*region_, 8, 1), Errc::failed);
  EXPECT_ERROR(tx.format(*region_), Errc::failed);
  EXPECT_ERROR(tx.end(Commit::no_flush), Errc::failed);
  EXPECT_FALSE(tx.active());
  EXPECT_EQ(get(0, 3), "old");
}

TEST_F(TransactionErrors, without_undo_it_is_over_all_the_same_after_a_failed_commit) {
  auto tx = rvm_->begin(Restore::no);
  ASSERT_OK(tx.modify(*region_, 0, 3));
  rvm_->declare_failed();
  EXPECT_ERROR(tx.end(Commit::no_flush), Errc::failed);
  EXPECT_FALSE(tx.active());
  EXPECT_TRUE(rvm_->open_transaction_ids().empty());
}

TEST_F(TransactionErrors, an_undeclared_change_ends_it_without_undo_too) {
  auto tx = rvm_->begin(Restore::no);
  std::byte* const bytes = *tx.modify(*region_, 0, 3);
  bytes[50] = std::byte{1};
  EXPECT_ERROR(tx.end(Commit::no_flush), Errc::undeclared_change);
  EXPECT_FALSE(tx.active());
  bytes[50] = std::byte{0};
}

TEST_F(TransactionErrors, an_undeclared_change_after_the_commit_is_found_before_it_goes_home) {
  put(0, "declared");
  region_->base()[50] = std::byte{1};
  EXPECT_ERROR(rvm_->truncate(Truncation::incremental), Errc::undeclared_change);
  region_->base()[50] = std::byte{0};
  EXPECT_OK(rvm_->truncate(Truncation::incremental));
}

TEST_F(TransactionErrors, formatting_more_pages_than_the_log_takes_is_too_big_and_changes_nothing) {
  const RegionOptions flat{.offset = 16 << 20, .length = 64 << 20};
  ASSERT_OK(hooked_->resize(flat.offset + flat.length));
  Region* const region = *rvm_->map(flat);
  auto tx = rvm_->begin();
  ASSERT_OK(tx.format(*region));
  EXPECT_ERROR(tx.end(Commit::no_flush), Errc::too_big);
  EXPECT_TRUE(tx.active());
  EXPECT_OK(tx.abort());
  EXPECT_EQ(rvm_->query().spool_bytes, 0u);
  put(0, "still working");
}

TEST_F(TransactionErrors, formatting_a_region_in_use_empties_it) {
  put(kPageBytes, "something");
  auto tx = rvm_->begin();
  ASSERT_OK(tx.format(*region_));
  EXPECT_EQ(get(kPageBytes, 9), std::string(9, '\0'));
  ASSERT_OK(tx.end(Commit::flush));
  ASSERT_TRUE(reopen());
  EXPECT_EQ(get(kPageBytes, 9), std::string(9, '\0'));
}

TEST_F(TransactionErrors, formatting_a_region_without_hashes_is_recovered) {
  const RegionOptions flat{.offset = 4 << 20, .length = 16 * kPageBytes};
  ASSERT_OK(memory_->write(flat.offset, rvmfs::test::filled(flat.length, 0x5a)));
  Region* const region = *rvm_->map(flat);
  auto tx = rvm_->begin();
  ASSERT_OK(tx.format(*region));
  std::memcpy(*tx.modify(*region, kPageBytes, 3), "new", 3);
  ASSERT_OK(tx.end(Commit::flush));
  ASSERT_TRUE(reopen());
  rvmfs::test::Bytes expected(flat.length);
  std::memcpy(expected.data() + kPageBytes, "new", 3);
  EXPECT_EQ(rvmfs::test::read_all(*memory_, flat.offset, flat.length), expected);
}

TEST_F(TransactionErrors, a_full_host_fails_the_commit_that_has_to_make_room_and_nothing_is_lost) {
  Tuning tuning = rvm_->tuning();
  tuning.spool_bytes_max = UINT64_MAX;
  tuning.truncate_percent = 101;
  rvm_->set_tuning(tuning);
  const std::string big(100'000, 'b');
  device_->fail(DeviceCall::write, 0, {.os_errno = ENOSPC, .forever = true});
  uint64_t at = 0;
  Result<CommitTicket> ended = CommitTicket{0};
  for (; ended && at < kRegionBytes - big.size(); at += ended ? big.size() : 0) {
    ended = try_put(at, big, Commit::no_flush);
  }
  EXPECT_ERROR(ended, Errc::no_space);
  EXPECT_EQ(get(at, 1), std::string(1, '\0')) << "the commit that failed is undone";
  EXPECT_FALSE(rvm_->failed());
  device_->clear();
  put(at, big);
  ASSERT_TRUE(reopen());
  EXPECT_EQ(get(0, big.size()), big);
  EXPECT_EQ(get(at, big.size()), big);
}

class RegionErrors : public RvmWorld {};

TEST_F(RegionErrors, impossible_places_are_invalid_arguments) {
  constexpr uint64_t kTooFar = (1ULL << 62) + kPageBytes;
  const auto map = [&](auto&& change) {
    RegionOptions options{.offset = 4 << 20, .length = kPageBytes};
    change(options);
    return rvm_->map(options);
  };
  EXPECT_ERROR(map([](auto& o) { o.length = 0; }), Errc::invalid_argument);
  EXPECT_ERROR(map([](auto& o) { o.length = 100; }), Errc::invalid_argument);
  EXPECT_ERROR(map([](auto& o) { o.offset = 512; }), Errc::invalid_argument);
  EXPECT_ERROR(map([](auto& o) { o.hash_table_offset = 512; }), Errc::invalid_argument);
  EXPECT_ERROR(map([](auto& o) { o.offset = kTooFar; }), Errc::invalid_argument);
  EXPECT_ERROR(map([](auto& o) { o.length = kTooFar; }), Errc::invalid_argument);
  EXPECT_ERROR(map([](auto& o) { o.address = reinterpret_cast<void*>(0x1001); }),
               Errc::invalid_argument);
  EXPECT_ERROR(map([](auto& o) { o.segment = 9; }), Errc::no_segment);
}

TEST_F(RegionErrors, more_addresses_than_there_are_is_out_of_memory) {
  constexpr uint64_t kAll = 1ULL << 56;
  EXPECT_ERROR(AddressRange::reserve(kAll), Errc::out_of_memory);
  EXPECT_ERROR(rvm_->map({.offset = 4 << 20, .length = kAll}), Errc::out_of_memory);
  auto some = AddressRange::reserve(1);
  ASSERT_OK(some);
  EXPECT_EQ(some->bytes(), kPageBytes);
  EXPECT_ERROR(rvm_->map({.offset = 4 << 20, .length = kAll, .address = some->base()}),
               Errc::out_of_memory);  // of its shadow
  EXPECT_EQ(rvm_->query().mapped_regions, 1u);
}

TEST_F(RegionErrors, bytes_and_addresses_are_mapped_once) {
  auto range = AddressRange::reserve(4 * kPageBytes);
  ASSERT_OK(range);
  const auto map_at = [&](uint64_t page, uint64_t offset) {
    return rvm_->map(
        {.offset = offset, .length = 2 * kPageBytes, .address = range->base() + page * kPageBytes});
  };
  ASSERT_OK(map_at(0, 4 << 20));
  EXPECT_ERROR(map_at(1, 5 << 20), Errc::overlap);
  EXPECT_ERROR(map_at(2, (4 << 20) + kPageBytes), Errc::overlap);
  EXPECT_OK(map_at(2, 5 << 20));
}

TEST_F(RegionErrors, a_closed_instance_maps_nothing) {
  ASSERT_OK(rvm_->close());
  EXPECT_ERROR(rvm_->map(region_options()), Errc::failed);
}

TEST_F(RegionErrors, an_eager_region_is_read_at_once_or_not_mapped) {
  ASSERT_OK(rvm_->close());
  ASSERT_TRUE(open());
  ASSERT_OK(rvm_->unmap(region_));
  const RegionOptions flat{.offset = 4 << 20, .length = 4 * kPageBytes, .load = Load::eager};
  device_->fail(DeviceCall::read, 2);
  EXPECT_ERROR(rvm_->map(flat), Errc::io);
  EXPECT_EQ(rvm_->query().mapped_regions, 0u);
  auto mapped = rvm_->map(flat);
  ASSERT_OK(mapped);
  EXPECT_EQ(rvm_->query().resident_bytes, flat.length);
  EXPECT_EQ(rvm_->reclaim(0), 0u) << "an eager region stays in memory";
  EXPECT_OK(rvm_->unmap(*mapped));
  auto range = AddressRange::reserve(flat.length);
  ASSERT_OK(range);
  RegionOptions placed = flat;
  placed.address = range->base();
  mapped = rvm_->map(placed);
  ASSERT_OK(mapped);
  EXPECT_EQ((*mapped)->base(), range->base());
  EXPECT_OK(rvm_->unmap(*mapped));
}

TEST_F(RegionErrors, a_region_in_use_is_not_unmapped) {
  ASSERT_OK(rvm_->truncate());
  auto tx = rvm_->begin();
  ASSERT_OK(tx.modify(*region_, 0, 1));
  EXPECT_ERROR(rvm_->unmap(region_), Errc::uncommitted);
  ASSERT_OK(tx.abort());
  auto formatting = rvm_->begin();
  ASSERT_OK(formatting.format(*region_));
  EXPECT_ERROR(rvm_->unmap(region_), Errc::uncommitted);
  ASSERT_OK(formatting.abort());
  EXPECT_OK(rvm_->unmap(region_));
  EXPECT_ERROR(rvm_->unmap(region_), Errc::not_mapped);
}

TEST_F(RegionErrors, a_lazy_commit_without_the_optimisation_keeps_its_region_mapped_too) {
  Tuning tuning = rvm_->tuning();
  tuning.coalesce_transactions = false;
  rvm_->set_tuning(tuning);
  ASSERT_OK(rvm_->truncate());
  put(0, "raw", Commit::no_flush);
  EXPECT_ERROR(rvm_->unmap(region_), Errc::uncommitted);
}

TEST_F(RegionErrors, pages_that_were_looked_at_again_stay_longer_in_memory) {
  for (uint64_t page = 0; page < 4; ++page) put(page * kPageBytes, "page");
  ASSERT_OK(rvm_->truncate());
  const uint64_t resident = rvm_->query().resident_bytes;
  EXPECT_EQ(rvm_->reclaim(resident - kPageBytes), kPageBytes) << "all marks are gone, one page too";
  const uint64_t loaded = rvm_->statistics().pages_loaded;
  EXPECT_EQ(get(kPageBytes, 4), "page");
  EXPECT_EQ(rvm_->reclaim(resident - 2 * kPageBytes), kPageBytes);
  EXPECT_EQ(get(kPageBytes, 4), "page");
  EXPECT_EQ(rvm_->statistics().pages_loaded, loaded) << "page 1 was never read again";
}

TEST_F(RegionErrors, pages_that_are_durable_but_not_home_stay_in_memory) {
  put(0, "page");
  EXPECT_EQ(rvm_->reclaim(0), 0u);
  ASSERT_OK(rvm_->truncate());
  EXPECT_EQ(rvm_->reclaim(0), kPageBytes);
}

TEST_F(RegionErrors, without_regions_there_is_nothing_to_reclaim) {
  ASSERT_OK(rvm_->truncate());
  ASSERT_OK(rvm_->unmap(region_));
  EXPECT_EQ(rvm_->reclaim(0), 0u);
  EXPECT_FALSE(rvm_->wants_reclaim());
}

TEST_F(RegionErrors, a_page_that_was_never_written_needs_no_waiting) {
  NoWait scope;
  EXPECT_EQ(get(77 * kPageBytes, 1), std::string(1, '\0'));
}

TEST_F(RegionErrors, a_missing_page_that_cannot_be_read_is_told_when_it_is_loaded) {
  put(0, "here");
  ASSERT_OK(rvm_->truncate());
  rvm_->reclaim(0);
  NoWait scope;
  EXPECT_ERROR(region_->read(0, 4), Errc::not_resident);
  device_->fail(DeviceCall::read, 0);
  EXPECT_ERROR(scope.load_missing(), Errc::io);
  EXPECT_ERROR(region_->read(0, 4), Errc::not_resident);
  EXPECT_OK(scope.load_missing());
  EXPECT_EQ(get(0, 4), "here");
}

TEST_F(RegionErrors, a_page_dropped_while_another_one_is_read_makes_it_be_read_again) {
  put(0, "zero");
  put(kPageBytes, "one");
  ASSERT_OK(rvm_->truncate());
  rvm_->reclaim(0);
  EXPECT_EQ(get(0, 4), "zero");
  int reads = 0;
  hooked_->hook = [&](DeviceCall, uint64_t offset) -> Result<void> {
    if (offset == kRegionOffset + kPageBytes && ++reads == 1) rvm_->reclaim(0);
    return {};
  };
  EXPECT_EQ(get(kPageBytes, 3), "one");
  EXPECT_EQ(reads, 2);
}

class InstanceErrors : public RvmWorld {};

TEST_F(InstanceErrors, close_refuses_while_a_transaction_is_open_and_then_does_it_once) {
  auto tx = rvm_->begin();
  EXPECT_EQ(rvm_->open_transaction_ids().size(), 1u);
  EXPECT_ERROR(rvm_->close(), Errc::uncommitted);
  ASSERT_OK(tx.abort());
  EXPECT_OK(rvm_->close());
  EXPECT_OK(rvm_->close());
}

TEST_F(InstanceErrors, there_is_none_where_there_is_no_log) {
  options_.log_offset = 4 << 20;
  EXPECT_ERROR(try_open(), Errc::not_a_log);
  options_.log_offset = 0;
}

TEST_F(InstanceErrors, destroyed_with_a_device_that_fails_it_just_ends) {
  put(0, "lazy", Commit::no_flush);
  device_->fail(DeviceCall::write, 0, {.forever = true});
  rvm_.reset();
  device_->clear();
  ASSERT_TRUE(open());
  EXPECT_EQ(get(0, 4), std::string(4, '\0'));
}

TEST_F(InstanceErrors, destroyed_with_an_open_transaction_of_nothing_it_just_ends) {
  {
    auto tx = rvm_->begin();
    EXPECT_ERROR(rvm_->close(), Errc::uncommitted);
  }
  rvm_.reset();
  EXPECT_TRUE(open());
}

TEST_F(InstanceErrors, after_a_failure_nothing_claims_success) {
  put(0, "durable");
  EXPECT_FALSE(rvm_->failed());
  EXPECT_OK(rvm_->flush());
  rvm_->declare_failed();
  EXPECT_TRUE(rvm_->failed());
  EXPECT_TRUE(rvm_->query().failed);
  EXPECT_ERROR(rvm_->flush(), Errc::failed);  // even with nothing to write
  EXPECT_ERROR(rvm_->truncate(), Errc::failed);
  EXPECT_ERROR(rvm_->open_segment("another"), Errc::failed);
  EXPECT_ERROR(rvm_->close(), Errc::failed);
}

TEST_F(InstanceErrors, tickets_are_durable_in_order) {
  const CommitTicket first = *try_put(0, "one", Commit::no_flush);
  EXPECT_FALSE(rvm_->is_durable(first));
  ASSERT_OK(rvm_->flush());
  EXPECT_TRUE(rvm_->is_durable(first));
  EXPECT_FALSE(rvm_->is_durable(first + 1));
}

TEST_F(InstanceErrors, it_asks_to_be_flushed_when_much_is_waiting) {
  Tuning tuning = rvm_->tuning();
  tuning.spool_bytes_max = 8192;
  rvm_->set_tuning(tuning);
  EXPECT_EQ(rvm_->tuning().spool_bytes_max, 8192u);
  EXPECT_FALSE(rvm_->wants_flush());
  put(0, std::string(5000, 'x'), Commit::no_flush);
  EXPECT_TRUE(rvm_->wants_flush());
  put(8192, std::string(5000, 'x'), Commit::no_flush);
  EXPECT_FALSE(rvm_->wants_flush()) << "more than the limit is flushed by the commit itself";
  rvm_->set_tuning({});
  for (uint64_t i = 0; i <= 32768; ++i) rvm_->note_write(kDataOffset + i * 1024, 512);
  EXPECT_TRUE(rvm_->wants_flush()) << "many noted writes";
}

TEST_F(InstanceErrors, notes_of_nothing_are_nothing) {
  rvm_->note_write(kDataOffset, 0);
  rvm_->note_reuse(kDataOffset, 0);
  const uint64_t forces = rvm_->statistics().forces;
  EXPECT_OK(rvm_->flush(true));
  EXPECT_EQ(rvm_->statistics().forces, forces);
}

TEST_F(InstanceErrors, opened_read_only_it_changes_nothing_and_flushes_nothing) {
  put(0, "there");
  rvm_->abandon();
  rvm_.reset();
  options_.read_only = true;
  ASSERT_TRUE(open());
  EXPECT_EQ(get(0, 5), "there");
  auto tx = rvm_->begin();
  EXPECT_ERROR(tx.modify(*region_, 0, 1), Errc::read_only);
  EXPECT_ERROR(tx.format(*region_), Errc::read_only);
  ASSERT_OK(tx.end(Commit::flush));  // of no change
  EXPECT_OK(rvm_->flush(true));
  EXPECT_ERROR(rvm_->truncate(), Errc::read_only);
  EXPECT_ERROR(rvm_->open_segment("another"), Errc::read_only);
  EXPECT_TRUE(rvm_->query().read_only);
  const uint64_t writes = device_->calls(DeviceCall::write);
  EXPECT_OK(rvm_->close());
  EXPECT_EQ(device_->calls(DeviceCall::write), writes);
}

TEST_F(InstanceErrors, without_the_search_for_undeclared_changes_all_works_as_well) {
  options_.check_undeclared = false;
  ASSERT_TRUE(reopen());
  put(0, "one", Commit::no_flush);
  auto tx = rvm_->begin();
  ASSERT_OK(tx.format(*region_));
  ASSERT_OK(tx.end(Commit::flush));
  put(0, "two");
  ASSERT_OK(rvm_->truncate());
  rvm_->reclaim(0);
  EXPECT_EQ(get(0, 3), "two");
  ASSERT_OK(rvm_->unmap(region_));
}

TEST_F(InstanceErrors, the_optimisation_can_be_switched_off_between_two_commits_of_a_page) {
  put(0, "first", Commit::no_flush);
  Tuning tuning = rvm_->tuning();
  tuning.coalesce_transactions = false;
  rvm_->set_tuning(tuning);
  put(2, "secnd", Commit::no_flush);
  put(kPageBytes, "raw", Commit::no_flush);
  ASSERT_OK(rvm_->flush());
  ASSERT_TRUE(reopen());
  EXPECT_EQ(get(0, 7), "fisecnd");
  EXPECT_EQ(get(kPageBytes, 3), "raw");
}

}  // namespace
}  // namespace rvm
