// SPDX-License-Identifier: BSD-2-Clause
//
// See populate.h. The folder is walked with an explicit stack of paths relative to it; symbolic
// links are copied, never followed. Attributes are set after the contents, those of a directory
// after everything in it.
#include "mkfs/populate.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <vector>

#include "fs/errors.h"
#include "fs/volume.h"

namespace rvmfs::mkfs {
namespace {

constexpr size_t kCopyBytes = 1 << 20;

rvm::Error host_error(const char* what) { return {rvm::Errc::io, errno, 0, what}; }

class Populator {
 public:
  Populator(Volume& volume, std::optional<int64_t> time) : volume_(volume), time_(time) {}

  // `path_` is where an error happened.
  rvm::Result<void> run(const std::string& folder) {
    path_ = folder;
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0) return host_error("cannot look at it");
    if (!S_ISDIR(status.st_mode)) {
      errno = ENOTDIR;
      return host_error("not a folder");
    }
    return fill(folder, format::kRootInode, status);
  }

  const std::string& path() const { return path_; }
  Populated populated() const { return populated_; }

 private:
  // One open directory of the walk.
  struct Level {
    std::string path;
    Inode inode;
    struct stat status;
    std::vector<std::string> names;  // still to do, the next one last
  };

  rvm::Result<void> fill(const std::string& folder, Inode root, const struct stat& status) {
    std::vector<Level> levels;
    RVM_TRY(push(levels, folder, root, status));
    while (!levels.empty()) {
      Level& level = levels.back();
      if (level.names.empty()) {
        path_ = level.path;
        RVM_TRY(set_attributes(level.path, level.inode, level.status));
        levels.pop_back();
        continue;
      }
      const std::string name = std::move(level.names.back());
      level.names.pop_back();
      path_ = level.path + "/" + name;
      struct stat child {};
      if (::lstat(path_.c_str(), &child) != 0) return host_error("cannot look at it");
      if (S_ISSOCK(child.st_mode)) continue;  // means nothing without the process behind it
      ++populated_.files;
      RVM_ASSIGN(const Inode inode, create(level.inode, name, child));
      if (S_ISDIR(child.st_mode)) RVM_TRY(push(levels, std::string(path_), inode, child));
    }
    return {};
  }

  static rvm::Result<void> push(std::vector<Level>& levels, const std::string& path, Inode inode,
                                const struct stat& status) {
    DIR* const stream = ::opendir(path.c_str());
    if (stream == nullptr) return host_error("cannot open it");
    Level level{path, inode, status, {}};
    for (const dirent* entry = ::readdir(stream); entry != nullptr; entry = ::readdir(stream)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") level.names.push_back(name);
    }
    ::closedir(stream);
    std::sort(level.names.rbegin(), level.names.rend());
    levels.push_back(std::move(level));
    return {};
  }

  rvm::Result<Inode> create(Inode parent, const std::string& name, const struct stat& status) {
    const Caller owner{status.st_uid, status.st_gid};
    const std::pair<dev_t, ino_t> identity{status.st_dev, status.st_ino};
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1) {
      if (const auto known = links_.find(identity); known != links_.end()) {
        RVM_TRY(volume_.link(known->second, parent, name));
        return known->second;
      }
    }
    Attributes made;
    if (S_ISDIR(status.st_mode)) {
      RVM_ASSIGN(made, volume_.mkdir(parent, name, status.st_mode & 07777, owner));
      return made.inode;
    }
    if (S_ISLNK(status.st_mode)) {
      RVM_ASSIGN(const std::string target, read_link(status));
      RVM_ASSIGN(made, volume_.symlink(parent, name, target, owner));
    } else {
      RVM_ASSIGN(made, volume_.mknod(parent, name, status.st_mode, major(status.st_rdev),
                                     minor(status.st_rdev), owner));
    }
    if (S_ISREG(status.st_mode)) RVM_TRY(copy_data(made.inode, status));
    RVM_TRY(set_attributes(path_, made.inode, status));
    links_.emplace(identity, made.inode);
    return made.inode;
  }

  rvm::Result<std::string> read_link(const struct stat& status) const {
    std::string target(static_cast<size_t>(std::max<off_t>(status.st_size, 4096)) + 1, '\0');
    const ssize_t length = ::readlink(path_.c_str(), target.data(), target.size());
    if (length < 0) return host_error("cannot read the link");
    target.resize(static_cast<size_t>(length));
    return target;
  }

  rvm::Result<void> copy_data(Inode inode, const struct stat& status) {
    const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return host_error("cannot open it");
    const auto copied = copy_ranges(fd, inode, status.st_size);
    ::close(fd);
    RVM_TRY(copied);
    AttributeChange size;
    size.valid = AttributeChange::size_bit;
    size.size = static_cast<uint64_t>(status.st_size);
    RVM_TRY(volume_.setattr(inode, size));
    return {};
  }

  // Copies what is no hole.
  rvm::Result<void> copy_ranges(int fd, Inode inode, off_t size) {
    buffer_.resize(kCopyBytes);
    off_t at = 0;
    while (at < size) {
      off_t data = ::lseek(fd, at, SEEK_DATA);
      if (data < 0 && errno == ENXIO) return {};
      off_t hole = data < 0 ? -1 : ::lseek(fd, data, SEEK_HOLE);
      if (data < 0 || hole < 0) {  // the host does not know holes
        data = at;
        hole = size;
      }
      for (at = data; at < std::min(hole, size);) {
        const auto want = static_cast<size_t>(
            std::min<off_t>(static_cast<off_t>(buffer_.size()), std::min(hole, size) - at));
        const ssize_t got = ::pread(fd, buffer_.data(), want, at);
        if (got < 0) return host_error("cannot read it");
        if (got == 0) return {};  // it has become shorter
        const auto bytes = std::span(buffer_).first(static_cast<size_t>(got));
        RVM_TRY(write_all(inode, static_cast<uint64_t>(at), bytes));
        at += got;
      }
    }
    return {};
  }

  rvm::Result<void> write_all(Inode inode, uint64_t offset, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      RVM_ASSIGN(const size_t done, volume_.write(inode, offset, bytes));
      offset += done;
      bytes = bytes.subspan(done);
    }
    return {};
  }

  rvm::Result<void> set_attributes(const std::string& path, Inode inode,
                                   const struct stat& status) {
    // In this order: a new owner takes file capabilities away, an ACL changes the mode's bits, and
    // both move times.
    AttributeChange owner;
    owner.valid = AttributeChange::uid_bit | AttributeChange::gid_bit;
    if (!S_ISLNK(status.st_mode)) owner.valid |= AttributeChange::mode_bit;
    owner.mode = status.st_mode;
    owner.uid = status.st_uid;
    owner.gid = status.st_gid;
    RVM_TRY(volume_.setattr(inode, owner));
    RVM_TRY(copy_xattrs(path, inode));
    AttributeChange change;
    change.valid =
        AttributeChange::atime_bit | AttributeChange::mtime_bit | AttributeChange::ctime_bit;
    change.mtime = clamp({status.st_mtim.tv_sec, static_cast<uint32_t>(status.st_mtim.tv_nsec)});
    // A reproducible volume must not tell when somebody last read the folder.
    change.atime = time_
                       ? change.mtime
                       : Time{status.st_atim.tv_sec, static_cast<uint32_t>(status.st_atim.tv_nsec)};
    change.ctime = time_
                       ? change.mtime
                       : Time{status.st_ctim.tv_sec, static_cast<uint32_t>(status.st_ctim.tv_nsec)};
    RVM_TRY(volume_.setattr(inode, change));
    return {};
  }

  Time clamp(Time time) const { return time_ ? std::min(time, Time{*time_, 0}) : time; }

  // A host that has no xattrs, or does not show them to this user, has none to copy.
  rvm::Result<void> copy_xattrs(const std::string& path, Inode inode) {
    const ssize_t length = ::llistxattr(path.c_str(), nullptr, 0);
    if (length <= 0) return {};
    std::string names(static_cast<size_t>(length), '\0');
    const ssize_t listed = ::llistxattr(path.c_str(), names.data(), names.size());
    if (listed < 0) return host_error("cannot list its extended attributes");
    names.resize(static_cast<size_t>(listed));
    std::vector<char> value(format::kXattrValueBytesMax);
    for (size_t at = 0; at < names.size(); at += std::char_traits<char>::length(&names[at]) + 1) {
      const char* const name = &names[at];
      const ssize_t got = ::lgetxattr(path.c_str(), name, value.data(), value.size());
      if (got < 0 && (errno == ENODATA || errno == EPERM || errno == EACCES)) continue;
      if (got < 0) return host_error("cannot read an extended attribute");
      RVM_TRY(volume_.setxattr(inode, name, {value.data(), static_cast<size_t>(got)}, 0));
    }
    return {};
  }

  Volume& volume_;
  const std::optional<int64_t> time_;
  std::string path_;
  Populated populated_;
  std::map<std::pair<dev_t, ino_t>, Inode> links_;
  std::vector<std::byte> buffer_;
};

}  // namespace

tl::expected<Populated, std::string> populate(const std::shared_ptr<rvm::Device>& device,
                                              const std::string& folder,
                                              std::optional<int64_t> time) {
  MountOptions options;
  // Without threads, what is written when depends on the folder alone.
  options.background = false;
  if (time) options.clock = [seconds = *time] { return Time{seconds, 0}; };
  auto volume = Volume::open(device, options);
  if (!volume) return tl::unexpected(rvmfs::explain(volume.error()));
  Populator populator(**volume, time);
  if (auto filled = populator.run(folder); !filled) {
    return tl::unexpected(
        fmt::format("copying {}: {}", populator.path(), rvmfs::explain(filled.error())));
  }
  if (auto closed = (*volume)->close(); !closed) {
    return tl::unexpected(rvmfs::explain(closed.error()));
  }
  return populator.populated();
}

}  // namespace rvmfs::mkfs
