// SPDX-License-Identifier: BSD-2-Clause
//
// Contents of files: open, read, write, fsync, fallocate, lseek, copy_file_range.
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <span>

#include "fs/daemon/raw_request.h"
#include "fs/daemon/reply.h"
#include "fs/daemon/requester.h"
#include "fs/daemon/ring_slot.h"

namespace rvmfs {
namespace {

constexpr size_t kReadBytesMax = 1 << 20;
constexpr size_t kPageBytes = 4096;
// The reply has 32 bits for what was copied.
constexpr uint64_t kCopyBytesMax = 1 << 30;

// Where the reply leaves from, if that is known; else each worker's own. Pages that were never
// needed cost nothing.
std::byte* read_buffer() {
  static_assert(kReadBytesMax <= RingSlot::kPayloadBytes);
  if (current_request().slot != nullptr) return current_request().slot->payload().data();
  struct Free {
    void operator()(std::byte* buffer) const { free(buffer); }
  };
  thread_local const std::unique_ptr<std::byte, Free> buffer(
      static_cast<std::byte*>(aligned_alloc(kPageBytes, kReadBytesMax)));
  return buffer.get();
}

// Where the kernel can do it, files are opened without a message; else there is nothing to do.
void open(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
  if (state_of(request).init.enabled(Feature::no_open)) {
    fuse_reply_err(request, ENOSYS);
    return;
  }
  file->keep_cache = 1;
  fuse_reply_open(request, file);
}

void read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info* file) {
  std::byte* const buffer = read_buffer();
  if (buffer == nullptr) {
    fuse_reply_err(request, ENOMEM);
    return;
  }
  const std::span out(buffer, std::min(size, kReadBytesMax));
  const bool no_atime = (file->flags & O_NOATIME) != 0;
  const Result<size_t> bytes =
      volume_of(request).read(inode, static_cast<uint64_t>(offset), out, no_atime);
  if (!bytes) return reply_error(request, bytes.error());
  fuse_reply_buf(request, reinterpret_cast<const char*>(buffer), *bytes);
}

void write(fuse_req_t request, fuse_ino_t inode, const char* bytes, size_t size, off_t offset,
           fuse_file_info* file) {
  const Result<size_t> written =
      volume_of(request).write(inode, static_cast<uint64_t>(offset),
                               std::as_bytes(std::span(bytes, size)), write_kills_suid_gid());
  if (!written) return reply_error(request, written.error());
  // For a write past its cache the kernel leaves O_DSYNC to us; for others it sends an fsync.
  if ((file->flags & O_DIRECT) != 0 && (file->flags & O_DSYNC) != 0) {
    const Result<void> synced = volume_of(request).fsync(inode, true);
    if (!synced) return reply_error(request, synced.error());
  }
  fuse_reply_write(request, *written);
}

void fsync(fuse_req_t request, fuse_ino_t inode, int data_only, fuse_file_info*) {
  reply_result(request, volume_of(request).fsync(inode, data_only != 0));
}

void fallocate(fuse_req_t request, fuse_ino_t inode, int mode, off_t offset, off_t length,
               fuse_file_info*) {
  Volume& volume = volume_of(request);
  reply_result(request, volume.fallocate(inode, mode, static_cast<uint64_t>(offset),
                                         static_cast<uint64_t>(length),
                                         requester_takes_suid_away(volume, inode)));
}

void lseek(fuse_req_t request, fuse_ino_t inode, off_t offset, int whence, fuse_file_info*) {
  if (offset < 0) {
    fuse_reply_err(request, ENXIO);
    return;
  }
  const Result<uint64_t> found =
      volume_of(request).lseek(inode, static_cast<uint64_t>(offset), whence);
  if (!found) return reply_error(request, found.error());
  fuse_reply_lseek(request, static_cast<off_t>(*found));
}

void copy_file_range(fuse_req_t request, fuse_ino_t in, off_t in_offset, fuse_file_info*,
                     fuse_ino_t out, off_t out_offset, fuse_file_info*, size_t length, int) {
  Volume& volume = volume_of(request);
  const Result<uint64_t> copied = volume.copy_file_range(
      in, static_cast<uint64_t>(in_offset), out, static_cast<uint64_t>(out_offset),
      std::min<uint64_t>(length, kCopyBytesMax), requester_takes_suid_away(volume, out));
  if (!copied) return reply_error(request, copied.error());
  fuse_reply_write(request, *copied);
}

}  // namespace

void add_data_operations(fuse_lowlevel_ops& table) {
  table.open = open;
  table.read = read;
  table.write = write;
  table.fsync = fsync;
  table.fallocate = fallocate;
  table.lseek = lseek;
  table.copy_file_range = copy_file_range;
  // Left out: flush (answered ENOSYS once, and then never asked again) and release (nothing to do).
}

}  // namespace rvmfs
