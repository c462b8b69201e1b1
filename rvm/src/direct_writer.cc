// SPDX-License-Identifier: BSD-2-Clause
//
// See direct_writer.h.
#include "direct_writer.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "retry_on_eintr.h"

namespace rvm {
namespace {

constexpr uint64_t kUnit = 4096;  // what no host finds too odd
// Above this, copying into an aligned buffer costs more than the page cache does.
constexpr size_t kBytesMax = 256 * 1024;

// Hosts whose O_DIRECT | O_DSYNC is durable when it returns. (A FUSE host, for one, never hears of
// O_DSYNC.)
bool host_keeps_direct_writes(int fd) {
  struct statfs host {};
  if (retry_on_eintr([&] { return ::fstatfs(fd, &host); }) != 0) return false;
  constexpr std::array<uint32_t, 4> kKnown = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,
                                              F2FS_SUPER_MAGIC};
  return std::find(kKnown.begin(), kKnown.end(), static_cast<uint32_t>(host.f_type)) !=
         kKnown.end();
}

}  // namespace

// What one write at a time needs: a buffer, and a queue of the kernel's.
class DirectWriter::Slot {
 public:
  Slot() : buffer_(static_cast<std::byte*>(std::aligned_alloc(kUnit, kBytesMax))) { make_queue(); }
  ~Slot() {
    drop_queue();
    std::free(buffer_);
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  bool has_memory() const { return buffer_ != nullptr; }

  // As pwrite(2), but -errno instead of errno.
  int64_t write(int fd, uint64_t offset, std::span<const std::byte> in) {
    std::memcpy(buffer_, in.data(), in.size());
    iocb order{};
    order.aio_lio_opcode = IOCB_CMD_PWRITE;
    order.aio_fildes = static_cast<uint32_t>(fd);
    order.aio_buf = reinterpret_cast<uint64_t>(buffer_);
    order.aio_nbytes = in.size();
    order.aio_offset = static_cast<int64_t>(offset);
    if (submit(order)) return wait();
    const ssize_t put = retry_on_eintr(
        [&] { return ::pwrite(fd, buffer_, in.size(), static_cast<off_t>(offset)); });
    return put < 0 ? -errno : put;
  }

 private:
  void make_queue() {
    if (::syscall(SYS_io_setup, 1, &queue_) != 0) queue_ = 0;
  }
  void drop_queue() {
    if (queue_ != 0) ::syscall(SYS_io_destroy, std::exchange(queue_, 0));
  }

  // False: the host did not take it.
  bool submit(iocb& order) {
    iocb* orders[] = {&order};
    if (queue_ == 0) return false;
    if (::syscall(SYS_io_submit, queue_, 1, orders) == 1) return true;
    if (errno != EINVAL) return false;
    // A queue does not follow its owner over a fork(2).
    drop_queue();
    make_queue();
    if (queue_ != 0 && ::syscall(SYS_io_submit, queue_, 1, orders) == 1) return true;
    drop_queue();  // it is something else, which will not change
    return false;
  }

  int64_t wait() {
    io_event done{};
    const int64_t got =
        retry_on_eintr([&] { return ::syscall(SYS_io_getevents, queue_, 1, 1, &done, nullptr); });
    return got == 1 ? done.res : -EIO;  // not covered: the kernel knows its own queue
  }

  std::byte* const buffer_;
  aio_context_t queue_ = 0;
};

DirectWriter::DirectWriter(int fd, bool is_block) {
  if (is_block || host_keeps_direct_writes(fd)) {
    // The same file, whatever has become of its name.
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    const int flags = O_WRONLY | O_DIRECT | O_DSYNC | O_CLOEXEC;
    fd_ = retry_on_eintr([&] { return ::open(path.c_str(), flags); });
  }
  usable_ = fd_ >= 0;
}

DirectWriter::~DirectWriter() {
  if (fd_ >= 0) ::close(fd_);
}

std::unique_ptr<DirectWriter::Slot> DirectWriter::take_slot() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) return std::make_unique<Slot>();
  std::unique_ptr<Slot> slot = std::move(free_.back());
  free_.pop_back();
  return slot;
}

void DirectWriter::give_back(std::unique_ptr<Slot> slot) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(slot));
}

std::optional<Result<void>> DirectWriter::write(uint64_t offset, std::span<const std::byte> in) {
  if (offset % kUnit != 0 || in.size() % kUnit != 0 || in.size() > kBytesMax) return {};
  if (!usable_.load(std::memory_order_relaxed)) return {};
  std::unique_ptr<Slot> slot = take_slot();
  if (!slot->has_memory()) return {};
  const int64_t put = slot->write(fd_, offset, in);
  give_back(std::move(slot));
  if (put == static_cast<int64_t>(in.size())) return Result<void>();
  if (put >= 0 || put == -ENOSPC || put == -EDQUOT) return {};  // all of it again, and then why
  if (put == -EINVAL || put == -EOPNOTSUPP) {
    usable_ = false;
    return {};
  }
  return Result<void>(Error{Errc::io, static_cast<int>(-put), offset, "cannot write the image"});
}

}  // namespace rvm
