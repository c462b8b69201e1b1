// SPDX-License-Identifier: BSD-2-Clause
//
// The host's system calls as the tests of librvm see them: they do what they always do, unless a
// test says otherwise. The linker leads the calls of the whole test program through host_calls.cc
// (--wrap), so the code under test is not changed for it.
//
//   HostCalls host;                              // forgets everything when it goes out of scope
//   host.fail(HostCall::pwrite, ENOSPC);         // the next one fails
//   host.fail(HostCall::pread, EINTR, 3);        // the next three
//   host.fail(HostCall::fsync, EIO, 1, 2);       // the third from now
//   host.give(HostCall::pwrite, 0);              // the next one does nothing and returns 0
//   host.block_device_bytes = 1 << 20;           // files look like block devices of this size
//
// Thread rules: one test at a time, on the thread of the test.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace rvmfs::test {

enum class HostCall : uint8_t {
  open,
  fstat,
  fstatfs,
  fstatvfs,
  fcntl,
  ioctl,
  pread,
  pwrite,
  fdatasync,
  fsync,
  fallocate,
  ftruncate,
  lseek,
  getrandom,
  io_setup,
  io_submit,
  io_getevents,
  asynchronous_write,  // how one that was submitted ends
};
inline constexpr int kHostCalls = 18;

class HostCalls {
 public:
  HostCalls();
  ~HostCalls();
  HostCalls(const HostCalls&) = delete;
  HostCalls& operator=(const HostCalls&) = delete;

  // After `skip` more calls of the kind, `times` of them fail.
  void fail(HostCall call, int os_errno, uint64_t times = 1, uint64_t skip = 0);
  // After `skip` more calls of the kind, one is not made and returns this.
  void give(HostCall call, ssize_t result, uint64_t skip = 0);
  uint64_t calls(HostCall call) const;

  std::optional<uint64_t> block_device_bytes;
  // What fstatfs says, and open() with O_DIRECT is open() without it.
  std::optional<uint32_t> filesystem_type;
};

}  // namespace rvmfs::test
