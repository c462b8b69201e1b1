// SPDX-License-Identifier: BSD-2-Clause
//
// The workers of FUSE over io_uring, where the kernel allows it (root sets the fuse module's
// `enable_uring`).
//
// Each CPU has a worker with a slot (ring_slot.h), bound to that CPU: programs and their workers
// share it, and programs on several CPUs are served at once. A worker that is about to take long
// sees to it that its CPU has another one that waits for requests, up to a limit; the watcher does
// if a worker has been at the same request for too long. Workers are not bound while many requests
// wait for a device (placement.h), nor between large reads and writes.
//
// Life: prepare -> (the kernel is told) -> enroll -> (carries) -> stop.
//
// Thread rules: prepare() and enroll() once, by the thread that answers INIT; stop() by the owner,
// after that thread has ended; about_to_wait() and carries() any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "fs/daemon/anchor.h"
#include "fs/daemon/placement.h"
#include "fs/daemon/ring_slot.h"
#include "fs/daemon/watcher.h"

namespace rvmfs {

class Ring {
 public:
  // Carries out the request of the slot, and replies to it. Any of the workers. Returns whether the
  // next one of this kind had better be carried out on a CPU that is idle.
  using Serve = std::function<bool(RingSlot&)>;

  // `workers`: for each CPU, at most. The watcher is not started yet.
  Ring(uint32_t workers, Placement& placement, Watcher& watcher, Serve serve);
  ~Ring() { stop(); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Starts the first workers. False, and nothing is left of it: this host gives us no io_uring.
  // `fd`: of /dev/fuse, for as long as the ring lives.
  bool prepare(int fd);
  // The kernel knows that requests may come this way: the workers offer their slots. True if it has
  // taken them; else everything goes on over /dev/fuse.
  bool enroll();
  // Every CPU has a slot: requests come this way.
  bool carries() const { return carries_; }
  // Where the last request came from. Threads that work in the background wake the fewest CPUs
  // there.
  int cpu() const { return anchor_.cpu(); }
  // Requests that are being worked on are finished; then all workers are gone.
  void stop();

  // The calling thread, if it is one of these workers and at a request, may wait for long.
  static void about_to_wait();

 private:
  struct Queue {
    explicit Queue(int the_cpu) : cpu(the_cpu) {}
    const int cpu;
    uint32_t workers = 0;
    std::atomic<int> waiting{0};  // workers that wait for a request, or are about to
  };
  struct Worker {
    explicit Worker(Queue& the_queue) : queue(the_queue) {}
    Queue& queue;
    std::thread thread;
    std::atomic<bool> finished{false};
    std::atomic<bool> busy{false};
    std::atomic<uint64_t> requests{0};
    uint64_t seen = 0;              // of requests, when the watcher looked last
    int cpu = Placement::kUnknown;  // where it is bound to
  };
  enum class Phase : uint8_t { none, prepared, enrolled, stopping };
  struct Mine {
    Ring* ring = nullptr;
    Worker* worker = nullptr;
  };

  bool add(Queue& queue);  // false: the host gives no thread
  void relieve(Queue& queue);
  bool look();
  void say_fallback(const Error& error);

  void run(Worker& self);
  bool may_enroll(bool has_slot);
  void serve_all(Worker& self, std::unique_ptr<RingSlot> slot);
  bool enroll_slot(Worker& self, RingSlot& slot);
  bool serve_next(Worker& self, RingSlot& slot);
  void place(Worker& self, bool anywhere = false);

  static thread_local Mine mine_;

  const uint32_t workers_max_;
  Placement& placement_;
  Watcher& watcher_;
  const Serve serve_;
  Anchor anchor_;
  int watcher_cpu_ = Placement::kUnknown;  // the watcher's: where it is bound to
  int fd_ = -1;
  std::atomic<bool> carries_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> said_{false};  // that there is no ring

  std::mutex mutex_;  // everything below
  std::condition_variable changed_;
  Phase phase_ = Phase::none;
  size_t opened_ = 0, failed_ = 0;     // of the first workers
  size_t enrolled_ = 0, refused_ = 0;  // as well
  std::vector<std::unique_ptr<Queue>> queues_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace rvmfs
