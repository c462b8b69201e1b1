// SPDX-License-Identifier: BSD-2-Clause
//
// Makes concurrent histories: threads that call at once, each call with its begin and its end.
// linearizability.h judges them.
//
// The clock is a counter that all threads share: a call that ended before another one began has the
// smaller numbers, whatever the processors think of time.
//
// Thread rules: as an int; make_history() starts threads of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/support/fs_call.h"
#include "tests/support/linearizability.h"

namespace rvmfs::test {

// One thread's way to the filesystem: makes the call and fills in the answer.
class FsCaller {
 public:
  virtual ~FsCaller() = default;
  virtual void make(FsCall& call) = 0;
};

using FsHistory = std::vector<TimedCall<FsCall>>;

struct HistoryOptions {
  size_t calls_each = 6;
  FsCallGenerator::Options generator;
};

// A thread for each of the callers. `directories`: what the threads know in the beginning.
FsHistory make_history(const HistoryOptions& options, uint64_t seed,
                       const std::vector<Inode>& directories,
                       const std::vector<std::unique_ptr<FsCaller>>& callers);

// How many pairs of calls ran at the same time: what makes a history worth judging.
uint64_t overlaps(const FsHistory& history);

// Empty if the history is linearizable; else the sentence, the shrunk history as a table in the
// order of the begins, and what was made of it.
std::string judge(const FsCallState& start, const FsHistory& history);

}  // namespace rvmfs::test
