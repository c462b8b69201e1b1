// SPDX-License-Identifier: BSD-2-Clause
//
// A readers-writer lock that lets a waiting writer go first. std::shared_mutex prefers readers
// here: a steady stream of lookups would keep every change waiting. The price is that a thread must
// not lock it twice for reading, which run_read (fs/core_run.h) never does.
//
// Nobody waits for a device while holding it, so it is free again within microseconds, less than it
// takes to put a thread to sleep and to wake it. Therefore who finds it taken tries again for a
// while; it sleeps if the holder seems to have lost its CPU.
//
// Meets the requirements of std::unique_lock and std::shared_lock.
#pragma once

#include <pthread.h>
#include <unistd.h>

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

  void lock() {
    for (int i = 0; i < tries_; ++i) {
      if (::pthread_rwlock_trywrlock(&lock_) == 0) return;
      relax();
    }
    ::pthread_rwlock_wrlock(&lock_);
  }
  void unlock() { ::pthread_rwlock_unlock(&lock_); }
  void lock_shared() {
    for (int i = 0; i < tries_; ++i) {
      if (::pthread_rwlock_tryrdlock(&lock_) == 0) return;
      relax();
    }
    ::pthread_rwlock_rdlock(&lock_);
  }
  void unlock_shared() { ::pthread_rwlock_unlock(&lock_); }

 private:
  static constexpr int kTries = 1000;  // 50 to 100 us

  static void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  pthread_rwlock_t lock_;
  const int tries_ = ::sysconf(_SC_NPROCESSORS_ONLN) > 1 ? kTries : 0;
};

}  // namespace rvmfs
