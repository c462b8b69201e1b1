// SPDX-License-Identifier: BSD-2-Clause
//
// See turns.h.
#include "fs/daemon/turns.h"

#include <utility>

#include "fs/daemon/futex.h"

namespace rvmfs {
namespace {

// The request that this thread works on, if any.
struct Mine {
  Turns* turns = nullptr;
  Turns::Seat* seat = nullptr;
};
thread_local Mine mine;

}  // namespace

Turns::Turns(uint32_t turns, Events events) : events_(std::move(events)), free_(turns) {}

void Turns::join(Seat& seat) {
  const std::lock_guard lock(mutex_);
  seats_.push_back(&seat);
}

bool Turns::take(Seat& seat) {
  if (seat.has_turn_) return true;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    if (free_ > 0) {
      --free_;
      seat.has_turn_ = true;
      return true;
    }
    waiting_.push_back(&seat);
    seat.asleep_ = 1;
  }
  while (seat.asleep_ != 0) futex_wait(seat.asleep_, 1);
  return seat.has_turn_;
}

void Turns::pass(Seat& seat) {
  if (seat.has_turn_.load(std::memory_order_relaxed) && seat.has_turn_.exchange(false)) hand_on();
}

void Turns::pass_mine() {
  if (mine.seat != nullptr) mine.turns->pass(*mine.seat);
}

void Turns::hand_on() {
  Seat* next = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    if (waiting_.empty()) {
      ++free_;
    } else {
      next = waiting_.back();
      waiting_.pop_back();
    }
  }
  if (next == nullptr) return events_.nobody_waits();
  events_.chosen(*next);
  next->has_turn_ = true;
  wake(*next);
}

void Turns::wake(Seat& seat) {
  seat.asleep_ = 0;
  futex_wake(seat.asleep_);
}

void Turns::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (Seat* const seat : waiting_) wake(*seat);
  waiting_.clear();
}

bool Turns::look() {
  bool any = false;
  std::vector<Seat*> stuck;
  {
    const std::lock_guard lock(mutex_);
    for (Seat* const seat : seats_) {
      const uint64_t requests = seat->requests_;
      const bool is_same = requests == std::exchange(seat->seen_, requests);
      any |= !is_same;
      if (is_same && seat->busy_ && seat->has_turn_) stuck.push_back(seat);
    }
  }
  for (Seat* const seat : stuck) pass(*seat);
  return any;
}

Turns::Request::Request(Turns& turns, Seat& seat) : seat_(seat) {
  mine = {&turns, &seat};
  seat.requests_.fetch_add(1, std::memory_order_relaxed);
  seat.busy_ = true;
}

Turns::Request::~Request() {
  seat_.busy_ = false;
  mine = {};
}

}  // namespace rvmfs
