// SPDX-License-Identifier: BSD-2-Clause
//
// See ring.h.
#include "fs/daemon/ring.h"

#include <linux/fuse.h>
#include <pthread.h>

#include <charconv>
#include <csignal>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>

#include "fs/daemon/messages.h"
#include "fs/daemon/signals.h"

namespace rvmfs {
namespace {

// The kernel wants a slot for each CPU that may ever be plugged in, and so a thread of ours.
constexpr int kCpusMax = 64;
constexpr auto kReplaceInterval = std::chrono::milliseconds(100);
constexpr auto kKickInterval = std::chrono::milliseconds(2);

// Of this machine, including those that are not there yet; 0: unknown.
int possible_cpus() {
  std::string range;
  std::ifstream("/sys/devices/system/cpu/possible") >> range;
  if (range == "0") return 1;
  int last = -1;
  const bool is_simple = range.starts_with("0-");
  if (!is_simple) return 0;
  const char* const end = range.data() + range.size();
  const auto parsed = std::from_chars(range.data() + 2, end, last);
  return parsed.ec == std::errc() && parsed.ptr == end ? last + 1 : 0;
}

bool is_end_of_mount(int number) {
  return number == ENOTCONN || number == ECONNABORTED || number == ENODEV || number == ECANCELED;
}

}  // namespace

thread_local Ring::Mine Ring::mine_;

Ring::Ring(uint32_t workers, Placement& placement, Watcher& watcher, Serve serve)
    : workers_max_(workers), placement_(placement), watcher_(watcher), serve_(std::move(serve)) {
  watcher_.watch([this] { return look(); });
}

bool Ring::prepare(int fd) {
  const int cpus = possible_cpus();
  if (cpus == 0 || cpus > kCpusMax) return false;
  fd_ = fd;
  bool started = true;
  {
    std::unique_lock lock(mutex_);
    for (int cpu = 0; cpu < cpus; ++cpu) queues_.push_back(std::make_unique<Queue>(cpu));
    for (const auto& queue : queues_) started = started && add(*queue);
    changed_.wait(lock, [&] { return opened_ + failed_ == workers_.size(); });
    started = started && failed_ == 0;
    phase_ = started ? Phase::prepared : Phase::stopping;
  }
  if (!started) stop();
  return started;
}

bool Ring::enroll() {
  std::unique_lock lock(mutex_);
  phase_ = Phase::enrolled;
  changed_.notify_all();
  changed_.wait(lock, [this] { return enrolled_ + refused_ >= queues_.size() || stopping_; });
  return carries_;
}

// With mutex_ held.
bool Ring::add(Queue& queue) {
  auto worker = std::make_unique<Worker>(queue);
  Worker& self = *worker;
  ++queue.waiting;
  ++queue.workers;
  try {
    self.thread = std::thread([this, &self] { run(self); });
  } catch (const std::system_error&) {
    --queue.waiting;
    --queue.workers;
    return false;
  }
  workers_.push_back(std::move(worker));
  return true;
}

// Without another thread, those that are there serve on.
void Ring::relieve(Queue& queue) {
  if (queue.waiting > 0) return;
  const std::lock_guard lock(mutex_);
  if (queue.waiting <= 0 && queue.workers < workers_max_ && !stopping_) add(queue);
}

void Ring::about_to_wait() {
  if (mine_.worker != nullptr) mine_.ring->relieve(mine_.worker->queue);
}

// Returns whether anybody has worked since the last look.
bool Ring::look() {
  bool any = false;
  std::vector<Queue*> stuck;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& worker : workers_) {
      const uint64_t requests = worker->requests;
      const bool is_same = requests == std::exchange(worker->seen, requests);
      any |= !is_same;
      if (is_same && worker->busy) stuck.push_back(&worker->queue);
    }
  }
  for (Queue* const queue : stuck) relieve(*queue);
  if (any && placement_.follows() && std::exchange(watcher_cpu_, cpu()) != cpu()) {
    placement_.bind(0, watcher_cpu_);
  }
  return any;
}

void Ring::say_fallback(const Error& error) {
  if (!said_.exchange(true)) say(Level::notice, "{}; using /dev/fuse", why(error));
}

void Ring::run(Worker& self) {
  pthread_setname_np(pthread_self(), ("ring/" + std::to_string(self.queue.cpu)).c_str());
  auto slot = RingSlot::open(fd_, static_cast<uint16_t>(self.queue.cpu));
  if (!slot) say_fallback(slot.error());
  if (may_enroll(slot.has_value())) serve_all(self, std::move(*slot));
  --self.queue.waiting;
  self.finished = true;
}

bool Ring::may_enroll(bool has_slot) {
  std::unique_lock lock(mutex_);
  ++(has_slot ? opened_ : failed_);
  changed_.notify_all();
  changed_.wait(lock, [&] { return phase_ > Phase::prepared || stopping_; });
  return has_slot && phase_ == Phase::enrolled && !stopping_;
}

// A CPU without a slot would keep its programs waiting for ever. So a slot that is lost for any
// other reason than the end of the mount is replaced, for as long as it takes.
void Ring::serve_all(Worker& self, std::unique_ptr<RingSlot> slot) {
  while (!stopping_) {
    if (slot) {
      if (!enroll_slot(self, *slot)) return;
      while (serve_next(self, *slot)) {
      }
      if (stopping_ || is_end_of_mount(slot->why())) return;
      say_limited(Level::error, fmt::format("FUSE over io_uring: {}", strerror(slot->why())));
      std::this_thread::sleep_for(kReplaceInterval);
    }
    auto next = RingSlot::open(fd_, static_cast<uint16_t>(self.queue.cpu));
    if (!next) say_limited(Level::error, why(next.error()));
    slot = next ? std::move(*next) : nullptr;
  }
}

// False: the mount has ended, or the kernel takes no slot, and then everything goes on over
// /dev/fuse.
bool Ring::enroll_slot(Worker& self, RingSlot& slot) {
  place(self);
  Result<void> enrolled = slot.enroll();
  while (!enrolled && carries_ && !stopping_ && !is_end_of_mount(enrolled.error().os_errno)) {
    say_limited(Level::error, why(enrolled.error()));
    std::this_thread::sleep_for(kReplaceInterval);
    enrolled = slot.enroll();
  }
  if (!enrolled && !carries_) say_fallback(enrolled.error());
  const std::lock_guard lock(mutex_);
  ++(enrolled ? enrolled_ : refused_);
  if (enrolled_ == queues_.size()) carries_ = true;
  changed_.notify_all();
  return enrolled.has_value();
}

bool Ring::serve_next(Worker& self, RingSlot& slot) {
  const RingSlot::Event event = slot.next();
  if (event != RingSlot::Event::request) {
    return event == RingSlot::Event::interrupted && !stopping_;
  }
  fuse_in_header header;
  memcpy(&header, slot.request().data(), sizeof header);
  const auto pause = anchor_.see(header.pid, self.queue.cpu);
  mine_ = {this, &self};
  --self.queue.waiting;
  self.requests.fetch_add(1, std::memory_order_relaxed);
  self.busy = true;
  watcher_.wake();
  const bool anywhere = serve_(slot);
  if (pause.count() > 0 && placement_.follows()) std::this_thread::sleep_for(pause);
  self.busy = false;
  ++self.queue.waiting;
  mine_ = {};
  place(self, anywhere);
  return true;
}

void Ring::place(Worker& self, bool anywhere) {
  const int cpu = anywhere || placement_.spreads() ? Placement::kAnywhere : self.queue.cpu;
  if (std::exchange(self.cpu, cpu) != cpu && placement_.follows()) placement_.bind(0, cpu);
}

void Ring::stop() {
  std::vector<std::unique_ptr<Worker>> workers;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    phase_ = Phase::stopping;
    changed_.notify_all();
    workers.swap(workers_);  // the watcher may look; none is added from now on
  }
  // A signal may come just before the wait that it should end.
  for (const auto& worker : workers) {
    while (!worker->finished) {
      pthread_kill(worker->thread.native_handle(), kWakeSignal);
      std::this_thread::sleep_for(kKickInterval);
    }
    worker->thread.join();
  }
}

}  // namespace rvmfs
