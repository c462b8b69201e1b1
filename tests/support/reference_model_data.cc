// SPDX-License-Identifier: BSD-2-Clause
//
// The reference model: contents of files, and access times.
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "tests/support/reference_model.h"

namespace rvmfs::test {
namespace {

constexpr int64_t kDaySeconds = 24 * 60 * 60;

int check_file(const ModelNode* node) {
  if (node == nullptr) return ESTALE;
  if (node->is_directory()) return EISDIR;
  return node->is_regular() ? 0 : EINVAL;
}

}  // namespace

void ReferenceModel::touch_atime(Inode inode) {
  if (atime == MountOptions::Atime::noatime) return;
  const ModelNode& node = *find(inode);
  if ((node.flags & FS_NOATIME_FL) != 0) return;
  const bool old = node.atime <= node.mtime || node.atime <= node.ctime ||
                   now.seconds - node.atime.seconds >= kDaySeconds;
  if (old || atime == MountOptions::Atime::strictatime) edit(inode).atime = now;
}

Answer<std::vector<std::byte>> ReferenceModel::read(Inode inode, uint64_t offset, uint64_t length) {
  const ModelNode* node = find(inode);
  if (const int error = check_file(node)) return {error, {}};
  const uint64_t size = node->content.size();
  const uint64_t there = offset < size ? std::min(length, size - offset) : 0;
  std::vector<std::byte> bytes(there);
  node->content.read(offset, bytes);
  if (length > 0) touch_atime(inode);
  return {0, std::move(bytes)};
}

Answer<uint64_t> ReferenceModel::write(Inode inode, uint64_t offset, std::span<const std::byte> in,
                                       bool kill_suid_gid) {
  if (const int error = check_file(find(inode))) return {error, {}};
  if (in.empty()) return {0, 0};
  if (offset >= format::kFileBytesMax || in.size() > format::kFileBytesMax - offset) {
    return {EFBIG, {}};
  }
  in = in.first(std::min<uint64_t>(in.size(), hints.count_max));
  ModelNode& node = edit(inode);
  node.content.write(offset, in);
  node.mtime = node.ctime = now;
  if (kill_suid_gid) kill_suid_gid_bits(node);
  return {0, in.size()};
}

Done ReferenceModel::fallocate(Inode inode, int mode, uint64_t offset, uint64_t length) {
  if (const int error = check_file(find(inode))) return {error, {}};
  const int keep = FALLOC_FL_KEEP_SIZE;
  const bool punch = mode == (FALLOC_FL_PUNCH_HOLE | keep);
  const bool zero = (mode & ~keep) == FALLOC_FL_ZERO_RANGE;
  if (!punch && !zero && (mode & ~keep) != 0) return {length == 0 ? kAnyError : EOPNOTSUPP, {}};
  if (length == 0) return {EINVAL, {}};
  if (offset >= format::kFileBytesMax || length > format::kFileBytesMax - offset) {
    return {EFBIG, {}};
  }
  ModelNode& node = edit(inode);
  const uint64_t size = node.content.size();
  const uint64_t end = offset + length;
  if ((punch || zero) && offset < size) node.content.punch(offset, std::min(end, size) - offset);
  if ((mode & keep) == 0 && end > size) node.content.resize(end);
  node.mtime = node.ctime = now;
  return {};
}

bool ReferenceModel::zeros_between(const ModelNode& node, uint64_t begin, uint64_t end) const {
  std::array<std::byte, SparseImage::kPageBytes> bytes;
  for (;;) {
    begin = node.content.next_present(begin);
    if (begin >= end) return true;
    const uint64_t in_page = begin % SparseImage::kPageBytes;
    const auto part =
        std::span(bytes).first(std::min(SparseImage::kPageBytes - in_page, end - begin));
    node.content.read(begin, part);
    if (std::any_of(part.begin(), part.end(), [](std::byte b) { return b != std::byte{0}; })) {
      return false;
    }
    begin += part.size();
  }
}

Answer<uint64_t> ReferenceModel::lseek(Inode inode, uint64_t offset, int whence) const {
  const ModelNode* node = find(inode);
  if (const int error = check_file(node)) return {error, {}};
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return {EINVAL, {}};
  const uint64_t size = node->content.size();
  if (offset >= size) return {ENXIO, {}};
  const uint64_t answer = hints.position;
  if (whence == SEEK_DATA) {
    // No position told: the volume said that only holes follow.
    if (answer == UINT64_MAX && zeros_between(*node, offset, size)) return {ENXIO, {}};
    if (answer >= offset && answer < size && zeros_between(*node, offset, answer)) {
      return {0, answer};
    }
    return {0, offset};
  }
  if (answer == size) return {0, size};
  if (answer < offset || answer > size) return {0, size};
  const uint64_t page_end = (answer / SparseImage::kPageBytes + 1) * SparseImage::kPageBytes;
  if (zeros_between(*node, answer, std::min(page_end, size))) return {0, answer};
  return {0, size};
}

Answer<uint64_t> ReferenceModel::copy_file_range(Inode in, uint64_t in_offset, Inode out,
                                                 uint64_t out_offset, uint64_t length) {
  const ModelNode* source = find(in);
  if (const int error = check_file(source)) return {error, {}};
  if (const int error = check_file(find(out))) return {error, {}};
  const uint64_t size = source->content.size();
  const uint64_t there = in_offset < size ? std::min(length, size - in_offset) : 0;
  // The kernel cuts the length at the end of the file before it looks for an overlap.
  if (in == out && in_offset < out_offset + there && out_offset < in_offset + there) {
    return {EINVAL, {}};
  }
  if (there == 0) return {0, 0};
  std::vector<std::byte> bytes(std::min(there, hints.count_max));
  source->content.read(in_offset, bytes);
  return write(out, out_offset, bytes, false);
}

}  // namespace rvmfs::test
