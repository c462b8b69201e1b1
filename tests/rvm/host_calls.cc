// SPDX-License-Identifier: BSD-2-Clause
//
// See host_calls.h. The linker gives calls of NAME to __wrap_NAME, and __real_NAME is the host's.
#include "tests/rvm/host_calls.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdarg>

namespace rvmfs::test {
namespace {

struct Plan {
  uint64_t calls = 0;
  uint64_t begin = 0, end = 0;  // numbers of the calls that are not made
  int os_errno = 0;
  ssize_t result = -1;
};

std::array<Plan, kHostCalls> plans;
HostCalls* active = nullptr;

Plan& plan_of(HostCall call) { return plans[static_cast<size_t>(call)]; }

// What to return instead of making the call.
std::optional<ssize_t> instead(HostCall call) {
  if (active == nullptr) return std::nullopt;
  Plan& plan = plan_of(call);
  const uint64_t number = plan.calls++;
  if (number < plan.begin || number >= plan.end) return std::nullopt;
  errno = plan.os_errno;
  return plan.result;
}

}  // namespace

HostCalls::HostCalls() {
  plans = {};
  active = this;
}
HostCalls::~HostCalls() { active = nullptr; }

void HostCalls::fail(HostCall call, int os_errno, uint64_t times, uint64_t skip) {
  Plan& plan = plan_of(call);
  plan = {plan.calls, plan.calls + skip, plan.calls + skip + times, os_errno, -1};
}

void HostCalls::give(HostCall call, ssize_t result, uint64_t skip) {
  Plan& plan = plan_of(call);
  plan = {plan.calls, plan.calls + skip, plan.calls + skip + 1, 0, result};
}

uint64_t HostCalls::calls(HostCall call) const { return plan_of(call).calls; }

}  // namespace rvmfs::test

using rvmfs::test::active;
using rvmfs::test::HostCall;
using rvmfs::test::instead;

#define RVMFS_WRAP(result_type, name, parameters, arguments) \
  result_type __real_##name parameters;                      \
  result_type __wrap_##name parameters {                     \
    if (const auto answer = instead(HostCall::name)) {       \
      return static_cast<result_type>(*answer);              \
    }                                                        \
    return __real_##name arguments;                          \
  }

extern "C" {

RVMFS_WRAP(ssize_t, pread, (int fd, void* to, size_t count, off_t at), (fd, to, count, at))
RVMFS_WRAP(ssize_t, pwrite, (int fd, const void* from, size_t count, off_t at),
           (fd, from, count, at))
RVMFS_WRAP(int, fdatasync, (int fd), (fd))
RVMFS_WRAP(int, fsync, (int fd), (fd))
RVMFS_WRAP(int, fallocate, (int fd, int mode, off_t at, off_t count), (fd, mode, at, count))
RVMFS_WRAP(int, ftruncate, (int fd, off_t bytes), (fd, bytes))
RVMFS_WRAP(off_t, lseek, (int fd, off_t at, int whence), (fd, at, whence))
RVMFS_WRAP(int, fstatvfs, (int fd, struct statvfs* host), (fd, host))
RVMFS_WRAP(ssize_t, getrandom, (void* to, size_t count, unsigned flags), (to, count, flags))

int __real_fstatfs(int fd, struct statfs* host);
int __wrap_fstatfs(int fd, struct statfs* host) {
  if (const auto answer = instead(HostCall::fstatfs)) return static_cast<int>(*answer);
  const int status = __real_fstatfs(fd, host);
  if (active != nullptr && active->filesystem_type) host->f_type = *active->filesystem_type;
  return status;
}

static int as_block_device(int status, struct stat* file) {
  if (status == 0 && active != nullptr && active->block_device_bytes) {
    file->st_mode = (file->st_mode & ~static_cast<mode_t>(S_IFMT)) | S_IFBLK;
  }
  return status;
}

int __real_stat(const char* path, struct stat* file);
int __wrap_stat(const char* path, struct stat* file) {
  return as_block_device(__real_stat(path, file), file);
}

int __real_fstat(int fd, struct stat* file);
int __wrap_fstat(int fd, struct stat* file) {
  if (const auto answer = instead(HostCall::fstat)) return static_cast<int>(*answer);
  return as_block_device(__real_fstat(fd, file), file);
}

int __real_open(const char* path, int flags, ...);
int __wrap_open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  if (const auto answer = instead(HostCall::open)) return static_cast<int>(*answer);
  if (active != nullptr && active->filesystem_type) flags &= ~O_DIRECT;
  return __real_open(path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  void* const argument = va_arg(more, void*);
  va_end(more);
  if (const auto answer = instead(HostCall::fcntl)) return static_cast<int>(*answer);
  return __real_fcntl(fd, command, argument);
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...) {
  va_list more;
  va_start(more, request);
  void* const argument = va_arg(more, void*);
  va_end(more);
  if (const auto answer = instead(HostCall::ioctl)) return static_cast<int>(*answer);
  if (request == BLKGETSIZE64 && active != nullptr && active->block_device_bytes) {
    *static_cast<uint64_t*>(argument) = *active->block_device_bytes;
    return 0;
  }
  return __real_ioctl(fd, request, argument);
}

static std::optional<HostCall> call_of(long number) {
  switch (number) {
    case SYS_io_setup: return HostCall::io_setup;
    case SYS_io_submit: return HostCall::io_submit;
    case SYS_io_getevents: return HostCall::io_getevents;
    default: return std::nullopt;
  }
}

long __real_syscall(long number, ...);
// Like the kernel it looks at six arguments, however many there are.
__attribute__((no_sanitize("address"))) long __wrap_syscall(long number, ...) {
  long given[6];
  va_list more;
  va_start(more, number);
  for (int i = 0; i < 6; ++i) given[i] = va_arg(more, long);
  va_end(more);
  const std::optional<HostCall> call = call_of(number);
  if (const auto answer = call ? instead(*call) : std::nullopt) return *answer;
  const long result =
      __real_syscall(number, given[0], given[1], given[2], given[3], given[4], given[5]);
  if (number != SYS_io_getevents || result != 1) return result;
  if (const auto end = instead(HostCall::asynchronous_write)) {
    reinterpret_cast<io_event*>(given[3])->res = *end < 0 ? -errno : *end;
  }
  return result;
}

}  // extern "C"
