// SPDX-License-Identifier: BSD-2-Clause
//
// Durable writes past the host's page cache (O_DIRECT | O_DSYNC, on a descriptor of their own).
//
// Such a write does not wait for everything else that was written, as fdatasync does, and on blocks
// that were written before the host has no metadata to commit. It is given to the host as an
// asynchronous one (io_submit(2)) and waited for: the host's filesystems hold the lock of the file
// during a write(2) of this kind, for as long as the medium takes, and every other write into the
// image would wait with it; of an asynchronous one they hold it only while it is handed over. Where
// there is no asynchronous I/O (not in the kernel, forbidden, used up), it is a write(2).
//
// Whoever locks the image does so with descriptor(). A write under way keeps that one open, so an
// image whose process was killed stays locked until the medium has done with the write. (Usually
// the kernel waits for it before it closes anything; not if somebody else, as ps(1), is just
// looking at the dying process.)
//
// Thread rules: any thread; writes of several threads go on at the same time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "rvm/error.h"

namespace rvm {

class DirectWriter {
 public:
  // `fd` is the image's, open for writing.
  DirectWriter(int fd, bool is_block);
  ~DirectWriter();
  DirectWriter(const DirectWriter&) = delete;
  DirectWriter& operator=(const DirectWriter&) = delete;

  // -1: this image has none, and write() does nothing.
  int descriptor() const { return fd_; }

  // Writes inside of the file. Nothing: it has to be done in another way, and what the range holds
  // is unknown until then. Errors: io.
  std::optional<Result<void>> write(uint64_t offset, std::span<const std::byte> in);

 private:
  class Slot;

  std::unique_ptr<Slot> take_slot();
  void give_back(std::unique_ptr<Slot> slot);

  int fd_ = -1;
  std::atomic<bool> usable_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Slot>> free_;
};

}  // namespace rvm
