// SPDX-License-Identifier: BSD-2-Clause
//
// How an operation runs: VolumeCore::run_write and run_read (fs/core.h).
//
//   back-pressure (spool, memory)            without locks; may wait for the device
//   loop: NoWait scope
//           meta_lock { begin, body, end }   never waits for the device to read a page
//           a page was missing?              the transaction is undone, the lock released,
//           load it and run the body again   the page read
//           no room for metadata?            freed blocks are made usable, and once more
//
// The transaction is aborted (every declared byte restored) before meta_lock is released, so no
// reader ever sees the traces of a failed operation. NoWait scopes do not nest: a body never calls
// run_write or run_read.
#pragma once

#include "fs/core.h"

namespace rvmfs {

template <typename T>
Result<T> VolumeCore::attempt_write_(const std::function<Result<T>(Operation&)>& body) {
  std::unique_lock lock(meta_lock);
  rvm::Tree::Memory memory(*tree);
  Operation operation{rvm->begin(), now(), {}};
  Result<T> result = body(operation);
  if (!result) return result;  // the transaction aborts while the lock is still held
  Result<rvm::CommitTicket> ticket = operation.tx.end(rvm::Commit::no_flush);
  if (!ticket) return ticket.error();
  for (const auto& callback : operation.on_success) callback(*ticket);
  return result;
}

template <typename T>
Result<T> VolumeCore::run_write(const std::function<Result<T>(Operation&)>& body) {
  RVM_TRY(before_write_());
  for (bool made_room = false;;) {
    rvm::NoWait scope;
    const uint64_t settled = settled_();
    Result<T> result = attempt_write_<T>(body);
    if (result) return result;
    if (result.error() == rvm::Errc::not_resident) {
      RVM_TRY(scope.load_missing());
    } else if (result.error() == rvm::Errc::no_space && !made_room && make_room_(settled)) {
      made_room = true;
    } else {
      return result;
    }
  }
}

template <typename T>
Result<T> VolumeCore::run_read(const std::function<Result<T>()>& body) {
  RVM_TRY(relieve_memory_());
  for (;;) {
    rvm::NoWait scope;
    Result<T> result = [&]() -> Result<T> {
      std::shared_lock lock(meta_lock);
      return body();
    }();
    if (result || !(result.error() == rvm::Errc::not_resident)) return result;
    RVM_TRY(scope.load_missing());
  }
}

}  // namespace rvmfs
