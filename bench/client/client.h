// SPDX-License-Identifier: BSD-2-Clause
//
// The client of the benchmarks: raw system calls, so that it costs little itself. A *suite* is a
// sequence of phases in a folder of its own; every phase prints one line of JSON:
//
//   {"phase":"create","operations":20000,"seconds":0.9,"client":0.3,"daemon":0.5,...}
//
// Times are of the phase alone, without its preparation. A call that fails ends the program: a
// benchmark that goes on after an error measures something else.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bench {

struct Settings {
  std::string folder;          // made by the client, which empties it afterwards
  uint64_t count = 20000;      // operations of a phase, where the suite has no other number
  uint64_t bytes = 256 << 20;  // size of the large file
  int threads = 1;
  bool shared = false;               // threads work in one directory
  bool direct = false;               // O_DIRECT
  std::set<std::string> phases;      // which to run; empty: all of the suite
  pid_t daemon = 0;                  // whose CPU time is measured as well; 0: there is none
  bool messages = false;             // count FUSE messages (slower)
  std::vector<std::string> command;  // of the suite `run`
};

// Ends the program with a message unless result >= 0; returns the result.
int64_t check(int64_t result, const char* call, const std::string& what);
[[noreturn]] void fail(const std::string& what);

// A phase's clock: wall time, CPU time of the client and of the daemon, and, if they are wanted,
// context switches of the daemon and FUSE messages by kind.
class Meter {
 public:
  explicit Meter(const Settings& settings);
  ~Meter();
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  bool wanted(const std::string& phase) const;
  void begin();
  void end();
  // Prints the line of the phase that ended; `more` are further numbers.
  void print(const std::string& phase, uint64_t operations,
             const std::map<std::string, double>& more = {});
  // begin, work, end and print, if the phase is wanted.
  void phase(const std::string& name, uint64_t operations, const std::function<void()>& work);

 private:
  struct Sample {
    double wall = 0, client = 0, daemon = 0;
    uint64_t switches = 0;
  };
  class Messages;

  Sample sample() const;
  uint64_t daemon_switches() const;

  const Settings& settings_;
  Sample begin_, end_;
  std::unique_ptr<Messages> messages_;
};

// -- helpers of the suites

using Name = std::string;
std::vector<Name> numbered(const char* prefix, uint64_t count);

// A descriptor that closes itself.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags, mode_t mode = 0644);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int operator*() const { return fd_; }

 private:
  int fd_;
};

// The kernel forgets names and inodes (and their pages) that nobody uses.
void drop_caches();
// The kernel forgets the pages of this file; those of an image file below stay.
void drop_pages(int fd);
void wait_a_moment();

// Runs work(0) ... work(threads - 1) at once.
void in_threads(int threads, const std::function<void(int)>& work);

// Page-aligned bytes that are not zeros.
struct FreeBytes {
  void operator()(char* bytes) const;
};
using Bytes = std::unique_ptr<char, FreeBytes>;
Bytes make_bytes(size_t size);

// A pseudo-random sequence that is the same in every run.
uint64_t next_random(uint64_t& state);

// -- the suites
void run_names(const Settings& settings, Meter& meter);
void run_small_files(const Settings& settings, Meter& meter);
void run_tree(const Settings& settings, Meter& meter);
void run_large_directory(const Settings& settings, Meter& meter);
void run_threads(const Settings& settings, Meter& meter);
void run_durable(const Settings& settings, Meter& meter);
void run_raw_log(const Settings& settings, Meter& meter);
void run_data(const Settings& settings, Meter& meter);
void run_program(const Settings& settings, Meter& meter);

}  // namespace bench
