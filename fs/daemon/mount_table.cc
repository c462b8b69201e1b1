// SPDX-License-Identifier: BSD-2-Clause
//
// The mounts of this process's namespace.
#include "fs/daemon/mount_table.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace rvmfs {
namespace {

bool is_octal(char c) { return c >= '0' && c <= '7'; }

// Blanks and backslashes stand there as three octal digits.
std::string unescape(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escaped =
        text[i] == '\\' && i + 3 < text.size() && std::all_of(&text[i + 1], &text[i + 4], is_octal);
    if (!escaped) {
      plain += text[i];
      continue;
    }
    plain +=
        static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
    i += 3;
  }
  return plain;
}

bool contains(std::string_view list, std::string_view wanted) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == wanted) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// "36 35 98:0 /root /mnt rw,noatime master:1 - ext4 /dev/root rw,errors=continue"
MountEntry parse(const std::string& line) {
  std::istringstream fields(line);
  MountEntry entry;
  std::string id, parent, word;
  fields >> id >> parent >> entry.number >> entry.root >> entry.point >> entry.options;
  while (fields >> word && word != "-") {
  }
  fields >> entry.type >> entry.source >> entry.super_options;
  entry.root = unescape(entry.root);
  entry.point = unescape(entry.point);
  entry.source = unescape(entry.source);
  return entry;
}

}  // namespace

bool MountEntry::has(std::string_view option) const { return contains(options, option); }

bool MountEntry::is_read_only_filesystem() const { return contains(super_options, "ro"); }

std::vector<MountEntry> read_mount_table() {
  std::vector<MountEntry> entries;
  std::ifstream table("/proc/self/mountinfo");
  for (std::string line; std::getline(table, line);) entries.push_back(parse(line));
  return entries;
}

std::optional<MountEntry> mount_at(const std::string& point) {
  std::optional<MountEntry> found;
  for (MountEntry& entry : read_mount_table()) {
    if (entry.point == point) found = std::move(entry);
  }
  return found;
}

bool is_rvmfs(const MountEntry& entry) {
  return entry.type == "fuse.rvmfs" || entry.type == "fuseblk.rvmfs";
}

bool is_alive(const MountEntry& entry) {
  // Every FUSE filesystem has a "backing device information" there from its mount to its end.
  const std::string base = "/sys/class/bdi/" + entry.number;
  return access(base.c_str(), F_OK) == 0 || access((base + "-fuseblk").c_str(), F_OK) == 0;
}

}  // namespace rvmfs
