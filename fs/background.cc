// SPDX-License-Identifier: BSD-2-Clause
//
// The background thread (fs/background.h) and durability: fsync and sync.
//
// Bounded loss: a tick every commit interval forces everything that was committed before it, so an
// operation is durable one interval (and one force) after it was acknowledged. A force that fails
// makes librvm fail for good; operations and fsync then say so, and the thread has nothing left to
// do.
#include "fs/background.h"

#include <chrono>

#include "fs/block_allocator.h"
#include "fs/orphans.h"
#include "seeded_bug.h"

namespace rvmfs {

namespace {

using Clock = std::chrono::steady_clock;

// Frees are settled after a tick, and at this interval if nothing else ticks.
constexpr std::chrono::seconds kSettleInterval{1};

class Worker {
 public:
  explicit Worker(VolumeCore& core) : core_(core) {}

  void run() {
    while (wait()) {
      if (Clock::now() >= next_tick_) tick();
      delete_orphans();
    }
  }

 private:
  // Until the next tick or until somebody has work. False: the volume is being closed.
  bool wait() {
    std::unique_lock lock(core_.background_mutex);
    core_.background_wakeup.wait_until(
        lock, next_tick_, [&] { return core_.stopping || !core_.orphans_to_delete.empty(); });
    orphans_.swap(core_.orphans_to_delete);
    return !core_.stopping;
  }

  // Both may fail: a force tells everybody through Rvm::failed(), and a discard costs host space
  // only.
  void tick() {
    next_tick_ = Clock::now() + interval();
    if (core_.rvm->failed()) return;
    if (core_.options.commit_seconds > 0) static_cast<void>(core_.rvm->flush(true));
    static_cast<void>(core_.blocks->settle_freed());
  }

  void delete_orphans() {
    for (const Inode inode : orphans_) {
      for (;;) {
        const Result<bool> done = finish_orphan(core_, inode, 1);
        if (!done || *done || stopping()) break;  // what is left is done by close or the next open
        if (Clock::now() >= next_tick_) tick();
      }
    }
    orphans_.clear();
  }

  bool stopping() {
    std::lock_guard lock(core_.background_mutex);
    return core_.stopping;
  }

  std::chrono::seconds interval() const {
    const uint32_t seconds = core_.options.commit_seconds;
    return seconds > 0 ? std::chrono::seconds(seconds) : kSettleInterval;
  }

  VolumeCore& core_;
  Clock::time_point next_tick_ = Clock::now() + interval();
  std::vector<Inode> orphans_;
};

}  // namespace

void start_background(VolumeCore& core) {
  core.stopping = false;
  core.threads.emplace_back([&core] { Worker(core).run(); });
}

void stop_background(VolumeCore& core) {
  {
    std::lock_guard lock(core.background_mutex);
    core.stopping = true;
  }
  core.background_wakeup.notify_all();
  for (std::thread& thread : core.threads) thread.join();
  core.threads.clear();
}

// One device flush makes the data written in place and, in the same force, the log durable.
Result<void> Volume::fsync(Inode, bool data_only) {
  if (data_only && RVM_SEEDED_BUG("fdatasync_without_log")) return core_->device->flush();
  return sync();
}

Result<void> Volume::sync() {
  if (core_->options.read_only) return {};
  return core_->rvm->flush(true);
}

}  // namespace rvmfs
