// SPDX-License-Identifier: BSD-2-Clause
//
// "The default limit": the same tree in memory behind libfuse as libfuse comes: its own
// multi-threaded loop, its defaults for threads, flags and caching (1 second for names and
// attributes, none for absent names), a CREATE, an OPEN and a RELEASE for every file.
//
//   default_limit_fs [libfuse options] MOUNTPOINT      (stays in the foreground)
#include <dirent.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "fs/volume.h"

namespace {

using rvmfs::AttributeChange;
using rvmfs::Attributes;
using rvmfs::Caller;
using rvmfs::DirectoryItem;
using rvmfs::Error;
using rvmfs::Result;
using rvmfs::Volume;

constexpr double kSeconds = 1.0;  // libfuse's default for names and attributes

Volume& volume_of(fuse_req_t request) { return *static_cast<Volume*>(fuse_req_userdata(request)); }

Caller caller_of(fuse_req_t request) {
  const fuse_ctx* const context = fuse_req_ctx(request);
  return {context->uid, context->gid};
}

timespec to_timespec(const rvmfs::Time& time) {
  return {static_cast<time_t>(time.seconds), static_cast<int64_t>(time.nanoseconds)};
}

struct stat to_stat(const Attributes& attributes) {
  struct stat out {};
  out.st_ino = attributes.inode;
  out.st_mode = attributes.mode;
  out.st_nlink = attributes.nlink;
  out.st_uid = attributes.uid;
  out.st_gid = attributes.gid;
  out.st_size = static_cast<off_t>(attributes.size);
  out.st_blksize = 4096;
  out.st_blocks = static_cast<blkcnt_t>(attributes.blocks);
  out.st_atim = to_timespec(attributes.atime);
  out.st_mtim = to_timespec(attributes.mtime);
  out.st_ctim = to_timespec(attributes.ctime);
  return out;
}

fuse_entry_param to_entry(const Attributes& attributes) {
  fuse_entry_param entry{};
  entry.ino = attributes.inode;
  entry.generation = 1;
  entry.attr = to_stat(attributes);
  entry.attr_timeout = kSeconds;
  entry.entry_timeout = kSeconds;
  return entry;
}

void reply_error(fuse_req_t request, const Error& error) {
  fuse_reply_err(request, rvmfs::errno_of(error));
}
void reply_result(fuse_req_t request, const Result<void>& result) {
  fuse_reply_err(request, result ? 0 : rvmfs::errno_of(result.error()));
}
void reply_entry(fuse_req_t request, const Result<Attributes>& result) {
  if (!result) return reply_error(request, result.error());
  const fuse_entry_param entry = to_entry(*result);
  if (fuse_reply_entry(request, &entry) != 0) volume_of(request).forget(result->inode, 1);
}
void reply_attributes(fuse_req_t request, const Result<Attributes>& result) {
  if (!result) return reply_error(request, result.error());
  const struct stat attributes = to_stat(*result);
  fuse_reply_attr(request, &attributes, kSeconds);
}

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  reply_entry(request, volume_of(request).lookup(parent, name));
}

void forget(fuse_req_t request, fuse_ino_t inode, uint64_t count) {
  volume_of(request).forget(inode, count);
  fuse_reply_none(request);
}

void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  reply_attributes(request, volume_of(request).getattr(inode));
}

void setattr(fuse_req_t request, fuse_ino_t inode, struct stat* wanted, int to_set,
             fuse_file_info*) {
  AttributeChange change;
  if ((to_set & FUSE_SET_ATTR_MODE) != 0) change.valid |= AttributeChange::mode_bit;
  if ((to_set & FUSE_SET_ATTR_UID) != 0) change.valid |= AttributeChange::uid_bit;
  if ((to_set & FUSE_SET_ATTR_GID) != 0) change.valid |= AttributeChange::gid_bit;
  if ((to_set & FUSE_SET_ATTR_SIZE) != 0) change.valid |= AttributeChange::size_bit;
  if ((to_set & FUSE_SET_ATTR_ATIME) != 0) change.valid |= AttributeChange::atime_bit;
  if ((to_set & FUSE_SET_ATTR_MTIME) != 0) change.valid |= AttributeChange::mtime_bit;
  change.mode = wanted->st_mode;
  change.uid = wanted->st_uid;
  change.gid = wanted->st_gid;
  change.size = static_cast<uint64_t>(wanted->st_size);
  change.atime = {wanted->st_atim.tv_sec, static_cast<uint32_t>(wanted->st_atim.tv_nsec)};
  change.mtime = {wanted->st_mtim.tv_sec, static_cast<uint32_t>(wanted->st_mtim.tv_nsec)};
  reply_attributes(request, volume_of(request).setattr(inode, change));
}

void readlink(fuse_req_t request, fuse_ino_t inode) {
  const Result<std::string> target = volume_of(request).readlink(inode);
  if (!target) return reply_error(request, target.error());
  fuse_reply_readlink(request, target->c_str());
}

void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t) {
  reply_entry(request, volume_of(request).mknod(parent, name, mode, 0, 0, caller_of(request)));
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  reply_entry(request, volume_of(request).mkdir(parent, name, mode, caller_of(request)));
}

void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  reply_entry(request, volume_of(request).symlink(parent, name, target, caller_of(request)));
}

void link(fuse_req_t request, fuse_ino_t inode, fuse_ino_t parent, const char* name) {
  reply_entry(request, volume_of(request).link(inode, parent, name));
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  reply_result(request, volume_of(request).unlink(parent, name));
}

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  reply_result(request, volume_of(request).rmdir(parent, name));
}

void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned flags) {
  reply_result(request, volume_of(request).rename(parent, name, new_parent, new_name, flags));
}

void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
            fuse_file_info* file) {
  Volume& volume = volume_of(request);
  Result<Attributes> made =
      volume.mknod(parent, name, S_IFREG | (mode & 07777), 0, 0, caller_of(request));
  // The kernel may have forgotten that there is one.
  const bool may_exist = (file->flags & O_EXCL) == 0;
  if (!made && rvmfs::errno_of(made.error()) == EEXIST && may_exist) {
    made = volume.lookup(parent, name);
  }
  if (!made) return reply_error(request, made.error());
  const fuse_entry_param entry = to_entry(*made);
  if (fuse_reply_create(request, &entry, file) != 0) volume_of(request).forget(made->inode, 1);
}

void open(fuse_req_t request, fuse_ino_t, fuse_file_info* file) { fuse_reply_open(request, file); }

void read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info*) {
  std::vector<std::byte> buffer(size);
  const Result<size_t> bytes =
      volume_of(request).read(inode, static_cast<uint64_t>(offset), buffer);
  if (!bytes) return reply_error(request, bytes.error());
  fuse_reply_buf(request, reinterpret_cast<const char*>(buffer.data()), *bytes);
}

void write(fuse_req_t request, fuse_ino_t inode, const char* bytes, size_t size, off_t offset,
           fuse_file_info*) {
  const Result<size_t> written = volume_of(request).write(
      inode, static_cast<uint64_t>(offset), std::as_bytes(std::span(bytes, size)), false);
  if (!written) return reply_error(request, written.error());
  fuse_reply_write(request, *written);
}

void fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) { fuse_reply_err(request, 0); }

// Both kinds of listing; an entry that does not fit is left for the next call.
void list(fuse_req_t request, fuse_ino_t directory, size_t size, off_t cookie, bool plus) {
  std::vector<char> buffer(size);
  size_t used = 0;
  const auto add = [&](const DirectoryItem& item) {
    const std::string name(item.name);
    fuse_entry_param entry{};
    if (item.attributes != nullptr) entry = to_entry(*item.attributes);
    entry.attr.st_ino = item.inode;
    entry.attr.st_mode = DTTOIF(item.type);
    if (item.attributes != nullptr) entry.attr.st_mode = item.attributes->mode;
    char* const place = buffer.data() + used;
    const size_t room = buffer.size() - used;
    const auto next = static_cast<off_t>(item.cookie);
    const size_t need =
        plus ? fuse_add_direntry_plus(request, place, room, name.c_str(), &entry, next)
             : fuse_add_direntry(request, place, room, name.c_str(), &entry.attr, next);
    if (need > room) return false;
    used += need;
    return true;
  };
  const Result<void> result =
      volume_of(request).readdir(directory, static_cast<uint64_t>(cookie), plus, add);
  if (!result) return reply_error(request, result.error());
  fuse_reply_buf(request, buffer.data(), used);
}

void readdir(fuse_req_t request, fuse_ino_t directory, size_t size, off_t cookie, fuse_file_info*) {
  list(request, directory, size, cookie, false);
}

void readdirplus(fuse_req_t request, fuse_ino_t directory, size_t size, off_t cookie,
                 fuse_file_info*) {
  list(request, directory, size, cookie, true);
}

fuse_lowlevel_ops make_table() {
  fuse_lowlevel_ops table{};
  table.lookup = lookup;
  table.forget = forget;
  table.getattr = getattr;
  table.setattr = setattr;
  table.readlink = readlink;
  table.mknod = mknod;
  table.mkdir = mkdir;
  table.symlink = symlink;
  table.link = link;
  table.unlink = unlink;
  table.rmdir = rmdir;
  table.rename = rename;
  table.create = create;
  table.open = open;
  table.read = read;
  table.write = write;
  table.fsync = fsync;
  table.readdir = readdir;
  table.readdirplus = readdirplus;
  return table;
}

int serve(fuse_session* session, const char* mount_point) {
  if (fuse_set_signal_handlers(session) != 0) return 1;
  if (fuse_session_mount(session, mount_point) != 0) return 1;
  fuse_loop_config* const config = fuse_loop_cfg_create();
  const int result = fuse_session_loop_mt(session, config);
  fuse_loop_cfg_destroy(config);
  fuse_session_unmount(session);
  fuse_remove_signal_handlers(session);
  return result == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  fuse_args arguments = FUSE_ARGS_INIT(argc, argv);
  fuse_cmdline_opts options{};
  if (fuse_parse_cmdline(&arguments, &options) != 0 || options.mountpoint == nullptr) {
    std::fprintf(stderr, "usage: default_limit_fs [libfuse options] MOUNTPOINT\n");
    return 1;
  }
  rvmfs::MountOptions mount;
  mount.count_lookups = true;
  const auto volume = Volume::open(nullptr, mount);
  if (!volume) return 1;
  const fuse_lowlevel_ops table = make_table();
  fuse_session* const session = fuse_session_new(&arguments, &table, sizeof table, volume->get());
  const int status = session == nullptr ? 1 : serve(session, options.mountpoint);
  if (session != nullptr) fuse_session_destroy(session);
  free(options.mountpoint);
  fuse_opt_free_args(&arguments);
  return status;
}
