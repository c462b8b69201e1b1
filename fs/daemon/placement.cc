// SPDX-License-Identifier: BSD-2-Clause
//
// See placement.h.
#include "fs/daemon/placement.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>

#include "fs/daemon/fuse_protocol.h"
#include "fs/daemon/thread_file.h"

namespace rvmfs {
namespace {

constexpr int kSampleRequests = 16;  // a sample costs about 2 us
constexpr uint32_t kWindowRequests = 128;
constexpr uint32_t kOverlapsMax = kWindowRequests / 4;
constexpr int kWaitingMin = 2;  // one that waits leaves the CPU to one that does not

bool may_wait(uint32_t opcode) {
  switch (opcode) {
    case FUSE_READ:
    case FUSE_WRITE:
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
    case FUSE_FALLOCATE:
    case FUSE_COPY_FILE_RANGE:
    case protocol::kCopyFileRange64: return true;
    default: return false;
  }
}

// The CPU at which a thread ran last: the 39th field of its stat, counted from 1, where the second
// is a name in parentheses that may contain anything. kAnywhere if it cannot be known.
int cpu_of(uint32_t thread) {
  constexpr int kFieldsAfterName = 36;
  std::array<char, 1024> room;
  std::string_view rest = read_thread_file(thread, "stat", room);
  rest.remove_prefix(std::min(rest.rfind(')'), rest.size()));
  for (int i = 0; i <= kFieldsAfterName; ++i) {
    rest.remove_prefix(std::min(rest.find(' ') + 1, rest.size()));
  }
  int cpu = Placement::kAnywhere;
  std::from_chars(rest.data(), rest.data() + rest.size(), cpu);
  return cpu;
}

}  // namespace

Placement::Placement(bool follows) : follows_(follows) {
  CPU_ZERO(&allowed_);
  sched_getaffinity(0, sizeof allowed_, &allowed_);
}

int Placement::see(const fuse_in_header& request, bool lanes_closed) {
  if (!follows_) return kAnywhere;
  if (request.pid != 0 && countdown_.fetch_sub(1, std::memory_order_relaxed) <= 0) {
    countdown_ = kSampleRequests;
    const int cpu = cpu_of(request.pid);
    if (cpu >= 0 && cpu < CPU_SETSIZE && CPU_ISSET(cpu, &allowed_)) home_ = cpu;
  }
  return spread_ || lanes_closed ? kAnywhere : home_.load();
}

void Placement::bind(pid_t thread, int cpu) {
  cpu_set_t set = allowed_;
  if (cpu != kAnywhere && CPU_ISSET(cpu, &allowed_)) {
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
  }
  if (sched_setaffinity(thread, sizeof set, &set) != 0 && errno != ESRCH) follows_ = false;
}

void Placement::begin(const fuse_in_header& request) {
  const bool overlaps = waiting_ >= kWaitingMin;
  if (may_wait(request.opcode)) ++waiting_;
  if (overlaps) ++overlaps_;
  if (++requests_ < kWindowRequests) return;
  spread_ = overlaps_ > kOverlapsMax;
  requests_ = 0;
  overlaps_ = 0;
}

void Placement::end(const fuse_in_header& request) {
  if (may_wait(request.opcode)) --waiting_;
}

}  // namespace rvmfs
