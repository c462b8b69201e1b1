// SPDX-License-Identifier: BSD-2-Clause
//
// The clock of the phases. FUSE messages are counted by the kernel's tracepoint fuse_request_send,
// with one counter for each kind of message and CPU.
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <utility>

#include "bench/client/client.h"

namespace bench {
namespace {

constexpr double kNanosecond = 1e-9;
constexpr const char* kTracepointId = "/sys/kernel/tracing/events/fuse/fuse_request_send/id";

constexpr std::array<std::pair<int, const char*>, 26> kKinds = {{
    {1, "LOOKUP"},  {2, "FORGET"},     {3, "GETATTR"},       {4, "SETATTR"},      {8, "MKNOD"},
    {9, "MKDIR"},   {10, "UNLINK"},    {11, "RMDIR"},        {12, "RENAME"},      {14, "OPEN"},
    {15, "READ"},   {16, "WRITE"},     {18, "RELEASE"},      {20, "FSYNC"},       {22, "GETXATTR"},
    {25, "FLUSH"},  {27, "OPENDIR"},   {28, "READDIR"},      {29, "RELEASEDIR"},  {34, "ACCESS"},
    {35, "CREATE"}, {36, "INTERRUPT"}, {42, "BATCH_FORGET"}, {44, "READDIRPLUS"}, {45, "RENAME2"},
    {52, "STATX"},
}};

double seconds(const timespec& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * kNanosecond;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

}  // namespace

class Meter::Messages {
 public:
  explicit Messages(const std::string& folder) {
    struct stat status {};
    check(stat(folder.c_str(), &status), "stat", folder);
    perf_event_attr event{};
    event.type = PERF_TYPE_TRACEPOINT;
    event.size = sizeof event;
    event.disabled = 1;
    if (!(std::ifstream(kTracepointId) >> event.config)) fail(std::string("no ") + kTracepointId);
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    for (const auto& [opcode, name] : kKinds) {
      const std::string filter = "connection == " + std::to_string(status.st_dev) +
                                 " && opcode == " + std::to_string(opcode);
      for (int cpu = 0; cpu < processors; ++cpu) {
        const auto fd = static_cast<int>(
            check(syscall(SYS_perf_event_open, &event, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC),
                  "perf_event_open", filter));
        check(ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter.c_str()), "perf filter", filter);
        counters_.push_back({fd, name});
      }
    }
  }
  ~Messages() {
    for (const Counter& counter : counters_) close(counter.fd);
  }
  Messages(const Messages&) = delete;
  Messages& operator=(const Messages&) = delete;

  void begin() const {
    for (const Counter& counter : counters_) {
      ioctl(counter.fd, PERF_EVENT_IOC_RESET, 0);
      ioctl(counter.fd, PERF_EVENT_IOC_ENABLE, 0);
    }
  }
  void end() const {
    for (const Counter& counter : counters_) ioctl(counter.fd, PERF_EVENT_IOC_DISABLE, 0);
  }
  std::map<std::string, uint64_t> counts() const {
    std::map<std::string, uint64_t> counts;
    for (const Counter& counter : counters_) {
      uint64_t count = 0;
      check(read(counter.fd, &count, sizeof count), "read", "a perf counter");
      if (count != 0) counts[counter.name] += count;
    }
    return counts;
  }

 private:
  struct Counter {
    int fd;
    const char* name;
  };
  std::vector<Counter> counters_;
};

Meter::Meter(const Settings& settings) : settings_(settings) {
  if (settings.messages) messages_ = std::make_unique<Messages>(settings.folder);
}

Meter::~Meter() = default;

bool Meter::wanted(const std::string& phase) const {
  return settings_.phases.empty() || settings_.phases.contains(phase);
}

Meter::Sample Meter::sample() const {
  Sample now;
  timespec clock{};
  check(clock_gettime(CLOCK_MONOTONIC, &clock), "clock_gettime", "");
  now.wall = seconds(clock);
  rusage usage{};
  check(getrusage(RUSAGE_SELF, &usage), "getrusage", "");
  now.client = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  check(getrusage(RUSAGE_CHILDREN, &usage), "getrusage", "");
  now.client += seconds(usage.ru_utime) + seconds(usage.ru_stime);
  if (settings_.daemon == 0) return now;
  clockid_t daemon{};
  if (clock_getcpuclockid(settings_.daemon, &daemon) != 0) fail("the daemon is gone");
  check(clock_gettime(daemon, &clock), "clock_gettime", "daemon");
  now.daemon = seconds(clock);
  now.switches = daemon_switches();
  return now;
}

// Of the threads that live: a worker that ended in between takes its count with it.
uint64_t Meter::daemon_switches() const {
  uint64_t switches = 0;
  const std::string tasks = "/proc/" + std::to_string(settings_.daemon) + "/task";
  std::error_code ignored;
  for (const auto& task : std::filesystem::directory_iterator(tasks, ignored)) {
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.find("ctxt_switches:") == std::string::npos) continue;
      switches += strtoull(line.c_str() + line.find(':') + 1, nullptr, 10);
    }
  }
  return switches;
}

void Meter::begin() {
  begin_ = sample();
  if (messages_) messages_->begin();
  timespec clock{};  // after the slow part of the sample
  clock_gettime(CLOCK_MONOTONIC, &clock);
  begin_.wall = seconds(clock);
}

void Meter::end() {
  end_ = sample();  // takes the wall clock first
  if (messages_) messages_->end();
}

void Meter::print(const std::string& phase, uint64_t operations,
                  const std::map<std::string, double>& more) {
  std::string line = "{\"phase\":\"" + phase + "\",\"operations\":" + std::to_string(operations);
  const auto add = [&](const std::string& name, double value) {
    char text[64];
    std::snprintf(text, sizeof text, "%.9g", value);
    line += ",\"" + name + "\":" + text;
  };
  add("seconds", end_.wall - begin_.wall);
  add("client", end_.client - begin_.client);
  add("daemon", end_.daemon - begin_.daemon);
  add("switches", static_cast<double>(end_.switches) - static_cast<double>(begin_.switches));
  for (const auto& [name, value] : more) add(name, value);
  if (messages_) {
    std::string kinds;
    for (const auto& [name, count] : messages_->counts()) {
      kinds += (kinds.empty() ? "\"" : ",\"") + name + "\":" + std::to_string(count);
    }
    line += ",\"messages\":{" + kinds + "}";
  }
  std::printf("%s}\n", line.c_str());
  std::fflush(stdout);
}

void Meter::phase(const std::string& name, uint64_t operations, const std::function<void()>& work) {
  if (!wanted(name)) return;
  begin();
  work();
  end();
  print(name, operations);
}

}  // namespace bench
