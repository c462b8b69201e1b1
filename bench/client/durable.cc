// SPDX-License-Identifier: BSD-2-Clause
//
// What waits for the medium: the suites `durable` (create or append, then fsync) and `raw_log` (how
// fast an append to a host file can be durable at all, alone and with group commit).
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include "bench/client/client.h"

namespace bench {
namespace {

constexpr size_t kBlockBytes = 4096;

void write_whole(int fd, const char* bytes, size_t size, const Name& name) {
  if (write(fd, bytes, size) != static_cast<ssize_t>(size)) fail("short write of " + name);
}

// Threads that append blocks to one log: who finds nobody writing writes what all have waiting, and
// makes it durable with one flush.
class GroupLog {
 public:
  GroupLog(int fd, int threads) : fd_(fd), room_(make_bytes(kBlockBytes * (threads + 1ULL))) {}

  void append() {
    std::unique_lock lock(mutex_);
    const uint64_t mine = ++asked_;
    while (durable_ < mine) {
      if (writing_) {
        changed_.wait(lock);
        continue;
      }
      writing_ = true;
      const uint64_t first = durable_;
      const uint64_t last = asked_;
      lock.unlock();
      const size_t bytes = (last - first) * kBlockBytes;
      if (pwrite(fd_, room_.get(), bytes, static_cast<off_t>(first * kBlockBytes)) !=
          static_cast<ssize_t>(bytes)) {
        fail("short write of the log");
      }
      check(fdatasync(fd_), "fdatasync", "log");
      lock.lock();
      durable_ = last;
      writing_ = false;
      changed_.notify_all();
    }
  }

 private:
  const int fd_;
  const Bytes room_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool writing_ = false;
  uint64_t asked_ = 0;    // blocks
  uint64_t durable_ = 0;  // blocks
};

}  // namespace

void run_durable(const Settings& settings, Meter& meter) {
  const int threads = settings.threads;
  const uint64_t each = settings.count / static_cast<uint64_t>(threads);
  const uint64_t all = each * static_cast<uint64_t>(threads);
  const std::string suffix = "_" + std::to_string(threads);
  const Bytes bytes = make_bytes(kBlockBytes);
  const auto name_of = [&](int thread) {
    return numbered((settings.folder + "/" + std::to_string(thread) + "-").c_str(), each);
  };
  if (meter.wanted("create_fsync" + suffix)) {
    meter.phase("create_fsync" + suffix, all, [&] {
      in_threads(threads, [&](int thread) {
        for (const Name& name : name_of(thread)) {
          const Descriptor file(name, O_CREAT | O_EXCL | O_WRONLY);
          write_whole(*file, bytes.get(), kBlockBytes, name);
          check(fsync(*file), "fsync", name);
        }
      });
    });
    for (int thread = 0; thread < threads; ++thread) {
      for (const Name& name : name_of(thread)) check(unlink(name.c_str()), "unlink", name);
    }
  }
  std::vector<Name> logs =
      numbered((settings.folder + "/log-").c_str(), static_cast<uint64_t>(threads));
  for (const Name& log : logs) {
    const Descriptor file(log, O_CREAT | O_EXCL | O_WRONLY);
    check(fsync(*file), "fsync", log);
  }
  meter.phase("append_fsync" + suffix, all, [&] {
    in_threads(threads, [&](int thread) {
      const Name& name = logs[static_cast<size_t>(thread)];
      const Descriptor file(name, O_WRONLY | O_APPEND);
      for (uint64_t i = 0; i < each; ++i) {
        write_whole(*file, bytes.get(), kBlockBytes, name);
        check(fsync(*file), "fsync", name);
      }
    });
  });
  for (const Name& log : logs) check(unlink(log.c_str()), "unlink", log);
}

void run_raw_log(const Settings& settings, Meter& meter) {
  const std::string path = settings.folder + "/log";
  const uint64_t each = settings.count / static_cast<uint64_t>(settings.threads);
  const uint64_t all = each * static_cast<uint64_t>(settings.threads);
  {
    const Descriptor file(path, O_CREAT | O_EXCL | O_RDWR);
    const Bytes megabyte = make_bytes(1 << 20);
    for (uint64_t done = 0; done < all * kBlockBytes; done += 1 << 20) {
      write_whole(*file, megabyte.get(), 1 << 20, path);  // blocks that were written once
    }
    check(fsync(*file), "fsync", path);
    GroupLog log(*file, settings.threads);
    meter.phase("raw_append_" + std::to_string(settings.threads), all, [&] {
      in_threads(settings.threads, [&](int) {
        for (uint64_t i = 0; i < each; ++i) log.append();
      });
    });
  }
  check(unlink(path.c_str()), "unlink", path);
}

}  // namespace bench
