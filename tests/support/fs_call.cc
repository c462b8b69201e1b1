// SPDX-License-Identifier: BSD-2-Clause
//
// See fs_call.h.
#include "tests/support/fs_call.h"

#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

namespace rvmfs::test {
namespace {

using Kind = FsCall::Kind;

constexpr uint64_t kPageBytes = 4096;

constexpr const char* kNames[] = {"lookup", "create",   "mkdir",    "unlink",  "rmdir",
                                  "rename", "link",     "readdir",  "getattr", "read",
                                  "write",  "truncate", "setxattr", "getxattr"};

// Not a hash for adversaries: states that differ shall differ.
class Mixer {
 public:
  void add(uint64_t value) {
    hash_ = (hash_ ^ value) * 0xff51afd7ed558ccdULL;
    hash_ ^= hash_ >> 32;
  }
  void add(std::string_view text) {
    add(text.size());
    for (const char c : text) add(static_cast<uint64_t>(static_cast<unsigned char>(c)));
  }
  void add(const SparseImage& content) {
    std::array<uint64_t, SparseImage::kPageBytes / 8> words;
    add(content.size());
    for (uint64_t at = 0; at < content.size(); at += SparseImage::kPageBytes) {
      const uint64_t bytes = std::min(content.size() - at, SparseImage::kPageBytes);
      words.fill(0);
      content.read(at, std::as_writable_bytes(std::span(words)).first(bytes));
      // Each word apart from its neighbours: this loop is what the search spends its time with.
      uint64_t sum = at;
      for (size_t i = 0; i < words.size(); ++i) sum += (words[i] + i) * (0x9e3779b97f4a7c15ULL + i);
      add(sum);
    }
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xcbf29ce484222325ULL;
};

std::vector<std::byte> bytes_of(const FsCall& call) {
  return std::vector<std::byte>(call.length, std::byte{call.fill});
}

// The place in words; the answer stands behind it.
std::string question(const FsCall& call) {
  const std::string name = kNames[static_cast<size_t>(call.kind)];
  const std::string at = fmt::format("{}/{}", call.inode, call.name);
  switch (call.kind) {
    case Kind::link: return fmt::format("link {} as {}/{}", call.inode, call.to, call.to_name);
    case Kind::rename:
      return fmt::format("rename{} {} to {}/{}",
                         (call.flags & RENAME_EXCHANGE) != 0    ? " EXCHANGE"
                         : (call.flags & RENAME_NOREPLACE) != 0 ? " NOREPLACE"
                                                                : "",
                         at, call.to, call.to_name);
    case Kind::readdir:
    case Kind::getattr: return fmt::format("{} {}", name, call.inode);
    case Kind::read: return fmt::format("read {} {}+{}", call.inode, call.offset, call.length);
    case Kind::write:
      return fmt::format("write {} {}+{} of {:02x}", call.inode, call.offset, call.length,
                         call.fill);
    case Kind::truncate: return fmt::format("truncate {} to {}", call.inode, call.length);
    case Kind::setxattr:
      return fmt::format("setxattr {} {} {}x{:02x}{}", call.inode, call.name, call.length,
                         call.fill, call.flags == XATTR_CREATE ? " CREATE" : "");
    case Kind::getxattr: return fmt::format("getxattr {} {}", call.inode, call.name);
    default: return fmt::format("{} {}", name, at);
  }
}

}  // namespace

std::string describe(const FsCall& call) {
  std::string answer = call.error != 0 ? strerrorname_np(call.error) : "ok";
  if (call.found != 0) answer += fmt::format(" inode {}", call.found);
  if (!call.text.empty()) answer += " " + call.text;
  return question(call) + " -> " + answer;
}

bool has_effect(const FsCall& call) {
  switch (call.kind) {
    case Kind::lookup:
    case Kind::readdir:
    case Kind::getattr:
    case Kind::read:
    case Kind::getxattr: return false;
    default: return call.error == 0;
  }
}

std::string text_of(uint32_t mode, uint64_t size, uint64_t nlink) {
  return fmt::format("{} size {} links {}", S_ISDIR(mode) ? kDirectoryText : kFileText, size,
                     nlink);
}

std::string text_of(std::vector<std::pair<std::string, Inode>> names) {
  std::sort(names.begin(), names.end());
  std::string text = "{";
  for (const auto& [name, inode] : names) {
    if (name != "." && name != "..") text += fmt::format(" {}={}", name, inode);
  }
  return text + " }";
}

std::string text_of(const std::vector<std::byte>& bytes) {
  std::string text = fmt::format("{} bytes:", bytes.size());
  for (size_t at = 0; at < bytes.size();) {
    const auto other = std::find_if(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.end(),
                                    [&](std::byte b) { return b != bytes[at]; });
    const auto end = static_cast<size_t>(other - bytes.begin());
    text += fmt::format(" {}x{:02x}", end - at, static_cast<unsigned>(bytes[at]));
    at = end;
  }
  return text;
}

void FsCallState::add_directory(const std::string& name, Inode inode, Inode parent) {
  model_.hints.next_inode = inode;
  model_.mkdir(parent, name, 0755, {});
  model_.hold(inode);
}

bool FsCallState::entry(const FsCall& call, const Answer<Attributes>& answer) {
  if (answer.error != call.error) return answer.error == kAnyError && call.error != 0;
  if (!answer.ok()) return true;
  model_.hold(answer.value.inode);
  const bool type_alone = call.text == kFileText || call.text == kDirectoryText;
  const std::string text = text_of(answer.value);
  return answer.value.inode == call.found &&
         (type_alone ? text.starts_with(call.text) : text == call.text);
}

bool FsCallState::apply(const FsCall& call) {
  model_.hints = {};
  model_.hints.next_inode = call.found;
  const bool names = call.kind <= Kind::link;
  return names ? apply_names(call) : apply_inode(call);
}

bool FsCallState::apply_names(const FsCall& call) {
  const auto fits = [&](const Done& done) {
    return done.error == call.error || (done.error == kAnyError && call.error != 0);
  };
  switch (call.kind) {
    case Kind::lookup: return entry(call, model_.lookup(call.inode, call.name));
    case Kind::create:
      return entry(call, model_.mknod(call.inode, call.name, S_IFREG | 0644, 0, 0, {}));
    case Kind::mkdir: return entry(call, model_.mkdir(call.inode, call.name, 0755, {}));
    case Kind::link: {
      const ModelNode* node = model_.find(call.inode);
      // The kernel gives no name to a file that lost its last one, unless it was an O_TMPFILE.
      if (node != nullptr && node->nlink == 0 && call.error == ENOENT) return true;
      return entry(call, model_.link(call.inode, call.to, call.to_name));
    }
    case Kind::unlink: return fits(model_.unlink(call.inode, call.name));
    case Kind::rmdir: return fits(model_.rmdir(call.inode, call.name));
    default:
      return fits(model_.rename(call.inode, call.name, call.to, call.to_name,
                                static_cast<uint32_t>(call.flags)));
  }
}

bool FsCallState::apply_inode(const FsCall& call) {
  const auto same = [&](int error, const std::string& text) {
    return error == call.error && (error != 0 || text == call.text);
  };
  switch (call.kind) {
    case Kind::readdir: {
      const auto names = model_.readdir(call.inode);
      // A removed directory has nothing in it, or is not there: the kernel says the latter.
      if (names.ok() && model_.find(call.inode)->nlink == 0 && call.error == ENOENT) return true;
      std::vector<std::pair<std::string, Inode>> pairs;
      for (const DirectoryName& name : names.value) pairs.emplace_back(name.name, name.inode);
      return same(names.error, text_of(std::move(pairs)));
    }
    case Kind::getattr: {
      const auto attributes = model_.getattr(call.inode);
      const std::string text = text_of(attributes.value);
      // A caller may leave the links out, or all but the type.
      const bool part = call.text == kDirectoryText || call.text.ends_with(" links");
      if (attributes.ok() && call.error == 0 && part) return text.starts_with(call.text);
      return same(attributes.error, text);
    }
    case Kind::read: {
      const auto bytes = model_.read(call.inode, call.offset, call.length);
      return same(bytes.error, text_of(bytes.value));
    }
    case Kind::write:
      return same(model_.write(call.inode, call.offset, bytes_of(call), false).error, call.text);
    case Kind::truncate: {
      AttributeChange change;
      change.valid = AttributeChange::size_bit;
      change.size = call.length;
      return same(model_.setattr(call.inode, change).error, call.text);
    }
    case Kind::setxattr: {
      const std::string value(call.length, static_cast<char>(call.fill));
      return same(model_.setxattr(call.inode, call.name, value, call.flags).error, call.text);
    }
    default: {
      const auto value = model_.getxattr(call.inode, call.name);
      const auto* bytes = reinterpret_cast<const std::byte*>(value.value.data());
      return same(value.error, text_of(std::vector(bytes, bytes + value.value.size())));
    }
  }
}

uint64_t FsCallState::fingerprint() const {
  Mixer mixer;
  for (const auto& [inode, node] : model_.nodes()) {
    mixer.add(inode);
    mixer.add(node->mode);
    mixer.add(node->nlink);
    mixer.add(node->parent);
    if (node->is_regular()) mixer.add(node->content);
    for (const auto& [name, child] : node->entries) {
      mixer.add(name);
      mixer.add(child);
    }
    for (const auto& [name, value] : node->xattrs) {
      mixer.add(name);
      mixer.add(value);
    }
  }
  return mixer.value();
}

Inode FsCallGenerator::any_inode() {
  if (files_.empty() || below(8) == 0) return any_directory();
  return files_[files_.size() - 1 - below(std::min<size_t>(files_.size(), 3))];
}

void FsCallGenerator::fill_names(FsCall& call) {
  call.inode = any_directory();
  call.name = any_name();
  if (call.kind == Kind::rename || call.kind == Kind::link) {
    call.to = any_directory();
    call.to_name = any_name();
  }
  if (call.kind == Kind::link) call.inode = any_inode();
  if (call.kind == Kind::rename) {
    static constexpr int kFlags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    call.flags = kFlags[below(std::size(kFlags))];
  }
}

void FsCallGenerator::fill_inode(FsCall& call) {
  call.inode = call.kind == Kind::readdir ? any_directory() : any_inode();
  const uint64_t edges[] = {0, 700, 1024, 4096};
  call.offset = edges[below(4)] + below(3) * 100;
  call.length = 1 + below(below(2) == 0 ? 900 : options_.io_bytes_max);
  if (call.kind == Kind::truncate) call.length = below(2) == 0 ? 0 : below(options_.file_bytes_max);
  if (call.kind == Kind::setxattr || call.kind == Kind::getxattr) {
    call.name = "user." + any_name();
    call.length = 1 + below(40);
    call.flags = call.kind == Kind::setxattr && below(3) == 0 ? XATTR_CREATE : 0;
  }
  if (call.kind == Kind::read) call.length = options_.io_bytes_max;
  const bool io = call.kind == Kind::read || call.kind == Kind::write;
  if (io && options_.io_within_page) {
    call.length = std::min(call.length, kPageBytes - call.offset % kPageBytes);
  }
  call.fill = static_cast<uint8_t>(1 + below(254));
}

FsCall FsCallGenerator::next() {
  static constexpr Kind kKinds[] = {
      Kind::lookup, Kind::lookup, Kind::lookup,  Kind::create,   Kind::create,   Kind::create,
      Kind::mkdir,  Kind::unlink, Kind::unlink,  Kind::rmdir,    Kind::rename,   Kind::rename,
      Kind::rename, Kind::link,   Kind::readdir, Kind::getattr,  Kind::getattr,  Kind::read,
      Kind::read,   Kind::write,  Kind::write,   Kind::truncate, Kind::setxattr, Kind::getxattr};
  FsCall call;
  call.kind = kKinds[below(std::size(kKinds))];
  if (call.kind <= Kind::link) {
    fill_names(call);
  } else {
    fill_inode(call);
  }
  return call;
}

void FsCallGenerator::learn(const FsCall& answered) {
  if (answered.error != 0 || answered.found == 0) return;
  const bool directory = answered.text.starts_with(kDirectoryText);
  auto& known = directory ? directories_ : files_;
  if (std::find(known.begin(), known.end(), answered.found) == known.end()) {
    known.push_back(answered.found);
  }
}

}  // namespace rvmfs::test
