// SPDX-License-Identifier: BSD-2-Clause
//
// The clock of a volume and its back-pressure: what has to happen before an operation takes the
// lock, so that nobody waits for the device while holding it.
#include "fs/core.h"

#include <ctime>

#include "fs/block_allocator.h"

namespace rvmfs {

VolumeCore::VolumeCore() = default;
VolumeCore::~VolumeCore() = default;

// A clock that is corrected by a little must not make a change look older than the one before it,
// nor as old: programs compare times to see whether something has changed. One that was set back is
// followed: for hours nothing would seem to change otherwise.
Time VolumeCore::now() const {
  constexpr int64_t kCorrectionSecondsMax = 2;
  Time time;
  if (options.clock) {
    time = options.clock();
  } else {
    timespec read{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &read);  // what the kernel's own filesystems use
    time = {read.tv_sec, static_cast<uint32_t>(read.tv_nsec)};
  }
  std::lock_guard lock(clock_mutex_);
  if (time < last_now_ && time.seconds + kCorrectionSecondsMax >= last_now_.seconds) {
    time = last_now_;
    if (++time.nanoseconds == 1'000'000'000) time = {time.seconds + 1, 0};
  }
  last_now_ = time;
  return time;
}

Result<void> VolumeCore::check_writable() const {
  if (options.read_only) return fs_error(FsErrc::read_only_volume, "mounted read-only");
  if (shut_down) return Error{rvm::Errc::io, EIO, 0, "the volume was shut down"};
  if (rvm->failed()) {
    return fs_error(FsErrc::read_only_volume, "read-only since a write of the log failed");
  }
  return {};
}

Result<void> VolumeCore::before_write_() {
  RVM_TRY(check_writable());
  if (rvm->wants_flush()) RVM_TRY(rvm->flush(true));
  return relieve_memory_();
}

// Clean pages go first. If what remains is too much still, most of it waits to be written home.
Result<void> VolumeCore::relieve_memory_() {
  if (!rvm->wants_reclaim()) return {};
  std::unique_lock one_at_a_time(relieve_mutex_, std::try_to_lock);
  if (!one_at_a_time.owns_lock()) return {};
  const uint64_t goal = options.metadata_bytes_max / 10 * 9;
  {
    std::unique_lock lock(meta_lock);
    rvm->reclaim(goal);
  }
  if (!rvm->wants_reclaim() || options.read_only || rvm->failed()) return {};
  RVM_TRY(rvm->truncate());
  std::unique_lock lock(meta_lock);
  rvm->reclaim(goal);
  return {};
}

// What goes wrong here is not the caller's news: its own error (no space) stays.
uint64_t VolumeCore::settled_() const { return blocks ? blocks->settled() : 0; }

bool VolumeCore::make_room_(uint64_t since) {
  const Result<bool> made = blocks->make_room(since);
  return made && *made;
}

}  // namespace rvmfs
