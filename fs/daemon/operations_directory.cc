// SPDX-License-Identifier: BSD-2-Clause
//
// Reading directories, with and without attributes, in the buffer format of FUSE.
#include <dirent.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "fs/daemon/reply.h"

namespace rvmfs {
namespace {

constexpr size_t kReplyBytesMax = 1 << 20;

// Collects entries until one does not fit.
class EntryBuffer {
 public:
  EntryBuffer(fuse_req_t request, size_t bytes, bool plus)
      : request_(request), plus_(plus), bytes_(std::min(bytes, kReplyBytesMax)) {}

  bool add(const DirectoryItem& item) {
    std::array<char, NAME_MAX + 1> name;
    const size_t length = std::min<size_t>(item.name.size(), NAME_MAX);
    memcpy(name.data(), item.name.data(), length);
    name[length] = '\0';
    const size_t size = plus_ ? add_plus(item, name.data()) : add_plain(item, name.data());
    if (used_ + size > bytes_.size()) return false;
    used_ += size;
    if (plus_ && item.attributes != nullptr) held_.push_back(item.inode);
    return true;
  }

  void reply() {
    Volume& volume = volume_of(request_);
    if (fuse_reply_buf(request_, bytes_.data(), used_) == 0) return;
    // The kernel did not get them, so it does not hold them.
    for (const Inode inode : held_) volume.forget(inode, 1);
  }

 private:
  char* place() { return bytes_.data() + used_; }
  size_t room() const { return bytes_.size() - used_; }

  // Both return the size that the entry needs, and write it only if there is room.
  size_t add_plain(const DirectoryItem& item, const char* name) {
    struct stat status {};
    status.st_ino = item.inode;
    status.st_mode = DTTOIF(item.type);
    return fuse_add_direntry(request_, place(), room(), name, &status,
                             static_cast<off_t>(item.cookie));
  }
  size_t add_plus(const DirectoryItem& item, const char* name) {
    fuse_entry_param entry{};  // node id 0: a name without attributes
    if (item.attributes != nullptr) {
      note_given(state_of(request_), *item.attributes,
                 static_cast<uint32_t>(fuse_req_ctx(request_)->pid));
      entry = to_entry(*item.attributes);
    } else {
      entry.attr.st_ino = item.inode;
      entry.attr.st_mode = DTTOIF(item.type);
    }
    return fuse_add_direntry_plus(request_, place(), room(), name, &entry,
                                  static_cast<off_t>(item.cookie));
  }

  fuse_req_t request_;
  bool plus_;
  std::vector<char> bytes_;
  size_t used_ = 0;
  std::vector<Inode> held_;
};

void read_entries(fuse_req_t request, fuse_ino_t directory, size_t size, off_t cookie, bool plus) {
  EntryBuffer buffer(request, size, plus);
  const Result<void> result =
      volume_of(request).readdir(directory, static_cast<uint64_t>(cookie), plus,
                                 [&](const DirectoryItem& item) { return buffer.add(item); });
  if (!result) return reply_error(request, result.error());
  buffer.reply();
}

void readdir(fuse_req_t request, fuse_ino_t directory, size_t size, off_t cookie, fuse_file_info*) {
  read_entries(request, directory, size, cookie, false);
}

void readdirplus(fuse_req_t request, fuse_ino_t directory, size_t size, off_t cookie,
                 fuse_file_info*) {
  read_entries(request, directory, size, cookie, true);
}

void opendir(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
  if (state_of(request).init.enabled(Feature::no_opendir)) {
    fuse_reply_err(request, ENOSYS);
    return;
  }
  file->keep_cache = 1;
  file->cache_readdir = 1;
  fuse_reply_open(request, file);
}

void fsyncdir(fuse_req_t request, fuse_ino_t directory, int data_only, fuse_file_info*) {
  reply_result(request, volume_of(request).fsync(directory, data_only != 0));
}

}  // namespace

void add_directory_operations(fuse_lowlevel_ops& table) {
  table.readdir = readdir;
  table.readdirplus = readdirplus;
  table.opendir = opendir;
  table.fsyncdir = fsyncdir;
}

}  // namespace rvmfs
