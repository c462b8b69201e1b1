// SPDX-License-Identifier: BSD-2-Clause
//
// What the helpers of mount(8) and umount(8) have in common.
#include "fs/daemon/helper_call.h"

#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>

#include "fs/daemon/messages.h"

namespace rvmfs {
namespace {

bool is_number(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
}

void append(std::string& list, const char* more) {
  if (!list.empty()) list += ',';
  list += more;
}

}  // namespace

bool parse_helper_call(int argc, char** argv, const char* letters, HelperCall& call) {
  const bool is_mount = strchr(letters, 'o') != nullptr;
  for (int letter = 0; (letter = getopt(argc, argv, letters)) != -1;) {
    switch (letter) {
      case 'f': (is_mount ? call.fake : call.force) = true; break;
      case 'l': call.lazy = true; break;
      case 's': call.sloppy = true; break;
      case 'r': call.read_only = true; break;
      case 'v': call.verbose = true; break;
      case 'N': call.name_space = optarg; break;
      case 'o': append(call.options, optarg); break;
      case '?': return false;  // getopt has said it
      default: break;
    }
  }
  call.operands.assign(argv + optind, argv + argc);
  return true;
}

Result<void> enter_mount_namespace(const std::string& name_space) {
  const std::string path = is_number(name_space) ? "/proc/" + name_space + "/ns/mnt" : name_space;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Error{rvm::Errc::io, errno, 0, "mount namespace"};
  const int result = setns(fd, CLONE_NEWNS);
  const int number = errno;
  close(fd);
  if (result != 0) return Error{rvm::Errc::io, number, 0, "cannot enter the mount namespace"};
  return {};
}

int become_plain_mount(const std::string& options, const std::string& point) {
  execlp("mount", "mount", "-i", "-o", options.c_str(), "--", point.c_str(), nullptr);
  say(Level::error, "cannot run mount: {}", strerror(errno));
  return kHelperFailure;
}

}  // namespace rvmfs
