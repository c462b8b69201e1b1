// SPDX-License-Identifier: BSD-2-Clause
//
// The canonical text of a volume: one line a path, in the byte order of the paths.
//
//   /a/b type=f mode=0644 uid=0 gid=0 links=1 size=12 mtime=1700000000.000000000 xattr:user.k=HASH
//   data=HASH
//
//   type     f file, d directory, l symbolic link, c and b devices, p pipe, s socket
//   size     bytes; directories: entries
//   rdev     MAJOR:MINOR, devices only
//   data     XXH3-64 of the content (files); target= the escaped target (symbolic links)
//
// Bytes other than printable ASCII, and blank, '\\' and '=', are written as \ooo (three octal
// digits).
//
// A directory's line comes at its own path and its contents at "path/", which other names may sort
// between: "a", "a-b", "a/c". So a directory is two events among its siblings.
#include <sys/stat.h>

#include <algorithm>
#include <ostream>
#include <unordered_set>

#include "fsck/hash.h"
#include "fsck/tree_model.h"

namespace rvmfs::fsck {
namespace {

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f && c != '\\' && c != '=') {
      out += c;
    } else {
      out += fmt::format("\\{:03o}", byte);
    }
  }
  return out;
}

char type_letter(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return 'f';
    case S_IFDIR: return 'd';
    case S_IFLNK: return 'l';
    case S_IFCHR: return 'c';
    case S_IFBLK: return 'b';
    case S_IFIFO: return 'p';
    case S_IFSOCK: return 's';
    default: return '?';
  }
}

class Dump {
 public:
  Dump(const CheckState& state, const TreeModel& model, const DumpOptions& options,
       std::ostream& out)
      : state_(state), model_(model), options_(options), out_(out) {}

  rvm::Result<void> run() {
    const auto root = model_.find(format::kRootInode);
    if (root == model_.end()) {
      return rvm::Error{rvm::Errc::damaged_structure, 0, 0, "the root directory is missing"};
    }
    RVM_TRY(line("/", root->second));
    push(format::kRootInode, root->second, "");
    while (!levels_.empty()) {
      if (levels_.back().next == levels_.back().events.size()) {
        levels_.pop_back();
        continue;
      }
      const Level& level = levels_.back();
      const Event event = level.events[levels_.back().next++];
      const std::string path = level.path + "/" + event.name;
      const auto child = model_.find(event.inode);
      if (child == model_.end()) {
        return rvm::Error{rvm::Errc::damaged_structure, 0, event.inode, "a name leads to no inode"};
      }
      if (!event.contents) {
        RVM_TRY(line(path, child->second));
      } else if (seen_.count(event.inode) != 0) {  // or paths could multiply without end
        return rvm::Error{rvm::Errc::damaged_structure, 0, event.inode,
                          "a directory has two names"};
      } else {
        push(event.inode, child->second, path);
      }
    }
    return {};
  }

 private:
  struct Event {
    std::string key;  // the name; with a '/' behind it for the contents of a directory
    std::string name;
    uint64_t inode;
    bool contents;
  };
  struct Level {
    std::string path;
    std::vector<Event> events;
    size_t next = 0;
  };

  void push(uint64_t inode, const ModelInode& directory, const std::string& path) {
    Level level{path, {}, 0};
    for (const auto& [name, target] : directory.entries) {
      level.events.push_back({name, name, target, false});
      const auto child = model_.find(target);
      if (child != model_.end() && S_ISDIR(child->second.item.mode)) {
        level.events.push_back({name + "/", name, target, true});
      }
    }
    std::sort(level.events.begin(), level.events.end(),
              [](const Event& a, const Event& b) { return a.key < b.key; });
    seen_.insert(inode);
    levels_.push_back(std::move(level));
  }

  rvm::Result<void> line(const std::string& path, const ModelInode& inode) {
    const format::InodeItem& item = inode.item;
    out_ << escaped(path)
         << fmt::format(" type={} mode={:04o} uid={} gid={} links={} size={}",
                        type_letter(item.mode), item.mode & 07777, item.uid, item.gid, item.nlink,
                        item.size);
    if (S_ISCHR(item.mode) || S_ISBLK(item.mode)) {
      out_ << fmt::format(" rdev={}:{}", item.rdev_major, item.rdev_minor);
    }
    if (options_.times) {
      out_ << fmt::format(" mtime={}.{:09}", item.mtime_seconds, item.mtime_nanoseconds);
    }
    for (const auto& [name, value] : inode.xattrs) {
      out_ << fmt::format(" xattr:{}={:016x}", escaped(name),
                          XXH3_64bits(value.data(), value.size()));
    }
    if (S_ISREG(item.mode) && options_.contents) {
      RVM_ASSIGN(const std::string hash, content_hash(state_, inode));
      out_ << " data=" << hash;
    } else if (S_ISLNK(item.mode)) {
      out_ << " target=" << escaped(inode.inlined);
    }
    out_ << '\n';
    return {};
  }

  const CheckState& state_;
  const TreeModel& model_;
  const DumpOptions& options_;
  std::ostream& out_;
  std::vector<Level> levels_;
  std::unordered_set<uint64_t> seen_;
};

class NoSink final : public FindingSink {
 public:
  void report(const Finding&) override {}
};

}  // namespace

rvm::Result<void> dump_tree(rvm::Device& device, std::ostream& out, const DumpOptions& options) {
  NoSink sink;  // what is wrong comes back as the error
  CheckOptions check_options;
  CheckState state(device, check_options, sink);
  RVM_ASSIGN(const TreeModel model, read_model(state));
  return Dump(state, model, options, out).run();
}

}  // namespace rvmfs::fsck
