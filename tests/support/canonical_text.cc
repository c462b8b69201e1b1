// SPDX-License-Identifier: BSD-2-Clause
//
// A tree in the words of `fsck.rvmfs --dump-tree` without times: written from its manual, so that
// the dump of an image can be compared with the reference model, byte by byte.
#include <fmt/format.h>
#include <sys/stat.h>

#include "tests/support/tree_snapshot.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rvmfs::test {
namespace {

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const bool plain = c > ' ' && c < 0x7f && c != '\\' && c != '=';
    result += plain ? std::string(1, c) : fmt::format("\\{:03o}", static_cast<unsigned char>(c));
  }
  return result;
}

std::string hash_of(const SparseImage& content) {
  XXH3_state_t* state = XXH3_createState();
  XXH3_64bits_reset(state);
  std::vector<std::byte> bytes(64 * 1024);
  for (uint64_t at = 0; at < content.size();) {
    const auto part = std::span(bytes).first(std::min<uint64_t>(bytes.size(), content.size() - at));
    content.read(at, part);
    XXH3_64bits_update(state, part.data(), part.size());
    at += part.size();
  }
  const uint64_t hash = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  return fmt::format("{:016x}", hash);
}

char type_of(uint32_t mode) {
  static constexpr char kTypes[] = "?pc?d?b?f?l?s???";
  return kTypes[(mode & S_IFMT) >> 12];
}

}  // namespace

std::string canonical_text(const TreeSnapshot& tree) {
  std::string text;
  for (const auto& [path, entry] : tree.paths) {
    const Attributes& a = entry.attributes;
    text += fmt::format("{} type={} mode={:04o} uid={} gid={} links={} size={}", escaped(path),
                        type_of(a.mode), a.mode & 07777, a.uid, a.gid, a.nlink, a.size);
    if (S_ISCHR(a.mode) || S_ISBLK(a.mode)) {
      text += fmt::format(" rdev={}:{}", a.rdev_major, a.rdev_minor);
    }
    for (const auto& [name, value] : entry.xattrs) {
      text +=
          fmt::format(" xattr:{}={:016x}", escaped(name), XXH3_64bits(value.data(), value.size()));
    }
    if (S_ISREG(a.mode)) text += " data=" + hash_of(entry.content);
    if (S_ISLNK(a.mode)) text += " target=" + escaped(entry.target);
    text += '\n';
  }
  return text;
}

}  // namespace rvmfs::test
