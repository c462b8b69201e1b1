// SPDX-License-Identifier: BSD-2-Clause
//
// See ring_slot.h.
#include "fs/daemon/ring_slot.h"

#include <linux/fuse.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "fs/daemon/fuse_protocol.h"

namespace rvmfs {
namespace {

// The buffer: a page that begins with the headers, then the payload. The header of a request and
// the struct of its operation are copied to the end of that page, so that the request is in one
// piece.
constexpr size_t kPageBytes = 4096;
constexpr unsigned kRingEntries = 2;

Error ring_error(int number, const char* what) { return Error{rvm::Errc::io, number, 0, what}; }

}  // namespace

Result<std::unique_ptr<RingSlot>> RingSlot::open(int fd, uint16_t queue) {
  std::unique_ptr<RingSlot> slot(new RingSlot(fd, queue));
  constexpr size_t bytes = kPageBytes + kPayloadBytes;
  slot->buffer_.reset(static_cast<std::byte*>(aligned_alloc(kPageBytes, bytes)));
  if (!slot->buffer_) return Error{rvm::Errc::out_of_memory, ENOMEM, 0, "request buffer"};
  slot->areas_[0] = {slot->buffer_.get(), sizeof(protocol::RingHeaders)};
  slot->areas_[1] = {slot->payload().data(), kPayloadBytes};
  constexpr unsigned flags =
      IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  const int result = io_uring_queue_init(kRingEntries, &slot->ring_, flags);
  if (result < 0) return ring_error(-result, "io_uring_setup");
  slot->has_ring_ = true;
  return slot;
}

RingSlot::~RingSlot() {
  if (has_ring_) io_uring_queue_exit(&ring_);
}

std::span<std::byte> RingSlot::payload() const {
  return {buffer_.get() + kPageBytes, kPayloadBytes};
}

// Nullptr: cannot be, since there is never more than one.
io_uring_sqe* RingSlot::command(uint32_t operation) {
  io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) return nullptr;
  memset(static_cast<void*>(entry), 0, 2 * sizeof *entry);  // they have 128 bytes
  entry->opcode = IORING_OP_URING_CMD;
  entry->fd = fd_;
  entry->cmd_op = operation;
  const protocol::RingCommand command{0, commit_id_, queue_, {}};
  memcpy(entry->cmd, &command, sizeof command);
  return entry;
}

Result<void> RingSlot::enroll() {
  io_uring_sqe* const entry = command(protocol::kRingRegister);
  if (entry == nullptr) return ring_error(EBUSY, "FUSE over io_uring");
  entry->addr = reinterpret_cast<uint64_t>(areas_);
  entry->len = std::size(areas_);
  const int result = io_uring_submit(&ring_);
  if (result < 0) return ring_error(-result, "io_uring_enter");
  // What the kernel refuses, it refuses at once.
  io_uring_cqe* answer = nullptr;
  if (io_uring_peek_cqe(&ring_, &answer) == 0 && answer->res < 0) {
    return ring_error(-answer->res, "FUSE over io_uring");
  }
  return {};
}

RingSlot::Event RingSlot::next() {
  if (std::exchange(has_reply_, false)) command(protocol::kRingCommitAndFetch);
  const int result = io_uring_submit_and_wait(&ring_, 1);
  io_uring_cqe* answer = nullptr;
  if (io_uring_peek_cqe(&ring_, &answer) != 0) {
    why_ = result < 0 ? -result : 0;
    const bool may_go_on = why_ == 0 || why_ == EINTR || why_ == EAGAIN || why_ == EBUSY;
    return may_go_on ? Event::interrupted : Event::ended;
  }
  why_ = -answer->res;
  io_uring_cqe_seen(&ring_, answer);
  if (why_ == 0 && take_request()) return Event::request;
  return Event::ended;
}

bool RingSlot::take_request() {
  protocol::RingHeaders headers;
  fuse_in_header header;
  memcpy(&headers, buffer_.get(), sizeof headers);
  memcpy(&header, headers.in_out, sizeof header);
  const size_t fixed_bytes = sizeof header + headers.entry.payload_bytes;
  const size_t operation_bytes = header.len - fixed_bytes;
  if (header.len < fixed_bytes || operation_bytes > sizeof headers.operation ||
      headers.entry.payload_bytes > kPayloadBytes) {
    why_ = EPROTO;
    return false;
  }
  std::byte* const operation = payload().data() - operation_bytes;
  memcpy(operation - sizeof header, &header, sizeof header);
  memcpy(operation, headers.operation, operation_bytes);
  commit_id_ = headers.entry.commit_id;
  request_ = {operation - sizeof header, header.len};
  return true;
}

ssize_t RingSlot::reply(std::span<const iovec> parts) {
  protocol::RingHeaders headers;
  fuse_out_header header;
  memcpy(&headers, buffer_.get(), sizeof headers);
  memcpy(&header, parts[0].iov_base, sizeof header);
  memcpy(headers.in_out, &header, sizeof header);
  size_t filled = 0;
  for (const iovec& part : parts.subspan(1)) {
    if (part.iov_len > kPayloadBytes - filled) return errno = EINVAL, -1;
    std::byte* const at = payload().data() + filled;
    if (part.iov_base != at) memmove(at, part.iov_base, part.iov_len);
    filled += part.iov_len;
  }
  headers.entry.payload_bytes = static_cast<uint32_t>(filled);
  memcpy(buffer_.get(), &headers, sizeof headers);
  error_ = header.error;
  has_reply_ = true;
  return header.len;
}

}  // namespace rvmfs
