// SPDX-License-Identifier: BSD-2-Clause
//
// One slot of FUSE over io_uring (Linux 6.14): a request comes into its buffer, the reply leaves
// from the same buffer, and with the reply the slot asks for the next request: one system call for
// each. The kernel has a queue of requests for each CPU, by where the program runs, and gives the
// next one to the slot of that queue that became free last. As long as there is a queue without any
// slot, everything comes over /dev/fuse; from then on only FORGET and INTERRUPT do.
//
// Each slot has an io_uring of its own, with nothing else in it. So the kernel never gives a
// request to a thread that is still at another one.
//
// Source: Documentation/filesystems/fuse/fuse-io-uring.rst of Linux.
//
// Thread rules: the thread that called open() makes all other calls, too.
#pragma once

#include <liburing.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "fs/errors.h"

namespace rvmfs {

class RingSlot {
 public:
  // The most that a request or a reply has beside its headers. Pages that were never needed cost
  // nothing.
  static constexpr size_t kPayloadBytes = 1 << 20;

  // `fd`: the mount's descriptor of /dev/fuse. The kernel does not know of the slot yet.
  static Result<std::unique_ptr<RingSlot>> open(int fd, uint16_t queue);
  ~RingSlot();
  RingSlot(const RingSlot&) = delete;
  RingSlot& operator=(const RingSlot&) = delete;

  // Offers the slot to the kernel. An error: the kernel does not take it.
  Result<void> enroll();

  enum class Event : uint8_t { request, interrupted, ended };
  // Sends the reply, if there is one, and waits for a request or a signal. Ended: the slot is of no
  // use any more, usually because the filesystem was unmounted; why() says the errno.
  Event next();
  int why() const { return why_; }

  // The request as read(2) of /dev/fuse would give it. Valid until next(); a reply with a body
  // takes its room.
  std::span<std::byte> request() const { return request_; }
  // Keeps the reply until next() sends it; another one takes its place. Returns its length, or -1
  // and errno.
  ssize_t reply(std::span<const iovec> parts);
  int error() const { return error_; }  // of that reply: 0 or -errno
  // Where a reply's body may be put to spare the copy (once the request has been understood).
  std::span<std::byte> payload() const;

 private:
  struct FreeBuffer {
    void operator()(std::byte* buffer) const { free(buffer); }
  };

  RingSlot(int fd, uint16_t queue) : fd_(fd), queue_(queue) {}
  io_uring_sqe* command(uint32_t operation);
  bool take_request();

  const int fd_;
  const uint16_t queue_;
  std::unique_ptr<std::byte, FreeBuffer> buffer_;
  std::span<std::byte> request_;
  iovec areas_[2] = {};  // headers and payload, as the kernel wants to know them
  io_uring ring_{};
  bool has_ring_ = false;
  bool has_reply_ = false;
  uint64_t commit_id_ = 0;  // of the request
  int error_ = 0;
  int why_ = 0;
};

}  // namespace rvmfs
