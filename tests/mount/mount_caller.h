// SPDX-License-Identifier: BSD-2-Clause
//
// One thread's way to a real mount for concurrent histories (tests/support/concurrent_history.h):
// system calls on descriptors. A descriptor is opened without a right (O_PATH) when a name is
// looked up, so that a lookup is nothing but a lookup; reading, writing and listing open it again.
//
// What a program may see on a mount beyond what the daemon does, and what these calls therefore do
// not ask for:
//   - a read or write that touches several pages of the kernel's cache is one operation for each of
//     them: calls stay within a page
//   - mkdir(2) does not tell the number of the new directory: a directory that was made before is
//     moved into its place with RENAME_NOREPLACE
//   - a name and its attributes are two questions: a lookup answers number and type
//   - a listing is several requests: a name that moves meanwhile may be seen in both places or in
//     none (readdir(3)); here a directory's attributes are asked for instead
//   - a read beside a write that makes the file longer may see the new bytes and the old size: only
//     sizes are asked for
//   - link counts are not compared, and of directories only the type: while a rename or link is
//     under way, its effect on them may be seen before its effect on names, of which the kernel has
//     its own copy. When all is quiet, the test looks at them
// Names, attributes and sizes may all come out of the kernel's caches; they must be
// those of a moment within the call all the same, since every change goes through the same kernel.
#pragma once

#include <map>
#include <string>

#include "tests/support/concurrent_history.h"

namespace rvmfs::test {

class MountCaller final : public FsCaller {
 public:
  ~MountCaller() override { forget_all(); }
  void make(FsCall& call) override;

  // What is known in the beginning: a directory by its path. Returns its number.
  Inode open_directory(const std::string& path);
  // The directory whose entries this thread moves into place where it would make directories:
  // "0", "1", ... up to `count`.
  void set_nursery(Inode inode, size_t count);
  void forget_all();

 private:
  struct Held {
    int path = -1, file = -1;
  };
  int at(Inode inode) const { return held_.at(inode).path; }
  // Open for reading, and for writing if it is a file.
  int file(Inode inode);
  void find(FsCall& call);
  void create(FsCall& call);
  void move(FsCall& call);
  void make_on_inode(FsCall& call);
  void take(FsCall& call, int descriptor);

  std::map<Inode, Held> held_;
  Inode nursery_ = 0;
  size_t in_nursery_ = 0;
};

}  // namespace rvmfs::test
