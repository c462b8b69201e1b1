// SPDX-License-Identifier: BSD-2-Clause
//
// See volume_answers.h.
#include "tests/support/volume_answers.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace rvmfs::test {

template <typename T>
Answer<T> VolumeAnswers::answer(Result<T> result) {
  if (result) return {0, std::move(*result)};
  last_error = explain(result.error());
  return {errno_of(result.error()), {}};
}

Done VolumeAnswers::done(const Result<void>& result) {
  if (result) return {};
  last_error = explain(result.error());
  return {errno_of(result.error()), {}};
}

Answer<Attributes> VolumeAnswers::entry(Result<Attributes> result) {
  if (result && counts_lookups_) volume_.forget(result->inode, 1);
  return answer(std::move(result));
}

Answer<Attributes> VolumeAnswers::lookup(Inode parent, std::string_view name) {
  return entry(volume_.lookup(parent, name));
}
Answer<Attributes> VolumeAnswers::mknod(Inode parent, std::string_view name, uint32_t mode,
                                        uint32_t rdev_major, uint32_t rdev_minor, Caller caller) {
  return entry(volume_.mknod(parent, name, mode, rdev_major, rdev_minor, caller));
}
Answer<Attributes> VolumeAnswers::mkdir(Inode parent, std::string_view name, uint32_t mode,
                                        Caller caller) {
  return entry(volume_.mkdir(parent, name, mode, caller));
}
Answer<Attributes> VolumeAnswers::symlink(Inode parent, std::string_view name,
                                          std::string_view target, Caller caller) {
  return entry(volume_.symlink(parent, name, target, caller));
}
Answer<Attributes> VolumeAnswers::link(Inode inode, Inode new_parent, std::string_view new_name) {
  return entry(volume_.link(inode, new_parent, new_name));
}
Done VolumeAnswers::unlink(Inode parent, std::string_view name) {
  return done(volume_.unlink(parent, name));
}
Done VolumeAnswers::rmdir(Inode parent, std::string_view name) {
  return done(volume_.rmdir(parent, name));
}
Done VolumeAnswers::rename(Inode parent, std::string_view name, Inode new_parent,
                           std::string_view new_name, uint32_t flags) {
  return done(volume_.rename(parent, name, new_parent, new_name, flags));
}
Answer<Attributes> VolumeAnswers::tmpfile(Inode parent, uint32_t mode, Caller caller) {
  return answer(volume_.tmpfile(parent, mode, caller));
}
Answer<std::string> VolumeAnswers::readlink(Inode inode) { return answer(volume_.readlink(inode)); }

Answer<std::vector<DirectoryName>> VolumeAnswers::readdir(Inode directory) {
  std::vector<DirectoryName> names;
  uint64_t cookie = 0;
  for (size_t before = SIZE_MAX; before != names.size();) {
    before = names.size();
    std::vector<Inode> given;
    const Result<void> result =
        volume_.readdir(directory, cookie, readdir_plus, [&](const DirectoryItem& item) {
          if (names.size() - before == readdir_batch) return false;
          names.push_back({std::string(item.name), item.inode, item.type});
          cookie = item.cookie;
          const bool dots = item.name == "." || item.name == "..";
          if (readdir_plus && !dots) given.push_back(item.inode);
          return true;
        });
    if (counts_lookups_) {
      for (const Inode inode : given) volume_.forget(inode, 1);
    }
    if (!result) return {done(result).error, {}};
  }
  std::sort(names.begin(), names.end(), [](const auto& a, const auto& b) {
    const auto rank = [](const std::string& name) {
      return name == "." ? 0 : name == ".." ? 1 : 2;
    };
    return std::pair(rank(a.name), a.name) < std::pair(rank(b.name), b.name);
  });
  return {0, std::move(names)};
}

Answer<Attributes> VolumeAnswers::getattr(Inode inode) { return answer(volume_.getattr(inode)); }
Answer<Attributes> VolumeAnswers::setattr(Inode inode, const AttributeChange& change) {
  return answer(volume_.setattr(inode, change));
}
Done VolumeAnswers::set_flags(Inode inode, uint32_t flags, uint32_t project) {
  return done(volume_.set_flags(inode, flags, project));
}
Answer<std::string> VolumeAnswers::getxattr(Inode inode, std::string_view name) {
  return answer(volume_.getxattr(inode, name));
}
Done VolumeAnswers::setxattr(Inode inode, std::string_view name, std::string_view value,
                             int flags) {
  return done(volume_.setxattr(inode, name, value, flags));
}
Done VolumeAnswers::removexattr(Inode inode, std::string_view name) {
  return done(volume_.removexattr(inode, name));
}

Answer<std::vector<std::string>> VolumeAnswers::listxattr(Inode inode) {
  const Answer<std::string> list = answer(volume_.listxattr(inode));
  if (!list.ok()) return {list.error, {}};
  std::vector<std::string> names;
  for (size_t at = 0; at < list.value.size();) {
    names.emplace_back(list.value.c_str() + at);
    at += names.back().size() + 1;
  }
  std::sort(names.begin(), names.end());
  return {0, std::move(names)};
}

Answer<std::vector<std::byte>> VolumeAnswers::read(Inode inode, uint64_t offset, uint64_t length) {
  std::vector<std::byte> bytes(length, std::byte{0x5a});
  const Answer<size_t> count = answer(volume_.read(inode, offset, bytes));
  if (!count.ok()) return {count.error, {}};
  bytes.resize(count.value);
  return {0, std::move(bytes)};
}

Answer<uint64_t> VolumeAnswers::write(Inode inode, uint64_t offset, std::span<const std::byte> in,
                                      bool kill_suid_gid) {
  const Answer<size_t> count = answer(volume_.write(inode, offset, in, kill_suid_gid));
  return {count.error, count.value};
}
Done VolumeAnswers::fallocate(Inode inode, int mode, uint64_t offset, uint64_t length) {
  return done(volume_.fallocate(inode, mode, offset, length));
}
Answer<uint64_t> VolumeAnswers::lseek(Inode inode, uint64_t offset, int whence) {
  return answer(volume_.lseek(inode, offset, whence));
}
Answer<uint64_t> VolumeAnswers::copy_file_range(Inode in, uint64_t in_offset, Inode out,
                                                uint64_t out_offset, uint64_t length) {
  return answer(volume_.copy_file_range(in, in_offset, out, out_offset, length));
}
Done VolumeAnswers::fsync(Inode inode, bool data_only) {
  return done(volume_.fsync(inode, data_only));
}
Done VolumeAnswers::sync() { return done(volume_.sync()); }

}  // namespace rvmfs::test
