// SPDX-License-Identifier: BSD-2-Clause
//
// See concurrent_history.h.
#include "tests/support/concurrent_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace rvmfs::test {
namespace {

std::string table(FsHistory history) {
  std::sort(history.begin(), history.end(),
            [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::string text;
  for (const auto& timed : history) {
    text += fmt::format("  {:4} ... {:4}  thread {}  {}\n", timed.begin, timed.end, timed.thread,
                        describe(timed.call));
  }
  return text;
}

}  // namespace

FsHistory make_history(const HistoryOptions& options, uint64_t seed,
                       const std::vector<Inode>& directories,
                       const std::vector<std::unique_ptr<FsCaller>>& callers) {
  std::atomic<uint64_t> clock{0};
  std::atomic<size_t> ready{0};
  std::vector<FsHistory> parts(callers.size());
  const auto work = [&](size_t number) {
    FsCallGenerator generator(seed * 1000 + number, options.generator, directories);
    ++ready;
    while (ready < callers.size()) std::this_thread::yield();
    for (size_t i = 0; i < options.calls_each; ++i) {
      TimedCall<FsCall> timed{generator.next(), 0, 0, number};
      timed.begin = clock++;
      callers[number]->make(timed.call);
      timed.end = clock++;
      generator.learn(timed.call);
      parts[number].push_back(std::move(timed));
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 0; i < callers.size(); ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
  FsHistory history;
  for (FsHistory& part : parts) {
    std::move(part.begin(), part.end(), std::back_inserter(history));
  }
  return history;
}

uint64_t overlaps(const FsHistory& history) {
  uint64_t pairs = 0;
  for (size_t i = 0; i < history.size(); ++i) {
    for (size_t k = 0; k < i; ++k) {
      pairs += history[i].begin < history[k].end && history[k].begin < history[i].end ? 1 : 0;
    }
  }
  return pairs;
}

std::string judge(const FsCallState& start, const FsHistory& history) {
  if (linearize(start, history).found) return "";
  const FsHistory small = shrink_history(start, history, has_effect);
  const Linearization attempt = linearize(start, small);
  std::string text = fmt::format("not linearizable; {} of {} calls are enough to show it:\n{}",
                                 small.size(), history.size(), table(small));
  text += "the longest order that fits:\n";
  for (const size_t call : attempt.order) {
    text += fmt::format("  {}\n", describe(small[call].call));
  }
  return text;
}

}  // namespace rvmfs::test
