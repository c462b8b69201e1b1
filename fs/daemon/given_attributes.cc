// SPDX-License-Identifier: BSD-2-Clause
//
// See given_attributes.h.
#include "fs/daemon/given_attributes.h"

namespace rvmfs {

void GivenAttributes::given(Inode directory, uint32_t pid) {
  const auto now = Clock::now();
  if (pid == 0) pid = kSeveral;
  const std::lock_guard lock(mutex_);
  Slot& slot = slot_of(directory);
  const bool recent = slot.pid != 0 && now - slot.when < kLong;
  if (recent && slot.directory != directory) crowded_until_ = now + kLong;
  const bool is_other = recent && slot.directory == directory && slot.pid != pid;
  slot = {directory, is_other ? kSeveral : pid, now};
}

bool GivenAttributes::must_invalidate(Inode directory, uint32_t pid) {
  const auto now = Clock::now();
  const std::lock_guard lock(mutex_);
  Slot& slot = slot_of(directory);
  if (slot.directory != directory) return now < crowded_until_;
  const bool by_other = slot.pid != 0 && slot.pid != pid && now - slot.when < kLong;
  // A thread's own reply has been taken over: it has come back with another request since.
  slot.pid = 0;
  return by_other;
}

}  // namespace rvmfs
