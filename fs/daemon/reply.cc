// SPDX-License-Identifier: BSD-2-Clause
//
// From libfuse's types to the volume's and back.
#include "fs/daemon/reply.h"

#include <sys/sysmacros.h>

#include <cerrno>

#include "fs/daemon/messages.h"
#include "fs/daemon/operations.h"
#include "fs/daemon/raw_request.h"
#include "fs/daemon/session.h"

namespace rvmfs {
namespace {

constexpr blksize_t kBlockSize = 4096;

timespec to_timespec(const Time& time) {
  return {static_cast<time_t>(time.seconds), static_cast<int64_t>(time.nanoseconds)};
}

void init(void* userdata, fuse_conn_info* connection) {
  static_cast<MountState*>(userdata)->init.choose(*connection);
}

// libfuse calls it when a session goes as well; only the kernel's request is meant.
void destroy(void* userdata) {
  MountState& state = *static_cast<MountState*>(userdata);
  if (current_request().header.opcode == FUSE_DESTROY && state.on_destroy) state.on_destroy();
}

fuse_lowlevel_ops make_table() {
  fuse_lowlevel_ops table{};
  table.init = init;
  table.destroy = destroy;
  add_name_operations(table);
  add_directory_operations(table);
  add_attribute_operations(table);
  add_xattr_operations(table);
  add_data_operations(table);
  add_ioctl_operations(table);
  return table;
}

}  // namespace

const fuse_lowlevel_ops& operations() {
  static const fuse_lowlevel_ops table = make_table();
  return table;
}

Caller caller_of(fuse_req_t request) {
  const fuse_ctx* const context = fuse_req_ctx(request);
  return {context->uid, context->gid, context->umask};
}

struct stat to_stat(const Attributes& attributes) {
  struct stat out {};
  out.st_ino = attributes.inode;
  out.st_mode = attributes.mode;
  out.st_nlink = attributes.nlink;
  out.st_uid = attributes.uid;
  out.st_gid = attributes.gid;
  out.st_rdev = makedev(attributes.rdev_major, attributes.rdev_minor);
  out.st_size = static_cast<off_t>(attributes.size);
  out.st_blksize = kBlockSize;
  out.st_blocks = static_cast<blkcnt_t>(attributes.blocks);
  out.st_atim = to_timespec(attributes.atime);
  out.st_mtim = to_timespec(attributes.mtime);
  out.st_ctim = to_timespec(attributes.ctime);
  return out;
}

fuse_entry_param to_entry(const Attributes& attributes) {
  fuse_entry_param entry{};
  entry.ino = attributes.inode;
  entry.generation = kGeneration;
  entry.attr = to_stat(attributes);
  entry.attr_timeout = kForever;
  entry.entry_timeout = kForever;
  return entry;
}

int report(const Error& error) {
  const int number = errno_of(error);
  if (number == EIO) say_limited(Level::error, explain(error));
  return number;
}

void note_given(MountState& state, const Attributes& attributes, uint32_t pid) {
  if (S_ISDIR(attributes.mode)) state.given_attributes.given(attributes.inode, pid);
}

void directory_changed(fuse_req_t request, fuse_ino_t directory) {
  MountState& state = state_of(request);
  const auto pid = static_cast<uint32_t>(fuse_req_ctx(request)->pid);
  if (state.given_attributes.must_invalidate(directory, pid)) {
    state.session->forget_attributes(directory);
  }
}

void reply_error(fuse_req_t request, const Error& error) { fuse_reply_err(request, report(error)); }

void reply_result(fuse_req_t request, const Result<void>& result) {
  fuse_reply_err(request, result ? 0 : report(result.error()));
}

void reply_entry(fuse_req_t request, const Result<Attributes>& result) {
  if (!result) return reply_error(request, result.error());
  Volume& volume = volume_of(request);
  note_given(state_of(request), *result, static_cast<uint32_t>(fuse_req_ctx(request)->pid));
  const fuse_entry_param entry = to_entry(*result);
  // The program may have been killed meanwhile; then the kernel does not know the entry.
  if (fuse_reply_entry(request, &entry) != 0) volume.forget(result->inode, 1);
}

void reply_attributes(fuse_req_t request, const Result<Attributes>& result) {
  if (!result) return reply_error(request, result.error());
  note_given(state_of(request), *result, static_cast<uint32_t>(fuse_req_ctx(request)->pid));
  const struct stat attributes = to_stat(*result);
  fuse_reply_attr(request, &attributes, kForever);
}

Result<void> settle(MountState& state) {
  if (!state.options.synchronous_names) return {};
  return state.volume.sync();
}

Result<void> settle(MountState& state, Result<void> result) {
  if (!result) return result;
  return settle(state);
}

Result<Attributes> settle(MountState& state, Result<Attributes> result) {
  if (!result) return result;
  const Result<void> settled = settle(state);
  if (settled) return result;
  state.volume.forget(result->inode, 1);
  return settled.error();
}

}  // namespace rvmfs
