// SPDX-License-Identifier: BSD-2-Clause
//
// Operations on names: lookup, forget, and everything that makes, moves or removes a name.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <span>
#include <string_view>

#include "fs/daemon/reply.h"

namespace rvmfs {
namespace {

// "." of a node id: how file handles (NFS, open_by_handle_at) come back.
Result<Attributes> look_at(Volume& volume, Inode inode) {
  RVM_ASSIGN(Attributes attributes, volume.getattr(inode));
  volume.hold(inode);
  return attributes;
}

Result<Attributes> look_up_parent(Volume& volume, Inode directory) {
  Inode parent = 0;
  RVM_TRY(volume.readdir(directory, 0, false, [&](const DirectoryItem& item) {
    if (item.name == "..") parent = item.inode;
    return parent == 0;
  }));
  if (parent == 0) return fs_error(FsErrc::no_entry, "directory without a parent", directory);
  return look_at(volume, parent);
}

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Volume& volume = volume_of(request);
  const std::string_view wanted(name);
  Result<Attributes> found = wanted == "."    ? look_at(volume, parent)
                             : wanted == ".." ? look_up_parent(volume, parent)
                                              : volume.lookup(parent, wanted);
  if (found || errno_of(found.error()) != ENOENT) return reply_entry(request, found);
  fuse_entry_param absent{};  // inode 0: the kernel remembers that there is no such name
  absent.entry_timeout = kForever;
  fuse_reply_entry(request, &absent);
}

void forget(fuse_req_t request, fuse_ino_t inode, uint64_t count) {
  volume_of(request).forget(inode, count);
  fuse_reply_none(request);
}

void forget_multi(fuse_req_t request, size_t count, fuse_forget_data* items) {
  Volume& volume = volume_of(request);
  for (const fuse_forget_data& item : std::span(items, count)) {
    volume.forget(item.ino, item.nlookup);
  }
  fuse_reply_none(request);
}

void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  MountState& state = state_of(request);
  const auto made = settle(state, state.volume.mknod(parent, name, mode, major(device),
                                                     minor(device), caller_of(request)));
  directory_changed(request, parent);
  reply_entry(request, made);
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  MountState& state = state_of(request);
  const auto made = settle(state, state.volume.mkdir(parent, name, mode, caller_of(request)));
  directory_changed(request, parent);
  reply_entry(request, made);
}

void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  MountState& state = state_of(request);
  const auto made = settle(state, state.volume.symlink(parent, name, target, caller_of(request)));
  directory_changed(request, parent);
  reply_entry(request, made);
}

void link(fuse_req_t request, fuse_ino_t inode, fuse_ino_t parent, const char* name) {
  MountState& state = state_of(request);
  const auto made = settle(state, state.volume.link(inode, parent, name));
  directory_changed(request, parent);
  reply_entry(request, made);
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  MountState& state = state_of(request);
  const auto removed = settle(state, state.volume.unlink(parent, name));
  directory_changed(request, parent);
  reply_result(request, removed);
}

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  MountState& state = state_of(request);
  const auto removed = settle(state, state.volume.rmdir(parent, name));
  directory_changed(request, parent);
  reply_result(request, removed);
}

void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned flags) {
  MountState& state = state_of(request);
  const auto renamed =
      settle(state, state.volume.rename(parent, name, new_parent, new_name, flags));
  directory_changed(request, parent);
  if (new_parent != parent) directory_changed(request, new_parent);
  reply_result(request, renamed);
}

void readlink(fuse_req_t request, fuse_ino_t inode) {
  const Result<std::string> target = volume_of(request).readlink(inode);
  if (!target) return reply_error(request, target.error());
  fuse_reply_readlink(request, target->c_str());
}

// With a kernel that opens without messages, the kernel is told to make files by MKNOD.
void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
            fuse_file_info* file) {
  MountState& state = state_of(request);
  if (state.init.enabled(Feature::no_create)) {
    fuse_reply_err(request, ENOSYS);
    return;
  }
  const Result<Attributes> made = settle(
      state, state.volume.mknod(parent, name, S_IFREG | (mode & 07777), 0, 0, caller_of(request)));
  directory_changed(request, parent);
  if (!made) return reply_error(request, made.error());
  const fuse_entry_param entry = to_entry(*made);
  file->keep_cache = 1;
  if (fuse_reply_create(request, &entry, file) != 0) state.volume.forget(made->inode, 1);
}

}  // namespace

void add_name_operations(fuse_lowlevel_ops& table) {
  table.lookup = lookup;
  table.forget = forget;
  table.forget_multi = forget_multi;
  table.mknod = mknod;
  table.mkdir = mkdir;
  table.symlink = symlink;
  table.link = link;
  table.unlink = unlink;
  table.rmdir = rmdir;
  table.rename = rename;
  table.readlink = readlink;
  table.create = create;
}

}  // namespace rvmfs
