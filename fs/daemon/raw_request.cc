// SPDX-License-Identifier: BSD-2-Clause
//
// Requests as the kernel sent them.
#include "fs/daemon/raw_request.h"

#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "fs/daemon/attribute_names.h"
#include "fs/daemon/fuse_protocol.h"
#include "fs/daemon/reply.h"
#include "fs/daemon/requester.h"
#include "fs/daemon/session.h"

namespace rvmfs {
namespace {

constexpr uint64_t kForeverSeconds = 1'000'000'000;
constexpr uint32_t kShortTransferBytes = 64 << 10;

constexpr RawRequest kNone;
thread_local const RawRequest* current = &kNone;

// Returns false if the kernel does not want the reply any more.
bool reply(MountState& state, const RawRequest& request, int error,
           std::span<const std::byte> body = {}) {
  fuse_out_header header{};
  header.len = static_cast<uint32_t>(sizeof header + body.size());
  header.error = -error;
  header.unique = request.header.unique;
  iovec parts[2] = {{&header, sizeof header}, {const_cast<std::byte*>(body.data()), body.size()}};
  return state.session->send(request.fd, parts, body.empty() ? 1 : 2) >= 0;
}

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

fuse_attr to_fuse_attr(const Attributes& attributes) {
  fuse_attr out{};
  out.ino = attributes.inode;
  out.size = attributes.size;
  out.blocks = attributes.blocks;
  out.atime = static_cast<uint64_t>(attributes.atime.seconds);
  out.mtime = static_cast<uint64_t>(attributes.mtime.seconds);
  out.ctime = static_cast<uint64_t>(attributes.ctime.seconds);
  out.atimensec = attributes.atime.nanoseconds;
  out.mtimensec = attributes.mtime.nanoseconds;
  out.ctimensec = attributes.ctime.nanoseconds;
  out.mode = attributes.mode;
  out.nlink = attributes.nlink;
  out.uid = attributes.uid;
  out.gid = attributes.gid;
  out.blksize = format::kBlockBytes;
  return out;
}

void tmpfile(MountState& state, const RawRequest& request) {
  struct {
    fuse_entry_out entry;
    fuse_open_out open;
  } out{};
  const auto in = request.in<fuse_create_in>();
  if (!in) return static_cast<void>(reply(state, request, EIO));
  const Caller caller{request.header.uid, request.header.gid, in->umask};
  const uint32_t mode = S_IFREG | (in->mode & 07777);
  const auto made = state.volume.tmpfile(request.header.nodeid, mode, caller);
  if (!made) return static_cast<void>(reply(state, request, report(made.error())));
  out.entry.nodeid = made->inode;
  out.entry.generation = kGeneration;
  out.entry.entry_valid = kForeverSeconds;
  out.entry.attr_valid = kForeverSeconds;
  out.entry.attr = to_fuse_attr(*made);
  out.open.open_flags = FOPEN_KEEP_CACHE;
  if (!reply(state, request, 0, bytes_of(out))) state.volume.forget(made->inode, 1);
}

void setxattr(MountState& state, const RawRequest& request) {
  const auto in = request.in<protocol::SetxattrIn>();
  if (!in) return static_cast<void>(reply(state, request, EIO));
  const std::span<const std::byte> rest = request.body.subspan(sizeof *in);
  const std::string_view text(reinterpret_cast<const char*>(rest.data()), rest.size());
  const size_t end = text.find('\0');
  if (end == text.npos || text.size() - end - 1 < in->size) {
    return static_cast<void>(reply(state, request, EIO));
  }
  const bool kill_sgid = (in->setxattr_flags & protocol::kSetxattrAclKillSgid) != 0;
  const Result<void> result =
      set_attribute(state, request.header.nodeid, text.substr(0, end),
                    text.substr(end + 1, in->size), static_cast<int>(in->flags), kill_sgid);
  reply(state, request, result ? 0 : report(result.error()));
}

protocol::StatxTime to_statx(const Time& time) { return {time.seconds, time.nanoseconds, 0}; }

void statx(MountState& state, const RawRequest& request) {
  const auto attributes = state.volume.getattr(request.header.nodeid);
  if (!attributes) return static_cast<void>(reply(state, request, report(attributes.error())));
  note_given(state, *attributes, request.header.pid);
  protocol::StatxOut out{};
  out.attr_valid = kForeverSeconds;
  out.mask = STATX_BASIC_STATS | STATX_BTIME;
  out.block_bytes = format::kBlockBytes;
  out.nlink = attributes->nlink;
  out.uid = attributes->uid;
  out.gid = attributes->gid;
  out.mode = static_cast<uint16_t>(attributes->mode);
  out.inode = attributes->inode;
  out.size = attributes->size;
  out.blocks = attributes->blocks;
  out.atime = to_statx(attributes->atime);
  out.btime = to_statx(attributes->btime);
  out.ctime = to_statx(attributes->ctime);
  out.mtime = to_statx(attributes->mtime);
  out.rdev_major = attributes->rdev_major;
  out.rdev_minor = attributes->rdev_minor;
  reply(state, request, 0, bytes_of(out));
}

void copy_file_range(MountState& state, const RawRequest& request) {
  const auto in = request.in<fuse_copy_file_range_in>();
  if (!in) return static_cast<void>(reply(state, request, EIO));
  const bool kill_suid_gid = requester_takes_suid_away(state.volume, in->nodeid_out);
  const Result<uint64_t> copied = state.volume.copy_file_range(
      request.header.nodeid, in->off_in, in->nodeid_out, in->off_out, in->len, kill_suid_gid);
  if (!copied) return static_cast<void>(reply(state, request, report(copied.error())));
  reply(state, request, 0, bytes_of(protocol::CopyFileRangeOut{*copied}));
}

}  // namespace

const RawRequest& current_request() { return *current; }

CurrentRequest::CurrentRequest(const RawRequest& request) { current = &request; }

CurrentRequest::~CurrentRequest() { current = &kNone; }

bool is_large(const RawRequest& request) {
  switch (request.header.opcode) {
    case FUSE_READ: {
      const auto in = request.in<fuse_read_in>();
      return in && in->size > kShortTransferBytes;
    }
    case FUSE_WRITE: return request.header.len > kShortTransferBytes;
    default: return false;
  }
}

bool takes_long(const RawRequest& request) {
  switch (request.header.opcode) {
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
    case protocol::kSyncfs:
    case FUSE_FALLOCATE:
    case FUSE_COPY_FILE_RANGE:
    case protocol::kCopyFileRange64:
    case FUSE_IOCTL:
    case FUSE_DESTROY: return true;
    default: return is_large(request);
  }
}

bool write_kills_suid_gid() {
  const auto in = current_request().in<fuse_write_in>();
  return in && (in->write_flags & protocol::kWriteKillSuidGid) != 0;
}

bool setattr_kills_suid_gid() {
  const auto in = current_request().in<fuse_setattr_in>();
  return in && (in->valid & protocol::kSetattrKillSuidGid) != 0;
}

bool answer_raw(MountState& state, const RawRequest& request) {
  switch (request.header.opcode) {
    case protocol::kTmpfile:
      if (!state.init.enabled(Feature::tmpfile)) return false;
      tmpfile(state, request);
      return true;
    case protocol::kStatx:
      if (!state.init.enabled(Feature::statx)) return false;
      statx(state, request);
      return true;
    case protocol::kSyncfs: {
      const Result<void> result = state.volume.sync();
      reply(state, request, result ? 0 : report(result.error()));
      return true;
    }
    case protocol::kCopyFileRange64:
      if (!state.init.enabled(Feature::copy_range_64)) return false;
      copy_file_range(state, request);
      return true;
    case FUSE_SETXATTR:
      if (!state.init.enabled(Feature::setxattr_ext)) return false;
      setxattr(state, request);
      return true;
    default: return false;
  }
}

}  // namespace rvmfs
