// SPDX-License-Identifier: BSD-2-Clause
//
// Every call that librvm makes to its devices fails once, with each kind of error: while an image
// is recovered, and while commits, client data, truncations and new segments are under way.
// Whatever the answer was, what was acknowledged as durable is there afterwards, commits are whole
// and in order, and a call that failed for want of space succeeds when it is tried again.

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "rvm/rvm.h"
#include "tests/support/bytes.h"
#include "tests/support/fault_device.h"
#include "tests/support/memory_device.h"

namespace rvm {
namespace {

using rvmfs::test::Bytes;
using rvmfs::test::DeviceCall;
using rvmfs::test::FaultDevice;
using rvmfs::test::filled;
using rvmfs::test::MemoryDevice;
using rvmfs::test::SparseImage;

constexpr uint64_t kLogBytes = 512 << 10;
constexpr uint64_t kRegionBytes = 512 << 10;
constexpr uint64_t kHashedOffset = 1 << 20;
constexpr uint64_t kFlatOffset = 2 << 20;  // of the second segment
constexpr uint64_t kDataOffset = 3 << 20;  // the client's own
constexpr uint64_t kDataBytes = 200 << 10;
constexpr uint64_t kFill = 60 << 10;
const std::string kSecond = "second";

struct Images {
  SparseImage first, second;
};

// A process with its devices. Commit number n writes n into a page of each region.
class Process {
 public:
  explicit Process(const Images& images)
      : first_memory(std::make_shared<MemoryDevice>(images.first)),
        second_memory(std::make_shared<MemoryDevice>(images.second)),
        first(std::make_shared<FaultDevice>(first_memory)),
        second(std::make_shared<FaultDevice>(second_memory)) {}
  ~Process() {
    if (rvm) rvm->abandon();
  }

  Images images() const { return {first_memory->snapshot(), second_memory->snapshot()}; }
  FaultDevice& device(int number) { return number == 0 ? *first : *second; }

  Result<void> open() {
    Options options;
    options.log_device = first;
    options.open_segment = [this](std::string_view, bool) -> Result<std::shared_ptr<Device>> {
      return std::shared_ptr<Device>(second);
    };
    options.background = false;
    options.recovery_bytes_max = 64 << 10;  // several epochs
    RVM_ASSIGN(rvm, Rvm::initialize(std::move(options)));
    RVM_ASSIGN(const SegmentId segment, rvm->open_segment(kSecond));
    RVM_ASSIGN(hashed, rvm->map({.offset = kHashedOffset + kPageBytes,
                                 .length = kRegionBytes - kPageBytes,
                                 .hashed = true,
                                 .hash_table_offset = kHashedOffset}));
    RVM_ASSIGN(flat, rvm->map({.segment = segment, .offset = kFlatOffset, .length = kRegionBytes}));
    return {};
  }

  Result<void> format() {
    auto tx = rvm->begin();
    RVM_TRY(tx.format(*hashed));
    RVM_TRY(tx.format(*flat));
    RVM_TRY(tx.end(Commit::flush));
    return rvm->truncate();
  }

  // Also fills `bytes` of the hashed region with the number, or with zeros.
  Result<void> commit(Commit mode, uint64_t bytes = 0, bool zeros = false) {
    auto tx = rvm->begin();
    tx.order_after_device_writes();
    for (Region* region : {hashed, flat}) {
      RVM_ASSIGN(std::byte * place, tx.modify(*region, kPageBytes, sizeof(uint64_t)));
      const uint64_t number = begun + 1;
      std::memcpy(place, &number, sizeof(number));
    }
    if (bytes != 0) {
      RVM_ASSIGN(std::byte * place, tx.modify(*hashed, 3 * kPageBytes, bytes));
      std::memset(place, zeros ? 0 : static_cast<int>(begun + 1), bytes);
    }
    ++begun;  // from here on it may be found
    RVM_TRY(tx.end(mode));
    if (mode == Commit::flush) durable = begun;
    return {};
  }

  Result<void> flush() {
    const uint64_t before = begun;
    RVM_TRY(rvm->flush(true));
    durable = before;
    return {};
  }

  Result<void> write_data(uint64_t bytes) {
    RVM_TRY(first->write(kDataOffset, filled(bytes, static_cast<uint8_t>(begun))));
    rvm->note_write(kDataOffset, bytes);
    return flush();
  }

  // The newest commit that both regions know; they must agree.
  uint64_t found() {
    uint64_t numbers[2] = {};
    for (int i = 0; i < 2; ++i) {
      const auto place = (i == 0 ? hashed : flat)->read(kPageBytes, sizeof(uint64_t));
      EXPECT_OK(place);
      if (place) std::memcpy(&numbers[i], *place, sizeof(uint64_t));
    }
    EXPECT_EQ(numbers[0], numbers[1]) << "a commit is whole";
    return numbers[0];
  }

  std::shared_ptr<MemoryDevice> first_memory, second_memory;
  std::shared_ptr<FaultDevice> first, second;
  std::unique_ptr<Rvm> rvm;
  Region* hashed = nullptr;
  Region* flat = nullptr;
  uint64_t begun = 0, durable = 0;
};

using Step = std::function<Result<void>(Process&)>;

// What the commits were, without a fault, when the image was made.
struct Start {
  Images images;
  uint64_t begun = 0, durable = 0;
};

Start formatted() {
  Process process(Images{SparseImage(4 << 20), SparseImage(4 << 20)});
  EXPECT_OK(Rvm::create_log(*process.first, {.length = kLogBytes}));
  EXPECT_OK(process.open());
  EXPECT_OK(process.format());
  return {process.images()};
}

// A log with many units and client data, and pages that were killed on their way home.
Start killed_on_the_way_home() {
  Process process(formatted().images);
  EXPECT_OK(process.open());
  for (int i = 0; i < 4; ++i) EXPECT_OK(process.commit(Commit::flush, kFill));
  EXPECT_OK(process.write_data(8192));
  process.first->fail_range(DeviceCall::write, kHashedOffset + 4 * kPageBytes, 1);
  EXPECT_FALSE(process.rvm->truncate());
  return {process.images(), process.begun, process.durable};
}

const std::vector<Step>& work() {
  static const std::vector<Step> steps = {
      [](Process& p) { return p.commit(Commit::no_flush); },
      [](Process& p) { return p.flush(); },
      [](Process& p) { return p.write_data(8192); },        // goes through the log
      [](Process& p) { return p.write_data(kDataBytes); },  // is flushed
      [](Process& p) { return p.commit(Commit::flush, 2 * kFill); },
      [](Process& p) { return p.rvm->truncate(Truncation::incremental); },
      [](Process& p) { return p.write_data(8192); },
      [](Process& p) { return p.commit(Commit::flush, kFill, true); },
      [](Process& p) { return p.rvm->truncate(Truncation::epoch); },
      [](Process& p) { return p.commit(Commit::flush, 2 * kFill); },
      [](Process& p) { return p.commit(Commit::flush, 2 * kFill); },
      [](Process& p) { return p.commit(Commit::flush, 2 * kFill); },  // the log is full once more
      [](Process& p) { return p.commit(Commit::flush, 2 * kFill); },
      [](Process& p) -> Result<void> {
        RVM_TRY(p.rvm->open_segment("third"));
        return {};
      },
      [](Process& p) -> Result<void> {
        RVM_TRY(p.rvm->truncate());
        p.rvm->reclaim(0);
        RVM_TRY(p.hashed->read(0, 16 * kPageBytes));
        return p.commit(Commit::no_flush);
      },
      [](Process& p) {
        const uint64_t before = p.begun;
        const Result<void> closed = p.rvm->close();
        if (closed) p.durable = before;
        return closed;
      },
  };
  return steps;
}

std::string name(int device, DeviceCall kind, int os_errno, uint64_t nth) {
  return "call " + std::to_string(nth) + " of kind " + std::to_string(static_cast<int>(kind)) +
         " to device " + std::to_string(device) + " fails with " + std::to_string(os_errno);
}

// Whatever happened: a new process finds a whole commit, none that was durable is missing.
void check_what_is_left(Process& dead) {
  if (dead.rvm) dead.rvm->abandon();
  Process next(dead.images());
  ASSERT_OK(next.open());
  const uint64_t found = next.found();
  EXPECT_GE(found, dead.durable);
  EXPECT_LE(found, dead.begun);
}

// Steps until one fails; that one again, until it succeeds or the instance is known to have failed.
void run_steps(Process& process) {
  for (const Step& step : work()) {
    const Result<void> done = step(process);
    if (done) continue;
    if (process.rvm->failed()) {
      EXPECT_ERROR(process.flush(), Errc::failed);
      return;
    }
    const Result<void> again = step(process);
    EXPECT_TRUE(again) << describe(done.error()) << ", then " << describe(again.error());
  }
}

// Calls `run` with each call failing in turn, until there is none left to fail.
void with_each_call_failing(const Start& start, const std::function<void(Process&)>& run) {
  for (const int device : {0, 1}) {
    for (const DeviceCall kind : {DeviceCall::read, DeviceCall::write, DeviceCall::flush,
                                  DeviceCall::discard, DeviceCall::allocate}) {
      for (const int os_errno : {EIO, ENOSPC}) {
        for (uint64_t nth = 0;; ++nth) {
          SCOPED_TRACE(name(device, kind, os_errno, nth));
          Process process(start.images);
          process.begun = start.begun;
          process.durable = start.durable;
          process.device(device).fail(kind, nth, {.os_errno = os_errno});
          run(process);
          const bool failed = process.device(device).faults() != 0;
          process.device(device).clear();
          check_what_is_left(process);
          if (!failed || ::testing::Test::HasFailure()) break;
        }
      }
    }
  }
}

TEST(FailingCalls, while_recovering_change_nothing_that_the_next_recovery_needs) {
  with_each_call_failing(killed_on_the_way_home(), [](Process& process) {
    const bool opened = process.open().has_value();
    process.first->clear();
    process.second->clear();
    if (opened) EXPECT_GE(process.found(), process.durable);
  });
}

TEST(FailingCalls, while_working_fail_the_step_and_lose_nothing_that_was_durable) {
  with_each_call_failing(formatted(), [](Process& process) {
    if (!process.open()) return;
    run_steps(process);
  });
}

}  // namespace
}  // namespace rvm
