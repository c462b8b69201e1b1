// SPDX-License-Identifier: BSD-2-Clause
//
// Attributes of directories that the kernel may still be about to cache although they are old.
//
// A thread that asked for a directory's attributes takes them over some time after our reply. If
// another thread's create, unlink or rename changes the directory in between, the kernel marks its
// copy as stale first, and then takes over the old attributes as good ones, for ever: it counts
// versions for changes of files, but not for changes of directories. A notification makes it forget
// such replies; it costs a system call, so it is sent only where another thread was given
// attributes since the last change.
//
// Bounded: a table of fixed size. What was given long ago has been taken over.
//
// Thread rules: any thread.
#pragma once

#include <array>
#include <chrono>
#include <mutex>

#include "fs/volume.h"

namespace rvmfs {

class GivenAttributes {
 public:
  // The client thread `pid` (0: unknown) is being given attributes of the directory.
  void given(Inode directory, uint32_t pid);
  // The thread has changed the directory. True if the kernel has to be told, before the reply.
  bool must_invalidate(Inode directory, uint32_t pid);

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr uint32_t kSeveral = UINT32_MAX;
  static constexpr auto kLong = std::chrono::seconds(30);

  struct Slot {
    Inode directory = 0;
    uint32_t pid = 0;  // kSeveral: more than one thread, or an unknown one
    Clock::time_point when;
  };
  Slot& slot_of(Inode directory) {
    return slots_[(directory * 0x9e3779b97f4a7c15ULL) >> 52];  // 12 bits
  }

  std::mutex mutex_;
  std::array<Slot, 4096> slots_;
  Clock::time_point crowded_until_{};  // a slot had to be given to another directory
};

}  // namespace rvmfs
