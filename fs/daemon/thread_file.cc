// SPDX-License-Identifier: BSD-2-Clause
//
// See thread_file.h.
#include "fs/daemon/thread_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

namespace rvmfs {

std::string_view read_thread_file(uint32_t thread, const char* file, std::span<char> room) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%u/%s", thread, file);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  const ssize_t bytes = read(fd, room.data(), room.size());
  close(fd);
  return bytes > 0 ? std::string_view(room.data(), static_cast<size_t>(bytes)) : std::string_view();
}

}  // namespace rvmfs
