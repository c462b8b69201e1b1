// SPDX-License-Identifier: BSD-2-Clause
//
// See mount_caller.h.
#include "tests/mount/mount_caller.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace rvmfs::test {
namespace {

std::string path_of(int descriptor) { return "/proc/self/fd/" + std::to_string(descriptor); }

// The errno of a failed call, 0 otherwise.
void note(FsCall& call, ssize_t result) { call.error = result < 0 ? errno : 0; }

std::vector<std::byte> bytes_of(const FsCall& call) {
  return std::vector<std::byte>(call.length, std::byte{call.fill});
}

}  // namespace

void MountCaller::take(FsCall& call, int descriptor) {
  struct stat status {};
  if (descriptor < 0 || fstat(descriptor, &status) != 0) {
    call.error = errno;
    return;
  }
  call.found = status.st_ino;
  call.text = S_ISDIR(status.st_mode) ? kDirectoryText : kFileText;
  if (!held_.try_emplace(status.st_ino, Held{descriptor, -1}).second) ::close(descriptor);
}

Inode MountCaller::open_directory(const std::string& path) {
  FsCall call;
  take(call, open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  return call.found;
}

void MountCaller::set_nursery(Inode inode, size_t count) {
  nursery_ = inode;
  in_nursery_ = count;
}

void MountCaller::forget_all() {
  for (const auto& [inode, held] : held_) {
    ::close(held.path);
    if (held.file >= 0) ::close(held.file);
  }
  held_.clear();
}

int MountCaller::file(Inode inode) {
  Held& held = held_.at(inode);
  if (held.file >= 0) return held.file;
  held.file = open(path_of(held.path).c_str(), O_RDWR | O_CLOEXEC);
  if (held.file < 0) held.file = open(path_of(held.path).c_str(), O_RDONLY | O_CLOEXEC);
  return held.file;
}

void MountCaller::find(FsCall& call) {
  take(call, openat(at(call.inode), call.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

void MountCaller::create(FsCall& call) {
  constexpr int kFlags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC;
  take(call, openat(at(call.inode), call.name.c_str(), kFlags, 0644));
}

void MountCaller::move(FsCall& call) {
  if (call.kind == FsCall::Kind::mkdir) {
    call.kind = FsCall::Kind::rename;
    call.to = call.inode;
    call.to_name = call.name;
    call.inode = nursery_;
    call.name = std::to_string(in_nursery_ == 0 ? 0 : in_nursery_ - 1);
    call.flags = RENAME_NOREPLACE;
  }
  note(call, renameat2(at(call.inode), call.name.c_str(), at(call.to), call.to_name.c_str(),
                       static_cast<unsigned>(call.flags)));
  if (call.inode == nursery_ && call.error == 0) --in_nursery_;
}

void MountCaller::make(FsCall& call) {
  switch (call.kind) {
    case FsCall::Kind::lookup: return find(call);
    case FsCall::Kind::create: return create(call);
    case FsCall::Kind::mkdir:
    case FsCall::Kind::rename: return move(call);
    case FsCall::Kind::unlink: return note(call, unlinkat(at(call.inode), call.name.c_str(), 0));
    case FsCall::Kind::rmdir:
      return note(call, unlinkat(at(call.inode), call.name.c_str(), AT_REMOVEDIR));
    case FsCall::Kind::link: {
      const std::string from = path_of(at(call.inode));
      note(call,
           linkat(AT_FDCWD, from.c_str(), at(call.to), call.to_name.c_str(), AT_SYMLINK_FOLLOW));
      if (call.error != 0) return;
      call.found = call.inode;
      call.text = kFileText;
      return;
    }
    default: return make_on_inode(call);
  }
}

void MountCaller::make_on_inode(FsCall& call) {
  const std::string path = path_of(at(call.inode));
  switch (call.kind) {
    case FsCall::Kind::read:
    case FsCall::Kind::readdir: call.kind = FsCall::Kind::getattr; [[fallthrough]];
    case FsCall::Kind::getattr: {
      struct stat status {};
      note(call, fstat(at(call.inode), &status));
      call.text = S_ISDIR(status.st_mode)
                      ? std::string(kDirectoryText)
                      : fmt::format("{} size {} links", kFileText, status.st_size);
      return;
    }
    case FsCall::Kind::write: {
      const std::vector<std::byte> bytes = bytes_of(call);
      const ssize_t count =
          pwrite(file(call.inode), bytes.data(), bytes.size(), static_cast<off_t>(call.offset));
      note(call, count);
      if (call.error == EBADF) call.error = EISDIR;  // nobody opens a directory for writing
      if (count >= 0 && static_cast<uint64_t>(count) != call.length) call.text = "a short write";
      return;
    }
    case FsCall::Kind::truncate:
      return note(call, truncate(path.c_str(), static_cast<off_t>(call.length)));
    case FsCall::Kind::setxattr: {
      const std::vector<std::byte> bytes = bytes_of(call);
      return note(
          call, setxattr(path.c_str(), call.name.c_str(), bytes.data(), bytes.size(), call.flags));
    }
    default: {
      std::vector<std::byte> value(256);
      const ssize_t count = getxattr(path.c_str(), call.name.c_str(), value.data(), value.size());
      note(call, count);
      value.resize(count < 0 ? 0 : static_cast<size_t>(count));
      call.text = text_of(value);
    }
  }
}

}  // namespace rvmfs::test
