// SPDX-License-Identifier: BSD-2-Clause
//
// Volume::copy_file_range, through memory. Each step holds both data locks (the source's shared),
// in the order of their addresses; between steps others may write, as between two calls of
// write(2).
#include <algorithm>
#include <functional>

#include "fs/file_data.h"
#include "fs/file_read.h"
#include "fs/file_write.h"

namespace rvmfs {

namespace {

constexpr uint64_t kCopyStepBytes = 1 << 20;
constexpr uint64_t kCopyBytesMax = 64 << 20;  // of one call; the caller asks again

// The source's lock shared and the target's exclusively; once and exclusively if they are the same.
class CopyLocks {
 public:
  CopyLocks(InodeLocks& locks, Inode in, Inode out) {
    std::shared_mutex& source = locks.of(in);
    std::shared_mutex& target = locks.of(out);
    const bool source_first = std::less<>()(&source, &target);
    if (source_first) source_ = std::shared_lock(source);
    target_ = std::unique_lock(target);
    if (!source_first && &source != &target) source_ = std::shared_lock(source);
  }

 private:
  std::shared_lock<std::shared_mutex> source_;
  std::unique_lock<std::shared_mutex> target_;
};

struct CopyRange {
  Inode in, out;
  uint64_t in_offset, out_offset, length;
};

// How much there is to copy.
Result<uint64_t> check(VolumeCore& core, const CopyRange& range) {
  RVM_ASSIGN(const format::InodeItem source, file_item(core, range.in));
  RVM_TRY(file_item(core, range.out));
  if (range.in_offset >= source.size) return uint64_t{0};
  const uint64_t length = std::min(range.length, source.size - range.in_offset);
  if (range.out_offset >= format::kFileBytesMax ||
      length > format::kFileBytesMax - range.out_offset) {
    return fs_error(FsErrc::file_too_big, "behind the largest size", range.out);
  }
  if (range.in == range.out && range.in_offset < range.out_offset + length &&
      range.out_offset < range.in_offset + length) {
    return fs_error(FsErrc::bad_argument, "the ranges overlap", range.in);
  }
  return std::min(length, kCopyBytesMax);
}

Result<uint64_t> copy_step(VolumeCore& core, const CopyRange& range, std::span<std::byte> buffer,
                           bool kill_suid_gid) {
  CopyLocks locks(core.inode_locks, range.in, range.out);
  format::InodeItem item{};
  buffer = buffer.first(std::min<uint64_t>(buffer.size(), range.length));
  RVM_ASSIGN(const size_t bytes, read_locked(core, range.in, range.in_offset, buffer, item));
  size_t done = 0;
  while (done < bytes) {
    const Result<size_t> step = write_step(core, range.out, range.out_offset + done,
                                           buffer.subspan(done, bytes - done), kill_suid_gid);
    if (!step && done > 0) return uint64_t{done};
    if (!step) return step.error();
    done += *step;
  }
  return uint64_t{done};
}

}  // namespace

Result<uint64_t> Volume::copy_file_range(Inode in, uint64_t in_offset, Inode out,
                                         uint64_t out_offset, uint64_t length, bool kill_suid_gid) {
  VolumeCore& core = *core_;
  RVM_TRY(core.check_writable());
  CopyRange range{in, out, in_offset, out_offset, length};
  RVM_ASSIGN(length, core.run_read<uint64_t>([&] { return check(core, range); }));
  std::vector<std::byte> buffer(std::min(length, kCopyStepBytes));
  uint64_t copied = 0;
  while (copied < length) {
    range = {in, out, in_offset + copied, out_offset + copied, length - copied};
    const Result<uint64_t> step = copy_step(core, range, buffer, kill_suid_gid);
    if (!step && copied == 0) return step;
    if (!step || *step == 0) break;  // what was copied before an error stays
    copied += *step;
  }
  return copied;
}

}  // namespace rvmfs
