// SPDX-License-Identifier: BSD-2-Clause
//
// Who leads a force, and who waits for it.
//
// One thread leads at a time (force.cc). Requests that were issued before it detached the spool
// share its write. When it is done it wakes those who made them, and one of those that came later,
// to lead the next force: one by one, and without holding the mutex, on which they would only queue
// up.
#include <algorithm>

#include "instance.h"

namespace rvm {

// On the stack of a thread that waits.
struct Rvm::Impl::ForceWaiter {
  enum Woken : uint32_t { no, served, again };

  CommitTicket ticket;
  uint64_t note;  // of what the client wrote
  std::atomic<uint32_t> woken{no};

  // The waiter may be gone as soon as it is told; notify_one() needs its address only.
  void wake(Woken how) {
    woken = how;
    woken.notify_one();
  }
};

Result<void> Rvm::Impl::force(bool and_data) {
  std::unique_lock lock(mutex);
  ForceWaiter self{last_ticket, and_data ? client_data.last_note() : 0};
  data_wanted = std::max(data_wanted, self.note);
  while (!is_served(self)) {
    if (const Result<void> fit = usable(); !fit) {
      serve_waiters(false, lock);  // whoever waits for us to lead
      return fit;
    }
    if (!force_running) {
      RVM_TRY(lead(lock));
    } else if (wait_for_leader(self, lock)) {
      break;
    }
  }
  return failed ? usable() : Result<void>{};
}

bool Rvm::Impl::is_served(const ForceWaiter& waiter) const {
  return data_durable >= waiter.note && durable_ticket.load() >= waiter.ticket;
}

// True: served, and `lock` is not held. False: it is held, and everything has to be looked at anew.
bool Rvm::Impl::wait_for_leader(ForceWaiter& self, std::unique_lock<std::mutex>& lock) {
  self.woken = ForceWaiter::no;
  force_waiters.push_back(&self);
  lock.unlock();
  self.woken.wait(ForceWaiter::no);
  if (self.woken == ForceWaiter::served) return true;
  lock.lock();
  return false;
}

// Wakes those for whom the force was that just ended, and one of the others to lead the next one;
// after a force that failed everybody, to try it themselves and hear why it fails. Lets go of the
// lock meanwhile.
void Rvm::Impl::serve_waiters(bool success, std::unique_lock<std::mutex>& lock) {
  const auto later =
      std::partition(force_waiters.begin(), force_waiters.end(),
                     [&](const ForceWaiter* waiter) { return !success || is_served(*waiter); });
  const std::vector<ForceWaiter*> done(force_waiters.begin(), later);
  force_waiters.erase(force_waiters.begin(), later);
  if (success) stats.force_waiters += done.size();
  ForceWaiter* leader = nullptr;
  if (!force_waiters.empty()) {
    leader = force_waiters.front();
    force_waiters.erase(force_waiters.begin());
  }
  lock.unlock();
  if (leader != nullptr) leader->wake(ForceWaiter::again);
  for (ForceWaiter* const waiter : done) {
    waiter->wake(success ? ForceWaiter::served : ForceWaiter::again);
  }
  lock.lock();
}

}  // namespace rvm
