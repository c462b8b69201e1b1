// SPDX-License-Identifier: BSD-2-Clause
//
// Programs as children of a test: output collected, ended with the test at the latest. Nothing is
// ever ended by name, only processes that the test itself started.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace rvmfs::test {

struct Outcome {
  int status = -1;     // exit status; 128 + signal if a signal ended it
  std::string output;  // stdout and stderr together
};

// Runs to the end. Programs without a slash are looked for in PATH.
Outcome run(const std::vector<std::string>& arguments);

// A child in the background. Killed by the destructor if it still lives, and by the kernel if the
// test dies.
class Child {
 public:
  Child(const std::vector<std::string>& arguments, const std::string& output_path);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  bool running();
  void signal(int number) const;
  // Exit status as in Outcome; -1 if it does not end in time (it goes on then).
  int wait(int milliseconds);
  std::string output() const;

 private:
  bool reap(int flags);
  pid_t pid_;
  int status_ = -1;
  bool reaped_ = false;
  std::string output_path_;
};

// True as soon as `condition` is; false if it is not within the time.
template <typename Condition>
bool eventually(Condition condition, int milliseconds = 10000);
void sleep_milliseconds(int milliseconds);

template <typename Condition>
bool eventually(Condition condition, int milliseconds) {
  constexpr int kStep = 5;
  for (int waited = 0; waited <= milliseconds; waited += kStep) {
    if (condition()) return true;
    sleep_milliseconds(kStep);
  }
  return false;
}

}  // namespace rvmfs::test
