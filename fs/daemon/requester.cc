// SPDX-License-Identifier: BSD-2-Clause
//
// See requester.h.
#include "fs/daemon/requester.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "fs/daemon/fuse_protocol.h"
#include "fs/daemon/raw_request.h"
#include "fs/daemon/thread_file.h"

namespace rvmfs {
namespace {

// The fourth number of the line "Uid:": the user that counts for files.
std::optional<uint32_t> user_of_thread(uint32_t thread) {
  constexpr std::string_view kLine = "\nUid:";
  constexpr int kNumbersBefore = 3;
  std::array<char, 2048> room;
  std::string_view rest = read_thread_file(thread, "status", room);
  const size_t line = rest.find(kLine);
  if (line == rest.npos) return std::nullopt;
  rest.remove_prefix(line + kLine.size());
  uint32_t user = 0;
  for (int i = 0; i <= kNumbersBefore; ++i) {
    rest.remove_prefix(std::min(rest.find_first_not_of('\t'), rest.size()));
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), user);
    if (error != std::errc()) return std::nullopt;
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  }
  return user;
}

}  // namespace

std::optional<uint32_t> requesting_user() {
  const fuse_in_header& header = current_request().header;
  if (header.uid != protocol::kNobodyTold) return header.uid;
  return user_of_thread(header.pid);
}

bool requester_may_administer() {
  const std::optional<uint32_t> user = requesting_user();
  return user && (*user == 0 || *user == getuid());
}

bool requester_takes_suid_away(Volume& volume, Inode inode) {
  const uint32_t told = current_request().header.uid;
  if (told != protocol::kNobodyTold) return told != 0;
  // Most files have nothing to take away: then it does not matter who asks.
  const Result<Attributes> attributes = volume.getattr(inode);
  if (attributes && (attributes->mode & (S_ISUID | S_ISGID)) == 0) return false;
  return requesting_user() != 0;
}

}  // namespace rvmfs
