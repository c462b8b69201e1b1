// SPDX-License-Identifier: BSD-2-Clause
//
// What the daemon says, and where: to stderr as long as it is attached to a terminal or a caller,
// to syslog from the moment on when it detaches. Every line begins with "rvmfs: ".
//
// Thread rules: all calls from any thread, except that detach happens once, in the main thread.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "fs/errors.h"

namespace rvmfs {

enum class Level : uint8_t { error, warning, notice };

// Also to syslog from the start (a daemon whose caller may not keep its stderr).
void use_syslog();
// No stderr any more.
void detach_messages();

void say_text(Level level, std::string_view text);

template <typename... Args>
void say(Level level, fmt::format_string<Args...> format, Args&&... args) {
  say_text(level, fmt::format(format, std::forward<Args>(args)...));
}

// As say, but at most a few lines a second: for errors that a program's requests can provoke.
void say_limited(Level level, std::string_view text);

// An error of a system call in the daemon's own words: "mount point: No such file or directory".
std::string why(const Error& error);

// libfuse's own messages go the same way.
void route_libfuse_messages();

}  // namespace rvmfs
