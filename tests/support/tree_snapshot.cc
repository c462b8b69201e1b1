// SPDX-License-Identifier: BSD-2-Clause
//
// See tree_snapshot.h. A hard link appears under each of its names, with the same inode number.
#include "tests/support/tree_snapshot.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tests/support/perform.h"

namespace rvmfs::test {
namespace {

constexpr uint64_t kReadBytes = 256 * 1024;

std::string join(const std::string& directory, const std::string& name) {
  return directory == "/" ? "/" + name : directory + "/" + name;
}

void add(const ReferenceModel& model, bool with_content, const std::string& path, Inode inode,
         TreeSnapshot& tree) {
  const ModelNode& node = *model.find(inode);
  TreeEntry entry;
  entry.attributes = model.getattr(inode).value;
  entry.target = node.target;
  entry.xattrs = node.xattrs;
  if (with_content && node.is_regular()) entry.content = node.content;
  tree.paths.emplace(path, std::move(entry));
  for (const auto& [name, child] : node.entries) {
    add(model, with_content, join(path, name), child, tree);
  }
}

class Walk {
 public:
  Walk(VolumeAnswers& volume, bool with_content, TreeSnapshot& tree)
      : volume_(volume), with_content_(with_content), tree_(tree) {}

  void run(const std::string& path, Inode inode) {
    TreeEntry entry;
    const auto attributes = volume_.getattr(inode);
    if (!attributes.ok()) return fail("getattr", path);
    entry.attributes = attributes.value;
    if (!read_xattrs(path, inode, entry)) return;
    const uint32_t mode = entry.attributes.mode;
    if (S_ISLNK(mode)) {
      const auto target = volume_.readlink(inode);
      if (!target.ok()) return fail("readlink", path);
      entry.target = target.value;
    }
    if (S_ISREG(mode) && with_content_ && !read_content(path, inode, entry)) return;
    tree_.paths.emplace(path, std::move(entry));
    if (S_ISDIR(mode)) walk_directory(path, inode);
  }

 private:
  void fail(const char* what, const std::string& path) {
    if (tree_.error.empty()) tree_.error = fmt::format("{} {}: {}", what, path, volume_.last_error);
  }

  void walk_directory(const std::string& path, Inode inode) {
    const auto names = volume_.readdir(inode);
    if (!names.ok()) return fail("readdir", path);
    for (const DirectoryName& name : names.value) {
      if (!tree_.error.empty()) return;
      if (name.name == "." || name.name == "..") continue;
      const auto found = volume_.lookup(inode, name.name);
      const std::string child = join(path, name.name);
      if (!found.ok()) return fail("lookup", child);
      if (found.value.inode != name.inode || name.type != (found.value.mode & S_IFMT) >> 12) {
        tree_.error = fmt::format("readdir and lookup disagree about {}", child);
        return;
      }
      run(child, name.inode);
    }
  }

  bool read_xattrs(const std::string& path, Inode inode, TreeEntry& entry) {
    const auto names = volume_.listxattr(inode);
    if (!names.ok()) {
      fail("listxattr", path);
      return false;
    }
    for (const std::string& name : names.value) {
      const auto value = volume_.getxattr(inode, name);
      if (!value.ok()) {
        fail("getxattr", path);
        return false;
      }
      entry.xattrs[name] = value.value;
    }
    return true;
  }

  bool read_content(const std::string& path, Inode inode, TreeEntry& entry) {
    const uint64_t size = entry.attributes.size;
    entry.content.resize(size);
    for (uint64_t at = 0; at < size;) {
      const auto data = volume_.lseek(inode, at, SEEK_DATA);
      if (data.error == ENXIO) return true;
      const auto hole = data.ok() ? volume_.lseek(inode, data.value, SEEK_HOLE) : data;
      if (!hole.ok() || hole.value <= data.value) {
        fail("lseek", path);
        return false;
      }
      for (at = data.value; at < hole.value;) {
        const auto bytes = volume_.read(inode, at, std::min(kReadBytes, hole.value - at));
        if (!bytes.ok() || bytes.value.empty()) {
          fail("read", path);
          return false;
        }
        entry.content.write(at, bytes.value);
        at += bytes.value.size();
      }
    }
    return true;
  }

  VolumeAnswers& volume_;
  const bool with_content_;
  TreeSnapshot& tree_;
};

std::string line(const std::string& path, const TreeEntry& entry, const TextOptions& options) {
  std::string text = path + " ";
  if (options.times) {
    text += describe(entry.attributes, options.atime);
  } else {
    Attributes timeless = entry.attributes;
    timeless.atime = timeless.mtime = timeless.ctime = timeless.btime = {};
    text += describe(timeless, false);
  }
  if (!entry.target.empty()) text += " -> " + entry.target;
  for (const auto& [name, value] : entry.xattrs) {
    const auto* bytes = reinterpret_cast<const std::byte*>(value.data());
    text += fmt::format(" {}=({})", name, describe(std::vector(bytes, bytes + value.size())));
  }
  return text + "\n";
}

}  // namespace

TreeSnapshot snapshot(const ReferenceModel& model, bool with_content) {
  TreeSnapshot tree;
  add(model, with_content, "/", format::kRootInode, tree);
  return tree;
}

TreeSnapshot snapshot(VolumeAnswers& volume, bool with_content) {
  TreeSnapshot tree;
  Walk(volume, with_content, tree).run("/", format::kRootInode);
  return tree;
}

std::string metadata_text(const TreeSnapshot& tree, const TextOptions& options) {
  std::string text;
  for (const auto& [path, entry] : tree.paths) text += line(path, entry, options);
  return text;
}

std::string difference(const TreeSnapshot& expected, const TreeSnapshot& actual,
                       const TextOptions& options) {
  if (!actual.error.empty()) return actual.error;
  for (const auto& [path, entry] : expected.paths) {
    const auto other = actual.paths.find(path);
    if (other == actual.paths.end()) return path + " is missing";
    const std::string want = line(path, entry, options);
    const std::string have = line(path, other->second, options);
    if (want != have) return fmt::format("\n  expected {}  found    {}", want, have);
    const std::string bytes = SparseImage::difference(entry.content, other->second.content);
    if (!bytes.empty()) return fmt::format("contents of {}: {}", path, bytes);
  }
  for (const auto& [path, entry] : actual.paths) {
    if (!expected.paths.contains(path)) return path + " should not be there";
  }
  return "";
}

}  // namespace rvmfs::test
