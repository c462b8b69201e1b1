// SPDX-License-Identifier: BSD-2-Clause
//
// What a filesystem is, said a second time: the operations of fs/volume.h over plain maps in
// memory, written from the system calls' manual pages and not from the filesystem's code. Random
// operations are applied to both and every answer is compared; crash tests keep a copy of the model
// per operation and ask which of them a recovered volume equals.
//
// Answers carry errno values. kAnyError means that the call must fail and the manual leaves open
// how (two errors apply at once). What the model cannot know is told to it beforehand (Hints): the
// number that the volume gave to a new inode, how far a short copy went, which hole it reported.
//
// A copy of a model shares its nodes with the original until one of them changes: a copy per
// operation is cheap. An inode lives while it has a name or is held; crash() drops all holds.
//
// Thread rules: as an int.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fs/volume.h"
#include "tests/support/sparse_image.h"

namespace rvmfs::test {

inline constexpr int kAnyError = -1;

template <typename T>
struct Answer {
  int error = 0;
  T value{};
  bool ok() const { return error == 0; }
};
struct Nothing {};
using Done = Answer<Nothing>;

struct ModelNode {
  uint32_t mode = 0, uid = 0, gid = 0, nlink = 0;
  uint32_t rdev_major = 0, rdev_minor = 0, flags = 0, project = 0;
  Time atime, mtime, ctime, btime;
  SparseImage content;                   // regular files; its size is the file's
  std::string target;                    // symbolic links
  std::map<std::string, Inode> entries;  // directories
  Inode parent = 0;                      // directories
  std::map<std::string, std::string> xattrs;

  bool is_directory() const { return S_ISDIR(mode); }
  bool is_regular() const { return S_ISREG(mode); }
  bool is_symlink() const { return S_ISLNK(mode); }
};

struct ModelHints {
  Inode next_inode = 0;             // 0: the model's own choice
  uint64_t count_max = UINT64_MAX;  // bytes that a short write or copy moved
  uint64_t position = 0;            // what lseek answered
};

struct DirectoryName {
  std::string name;
  Inode inode = 0;
  uint8_t type = 0;
};

class ReferenceModel {
 public:
  ReferenceModel(Time now, uint32_t root_mode, uint32_t uid, uint32_t gid);

  Time now;
  ModelHints hints;
  MountOptions::Atime atime = MountOptions::Atime::noatime;

  // -- names
  Answer<Attributes> lookup(Inode parent, std::string_view name) const;
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
  Answer<Attributes> tmpfile(Inode parent, uint32_t mode, Caller caller);  // held once
  Answer<std::string> readlink(Inode inode);
  Answer<std::vector<DirectoryName>> readdir(Inode directory);  // sorted by name, with . and ..
  void hold(Inode inode);
  void forget(Inode inode);

  // -- attributes
  Answer<Attributes> getattr(Inode inode) const;
  Answer<Attributes> setattr(Inode inode, const AttributeChange& change);
  Done set_flags(Inode inode, uint32_t flags, uint32_t project);
  Answer<std::string> getxattr(Inode inode, std::string_view name) const;
  Done setxattr(Inode inode, std::string_view name, std::string_view value, int flags);
  Done removexattr(Inode inode, std::string_view name);
  Answer<std::vector<std::string>> listxattr(Inode inode) const;  // sorted

  // -- data
  Answer<std::vector<std::byte>> read(Inode inode, uint64_t offset, uint64_t length);
  Answer<uint64_t> write(Inode inode, uint64_t offset, std::span<const std::byte> in,
                         bool kill_suid_gid);
  Done fallocate(Inode inode, int mode, uint64_t offset, uint64_t length);
  // Right if the hinted position is one that the contents allow; then it is the answer.
  Answer<uint64_t> lseek(Inode inode, uint64_t offset, int whence) const;
  Answer<uint64_t> copy_file_range(Inode in, uint64_t in_offset, Inode out, uint64_t out_offset,
                                   uint64_t length);

  // What a failed write left behind: same size, other bytes.
  void set_content(Inode inode, SparseImage content) { edit(inode).content = std::move(content); }

  // -- the whole
  // A crash or a clean remount: nobody holds anything, inodes without names are gone.
  void crash();
  uint64_t inodes() const { return nodes_.size(); }
  const ModelNode* find(Inode inode) const;
  const std::map<Inode, std::shared_ptr<ModelNode>>& nodes() const { return nodes_; }

 private:
  friend class ModelRename;
  ModelNode& edit(Inode inode);
  int check_name(Inode parent, std::string_view name) const;      // may a name be looked up there
  int check_new_name(Inode parent, std::string_view name) const;  // may it be added there
  Inode child(Inode parent, std::string_view name) const;
  Inode add_node(Inode parent, uint32_t mode, Caller caller);
  void add_entry(Inode parent, std::string_view name, Inode inode);
  void stamp_directory(Inode directory);
  void drop_link(Inode inode);
  void forget_if_unused(Inode inode);
  void touch_atime(Inode inode);
  Attributes attributes(Inode inode) const;
  bool zeros_between(const ModelNode& node, uint64_t begin, uint64_t end) const;
  static void kill_suid_gid_bits(ModelNode& node);

  std::map<Inode, std::shared_ptr<ModelNode>> nodes_;
  std::map<Inode, uint64_t> holds_;
  Inode next_inode_ = format::kFirstFreeInode;
};

}  // namespace rvmfs::test
