// SPDX-License-Identifier: BSD-2-Clause
//
// Kind and users of a target (see target.h). Its contents: signatures.cc.
#include "mkfs/target.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace rvmfs::mkfs {
namespace {

namespace fs = std::filesystem;

// Fields of mountinfo escape blanks and backslashes as three octal digits.
std::string unescape(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

bool is_same(const Target& target, const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return false;
  if (target.kind == Target::Kind::block_device) {
    return S_ISBLK(status.st_mode) && status.st_rdev == target.device;
  }
  return S_ISREG(status.st_mode) && status.st_dev == target.device && status.st_ino == target.inode;
}

// "36 35 98:0 /root /mnt rw,noatime master:1 - ext4 /dev/root rw": number and mount point are
// fields 3 and 5, the source is the second one behind the dash.
std::string mount_point_of(const Target& target, const std::string& folder) {
  std::ifstream table(folder + "/proc/self/mountinfo");
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string id, parent, number, root, point, word, type, source;
    fields >> id >> parent >> number >> root >> point;
    while (fields >> word && word != "-") {
    }
    fields >> type >> source;
    const bool same_number =
        target.kind == Target::Kind::block_device &&
        number == fmt::format("{}:{}", major(target.device), minor(target.device));
    const bool same_source =
        !source.empty() && source[0] == '/' && is_same(target, unescape(source));
    if (same_number || same_source) return unescape(point);
  }
  return {};
}

std::string loop_device_of(const Target& target, const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder + "/sys/block", error)) {
    const std::string name = entry.path().filename();
    if (name.rfind("loop", 0) != 0) continue;
    std::ifstream file(entry.path() / "loop" / "backing_file");
    std::string backing;
    if (std::getline(file, backing) && is_same(target, backing)) return "/dev/" + name;
  }
  return {};
}

bool is_swap(const Target& target, const std::string& folder) {
  std::ifstream table(folder + "/proc/swaps");
  std::string line;
  std::getline(table, line);  // headings
  while (std::getline(table, line)) {
    if (is_same(target, unescape(line.substr(0, line.find_first_of(" \t"))))) return true;
  }
  return false;
}

}  // namespace

rvm::Result<Target> look_at(const std::string& path) {
  Target target;
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return target;
    return rvm::Error{rvm::Errc::io, errno, 0, "cannot look at the image"};
  }
  target.kind = S_ISREG(status.st_mode)   ? Target::Kind::file
                : S_ISBLK(status.st_mode) ? Target::Kind::block_device
                                          : Target::Kind::other;
  target.device = S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev;
  target.inode = status.st_ino;
  if (target.kind == Target::Kind::file) target.bytes = static_cast<uint64_t>(status.st_size);
  return target;
}

std::string user_of(const Target& target, const std::string& folder) {
  if (target.kind == Target::Kind::absent) return {};
  const std::string point = mount_point_of(target, folder);
  if (!point.empty()) return fmt::format("mounted at {}", point);
  const std::string loop = loop_device_of(target, folder);
  if (!loop.empty()) return fmt::format("attached to {}", loop);
  if (is_swap(target, folder)) return "used as swap";
  return {};
}

}  // namespace rvmfs::mkfs
