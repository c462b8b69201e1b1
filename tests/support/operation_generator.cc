// SPDX-License-Identifier: BSD-2-Clause
//
// Makes operations at random. Most of them fit what is there, so that trees grow, change and
// shrink; some do not, so that errors are compared too. Sizes and offsets favour the edges of the
// layouts: the inline limit, blocks, the end of the file, far beyond it.
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "tests/support/operations.h"

namespace rvmfs::test {
namespace {

struct Weight {
  Op::Kind kind;
  uint32_t weight;
};
using Kind = Op::Kind;
constexpr Weight kWeights[] = {
    {Kind::mknod, 14},      {Kind::mkdir, 6},     {Kind::symlink, 3},   {Kind::link, 4},
    {Kind::unlink, 8},      {Kind::rmdir, 3},     {Kind::rename, 10},   {Kind::tmpfile, 1},
    {Kind::open, 3},        {Kind::release, 3},   {Kind::readlink, 1},  {Kind::readdir, 2},
    {Kind::getattr, 2},     {Kind::chmod, 2},     {Kind::chown, 2},     {Kind::utimes, 2},
    {Kind::truncate, 6},    {Kind::set_flags, 1}, {Kind::getxattr, 2},  {Kind::setxattr, 5},
    {Kind::removexattr, 2}, {Kind::listxattr, 1}, {Kind::read, 8},      {Kind::write, 20},
    {Kind::fallocate, 5},   {Kind::lseek, 3},     {Kind::copy_range, 3}};

constexpr int kInodeFlags[] = {
    0, 0, FS_NODUMP_FL, FS_NOATIME_FL, FS_SYNC_FL, FS_PROJINHERIT_FL | FS_DIRSYNC_FL};

std::string join(const std::string& directory, const std::string& name) {
  return directory == "/" ? "/" + name : directory + "/" + name;
}

}  // namespace

Op::Kind OperationGenerator::pick_kind() {
  uint32_t sum = 0;
  for (const Weight& entry : kWeights) sum += entry.weight;
  uint64_t dice = below(sum);
  for (const Weight& entry : kWeights) {
    if (dice < entry.weight) return entry.kind;
    dice -= entry.weight;
  }
  return Kind::getattr;
}

std::string OperationGenerator::any_name() {
  if (options_.bad_arguments && percent(1)) return std::string(256, 'n');
  const uint64_t number = below(options_.names);
  if (number == 0) return std::string(255, 'x');  // the longest
  if (number == 1) return "n\xc3\xa4me with blanks and a longer tail";
  return "f" + std::to_string(number);
}

// A directory found by walking down from the root, stopping at random.
std::string OperationGenerator::directory(const ReferenceModel& model) {
  std::string path = "/";
  Inode inode = format::kRootInode;
  for (uint32_t depth = 0; depth < options_.depth_max && !percent(30); ++depth) {
    std::vector<std::pair<std::string, Inode>> choices;
    for (const auto& [name, child] : model.find(inode)->entries) {
      if (model.find(child)->is_directory()) choices.emplace_back(name, child);
    }
    if (choices.empty()) break;
    const auto& [name, child] = choices[below(choices.size())];
    path = join(path, name);
    inode = child;
  }
  return path;
}

// A path that exists; of this type (S_IFREG ...) if possible, type 0: any.
std::string OperationGenerator::existing(const ReferenceModel& model, uint32_t type) {
  if (type == S_IFDIR && percent(90)) return directory(model);
  for (int tries = 0; tries < 8; ++tries) {
    const std::string parent = directory(model);
    const ModelNode* node = model.find(find_path(model, {}, parent));
    if (node->entries.empty()) continue;
    const auto entry =
        std::next(node->entries.begin(), static_cast<std::ptrdiff_t>(below(node->entries.size())));
    const uint32_t mode = model.find(entry->second)->mode;
    if (type == 0 || (mode & S_IFMT) == type) return join(parent, entry->first);
  }
  return join(directory(model), any_name());
}

// A place for a new name, mostly one that is free; sometimes below something that is no directory.
std::string OperationGenerator::fresh(const ReferenceModel& model) {
  if (options_.bad_arguments && percent(2)) return join(existing(model, S_IFREG), any_name());
  std::string path;
  for (int tries = 0; tries < 4; ++tries) {
    path = join(directory(model), any_name());
    if (find_path(model, {}, path) == 0) break;
  }
  return path;
}

std::string OperationGenerator::file(const ReferenceModel& model, const Slots& slots) {
  if (percent(25)) {
    const size_t slot = below(kSlots);
    const ModelNode* node = slots[slot] == 0 ? nullptr : model.find(slots[slot]);
    if (node != nullptr && node->is_regular()) return "@" + std::to_string(slot);
  }
  return existing(model, S_IFREG);
}

std::string OperationGenerator::any_target(const ReferenceModel& model, const Slots& slots) {
  if (percent(15)) {
    const size_t slot = below(kSlots);
    if (slots[slot] != 0) return "@" + std::to_string(slot);
  }
  return percent(5) ? "/" : existing(model, 0);
}

uint64_t OperationGenerator::length() {
  switch (below(8)) {
    case 0: return 1 + below(64);
    case 1: return 900 + below(300);
    case 2: return 1024;
    case 3: return 1 + below(4096);
    case 4: return 4096 * (1 + below(4));
    case 5: return 4096 * (1 + below(4)) + below(100);
    case 6: return 1 + below(16384);
    default: return 1 + below(options_.write_bytes_max);
  }
}

uint64_t OperationGenerator::offset(const ReferenceModel& model, const Slots& slots,
                                    const std::string& path) {
  const ModelNode* node = model.find(find_path(model, slots, path));
  const uint64_t size = node != nullptr && node->is_regular() ? node->content.size() : 0;
  if (options_.huge_offsets && percent(1)) return (uint64_t{1} << (30 + below(25))) + below(5000);
  switch (below(6)) {
    case 0: return 0;
    case 1: return size <= options_.file_bytes_max ? size : 0;
    case 2: return below(std::min(size, options_.file_bytes_max) + 1);
    case 3: return std::min(size, options_.file_bytes_max) / 4096 * 4096;
    case 4: return 4096 * below(options_.file_bytes_max / 4096);
    default: return below(8192);
  }
}

void OperationGenerator::fill_names(Op& op, const ReferenceModel& model, const Slots& slots) {
  static constexpr uint32_t kTypes[] = {S_IFREG, S_IFREG, S_IFREG,  S_IFREG, S_IFREG,
                                        S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK};
  static constexpr int kRenameFlags[] = {RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT,
                                         RENAME_EXCHANGE, RENAME_NOREPLACE | RENAME_EXCHANGE};
  op.mode = static_cast<uint32_t>(below(010000));
  op.uid = static_cast<uint32_t>(1000 + below(3));
  op.gid = static_cast<uint32_t>(2000 + below(3));
  switch (op.kind) {
    case Kind::mknod:
      op.path = fresh(model);
      op.mode |= kTypes[below(std::size(kTypes))];
      op.offset = below(1000);
      break;
    case Kind::mkdir: op.path = fresh(model); break;
    case Kind::symlink:
      op.path = fresh(model);
      op.path2 = std::string(percent(80) ? 1 + below(200) : 1 + below(4096 + 2), 't');
      break;
    case Kind::link:
      op.path = percent(20) ? any_target(model, slots) : file(model, slots);
      op.path2 = fresh(model);
      break;
    case Kind::unlink: op.path = percent(90) ? existing(model, S_IFREG) : existing(model, 0); break;
    case Kind::rmdir: op.path = existing(model, percent(90) ? S_IFDIR : 0); break;
    case Kind::rename:
      op.path = existing(model, percent(30) ? S_IFDIR : 0);
      op.path2 = percent(50) ? fresh(model) : existing(model, percent(30) ? S_IFDIR : 0);
      if (percent(30)) {
        const size_t choices = std::size(kRenameFlags) - (options_.bad_arguments ? 0 : 1);
        op.flags = kRenameFlags[below(choices)];
      }
      break;
    case Kind::tmpfile:
      op.path = directory(model);
      op.slot = below(kSlots);
      break;
    case Kind::open:
      op.path = existing(model, percent(70) ? S_IFREG : 0);
      op.slot = below(kSlots);
      break;
    case Kind::release: op.slot = below(kSlots); break;
    case Kind::readlink: op.path = existing(model, percent(90) ? S_IFLNK : 0); break;
    default:
      op.path = existing(model, percent(95) ? S_IFDIR : 0);
      op.flags = static_cast<int>(below(2));
      op.length = 1 + below(12);  // entries a call
      break;
  }
  // "/" itself has no parent to be changed in.
  if (op.path == "/" && (op.kind == Kind::rmdir || op.kind == Kind::rename)) op.path = "/f2";
  if (op.path2 == "/" && op.kind == Kind::rename) op.path2 = "/f2";
}

void OperationGenerator::fill_attributes(Op& op, const ReferenceModel& model, const Slots& slots) {
  op.path = any_target(model, slots);
  op.mode = static_cast<uint32_t>(below(010000));
  op.uid = static_cast<uint32_t>(below(5));
  op.gid = static_cast<uint32_t>(below(5));
  if (op.kind == Kind::chown) op.flags = static_cast<int>(below(4));
  if (op.kind == Kind::utimes) {
    op.flags = static_cast<int>(1 + below(15));
    op.offset = random_() % (1ULL << 36);
    op.offset2 = random_() % (1ULL << 36);
  }
  if (op.kind == Kind::set_flags) op.flags = kInodeFlags[below(std::size(kInodeFlags))];
  if (op.kind == Kind::truncate) {
    if (percent(95)) op.path = file(model, slots);
    op.length = percent(30) ? 0 : offset(model, slots, op.path);
    if (options_.bad_arguments && percent(2)) op.length = format::kFileBytesMax + 1;
  }
}

void OperationGenerator::fill_xattr(Op& op, const ReferenceModel& model, const Slots& slots) {
  op.path = any_target(model, slots);
  op.name = "user.x" + std::to_string(below(5));
  if (percent(5)) op.name = "user." + std::string(250, 'y');
  op.data_seed = random_() % 100000;
  switch (below(8)) {
    case 0: op.length = 0; break;
    case 1: op.length = 900 + below(300); break;
    case 2: op.length = 1 + below(8000); break;
    default: op.length = 1 + below(100); break;
  }
  if (percent(2)) op.length = options_.bad_arguments && percent(50) ? 65537 : 65536;
  if (percent(20)) op.flags = percent(50) ? XATTR_CREATE : XATTR_REPLACE;
}

void OperationGenerator::fill_data(Op& op, const ReferenceModel& model, const Slots& slots) {
  static constexpr int kModes[] = {0,
                                   0,
                                   FALLOC_FL_KEEP_SIZE,
                                   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                   FALLOC_FL_ZERO_RANGE,
                                   FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                   FALLOC_FL_COLLAPSE_RANGE};
  op.path = file(model, slots);
  op.offset = offset(model, slots, op.path);
  op.length = length();
  op.data_seed = random_() % 1000000;
  switch (op.kind) {
    case Kind::write: op.flags = percent(10) ? 1 : 0; break;
    case Kind::fallocate:
      op.flags = kModes[below(std::size(kModes) - (options_.bad_arguments ? 0 : 1))];
      if (options_.bad_arguments && percent(2)) op.length = 0;
      break;
    case Kind::lseek: op.flags = percent(50) ? SEEK_DATA : SEEK_HOLE; break;
    case Kind::copy_range:
      op.path2 = percent(20) ? op.path : file(model, slots);
      op.offset2 = offset(model, slots, op.path2);
      break;
    case Kind::fsync: op.flags = static_cast<int>(below(2)); break;
    default: break;
  }
}

Op OperationGenerator::next(const ReferenceModel& model, const Slots& slots) {
  Op op;
  op.kind = pick_kind();
  if (percent(options_.percent_fsync)) op.kind = percent(30) ? Kind::sync : Kind::fsync;
  if (options_.reopen && below(500) == 0) op.kind = percent(50) ? Kind::reopen : Kind::crash;
  if (options_.losses && below(250) == 0) {
    op.kind = percent(50) ? Kind::kill : Kind::power_loss;
    op.data_seed = random_() % 1000000;
  }
  if (op.kind == Kind::set_flags && !options_.set_flags) op.kind = Kind::chmod;
  if (op.kind <= Kind::readdir) {
    fill_names(op, model, slots);
  } else if (op.kind <= Kind::set_flags) {
    fill_attributes(op, model, slots);
  } else if (op.kind <= Kind::listxattr) {
    fill_xattr(op, model, slots);
  } else if (op.kind <= Kind::fsync) {
    fill_data(op, model, slots);
  }
  return op;
}

}  // namespace rvmfs::test
