// SPDX-License-Identifier: BSD-2-Clause
//
// Operations of a filesystem as values: they can be generated from a seed, printed, left out one by
// one (shrink.h) and performed on anything that has the operations of ReferenceModel.
//
// An operation names what it works on by a path ("/a/b") or by a slot ("@3", an inode that an
// earlier operation opened and holds, perhaps without a name by now; "@3/x" is a name in a held
// directory). Nothing in it depends on earlier answers, so any part of a list of operations is a
// list too.
//
// Thread rules: as an int.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/reference_model.h"

namespace rvmfs::test {

inline constexpr size_t kSlots = 8;
using Slots = std::array<Inode, kSlots>;  // 0: empty

struct Op {
  enum class Kind : uint8_t {
    mknod,
    mkdir,
    symlink,
    link,
    unlink,
    rmdir,
    rename,
    tmpfile,
    open,
    release,
    readlink,
    readdir,
    getattr,
    chmod,
    chown,
    utimes,
    truncate,
    set_flags,
    getxattr,
    setxattr,
    removexattr,
    listxattr,
    read,
    write,
    fallocate,
    lseek,
    copy_range,
    fsync,
    sync,
    reopen,
    crash,       // after a sync
    kill,        // without one
    power_loss,  // data_seed: of what was not flushed, what is left
  };
  Kind kind = Kind::getattr;
  std::string path, path2;  // rename, link, copy_range: from, to. symlink: path2 is the target
  std::string name;         // of an extended attribute
  uint64_t offset = 0, offset2 = 0, length = 0;
  uint64_t data_seed = 0;  // contents of writes and attribute values
  uint32_t mode = 0, uid = 0, gid = 0;
  int flags = 0;    // rename, fallocate, lseek, setxattr, fsync (1: data only), readdir (1: plus)
  size_t slot = 0;  // tmpfile, open, release
};

// One line, all of it: "write /a/b 4096+100 seed 17".
std::string describe(const Op& op);
std::string describe(const std::vector<Op>& ops);

// Bytes that depend on the seed and their place, none of them `kCanary`.
inline constexpr std::byte kCanary{0xc5};
std::vector<std::byte> op_data(const Op& op);

// What an operation answered, as far as two filesystems must agree on it.
struct Outcome {
  int error = 0;
  std::string text;
  Inode created = 0;      // the new inode, where there is one
  uint64_t count = 0;     // bytes moved
  uint64_t position = 0;  // lseek
};

struct GeneratorOptions {
  uint32_t names = 10;  // different names in a directory
  uint32_t depth_max = 4;
  uint64_t write_bytes_max = 96 * 1024;
  uint64_t file_bytes_max = 512 * 1024;  // of usual files
  bool huge_offsets = true;              // now and then far beyond file_bytes_max
  uint32_t percent_fsync = 2;
  bool reopen = true;   // close and crash among the operations
  bool losses = false;  // kill and power_loss among them
  bool bad_arguments = true;
  bool set_flags = true;
};

// Makes operations that fit what is there, most of the time.
class OperationGenerator {
 public:
  OperationGenerator(uint64_t seed, const GeneratorOptions& options)
      : random_(std::mt19937_64(seed)), options_(options) {}
  // Takes its chances from somewhere else.
  OperationGenerator(std::function<uint64_t()> random, const GeneratorOptions& options)
      : random_(std::move(random)), options_(options) {}
  Op next(const ReferenceModel& model, const Slots& slots);

 private:
  uint64_t below(uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }
  bool percent(uint32_t chance) { return below(100) < chance; }
  Op::Kind pick_kind();
  std::string any_name();
  std::string directory(const ReferenceModel& model);
  std::string existing(const ReferenceModel& model, uint32_t type);
  std::string fresh(const ReferenceModel& model);
  std::string file(const ReferenceModel& model, const Slots& slots);
  std::string any_target(const ReferenceModel& model, const Slots& slots);
  uint64_t length();
  uint64_t offset(const ReferenceModel& model, const Slots& slots, const std::string& path);
  void fill_names(Op& op, const ReferenceModel& model, const Slots& slots);
  void fill_attributes(Op& op, const ReferenceModel& model, const Slots& slots);
  void fill_xattr(Op& op, const ReferenceModel& model, const Slots& slots);
  void fill_data(Op& op, const ReferenceModel& model, const Slots& slots);

  std::function<uint64_t()> random_;
  GeneratorOptions options_;
};

// The inode at a path of the model, 0 if there is none.
Inode find_path(const ReferenceModel& model, const Slots& slots, const std::string& path);

}  // namespace rvmfs::test
