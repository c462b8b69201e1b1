// SPDX-License-Identifier: BSD-2-Clause
//
// A readers-writer lock that lets a waiting writer go first. std::shared_mutex prefers readers
// here: a steady stream of lookups would keep every change waiting. The price is that a thread must
// not lock it twice for reading, which run_read (fs/core_run.h) never does.
//
// Meets the requirements of std::unique_lock and std::shared_lock.
#pragma once

#include <pthread.h>

namespace rvmfs {

class MetaLock {
 public:
  MetaLock() {
    pthread_rwlockattr_t attributes;
    ::pthread_rwlockattr_init(&attributes);
#ifdef __GLIBC__
    ::pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
    ::pthread_rwlock_init(&lock_, &attributes);
    ::pthread_rwlockattr_destroy(&attributes);
  }
  ~MetaLock() { ::pthread_rwlock_destroy(&lock_); }
  MetaLock(const MetaLock&) = delete;
  MetaLock& operator=(const MetaLock&) = delete;

  void lock() { ::pthread_rwlock_wrlock(&lock_); }
  void unlock() { ::pthread_rwlock_unlock(&lock_); }
  void lock_shared() { ::pthread_rwlock_rdlock(&lock_); }
  void unlock_shared() { ::pthread_rwlock_unlock(&lock_); }

 private:
  pthread_rwlock_t lock_;
};

}  // namespace rvmfs
