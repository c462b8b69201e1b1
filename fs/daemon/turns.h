// SPDX-License-Identifier: BSD-2-Clause
//
// Whose turn it is to receive requests.
//
// Most requests are done within microseconds. One worker that takes them one after the other is
// faster then than several that are woken by turns, contend for the same locks and put each other
// to sleep. So there are fewer turns than workers, one on a small machine; who has a turn receives
// and works, the others sleep. A turn is passed on before a request that takes long, before a wait
// for the device (announcing_device.h), and, whatever else the reason may be, when its owner has
// been at the same request for too long (look()). So no request waits for another one for longer
// than that, and a request that waits for the answer to another one cannot hold everything up.
//
// That there are no more receivers than turns is a matter of speed; nothing breaks if there are.
//
// Thread rules: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace rvmfs {

class Turns {
 public:
  // A worker's place. It must outlive the Turns, or close() and the worker.
  class Seat {
   private:
    friend class Turns;
    std::atomic<bool> has_turn_{false};
    std::atomic<bool> busy_{false};
    std::atomic<uint64_t> requests_{0};
    std::atomic<uint32_t> asleep_{0};  // futex
    uint64_t seen_ = 0;                // of requests_, when somebody looked last
  };

  // What the owner does about it: `chosen` is called for a sleeping worker just before it is woken
  // to receive, `nobody_waits` when a turn is free and no worker waits for one.
  struct Events {
    std::function<void(Seat&)> chosen;
    std::function<void()> nobody_waits;
  };

  Turns(uint32_t turns, Events events);
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  void join(Seat& seat);
  // Returns when the worker has a turn. False: closed.
  bool take(Seat& seat);
  // Gives away the worker's turn, if it has one.
  void pass(Seat& seat);
  // The same for the calling thread, if it is a worker at a request.
  static void pass_mine();
  void close();

  // Around a request, by the thread of this seat.
  class Request {
   public:
    Request(Turns& turns, Seat& seat);
    ~Request();
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

   private:
    Seat& seat_;
  };

  // Takes the turn from who is at the same request as at the last look. One thread. Returns whether
  // anybody has worked since.
  bool look();

 private:
  void hand_on();
  static void wake(Seat& seat);

  const Events events_;
  std::mutex mutex_;
  uint32_t free_;
  bool closed_ = false;
  std::vector<Seat*> seats_;
  std::vector<Seat*> waiting_;  // who slept last is woken first: its stack is warm
};

}  // namespace rvmfs
