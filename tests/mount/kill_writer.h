// SPDX-License-Identifier: BSD-2-Clause
//
// A program's life on a mount that may die at any moment: files are written, appended to, renamed
// and removed, each step made durable by fsync. What fsync acknowledged is noted here, outside of
// the mount; after a crash `verify` compares. Only the step that was under way may be half there.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>

namespace rvmfs::test {

class KillWriter {
 public:
  // Works in the folder `folder` (made by it). Deterministic by `seed` up to the crash.
  KillWriter(std::string folder, uint64_t seed);

  // Goes on until the first error, which is the death of the mount. True if that was it; false if
  // the error was another one (then `problem` tells).
  bool run();
  // Compares the acknowledged state with what is in the folder now; empty if all is well.
  std::string verify() const;
  // After verify: what is in the folder now is the acknowledged state. Makes a new start possible.
  void adopt();

  const std::string& problem() const { return problem_; }
  uint64_t acknowledged() const { return acknowledged_; }

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
  uint64_t acknowledged_ = 0;
  bool folder_is_durable_ = false;
  std::map<std::string, File> files_;
  Step unfinished_;
  std::string problem_;
};

}  // namespace rvmfs::test
