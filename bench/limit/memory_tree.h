// SPDX-License-Identifier: BSD-2-Clause
//
// The files of the limit filesystems: the simplest tree in memory that still answers every request.
// Nothing is durable, nothing is checked twice.
//
//   Node       an inode with what it contains: entries, bytes or a symlink's target
//   Directory  names by hash, and in order of creation (its positions are the readdir cookies)
//   Content    bytes in pages of 4 KiB; a page that was never written is zeros
//
// Thread rules: none of these locks. MemoryTree's users hold its lock (memory_volume.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fs/volume.h"

namespace rvmfs {

class Directory {
 public:
  struct Slot {
    std::string name;  // empty: removed
    Inode inode = 0;
    uint8_t type = 0;
  };

  Slot* find(std::string_view name);
  void add(std::string_view name, Inode inode, uint8_t type);
  void remove(std::string_view name);
  bool empty() const { return index_.empty(); }
  const std::deque<Slot>& slots() const { return slots_; }

 private:
  std::deque<Slot> slots_;  // never moves an element, so that index_ may refer to the names
  std::unordered_map<std::string_view, size_t> index_;
};

class Content {
 public:
  void read(uint64_t offset, std::span<std::byte> out) const;
  void write(uint64_t offset, std::span<const std::byte> in);
  void shrink(uint64_t size);

 private:
  static constexpr size_t kPageBytes = 4096;
  using Page = std::unique_ptr<std::byte[]>;
  std::byte* page(size_t index, bool filled);
  std::vector<Page> pages_;
};

struct Node {
  Attributes attributes;
  uint64_t held = 0;  // by the kernel
  Inode parent = 0;   // of directories
  Directory directory;
  Content content;
  std::string target;
};

// All nodes; the root is there from the start.
class MemoryTree {
 public:
  MemoryTree();
  Node* find(Inode inode);  // nullptr: there is none
  Node& make(uint32_t mode, Caller caller);
  // Deletes it if it has no name and nobody holds it.
  void release(Node& node);
  uint64_t count() const { return count_; }

 private:
  std::vector<std::unique_ptr<Node>> nodes_;  // by inode number, which only grow
  uint64_t count_ = 0;
};

Time time_now();

}  // namespace rvmfs
