// SPDX-License-Identifier: BSD-2-Clause
//
// A Volume with the face of ReferenceModel: the same calls, answers with errno values. Lookups that
// the volume counts are given back at once, except where the model holds too (tmpfile, hold).
//
// Thread rules: as ReferenceModel.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fs/volume.h"
#include "tests/support/reference_model.h"

namespace rvmfs::test {

class VolumeAnswers {
 public:
  VolumeAnswers(Volume& volume, bool counts_lookups)
      : volume_(volume), counts_lookups_(counts_lookups) {}

  // readdir asks for this many entries at a time, with attributes or without.
  size_t readdir_batch = 100;
  bool readdir_plus = false;
  // The last error that the volume gave, in words.
  std::string last_error;

  Answer<Attributes> lookup(Inode parent, std::string_view name);
  Answer<Attributes> mknod(Inode parent, std::string_view name, uint32_t mode, uint32_t rdev_major,
                           uint32_t rdev_minor, Caller caller);
  Answer<Attributes> mkdir(Inode parent, std::string_view name, uint32_t mode, Caller caller);
  Answer<Attributes> symlink(Inode parent, std::string_view name, std::string_view target,
                             Caller caller);
  Answer<Attributes> link(Inode inode, Inode new_parent, std::string_view new_name);
  Done unlink(Inode parent, std::string_view name);
  Done rmdir(Inode parent, std::string_view name);
  Done rename(Inode parent, std::string_view name, Inode new_parent, std::string_view new_name,
              uint32_t flags);
  Answer<Attributes> tmpfile(Inode parent, uint32_t mode, Caller caller);
  Answer<std::string> readlink(Inode inode);
  Answer<std::vector<DirectoryName>> readdir(Inode directory);
  void hold(Inode inode) { volume_.hold(inode); }
  void forget(Inode inode) { volume_.forget(inode, 1); }
  Answer<Attributes> getattr(Inode inode);
  Answer<Attributes> setattr(Inode inode, const AttributeChange& change);
  Done set_flags(Inode inode, uint32_t flags, uint32_t project);
  Answer<std::string> getxattr(Inode inode, std::string_view name);
  Done setxattr(Inode inode, std::string_view name, std::string_view value, int flags);
  Done removexattr(Inode inode, std::string_view name);
  Answer<std::vector<std::string>> listxattr(Inode inode);
  Answer<std::vector<std::byte>> read(Inode inode, uint64_t offset, uint64_t length);
  Answer<uint64_t> write(Inode inode, uint64_t offset, std::span<const std::byte> in,
                         bool kill_suid_gid);
  Done fallocate(Inode inode, int mode, uint64_t offset, uint64_t length);
  Answer<uint64_t> lseek(Inode inode, uint64_t offset, int whence);
  Answer<uint64_t> copy_file_range(Inode in, uint64_t in_offset, Inode out, uint64_t out_offset,
                                   uint64_t length);
  Done fsync(Inode inode, bool data_only);
  Done sync();

  Volume& volume() { return volume_; }

 private:
  template <typename T>
  Answer<T> answer(Result<T> result);
  Done done(const Result<void>& result);
  Answer<Attributes> entry(Result<Attributes> result);  // gives the lookup back

  Volume& volume_;
  const bool counts_lookups_;
};

}  // namespace rvmfs::test
