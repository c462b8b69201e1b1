// SPDX-License-Identifier: BSD-2-Clause
//
// What happens while a write of the log or of home pages is under way, or because it failed: a full
// host, commits and notes in the middle of a force, truncation in the middle of commits, and the
// thread that truncates in the background.

#include <condition_variable>
#include <thread>

#include "rvm/rvm.h"
#include "tests/rvm/rvm_world.h"

namespace rvm {
namespace {

using rvmfs::test::DeviceCall;
using rvmfs::test::RvmWorld;

constexpr Error kFullHost{Errc::no_space, ENOSPC, 0, "the host is full"};

class ForceThatFails : public RvmWorld, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    options_.tuning.coalesce_transactions = GetParam();
    RvmWorld::SetUp();
  }

  // The next write fails for want of space, after `meanwhile` has run.
  void when_written(std::function<void()> meanwhile) {
    hooked_->hook = [this, meanwhile](DeviceCall kind, uint64_t) -> Result<void> {
      if (kind != DeviceCall::write) return {};
      meanwhile();
      hooked_->hook = [](DeviceCall, uint64_t) -> Result<void> { return {}; };
      return kFullHost;
    };
  }
};

TEST_P(ForceThatFails, for_want_of_space_goes_beneath_what_was_committed_since) {
  put(0, "older", Commit::no_flush);
  put(3 * kPageBytes, "only older", Commit::no_flush);
  when_written([&] {
    put(3, "newer", Commit::no_flush);
    put(5 * kPageBytes, "only newer", Commit::no_flush);
  });
  EXPECT_ERROR(rvm_->flush(), Errc::no_space);
  EXPECT_FALSE(rvm_->failed());
  EXPECT_EQ(get(0, 8), "oldnewer");
  put(3 * kPageBytes + 20, "a third time", Commit::no_flush);
  EXPECT_OK(rvm_->flush());
  ASSERT_TRUE(reopen());
  EXPECT_EQ(get(0, 8), "oldnewer");
  EXPECT_EQ(get(3 * kPageBytes, 10), "only older");
  EXPECT_EQ(get(3 * kPageBytes + 20, 12), "a third time");
  EXPECT_EQ(get(5 * kPageBytes, 10), "only newer");
}

TEST_P(ForceThatFails, for_want_of_space_keeps_a_format) {
  put(0, "to be gone");
  auto tx = rvm_->begin();
  ASSERT_OK(tx.format(*region_));
  ASSERT_OK(tx.end(Commit::no_flush));
  when_written([&] { put(8, "kept", Commit::no_flush); });
  EXPECT_ERROR(rvm_->flush(), Errc::no_space);
  EXPECT_OK(rvm_->flush());
  ASSERT_TRUE(reopen());
  EXPECT_EQ(get(0, 12), std::string(8, '\0') + "kept");
}

TEST_P(ForceThatFails, keeps_the_notes_of_data_and_newer_ones_win) {
  constexpr uint64_t kStep = 8192;
  const auto write = [&](uint64_t place, uint8_t value) {
    ASSERT_OK(memory_->write(kDataOffset + place * kStep, rvmfs::test::filled(512, value)));
    rvm_->note_write(kDataOffset + place * kStep, 512);
  };
  for (uint64_t place = 0; place < 4; ++place) write(place, 1);
  ASSERT_OK(rvm_->flush(true));
  write(0, 2);
  write(1, 2);
  rvm_->note_reuse(kDataOffset + 2 * kStep, 512);
  when_written([&] {
    write(2, 3);
    rvm_->note_reuse(kDataOffset + kStep, 512);
  });
  EXPECT_ERROR(rvm_->flush(true), Errc::no_space);
  EXPECT_OK(rvm_->flush(true));
  // The homes are lost; the log has what was noted as written, and not what became something else.
  for (uint64_t place = 0; place < 4; ++place) {
    ASSERT_OK(memory_->write(kDataOffset + place * kStep, rvmfs::test::filled(512, 0xee)));
  }
  ASSERT_TRUE(reopen());
  const auto found = [&](uint64_t place) {
    return rvmfs::test::read_all(*memory_, kDataOffset + place * kStep, 512)[0];
  };
  EXPECT_EQ(found(0), std::byte{2});
  EXPECT_EQ(found(1), std::byte{0xee});
  EXPECT_EQ(found(2), std::byte{3});
  EXPECT_EQ(found(3), std::byte{1});
}

INSTANTIATE_TEST_SUITE_P(Optimised, ForceThatFails, ::testing::Bool());

class Interrupted : public RvmWorld {
 protected:
  // Fills the log until so many bytes are left.
  void fill_log(uint64_t left) {
    Tuning tuning = rvm_->tuning();
    tuning.truncate_percent = 101;
    rvm_->set_tuning(tuning);
    const std::string text(40'000, 'f');
    for (Query query = rvm_->query(); query.log_bytes_capacity - query.log_bytes_used > left;
         query = rvm_->query()) {
      put(0, text);
    }
  }
  void wait_until(const std::function<bool()>& holds) {
    for (int i = 0; i < 20'000 && !holds(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ASSERT_TRUE(holds());
  }
};

TEST_F(Interrupted, data_that_are_too_many_for_the_log_wait_for_whoever_wants_them_durable) {
  ASSERT_OK(hooked_->write(kDataOffset, rvmfs::test::filled(1 << 20, 1)));
  rvm_->note_write(kDataOffset, 1 << 20);
  put(0, "metadata that do not care");
  EXPECT_EQ(rvm_->statistics().data_flushes, 0u);
  ASSERT_OK(rvm_->flush(true));
  EXPECT_EQ(rvm_->statistics().data_flushes, 1u);
}

TEST_F(Interrupted, data_behind_the_end_of_a_file_that_was_cut_are_left_out) {
  ASSERT_OK(hooked_->write(kDataOffset, rvmfs::test::filled(8192, 1)));
  rvm_->note_write(kDataOffset, 512);
  rvm_->note_write(kDataOffset + 4096, 512);
  ASSERT_OK(hooked_->resize(kDataOffset + 700));
  EXPECT_OK(rvm_->flush(true));
  EXPECT_EQ(rvm_->statistics().data_bytes_logged, 512u);
  EXPECT_TRUE(reopen());
}

TEST_F(Interrupted, the_log_is_prepared_where_nothing_was_written_and_a_full_host_is_no_obstacle) {
  hooked_->all_holes = true;
  ASSERT_TRUE(reopen());
  device_->fail(DeviceCall::write, 0, {.os_errno = ENOSPC});
  put(0, "written without preparation");
  ASSERT_TRUE(reopen());
  EXPECT_EQ(get(0, 7), "written");
}

TEST_F(Interrupted, the_log_is_prepared_ahead_and_not_for_every_commit) {
  hooked_->all_holes = true;
  ASSERT_TRUE(reopen());
  const uint64_t before = device_->calls(DeviceCall::write);
  put(0, "first");
  const uint64_t with_preparation = device_->calls(DeviceCall::write) - before;
  put(0, "second");
  EXPECT_GT(with_preparation, 1u);
  EXPECT_EQ(device_->calls(DeviceCall::write) - before, with_preparation + 1);
  ASSERT_TRUE(reopen());
  EXPECT_EQ(get(0, 6), "second");
}

TEST_F(Interrupted, a_log_that_cannot_be_prepared_has_failed) {
  hooked_->all_holes = true;
  ASSERT_TRUE(reopen());
  device_->fail(DeviceCall::write, 0);
  EXPECT_ERROR(try_put(0, "x", Commit::flush), Errc::io);
  EXPECT_TRUE(rvm_->failed());
}

TEST_F(Interrupted, the_second_unit_of_a_group_without_space_is_a_failure) {
  const std::string big(400'000, 'b');  // two units
  device_->fail(DeviceCall::write, 1, {.os_errno = ENOSPC});
  EXPECT_ERROR(try_put(0, big, Commit::flush), Errc::no_space);
  EXPECT_TRUE(rvm_->failed());
  device_->clear();
  ASSERT_TRUE(reopen());
  EXPECT_EQ(get(0, 1), std::string(1, '\0')) << "half a group is nothing";
}

TEST_F(Interrupted, truncation_leaves_what_is_committed_while_it_works) {
  put(0, "before");
  put(kPageBytes, "again and again");
  bool done = false;
  hooked_->hook = [&](DeviceCall kind, uint64_t offset) -> Result<void> {
    if (kind != DeviceCall::write || offset < kRegionOffset || done) return {};
    done = true;
    put(kPageBytes, "meanwhile");
    put(9 * kPageBytes, "a new page");
    return {};
  };
  ASSERT_OK(rvm_->truncate(Truncation::incremental));
  EXPECT_TRUE(done);
  EXPECT_EQ(rvm_->query().dirty_pages, 2u);
  hooked_->hook = nullptr;
  ASSERT_TRUE(reopen());
  EXPECT_EQ(get(0, 6), "before");
  EXPECT_EQ(get(kPageBytes, 9), "meanwhile");
  EXPECT_EQ(get(9 * kPageBytes, 10), "a new page");
}

TEST_F(Interrupted, truncation_of_an_empty_log_has_nothing_to_do) {
  ASSERT_OK(rvm_->truncate());
  const uint64_t writes = device_->calls(DeviceCall::write);
  EXPECT_OK(rvm_->truncate(Truncation::incremental));
  EXPECT_OK(rvm_->truncate(Truncation::epoch));
  EXPECT_EQ(device_->calls(DeviceCall::write), writes);
}

TEST_F(Interrupted, truncation_needs_lazy_commits_in_the_log_first) {
  put(0, "lazy", Commit::no_flush);
  device_->fail(DeviceCall::write, 0, {.os_errno = ENOSPC});
  EXPECT_ERROR(rvm_->truncate(), Errc::no_space);
  EXPECT_OK(rvm_->truncate());
  EXPECT_EQ(rvm_->query().log_bytes_used, 0u);
}

TEST_F(Interrupted, a_commit_that_finds_the_log_full_uses_the_room_that_a_truncation_makes) {
  fill_log(64 << 10);
  std::thread committer;
  bool begun = false;
  hooked_->hook = [&](DeviceCall kind, uint64_t) -> Result<void> {
    if (kind != DeviceCall::write || begun) return {};
    begun = true;
    committer = std::thread([&] { put(kPageBytes, std::string(100'000, 'c')); });
    wait_until([&] { return rvm_->statistics().log_full_waits != 0; });
    return {};
  };
  EXPECT_OK(rvm_->truncate(Truncation::incremental));
  committer.join();
  EXPECT_EQ(rvm_->statistics().truncations_epoch, 0u);
  EXPECT_EQ(get(kPageBytes, 1), "c");
}

class Background : public Interrupted {
 protected:
  void SetUp() override {
    options_.background = true;
    options_.tuning.truncate_percent = 10;
    RvmWorld::SetUp();
  }
  static constexpr uint64_t kMuch = 150'000;  // over the threshold
};

TEST_F(Background, truncation_that_meets_a_full_host_tries_again) {
  device_->fail(DeviceCall::allocate, 0, {.os_errno = ENOSPC, .forever = true});
  put(0, std::string(kMuch, 'm'));
  wait_until([&] { return device_->faults() != 0; });
  EXPECT_FALSE(rvm_->failed());
  device_->clear();
  wait_until([&] { return rvm_->query().log_bytes_used == 0; });
}

TEST_F(Background, truncation_rests_after_a_failure_and_when_it_is_switched_off) {
  Tuning tuning = rvm_->tuning();
  tuning.truncate_percent = 101;
  rvm_->set_tuning(tuning);
  put(0, std::string(kMuch, 'm'));
  EXPECT_GT(rvm_->query().log_bytes_used, kMuch);
  rvm_->declare_failed();
  tuning.truncate_percent = 10;
  rvm_->set_tuning(tuning);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_GT(rvm_->query().log_bytes_used, kMuch);
}

TEST_F(Background, truncation_that_fails_while_the_process_ends_holds_nothing_up) {
  std::atomic<bool> there = false;
  hooked_->hook = [&](DeviceCall kind, uint64_t) -> Result<void> {
    if (kind != DeviceCall::allocate) return {};
    there = true;
    wait_until([&] { return rvm_->failed(); });
    return kFullHost;
  };
  put(0, std::string(kMuch, 'm'));
  wait_until([&] { return there.load(); });
  rvm_->abandon();
  rvm_.reset();
  hooked_->hook = nullptr;
  ASSERT_TRUE(open());
  EXPECT_EQ(get(0, 1), "m");
}

}  // namespace
}  // namespace rvm
