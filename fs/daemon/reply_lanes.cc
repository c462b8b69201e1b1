// SPDX-License-Identifier: BSD-2-Clause
//
// See reply_lanes.h.
#include "fs/daemon/reply_lanes.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "fs/daemon/futex.h"

namespace rvmfs {
namespace {

constexpr int kLooksUntilFreed = 5;
constexpr auto kPauseMin = std::chrono::milliseconds(50);
constexpr auto kPauseMax = std::chrono::seconds(30);
constexpr int kPauseFactor = 4;
constexpr auto kPauseForgotten = std::chrono::minutes(1);
// The shortest there is. A thread of the idle class that waits for its turn among busy ones waits
// for as long as they take to run for about 300 times its slice.
constexpr uint64_t kSliceNanoseconds = 100'000;

bool bind_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

// The system's header for it does not go together with sched.h. See sched_setattr(2).
struct SchedulingAttributes {
  uint32_t size = sizeof(SchedulingAttributes), policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0, deadline = 0, period = 0;
};
static_assert(sizeof(SchedulingAttributes) == 48);

bool enter_idle_class() {
  SchedulingAttributes slice;
  slice.policy = SCHED_OTHER;
  slice.runtime = kSliceNanoseconds;
  // Kernels before 6.12 know no such thing; and it stays as it is if we are of the class already.
  syscall(SYS_sched_setattr, 0, &slice, 0);
  const sched_param parameters{};
  return sched_setscheduler(0, SCHED_IDLE, &parameters) == 0;
}

// May only be called for threads that are not joined yet. Both calls may fail (another CPU is not
// allowed to us; leaving the idle class takes a privilege); then the thread waits for its turn.
void free_from_idle_class(pid_t thread, int cpu) {
  cpu_set_t set;
  memset(&set, 0xff, sizeof set);
  CPU_CLR(cpu, &set);
  const sched_param parameters{};
  sched_setaffinity(thread, sizeof set, &set);
  sched_setscheduler(thread, SCHED_OTHER, &parameters);
}

}  // namespace

// A reply on its way.
struct ReplyLanes::Slot {
  // What its buffer is: being filled by a worker, to be sent by the lane, being sent by the
  // watcher, sent by the watcher. The lane alone makes it free again, once it does not look at it
  // any more.
  enum State : uint32_t { free, filling, ready, rescuing, rescued };

  bool change(State from, State to) {
    uint32_t expected = from;
    return state.compare_exchange_strong(expected, to);
  }

  std::atomic<uint32_t> state{free};
  std::atomic<uint64_t> count{0};  // replies so far
  int fd = -1;
  size_t bytes = 0;
  // The watcher's: the reply that it saw last, and how often in a row.
  uint64_t seen = 0;
  int looks = 0;
  std::array<std::byte, kReplyBytesMax> buffer;
};

struct ReplyLanes::Lane {
  explicit Lane(int the_cpu) : cpu(the_cpu) {}

  const int cpu;
  // The program that a reply has woken takes the CPU from the lane inside of its write, and comes
  // back with the next request before the lane has returned. So one slot would not do.
  std::array<Slot, 4> slots;
  std::atomic<uint32_t> signal{0};  // futex: counts what the lane has to look at
  std::atomic<bool> asleep{false};
  std::atomic<bool> usable{false};  // bound, and of the idle class
  std::atomic<bool> freed{false};   // from the idle class by the watcher; the lane goes back to it
  std::atomic<bool> stopping{false};
  // The thread looks at nothing of ours any more. It is detached: to wait for it would be to wait
  // for its CPU.
  std::atomic<bool> ended{false};
  std::atomic<pid_t> id{0};  // of the thread
};

ReplyLanes::ReplyLanes(Watcher& watcher) : pause_(kPauseMin), watcher_(watcher) {
  watcher.watch([this] { return look_at_lanes(); });
}

ReplyLanes::~ReplyLanes() { stop(); }

bool ReplyLanes::closed() const {
  const Clock::rep until = closed_until_.load(std::memory_order_relaxed);
  return until != 0 && Clock::now().time_since_epoch().count() < until;
}

bool ReplyLanes::send(int cpu, int fd, std::span<const iovec> parts) {
  size_t bytes = 0;
  for (const iovec& part : parts) bytes += part.iov_len;
  if (bytes > kReplyBytesMax || closed()) return false;
  Lane* const lane = lane_of(cpu);
  if (lane == nullptr || !lane->usable) return false;
  for (Slot& slot : lane->slots) {
    if (!slot.change(Slot::free, Slot::filling)) continue;
    size_t at = 0;
    for (const iovec& part : parts) {
      memcpy(slot.buffer.data() + at, part.iov_base, part.iov_len);
      at += part.iov_len;
    }
    slot.fd = fd;
    slot.bytes = bytes;
    ++slot.count;
    slot.state = Slot::ready;
    wake(*lane);
    watcher_.wake();
    return true;
  }
  return false;
}

void ReplyLanes::wake(Lane& lane) {
  ++lane.signal;
  if (lane.asleep) futex_wake(lane.signal);
}

ReplyLanes::Lane* ReplyLanes::lane_of(int cpu) {
  if (cpu < 0 || cpu >= kCpus) return nullptr;
  Lane* const lane = lanes_[static_cast<size_t>(cpu)].load(std::memory_order_acquire);
  return lane != nullptr && !lane->ended ? lane : make_lane(cpu);
}

ReplyLanes::Lane* ReplyLanes::make_lane(int cpu) {
  const std::lock_guard lock(make_mutex_);
  std::atomic<Lane*>& place = lanes_[static_cast<size_t>(cpu)];
  if (stopping_ || (place != nullptr && !place.load()->ended)) return place;
  std::unique_ptr<Lane> made(place == nullptr ? new Lane(cpu) : nullptr);
  Lane* const lane = made ? made.get() : place.load();
  try {
    lane->ended = false;
    std::thread([this, lane] { run(*lane); }).detach();
  } catch (const std::system_error&) {
    lane->ended = true;  // the worker sends; the next reply tries again
    return made ? nullptr : lane;
  }
  if (made) place = made.release();
  return lane;
}

// A lane that others keep from its CPU ends as soon as it gets there: threads of the idle class
// would keep a process that is killed from ending, and its image locked.
void ReplyLanes::run(Lane& lane) {
  lane.id = gettid();
  lane.usable = bind_to(lane.cpu) && enter_idle_class();
  while (!closed()) {
    const uint32_t signal = lane.signal;
    const bool sent = send_ready(lane);
    if (lane.freed.exchange(false)) lane.usable = bind_to(lane.cpu) && enter_idle_class();
    if (sent) continue;
    if (lane.stopping) break;
    lane.asleep = true;
    futex_wait(lane.signal, signal);
    lane.asleep = false;
  }
  // What comes in here yet is for the watcher.
  lane.usable = false;
  send_ready(lane);
  lane.id = 0;
  lane.ended = true;
}

// Returns whether there was anything to do.
bool ReplyLanes::send_ready(Lane& lane) {
  bool any = false;
  for (Slot& slot : lane.slots) {
    if (slot.state == Slot::ready) {
      // The worker sleeps, but the scheduler may keep it in its queue until its account is even,
      // and then the CPU would not count as idle. Whoever yields goes behind it.
      sched_yield();
      // Fails if the mount has gone, or if the watcher was faster.
      [[maybe_unused]] const ssize_t ignored = write(slot.fd, slot.buffer.data(), slot.bytes);
      any |= slot.change(Slot::ready, Slot::free);
    }
    any |= slot.change(Slot::rescued, Slot::free);
  }
  return any;
}

// Returns whether there is anything to watch.
bool ReplyLanes::look_at_lanes() {
  bool any = false;
  for (const std::atomic<Lane*>& place : lanes_) {
    Lane* const lane = place;
    if (lane == nullptr) continue;
    for (Slot& slot : lane->slots) any |= look_at(*lane, slot);
  }
  return any;
}

bool ReplyLanes::look_at(Lane& lane, Slot& slot) {
  const uint64_t count = slot.count;
  slot.looks = count == slot.seen ? slot.looks + 1 : 0;
  slot.seen = count;
  if (slot.state == Slot::free) return slot.looks == 0;
  if (slot.looks == 1) rescue(lane, slot);
  // If the lane lost its CPU inside of its own write, it may have been just before it woke the
  // program up. Usually it was just after it.
  if (slot.looks == kLooksUntilFreed && lane.id != 0 && !lane.freed.exchange(true)) {
    free_from_idle_class(lane.id, lane.cpu);
  }
  return slot.looks <= kLooksUntilFreed;
}

// Sends what the lane did not send in time.
void ReplyLanes::rescue(Lane& lane, Slot& slot) {
  if (!slot.change(Slot::ready, Slot::rescuing)) return;
  // ENOENT: the lane has sent it, but did not come to say so.
  const bool was_stuck = write(slot.fd, slot.buffer.data(), slot.bytes) >= 0;
  slot.state = Slot::rescued;
  wake(lane);
  if (!was_stuck) return;
  ++rescues_;
  const auto now = Clock::now();
  const bool is_new = now - rescued_ > kPauseForgotten;
  pause_ = is_new ? kPauseMin : std::min<Clock::duration>(pause_ * kPauseFactor, kPauseMax);
  rescued_ = now;
  closed_until_ = (now + pause_).time_since_epoch().count();
  for (const std::atomic<Lane*>& place : lanes_) {
    if (Lane* const other = place) wake(*other);  // to end
  }
}

void ReplyLanes::stop() {
  stopping_ = true;
  for (std::atomic<Lane*>& place : lanes_) {
    const std::unique_ptr<Lane> lane(place.exchange(nullptr));
    if (lane == nullptr) continue;
    for (Slot& slot : lane->slots) rescue(*lane, slot);
    lane->stopping = true;
    if (lane->id != 0) free_from_idle_class(lane->id, lane->cpu);
    wake(*lane);
    while (!lane->ended) std::this_thread::sleep_for(Watcher::kInterval);
  }
}

}  // namespace rvmfs
