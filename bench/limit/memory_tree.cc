// SPDX-License-Identifier: BSD-2-Clause
//
// The files of the limit filesystems.
#include "bench/limit/memory_tree.h"

#include <algorithm>
#include <cstring>
#include <ctime>

namespace rvmfs {

Directory::Slot* Directory::find(std::string_view name) {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &slots_[found->second];
}

void Directory::add(std::string_view name, Inode inode, uint8_t type) {
  slots_.push_back({std::string(name), inode, type});
  index_.emplace(slots_.back().name, slots_.size() - 1);
}

void Directory::remove(std::string_view name) {
  const auto found = index_.find(name);
  if (found == index_.end()) return;
  Slot& slot = slots_[found->second];
  index_.erase(found);
  slot = {};
  if (index_.empty()) slots_.clear();
}

std::byte* Content::page(size_t index, bool filled) {
  if (index >= pages_.size()) pages_.resize(index + 1);
  Page& page = pages_[index];
  if (!page && filled) page = std::make_unique_for_overwrite<std::byte[]>(kPageBytes);
  if (!page) page = std::make_unique<std::byte[]>(kPageBytes);
  return page.get();
}

void Content::read(uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const size_t index = offset / kPageBytes;
    const size_t inside = offset % kPageBytes;
    const size_t bytes = std::min(out.size(), kPageBytes - inside);
    if (index < pages_.size() && pages_[index]) {
      memcpy(out.data(), pages_[index].get() + inside, bytes);
    } else {
      memset(out.data(), 0, bytes);
    }
    out = out.subspan(bytes);
    offset += bytes;
  }
}

void Content::write(uint64_t offset, std::span<const std::byte> in) {
  while (!in.empty()) {
    const size_t inside = offset % kPageBytes;
    const size_t bytes = std::min(in.size(), kPageBytes - inside);
    memcpy(page(offset / kPageBytes, bytes == kPageBytes) + inside, in.data(), bytes);
    in = in.subspan(bytes);
    offset += bytes;
  }
}

void Content::shrink(uint64_t size) {
  const size_t pages = (size + kPageBytes - 1) / kPageBytes;
  if (pages < pages_.size()) pages_.resize(pages);
  const size_t inside = size % kPageBytes;
  if (inside != 0 && pages == pages_.size() && pages_.back()) {
    memset(pages_.back().get() + inside, 0, kPageBytes - inside);
  }
}

MemoryTree::MemoryTree() {
  nodes_.resize(format::kRootInode);
  Node& root = make(S_IFDIR | 0755, {});
  root.attributes.nlink = 2;
  root.parent = root.attributes.inode;
}

Node* MemoryTree::find(Inode inode) {
  return inode < nodes_.size() ? nodes_[inode].get() : nullptr;
}

Node& MemoryTree::make(uint32_t mode, Caller caller) {
  auto node = std::make_unique<Node>();
  Attributes& attributes = node->attributes;
  attributes.inode = nodes_.size();
  attributes.mode = mode;
  attributes.uid = caller.uid;
  attributes.gid = caller.gid;
  attributes.atime = attributes.mtime = attributes.ctime = attributes.btime = time_now();
  nodes_.push_back(std::move(node));
  ++count_;
  return *nodes_.back();
}

void MemoryTree::release(Node& node) {
  if (node.attributes.nlink != 0 || node.held != 0) return;
  nodes_[node.attributes.inode].reset();
  --count_;
}

Time time_now() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return {now.tv_sec, static_cast<uint32_t>(now.tv_nsec)};
}

}  // namespace rvmfs
