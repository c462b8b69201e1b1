// SPDX-License-Identifier: BSD-2-Clause
//
// Random system calls: see random_operations.h.
#include "tests/conformance/random_operations.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <vector>

namespace rvmfs::test {
namespace {

using Kind = RandomOperation::Kind;

constexpr std::array<const char*, 24> kNames = {"open",
                                                "close",
                                                "write",
                                                "read",
                                                "truncate",
                                                "ftruncate",
                                                "mkdir",
                                                "rmdir",
                                                "unlink",
                                                "rename",
                                                "link",
                                                "symlink",
                                                "chmod",
                                                "set_times",
                                                "set_attribute",
                                                "get_attribute",
                                                "remove_attribute",
                                                "mkfifo",
                                                "fallocate",
                                                "copy",
                                                "stat",
                                                "fstat",
                                                "readlink",
                                                "list"};
static_assert(kNames.size() == size_t(Kind::count));

std::string random_path(std::mt19937_64& random) {
  const uint64_t depth = random() % 8;
  std::string path = std::string(1, static_cast<char>('a' + random() % 6));
  if (depth > 2) path = std::string(1, static_cast<char>('A' + random() % 3)) + "/" + path;
  if (depth > 5) path = std::string(1, static_cast<char>('A' + random() % 3)) + "/" + path;
  if (random() % 4 == 0) path = std::string(1, static_cast<char>('A' + random() % 3));
  return path;
}

unsigned random_open_flags(std::mt19937_64& random) {
  constexpr std::array<unsigned, 3> kModes = {O_RDONLY, O_WRONLY, O_RDWR};
  unsigned flags = kModes[random() % 3];
  if (random() % 2 == 0) flags |= O_CREAT;
  if (random() % 8 == 0) flags |= O_EXCL & (flags & O_CREAT ? ~0U : 0U);
  if (random() % 6 == 0) flags |= O_TRUNC;
  if (random() % 5 == 0) flags |= O_APPEND;
  if (random() % 10 == 0) flags |= O_NOFOLLOW;
  return flags;
}

std::string answer(long result, const std::string& told = "") {
  if (result < 0) return strerrorname_np(errno);
  return told.empty() ? std::to_string(result) : fmt::format("{}: {}", result, told);
}

std::string describe(const struct stat& s) {
  return fmt::format("{:o} {}:{} {} {}", s.st_mode, s.st_uid, s.st_gid,
                     S_ISDIR(s.st_mode) ? 0 : s.st_nlink, S_ISDIR(s.st_mode) ? 0 : s.st_size);
}

// Short, and different for different bytes.
std::string digest(const std::string& bytes) {
  return fmt::format("{:x}", std::hash<std::string>()(bytes));
}

std::string read_all(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return strerrorname_np(errno);
  std::string bytes;
  std::array<char, 65536> buffer;
  for (ssize_t got = 0; (got = read(fd, buffer.data(), buffer.size())) > 0;) {
    bytes.append(buffer.data(), static_cast<size_t>(got));
  }
  close(fd);
  return bytes;
}

std::string attributes_of(const std::string& path) {
  std::array<char, 4096> names;
  const ssize_t length = llistxattr(path.c_str(), names.data(), names.size());
  std::set<std::string> found;
  for (ssize_t at = 0; at < length; at += static_cast<ssize_t>(strlen(&names[at])) + 1) {
    std::array<char, 4096> value;
    const ssize_t size = lgetxattr(path.c_str(), &names[at], value.data(), value.size());
    found.insert(
        fmt::format("{}={}", &names[at], digest(std::string(value.data(), size < 0 ? 0 : size))));
  }
  return fmt::format("{}", fmt::join(found, " "));
}

void describe_below(const std::string& folder, const std::string& name,
                    std::map<ino_t, std::string>& seen, std::string& out) {
  DIR* const stream = opendir((folder + "/" + name).c_str());
  if (stream == nullptr) return void(out += name + " cannot be listed\n");
  std::set<std::string> names;
  while (const dirent* entry = readdir(stream)) names.insert(entry->d_name);
  closedir(stream);
  for (const std::string& entry : names) {
    if (entry == "." || entry == "..") continue;
    const std::string path = name + "/" + entry;
    const std::string full = folder + "/" + path;
    struct stat status {};
    if (lstat(full.c_str(), &status) != 0) {
      out += path + " " + strerrorname_np(errno) + "\n";
      continue;
    }
    out += path + " " + describe(status) + " " + attributes_of(full);
    const auto [first, is_new] = seen.emplace(status.st_ino, path);
    if (!is_new) out += " same as " + first->second;
    std::array<char, PATH_MAX> target{};
    if (S_ISLNK(status.st_mode) && readlink(full.c_str(), target.data(), target.size() - 1) > 0) {
      out += std::string(" -> ") + target.data();
    }
    if (S_ISREG(status.st_mode) && is_new) out += " " + digest(read_all(full));
    out += '\n';
    if (S_ISDIR(status.st_mode)) {
      out += fmt::format("{} links {}\n", path, status.st_nlink);
      describe_below(folder, path, seen, out);
    }
  }
}

}  // namespace

std::string RandomOperation::text() const {
  return fmt::format("{} {} {} slot {} {} at {} length {} flags {:#x} mode {:o}",
                     kNames[size_t(kind)], path, other, slot, other_slot, offset, length, flags,
                     mode);
}

RandomOperation random_operation(std::mt19937_64& random) {
  RandomOperation op;
  op.kind = static_cast<Kind>(random() % uint64_t(Kind::count));
  if (random() % 4 == 0) op.kind = random() % 2 == 0 ? Kind::write : Kind::open;
  op.path = random_path(random);
  op.other = random_path(random);
  op.slot = random() % 8;
  op.other_slot = random() % 8;
  op.offset = random() % (random() % 3 == 0 ? 200'000 : 6000);
  op.length = random() % (random() % 3 == 0 ? 70'000 : 2000);
  op.mode = random() % 3 == 0 ? random() % 010000 : 0700 | random() % 0100;
  switch (op.kind) {
    case Kind::open: op.flags = random_open_flags(random); break;
    case Kind::rename: op.flags = std::array<unsigned, 6>{0, 0, 0, 1, 2, 2}[random() % 6]; break;
    case Kind::fallocate:
      op.flags = std::array<unsigned, 6>{0, 1, 3, 0x10, 0x11, 3}[random() % 6];
      break;
    case Kind::set_attribute: op.flags = static_cast<unsigned>(random() % 3); break;
    default: break;
  }
  return op;
}

Performer::~Performer() { close_all(); }

void Performer::close_all() {
  for (int& fd : slots_) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
}

std::string Performer::perform(const RandomOperation& op) {
  switch (op.kind) {
    case Kind::close:
    case Kind::write:
    case Kind::read:
    case Kind::ftruncate:
    case Kind::fallocate:
    case Kind::copy:
    case Kind::fstat: return perform_on_file(op);
    default: return perform_on_name(op);
  }
}

std::string Performer::perform_on_file(const RandomOperation& op) {
  int& fd = slot(op.slot);
  const auto offset = static_cast<off_t>(op.offset);
  switch (op.kind) {
    case Kind::close: {
      const int result = fd < 0 ? 0 : ::close(fd);
      fd = -1;
      return answer(result);
    }
    case Kind::write: {
      std::string bytes(op.length, '\0');
      for (size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<char>(op.offset * 31 + i * 7 + op.mode);
      }
      return answer(pwrite(fd, bytes.data(), bytes.size(), offset));
    }
    case Kind::read: {
      std::string bytes(op.length, '\0');
      const ssize_t got = pread(fd, bytes.data(), bytes.size(), offset);
      bytes.resize(got < 0 ? 0 : static_cast<size_t>(got));
      return answer(got, digest(bytes));
    }
    case Kind::ftruncate: return answer(::ftruncate(fd, offset));
    case Kind::fallocate:
      return answer(
          ::fallocate(fd, static_cast<int>(op.flags), offset, static_cast<off_t>(op.length)));
    case Kind::copy: {
      off_t from = offset;
      off_t to = static_cast<off_t>(op.length);
      const int target = slot(op.other_slot);
      struct stat a {
      }, b{};
      // Between overlapping ranges of one file there is no one answer.
      if (fstat(fd, &a) == 0 && fstat(target, &b) == 0 && a.st_ino == b.st_ino) return "one file";
      return answer(copy_file_range(fd, &from, target, &to, 3000, 0));
    }
    default: {
      struct stat status {};
      return answer(fstat(fd, &status), describe(status));
    }
  }
}

std::string Performer::perform_on_name(const RandomOperation& op) {
  const std::string path = at(op.path);
  const std::string other = at(op.other);
  switch (op.kind) {
    case Kind::open: {
      int& fd = slot(op.slot);
      if (fd >= 0) ::close(fd);
      fd = ::open(path.c_str(), static_cast<int>(op.flags) | O_CLOEXEC | O_NONBLOCK, op.mode);
      return fd >= 0 ? "opened" : answer(-1);
    }
    case Kind::truncate: return answer(::truncate(path.c_str(), static_cast<off_t>(op.offset)));
    case Kind::mkdir: return answer(::mkdir(path.c_str(), op.mode));
    case Kind::rmdir: return answer(::rmdir(path.c_str()));
    case Kind::unlink: return answer(::unlink(path.c_str()));
    case Kind::rename:
      return answer(renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, other.c_str(), op.flags));
    case Kind::link: return answer(::link(path.c_str(), other.c_str()));
    case Kind::symlink: return answer(::symlink(op.other.c_str(), path.c_str()));
    case Kind::chmod: return answer(::chmod(path.c_str(), op.mode));
    case Kind::set_times: {
      const timespec times[2] = {{static_cast<time_t>(op.offset), 5},
                                 {static_cast<time_t>(op.length), 6}};
      return answer(utimensat(AT_FDCWD, path.c_str(), times, 0));
    }
    case Kind::set_attribute: {
      const std::string value(op.length % 300, 'v');
      return answer(setxattr(path.c_str(), "user.name", value.data(), value.size(),
                             static_cast<int>(op.flags)));
    }
    case Kind::get_attribute: {
      std::array<char, 4096> value;
      return answer(getxattr(path.c_str(), "user.name", value.data(), value.size()));
    }
    case Kind::remove_attribute: return answer(removexattr(path.c_str(), "user.name"));
    case Kind::mkfifo: return answer(::mkfifo(path.c_str(), op.mode));
    case Kind::readlink: {
      std::array<char, PATH_MAX> target{};
      return answer(::readlink(path.c_str(), target.data(), target.size() - 1), target.data());
    }
    case Kind::list: {
      std::set<std::string> names;
      DIR* const stream = opendir(path.c_str());
      if (stream == nullptr) return answer(-1);
      while (const dirent* entry = readdir(stream)) names.insert(entry->d_name);
      closedir(stream);
      return answer(0, fmt::format("{}", fmt::join(names, " ")));
    }
    default: {
      struct stat status {};
      return answer(lstat(path.c_str(), &status), describe(status));
    }
  }
}

std::string describe_tree(const std::string& folder) {
  std::string out;
  std::map<ino_t, std::string> seen;
  describe_below(folder, ".", seen, out);
  return out;
}

}  // namespace rvmfs::test
