// SPDX-License-Identifier: BSD-2-Clause
//
// One call of a concurrent history (linearizability.h): what was asked, and what was answered. The
// calls name inodes by number and not by path: a call of a path is several operations, and nobody
// promises that they are one.
//
// Compared of an answer: the error; of a name or an inode its number, type, size and link count; of
// a listing the set of names with their inodes; bytes. Not compared: times. A mount cannot ask for
// a name and its attributes at once: an answer may tell the type alone.
//
// Thread rules: as an int.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/support/reference_model.h"

namespace rvmfs::test {

struct FsCall {
  enum class Kind : uint8_t {
    lookup,
    create,
    mkdir,
    unlink,
    rmdir,
    rename,
    link,
    readdir,
    getattr,
    read,
    write,
    truncate,
    setxattr,
    getxattr,
  };
  Kind kind = Kind::lookup;
  Inode inode = 0, to = 0;    // the directory or the file; link, rename: the other directory
  std::string name, to_name;  // of an entry or an extended attribute
  int flags = 0;              // of rename and setxattr
  uint64_t offset = 0, length = 0;
  uint8_t fill = 0;  // the byte that is written, all along

  // The answer.
  int error = 0;
  Inode found = 0;
  std::string text;  // attributes, names or bytes, made by the functions below
};

// One line with question and answer.
std::string describe(const FsCall& call);
// False for calls that failed or only ask: without them nothing else would have been answered
// otherwise.
bool has_effect(const FsCall& call);

inline constexpr std::string_view kFileText = "file", kDirectoryText = "directory";
// Answers as texts, the same ones for the volume, the mount and the model.
std::string text_of(uint32_t mode, uint64_t size, uint64_t nlink);
std::string text_of(std::vector<std::pair<std::string, Inode>> names);
std::string text_of(const std::vector<std::byte>& bytes);

// What a directory's size is, differs between filesystems: it is left out.
inline std::string text_of(const Attributes& a) {
  return text_of(a.mode, S_ISDIR(a.mode) ? 0 : a.size, a.nlink);
}

// The model, as the search wants it. Every inode that an answer named stays held.
class FsCallState {
 public:
  FsCallState() : model_({1'700'000'000, 0}, 0755, 0, 0) {}
  // Before the history: directories, with the numbers that they got.
  void add_directory(const std::string& name, Inode inode, Inode parent = format::kRootInode);

  bool apply(const FsCall& call);
  uint64_t fingerprint() const;

 private:
  bool apply_names(const FsCall& call);
  bool apply_inode(const FsCall& call);
  bool entry(const FsCall& call, const Answer<Attributes>& answer);
  ReferenceModel model_;
};

// Makes one thread's calls. Directories are few, names are three, files are small: the threads
// shall meet.
class FsCallGenerator {
 public:
  struct Options {
    uint64_t file_bytes_max = 12'000;
    // Sizes and offsets within which a read and a write must be one operation each.
    uint64_t io_bytes_max = 6'000;
    bool io_within_page = false;
  };
  FsCallGenerator(uint64_t seed, const Options& options, std::vector<Inode> directories)
      : random_(seed), options_(options), directories_(std::move(directories)) {}

  FsCall next();
  // Learns the inodes that the answer names.
  void learn(const FsCall& answered);

 private:
  uint64_t below(uint64_t limit) { return random_() % limit; }
  Inode any_directory() { return directories_[below(directories_.size())]; }
  Inode any_inode();
  std::string any_name() { return std::string(1, static_cast<char>('x' + below(3))); }
  void fill_names(FsCall& call);
  void fill_inode(FsCall& call);

  std::mt19937_64 random_;
  Options options_;
  std::vector<Inode> directories_, files_;
};

}  // namespace rvmfs::test
