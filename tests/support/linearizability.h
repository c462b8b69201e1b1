// SPDX-License-Identifier: BSD-2-Clause
//
// Is a concurrent history linearizable? That is: can every call be given one moment between its
// begin and its end, so that the calls, made one after the other at those moments, answer as they
// did? (M. Herlihy and J. Wing, "Linearizability: a correctness condition for concurrent objects",
// 1990.) The search is that of J. Wing and C. Gong, "Testing and verifying concurrent objects"
// (1993): take any call that begins before the first end, make it on the model, go on; where no
// call fits, go back. What makes it fast is G. Lowe's memory of (calls made, state) pairs that have
// been visited ("Testing for linearizability", 2017): two orders that lead to one state need to be
// looked at once.
//
// State: copyable;
//   bool apply(const Call&)       makes the call; true if it answers as the history says. May leave
//                                 anything behind if it does not.
//   uint64_t fingerprint() const  equal for equal states; different ones differ but by accident
//
// An accident (two states with one fingerprint) can only make the search give up a way that would
// have been right: it may refuse a good history, once in 2^64, and never accepts a bad one.
//
// Thread rules: as an int.
#pragma once

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

namespace rvmfs::test {

inline constexpr size_t kHistoryCallsMax = 128;

template <typename Call>
struct TimedCall {
  Call call;
  // Ticks of one clock that never gives a tick twice.
  uint64_t begin = 0, end = 0;
  size_t thread = 0;
};

struct Linearization {
  bool found = false;
  std::vector<size_t> order;  // the calls in their order; if not found: the longest beginning
  uint64_t steps = 0;         // calls tried
};

template <typename State, typename Call>
class LinearizabilitySearch {
 public:
  LinearizabilitySearch(const State& start, const std::vector<TimedCall<Call>>& history)
      : history_(history), state_(start) {
    std::vector<size_t> events;  // call i begins: 2i; ends: 2i + 1
    for (size_t i = 0; i < 2 * history.size(); ++i) events.push_back(i);
    std::sort(events.begin(), events.end(),
              [&](size_t a, size_t b) { return time_of(a) < time_of(b); });
    next_.resize(events.size() + 1);
    previous_.resize(events.size() + 1);
    size_t last = list_end();
    for (const size_t event : events) {
      join(last, event);
      last = event;
    }
    join(last, list_end());
  }

  Linearization run() {
    Linearization result;
    size_t event = next_[list_end()];
    while (next_[list_end()] != list_end()) {
      if (event % 2 == 0) {
        ++result.steps;
        event = try_call(event / 2) ? next_[list_end()] : next_[event];
        if (made_.size() > result.order.size()) note(result);
        continue;
      }
      // The end of a call that has not been made: nothing before it fits any more.
      if (made_.empty()) return result;
      event = next_[2 * go_back()];
    }
    result.found = true;
    return result;
  }

 private:
  struct Made {
    size_t call;
    State before;
  };
  using Calls = std::bitset<kHistoryCallsMax>;
  struct Visited {
    Calls calls;
    uint64_t fingerprint;
    friend bool operator==(const Visited&, const Visited&) = default;
  };
  struct Hash {
    size_t operator()(const Visited& v) const {
      return std::hash<Calls>()(v.calls) ^ (v.fingerprint * 0x9e3779b97f4a7c15ULL);
    }
  };

  // A ring: its first and its last element hang on this one.
  size_t list_end() const { return 2 * history_.size(); }
  uint64_t time_of(size_t event) const {
    return event % 2 == 0 ? history_[event / 2].begin : history_[event / 2].end;
  }
  void join(size_t a, size_t b) {
    next_[a] = b;
    previous_[b] = a;
  }

  bool try_call(size_t call) {
    State after = state_;
    if (!after.apply(history_[call].call)) return false;
    Calls calls = calls_;
    calls.set(call);
    if (!visited_.insert({calls, after.fingerprint()}).second) return false;
    made_.push_back({call, std::exchange(state_, std::move(after))});
    calls_ = calls;
    for (const size_t event : {2 * call, 2 * call + 1}) join(previous_[event], next_[event]);
    return true;
  }

  // Takes the last call back; its events know their places in the list still.
  size_t go_back() {
    const size_t call = made_.back().call;
    state_ = std::move(made_.back().before);
    made_.pop_back();
    calls_.reset(call);
    for (const size_t event : {2 * call + 1, 2 * call}) {
      next_[previous_[event]] = event;
      previous_[next_[event]] = event;
    }
    return call;
  }

  void note(Linearization& result) const {
    result.order.clear();
    for (const Made& made : made_) result.order.push_back(made.call);
  }

  const std::vector<TimedCall<Call>>& history_;
  State state_;
  Calls calls_;
  std::vector<size_t> next_, previous_;
  std::vector<Made> made_;
  std::unordered_set<Visited, Hash> visited_;
};

// At most kHistoryCallsMax calls.
template <typename State, typename Call>
Linearization linearize(const State& start, const std::vector<TimedCall<Call>>& history) {
  return LinearizabilitySearch<State, Call>(start, history).run();
}

// Leaves out calls of a history that is not linearizable as long as what remains is not either and
// the rest proves it: calls without an effect (the others answer the same without them), and calls
// that begin after every other has ended.
template <typename State, typename Call>
std::vector<TimedCall<Call>> shrink_history(const State& start,
                                            std::vector<TimedCall<Call>> history,
                                            bool (*has_effect)(const Call&)) {
  for (bool removed = true; removed;) {
    removed = false;
    for (size_t i = history.size(); i-- > 0;) {
      const bool is_last = std::all_of(history.begin(), history.end(), [&](const auto& other) {
        return &other == &history[i] || other.end < history[i].begin;
      });
      if (has_effect(history[i].call) && !is_last) continue;
      std::vector<TimedCall<Call>> fewer = history;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      if (linearize(start, fewer).found) continue;
      history = std::move(fewer);
      removed = true;
    }
  }
  return history;
}

}  // namespace rvmfs::test
