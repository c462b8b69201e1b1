// SPDX-License-Identifier: BSD-2-Clause
//
// One template performs on both filesystems, so that model and volume are asked the same questions
// in the same order.
#include "tests/support/perform.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace rvmfs::test {
namespace {

template <typename Fs>
class Performer {
 public:
  Performer(Fs& fs, const Slots& slots, bool with_atime)
      : fs_(fs), slots_(slots), with_atime_(with_atime) {}

  Outcome run(const Op& op) {
    switch (op.kind) {
      case Op::Kind::open:
      case Op::Kind::release:
      case Op::Kind::getattr:
      case Op::Kind::readlink:
      case Op::Kind::readdir:
      case Op::Kind::getxattr:
      case Op::Kind::listxattr:
      case Op::Kind::read:
      case Op::Kind::lseek: return inquire(op);
      case Op::Kind::write:
      case Op::Kind::fallocate:
      case Op::Kind::copy_range: return change_data(op);
      case Op::Kind::chmod:
      case Op::Kind::chown:
      case Op::Kind::utimes:
      case Op::Kind::truncate:
      case Op::Kind::set_flags:
      case Op::Kind::setxattr:
      case Op::Kind::removexattr: return change_attributes(op);
      default: return change_names(op);
    }
  }

  struct Found {
    int error = 0;
    Inode inode = 0;
  };
  // Follows a path by lookups; no symbolic links.
  Found resolve(const std::string& path) {
    Inode inode = format::kRootInode;
    size_t at = 0;
    if (!path.empty() && path[0] == '@') {
      inode = slots_[static_cast<size_t>(path[1] - '0')];
      if (inode == 0) return {EBADF, 0};
      at = 2;
    }
    while (at < path.size()) {
      const size_t end = std::min(path.find('/', at + 1), path.size());
      const std::string name = path.substr(at + 1, end - at - 1);
      at = end;
      if (name.empty()) break;
      const Answer<Attributes> found = fs_.lookup(inode, name);
      if (!found.ok()) return {found.error, 0};
      inode = found.value.inode;
    }
    return {0, inode};
  }

 private:
  struct Place {
    int error = 0;
    Inode parent = 0;
    std::string name;
  };
  Place place(const std::string& path) {
    const size_t slash = path.rfind('/');
    const Found parent = resolve(path.substr(0, slash));
    return {parent.error, parent.inode, path.substr(slash + 1)};
  }

  Outcome entry(const Answer<Attributes>& answer) {
    if (!answer.ok()) return {.error = answer.error, .text = {}};
    return {.text = describe(answer.value, with_atime_), .created = answer.value.inode};
  }
  static Outcome done(const Done& answer) { return {.error = answer.error, .text = {}}; }
  static Outcome moved(const Answer<uint64_t>& answer) {
    return {.error = answer.error, .text = {}, .count = answer.value};
  }

  Outcome change_names(const Op& op) {
    if (op.kind == Op::Kind::link) {
      const Found target = resolve(op.path);
      if (target.error != 0) return {.error = target.error, .text = {}};
      const Place to = place(op.path2);
      if (to.error != 0) return {.error = to.error, .text = {}};
      return entry(fs_.link(target.inode, to.parent, to.name));
    }
    if (op.kind == Op::Kind::tmpfile) {
      const Found directory = resolve(op.path);
      if (directory.error != 0) return {.error = directory.error, .text = {}};
      return entry(fs_.tmpfile(directory.inode, op.mode, {op.uid, op.gid}));
    }
    const Place at = place(op.path);
    if (at.error != 0) return {.error = at.error, .text = {}};
    const Caller caller{op.uid, op.gid};
    switch (op.kind) {
      case Op::Kind::mknod:
        return entry(fs_.mknod(at.parent, at.name, op.mode, static_cast<uint32_t>(op.offset),
                               static_cast<uint32_t>(op.offset + 7), caller));
      case Op::Kind::mkdir: return entry(fs_.mkdir(at.parent, at.name, op.mode, caller));
      case Op::Kind::symlink: return entry(fs_.symlink(at.parent, at.name, op.path2, caller));
      case Op::Kind::unlink: return done(fs_.unlink(at.parent, at.name));
      case Op::Kind::rmdir: return done(fs_.rmdir(at.parent, at.name));
      default: break;
    }
    const Place to = place(op.path2);
    if (to.error != 0) return {.error = to.error, .text = {}};
    return done(
        fs_.rename(at.parent, at.name, to.parent, to.name, static_cast<uint32_t>(op.flags)));
  }

  Outcome inquire(const Op& op) {
    if (op.kind == Op::Kind::release) return {};
    const Found at = resolve(op.path);
    if (at.error != 0) return {.error = at.error, .text = {}};
    switch (op.kind) {
      case Op::Kind::readlink: {
        const Answer<std::string> target = fs_.readlink(at.inode);
        return {.error = target.error, .text = target.value};
      }
      case Op::Kind::readdir: {
        const auto names = fs_.readdir(at.inode);
        Outcome outcome{.error = names.error, .text = {}};
        for (const DirectoryName& name : names.value) {
          outcome.text += fmt::format("{} {} {}, ", name.name, name.inode, name.type);
        }
        return outcome;
      }
      case Op::Kind::getxattr: {
        const Answer<std::string> value = fs_.getxattr(at.inode, op.name);
        const auto* bytes = reinterpret_cast<const std::byte*>(value.value.data());
        return {.error = value.error,
                .text = describe(std::vector(bytes, bytes + value.value.size()))};
      }
      case Op::Kind::listxattr: {
        const auto names = fs_.listxattr(at.inode);
        return {.error = names.error, .text = fmt::format("{}", fmt::join(names.value, ", "))};
      }
      case Op::Kind::read: {
        const auto bytes = fs_.read(at.inode, op.offset, op.length);
        return {.error = bytes.error, .text = describe(bytes.value)};
      }
      case Op::Kind::lseek: {
        const Answer<uint64_t> position = fs_.lseek(at.inode, op.offset, op.flags);
        return {.error = position.error,
                .text = position.ok() ? std::to_string(position.value) : "",
                .position = position.value};
      }
      default: return entry(fs_.getattr(at.inode));
    }
  }

  Outcome change_data(const Op& op) {
    const Found at = resolve(op.path);
    if (at.error != 0) return {.error = at.error, .text = {}};
    if (op.kind == Op::Kind::write) {
      return moved(fs_.write(at.inode, op.offset, op_data(op), op.flags != 0));
    }
    if (op.kind == Op::Kind::fallocate) {
      return done(fs_.fallocate(at.inode, op.flags, op.offset, op.length));
    }
    const Found to = resolve(op.path2);
    if (to.error != 0) return {.error = to.error, .text = {}};
    return moved(fs_.copy_file_range(at.inode, op.offset, to.inode, op.offset2, op.length));
  }

  Outcome change_attributes(const Op& op) {
    const Found at = resolve(op.path);
    if (at.error != 0) return {.error = at.error, .text = {}};
    const std::vector<std::byte> data = op.kind == Op::Kind::setxattr ? op_data(op) : Slice{};
    const std::string_view value(reinterpret_cast<const char*>(data.data()), data.size());
    switch (op.kind) {
      case Op::Kind::set_flags:
        return done(fs_.set_flags(at.inode, static_cast<uint32_t>(op.flags), op.uid));
      case Op::Kind::setxattr: return done(fs_.setxattr(at.inode, op.name, value, op.flags));
      case Op::Kind::removexattr: return done(fs_.removexattr(at.inode, op.name));
      default: return entry(fs_.setattr(at.inode, attribute_change(op)));
    }
  }

  static AttributeChange attribute_change(const Op& op) {
    AttributeChange change;
    const auto bit = [&](int flag, uint32_t name) { return (op.flags & flag) != 0 ? name : 0u; };
    switch (op.kind) {
      case Op::Kind::chmod: change.valid = AttributeChange::mode_bit; break;
      case Op::Kind::chown:
        change.valid = bit(1, AttributeChange::uid_bit) | bit(2, AttributeChange::gid_bit);
        break;
      case Op::Kind::truncate: change.valid = AttributeChange::size_bit; break;
      default:
        change.valid =
            bit(4, AttributeChange::atime_now_bit) | bit(8, AttributeChange::mtime_now_bit);
        if ((op.flags & 4) == 0) change.valid |= bit(1, AttributeChange::atime_bit);
        if ((op.flags & 8) == 0) change.valid |= bit(2, AttributeChange::mtime_bit);
        break;
    }
    change.mode = op.mode;
    change.uid = op.uid;
    change.gid = op.gid;
    change.size = op.length;
    change.atime = {static_cast<int64_t>(op.offset), static_cast<uint32_t>(op.offset % 1000000000)};
    change.mtime = {static_cast<int64_t>(op.offset2),
                    static_cast<uint32_t>(op.offset2 % 999999999)};
    return change;
  }

  using Slice = std::vector<std::byte>;
  Fs& fs_;
  const Slots& slots_;
  const bool with_atime_;
};

}  // namespace

Outcome perform(ReferenceModel& model, const Slots& slots, const Op& op, bool with_atime) {
  return Performer<ReferenceModel>(model, slots, with_atime).run(op);
}

Outcome perform(VolumeAnswers& volume, const Slots& slots, const Op& op, bool with_atime) {
  return Performer<VolumeAnswers>(volume, slots, with_atime).run(op);
}

Inode find_path(VolumeAnswers& volume, const Slots& slots, const std::string& path) {
  return Performer<VolumeAnswers>(volume, slots, false).resolve(path).inode;
}

std::string describe(const Attributes& a, bool with_atime) {
  const auto time = [](Time t) { return fmt::format("{}.{:09}", t.seconds, t.nanoseconds); };
  std::string text = fmt::format(
      "inode {} mode {:o} owner {}:{} links {} size {} dev {}:{} flags {:x} project {} mtime {} "
      "ctime {} btime {}",
      a.inode, a.mode, a.uid, a.gid, a.nlink, a.size, a.rdev_major, a.rdev_minor, a.flags,
      a.project, time(a.mtime), time(a.ctime), time(a.btime));
  if (with_atime) text += fmt::format(" atime {}", time(a.atime));
  return text;
}

std::string describe(const std::vector<std::byte>& bytes) {
  uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const std::byte byte : bytes) hash = (hash ^ static_cast<uint64_t>(byte)) * 0x100000001b3ULL;
  return fmt::format("{} bytes, hash {:016x}", bytes.size(), hash);
}

}  // namespace rvmfs::test
