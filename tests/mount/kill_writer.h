// SPDX-License-Identifier: BSD-2-Clause
//
// A program's life on a mount that may die at any moment: files are written, appended to, renamed
// and removed, each step made durable by fsync. What fsync acknowledged is noted here, outside of
// the mount; after a crash `verify` compares. Only the step that was under way may be half there,
// and where the host may be full, what a step was refused for: those names are given up.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>

namespace rvmfs::test {

class KillWriter {
 public:
  // Works in the folder `folder` (made by it). Deterministic by `seed` up to the crash.
  // may_be_full: ENOSPC is an answer like any other; the writer then makes room and goes on.
  KillWriter(std::string folder, uint64_t seed, bool may_be_full = false);

  // Goes on until the first error, which is the death of the mount. True if that was it; false if
  // the error was another one (then `problem` tells).
  bool run();
  // Compares the acknowledged state with what is in the folder now; empty if all is well.
  std::string verify() const;
  // After verify: what is in the folder now is the acknowledged state. Makes a new start possible.
  void adopt();

  const std::string& problem() const { return problem_; }
  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t refused() const { return refused_; }  // steps, for want of space

 private:
  struct File {
    uint64_t seed = 0;
    size_t bytes = 0;
    friend bool operator==(const File&, const File&) = default;
  };
  // A step that was begun and not acknowledged: these names may be in any state in between.
  struct Step {
    std::string name, other;
    File before, after;
  };

  bool step();
  bool prepare_folder();
  void give_up_step();
  bool write_new();
  bool append();
  bool move();
  bool remove();
  bool sync_folder() const;
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string any_name();
  bool failed(const char* what);
  std::string check_file(const std::string& name, const File& file) const;
  std::string check_unfinished() const;

  std::string folder_;
  std::mt19937_64 random_;
  uint64_t next_name_ = 0;
  const bool may_be_full_;
  bool is_full_ = false;  // the last step was refused
  uint64_t acknowledged_ = 0, refused_ = 0;
  bool folder_is_durable_ = false;
  std::map<std::string, File> files_;
  Step unfinished_;
  std::set<std::string> given_up_;  // names of refused steps: there or not, with anything in them
  std::string problem_;
};

}  // namespace rvmfs::test
