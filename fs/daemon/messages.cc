// SPDX-License-Identifier: BSD-2-Clause
//
// What the daemon says: stderr and syslog.
#include "fs/daemon/messages.h"

#include <fuse3/fuse_log.h>
#include <syslog.h>

#include <algorithm>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace rvmfs {
namespace {

constexpr int kLinesPerSecond = 5;

std::atomic<bool> to_stderr{true};
std::atomic<bool> to_syslog{false};

int syslog_level(Level level) {
  switch (level) {
    case Level::error: return LOG_ERR;
    case Level::warning: return LOG_WARNING;
    case Level::notice: return LOG_NOTICE;
  }
  return LOG_ERR;
}

// libfuse ends its lines itself, and begins many with "fuse: ".
__attribute__((format(printf, 2, 0))) void libfuse_message(fuse_log_level level, const char* format,
                                                           va_list arguments) {
  char text[1024];
  const int length = vsnprintf(text, sizeof text, format, arguments);
  if (length <= 0) return;
  std::string_view line(text, std::min(static_cast<size_t>(length), sizeof text - 1));
  while (!line.empty() && line.back() == '\n') line.remove_suffix(1);
  if (level >= FUSE_LOG_NOTICE) {
    say_text(Level::notice, line);
  } else {
    say_text(level == FUSE_LOG_WARNING ? Level::warning : Level::error, line);
  }
}

}  // namespace

void use_syslog() {
  openlog("rvmfs", LOG_PID, LOG_DAEMON);
  to_syslog = true;
}

void detach_messages() { to_stderr = false; }

void say_text(Level level, std::string_view text) {
  if (to_stderr) {
    const std::string line = fmt::format("rvmfs: {}\n", text);
    // One write a line, so that lines of several threads do not mix.
    fwrite(line.data(), 1, line.size(), stderr);
  }
  if (to_syslog) {
    syslog(syslog_level(level), "%.*s", static_cast<int>(text.size()), text.data());
  }
}

void say_limited(Level level, std::string_view text) {
  static std::atomic<int64_t> second{0};
  static std::atomic<int> lines{0};
  const int64_t now = time(nullptr);
  if (second.exchange(now) != now) lines = 0;
  const int line = lines.fetch_add(1);
  if (line < kLinesPerSecond) say_text(level, text);
  if (line == kLinesPerSecond) say_text(level, "more of the same is not shown");
}

std::string why(const Error& error) {
  if (error.os_errno == 0) return explain(error);
  const std::string text = strerror(error.os_errno);
  return *error.what == '\0' ? text : fmt::format("{}: {}", error.what, text);
}

void route_libfuse_messages() { fuse_set_log_func(libfuse_message); }

}  // namespace rvmfs
