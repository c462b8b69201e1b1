// SPDX-License-Identifier: BSD-2-Clause
//
// Helpers of the suites.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "bench/client/client.h"

namespace bench {

constexpr size_t kPageBytes = 4096;

void fail(const std::string& what) {
  std::fprintf(stderr, "client: %s\n", what.c_str());
  exit(1);
}

int64_t check(int64_t result, const char* call, const std::string& what) {
  if (result < 0) fail(std::string(call) + " " + what + ": " + strerror(errno));
  return result;
}

std::vector<Name> numbered(const char* prefix, uint64_t count) {
  std::vector<Name> names;
  names.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    char name[64];
    std::snprintf(name, sizeof name, "%s%07llu", prefix, static_cast<unsigned long long>(i));
    names.emplace_back(name);
  }
  return names;
}

Descriptor::Descriptor(const std::string& path, int flags, mode_t mode)
    : fd_(static_cast<int>(check(open(path.c_str(), flags | O_CLOEXEC, mode), "open", path))) {}

Descriptor::~Descriptor() { close(fd_); }

void wait_a_moment() {
  const timespec moment{0, 200'000'000};
  nanosleep(&moment, nullptr);
}

void drop_caches() {
  const Descriptor file("/proc/sys/vm/drop_caches", O_WRONLY);
  check(write(*file, "2\n", 2), "write", "drop_caches");
  wait_a_moment();  // FUSE tells its daemon afterwards
}

void drop_pages(int fd) {
  check(fsync(fd), "fsync", "");
  check(-posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "fadvise", "");
}

void in_threads(int threads, const std::function<void(int)>& work) {
  std::vector<std::thread> running;
  for (int i = 1; i < threads; ++i) running.emplace_back(work, i);
  work(0);
  for (std::thread& thread : running) thread.join();
}

void FreeBytes::operator()(char* bytes) const { free(bytes); }

Bytes make_bytes(size_t size) {
  Bytes bytes(static_cast<char*>(aligned_alloc(kPageBytes, size)));
  if (!bytes) fail("no memory");
  uint64_t state = size;
  for (size_t i = 0; i < size; ++i) bytes.get()[i] = static_cast<char>(next_random(state) | 1);
  return bytes;
}

uint64_t next_random(uint64_t& state) {  // Vigna's splitmix64
  state += 0x9e3779b97f4a7c15;
  uint64_t value = state;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace bench
