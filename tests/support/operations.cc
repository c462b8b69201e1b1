// SPDX-License-Identifier: BSD-2-Clause
//
// Operations as text, and their data. The generator is in operation_generator.cc.
#include "tests/support/operations.h"

#include <fmt/format.h>

namespace rvmfs::test {
namespace {

const char* name_of(Op::Kind kind) {
  static constexpr const char* kNames[] = {
      "mknod",     "mkdir",  "symlink",  "link",      "unlink",    "rmdir",      "rename",
      "tmpfile",   "open",   "release",  "readlink",  "readdir",   "getattr",    "chmod",
      "chown",     "utimes", "truncate", "set_flags", "getxattr",  "setxattr",   "removexattr",
      "listxattr", "read",   "write",    "fallocate", "lseek",     "copy_range", "fsync",
      "sync",      "reopen", "crash",    "kill",      "power_loss"};
  return kNames[static_cast<size_t>(kind)];
}

}  // namespace

std::string describe(const Op& op) {
  using Kind = Op::Kind;
  const std::string head = fmt::format("{} {}", name_of(op.kind), op.path);
  switch (op.kind) {
    case Kind::mknod:
      return fmt::format("{} {:o} dev {} uid {} gid {}", head, op.mode, op.offset, op.uid, op.gid);
    case Kind::mkdir: return fmt::format("{} {:o} uid {} gid {}", head, op.mode, op.uid, op.gid);
    case Kind::symlink:
      return fmt::format("{} -> '{}' ({} bytes)", head, op.path2.substr(0, 20), op.path2.size());
    case Kind::link: return fmt::format("{} {}", head, op.path2);
    case Kind::rename: return fmt::format("{} {} flags {}", head, op.path2, op.flags);
    case Kind::tmpfile: return fmt::format("{} {:o} slot @{}", head, op.mode, op.slot);
    case Kind::open: return fmt::format("{} slot @{}", head, op.slot);
    case Kind::release: return fmt::format("release @{}", op.slot);
    case Kind::chmod: return fmt::format("{} {:o}", head, op.mode);
    case Kind::chown: return fmt::format("{} {}:{} flags {}", head, op.uid, op.gid, op.flags);
    case Kind::utimes:
      return fmt::format("{} {} {} flags {}", head, op.offset, op.offset2, op.flags);
    case Kind::truncate: return fmt::format("{} {}", head, op.length);
    case Kind::set_flags: return fmt::format("{} {:x} project {}", head, op.flags, op.uid);
    case Kind::getxattr:
    case Kind::removexattr: return fmt::format("{} {}", head, op.name);
    case Kind::setxattr:
      return fmt::format("{} {} length {} seed {} flags {}", head, op.name, op.length, op.data_seed,
                         op.flags);
    case Kind::read: return fmt::format("{} {}+{}", head, op.offset, op.length);
    case Kind::write:
      return fmt::format("{} {}+{} seed {}", head, op.offset, op.length, op.data_seed);
    case Kind::fallocate:
      return fmt::format("{} {}+{} mode {}", head, op.offset, op.length, op.flags);
    case Kind::lseek: return fmt::format("{} {} whence {}", head, op.offset, op.flags);
    case Kind::copy_range:
      return fmt::format("{} {}+{} to {} {}", head, op.offset, op.length, op.path2, op.offset2);
    case Kind::fsync: return fmt::format("{} data_only {}", head, op.flags);
    case Kind::power_loss: return fmt::format("{} seed {}", head, op.data_seed);
    default: return head;
  }
}

std::string describe(const std::vector<Op>& ops) {
  std::string text;
  for (size_t i = 0; i < ops.size(); ++i) text += fmt::format("  {:4} {}\n", i, describe(ops[i]));
  return text;
}

std::vector<std::byte> op_data(const Op& op) {
  std::vector<std::byte> bytes(op.length);
  uint64_t state = (op.data_seed + 1) * 0x9e3779b97f4a7c15ULL;
  for (std::byte& byte : bytes) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<std::byte>(state >> 56);
    if (byte == kCanary) byte = std::byte{0xc4};
  }
  return bytes;
}

Inode find_path(const ReferenceModel& model, const Slots& slots, const std::string& path) {
  Inode inode = format::kRootInode;
  size_t at = 0;
  if (!path.empty() && path[0] == '@') {
    inode = slots[static_cast<size_t>(path[1] - '0')];
    at = 2;
  }
  while (inode != 0 && at < path.size()) {
    const size_t end = std::min(path.find('/', at + 1), path.size());
    const std::string name = path.substr(at + 1, end - at - 1);
    at = end;
    if (name.empty()) break;
    const ModelNode* node = model.find(inode);
    if (node == nullptr) return 0;
    const auto entry = node->entries.find(name);
    inode = entry == node->entries.end() ? 0 : entry->second;
  }
  return inode;
}

}  // namespace rvmfs::test
