// SPDX-License-Identifier: BSD-2-Clause
//
// Random system calls on names and files below one folder. The same operation, carried out below
// another folder, must give the same answer.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <random>
#include <string>

namespace rvmfs::test {

struct RandomOperation {
  enum class Kind : uint8_t {
    open,
    close,
    write,
    read,
    truncate,
    ftruncate,
    mkdir,
    rmdir,
    unlink,
    rename,
    link,
    symlink,
    chmod,
    set_times,
    set_attribute,
    get_attribute,
    remove_attribute,
    mkfifo,
    fallocate,
    copy,
    stat,
    fstat,
    readlink,
    list,
    count
  };
  Kind kind = Kind::stat;
  std::string path, other;          // relative
  size_t slot = 0, other_slot = 0;  // of an open file
  uint64_t offset = 0, length = 0;
  unsigned flags = 0;
  mode_t mode = 0;

  std::string text() const;
};

RandomOperation random_operation(std::mt19937_64& random);

// Carries operations out below one folder; keeps the files that they open.
class Performer {
 public:
  explicit Performer(std::string folder) : folder_(std::move(folder)) { slots_.fill(-1); }
  ~Performer();
  Performer(const Performer&) = delete;
  Performer& operator=(const Performer&) = delete;

  // What the call returned and told: "0", "ENOENT", "17: the bytes".
  std::string perform(const RandomOperation& operation);
  void close_all();

 private:
  std::string at(const std::string& name) const { return folder_ + "/" + name; }
  int& slot(size_t number) { return slots_[number % slots_.size()]; }
  std::string perform_on_name(const RandomOperation& operation);
  std::string perform_on_file(const RandomOperation& operation);

  std::string folder_;
  std::array<int, 8> slots_;
};

// Everything below the folder: kinds, modes, owners, links, sizes, contents, targets, attributes.
std::string describe_tree(const std::string& folder);

}  // namespace rvmfs::test
