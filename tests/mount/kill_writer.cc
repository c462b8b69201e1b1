// SPDX-License-Identifier: BSD-2-Clause
//
// A program's life on a mount that may die at any moment.
#include "tests/mount/kill_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tests/mount/mount_test_base.h"

namespace rvmfs::test {
namespace {

constexpr size_t kFilesMax = 60;

// What a call answers when the daemon is gone.
bool is_death(int number) {
  return number == ENOTCONN || number == ECONNABORTED || number == ECANCELED || number == EFAULT ||
         number == EIO || number == EINTR;
}

size_t random_size(std::mt19937_64& random) {
  switch (random() % 4) {
    case 0: return random() % 1024;  // inline
    case 1: return random() % 10'000;
    case 2: return random() % 100'000;
    default: return 4096 * (random() % 64);  // whole blocks
  }
}

bool write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t bytes = write(fd, content.data(), content.size());
    if (bytes < 0) return false;
    content.remove_prefix(static_cast<size_t>(bytes));
  }
  return true;
}

bool exists(const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0;
}

}  // namespace

KillWriter::KillWriter(std::string folder, uint64_t seed, bool may_be_full)
    : folder_(std::move(folder)), random_(seed), may_be_full_(may_be_full) {}

bool KillWriter::failed(const char* what) {
  // The mount was taken away: what is seen now is the empty folder beneath it.
  if (errno == ENOENT && !exists(folder_)) return false;
  is_full_ = may_be_full_ && errno == ENOSPC;
  if (!is_full_ && !is_death(errno)) problem_ = std::string(what) + ": " + strerror(errno);
  return false;
}

bool KillWriter::prepare_folder() {
  if (folder_is_durable_) return true;
  const size_t slash = folder_.rfind('/');
  const Fd mount(open(folder_.substr(0, slash).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (mount < 0) return failed("open of the mount point");
  // Not in the folder beneath the mount, should it be gone already.
  struct statfs status {};
  if (fstatfs(mount, &status) != 0) return failed("statfs");
  if (status.f_type != FUSE_SUPER_MAGIC) return false;
  if (mkdirat(mount, folder_.c_str() + slash + 1, 0755) != 0 && errno != EEXIST) {
    return failed("mkdir");
  }
  if (!sync_folder()) return failed("fsync of the folder");
  folder_is_durable_ = true;
  return true;
}

bool KillWriter::run() {
  for (;;) {
    is_full_ = false;
    if (prepare_folder() && step()) {
      ++acknowledged_;
      unfinished_ = {};
    } else if (is_full_) {
      give_up_step();
    } else {
      return problem_.empty();
    }
  }
}

void KillWriter::give_up_step() {
  constexpr int kPause = 3;  // milliseconds: others may make room
  ++refused_;
  for (const std::string& name : {unfinished_.name, unfinished_.other}) {
    if (name.empty()) continue;
    given_up_.insert(name);
    files_.erase(name);
    unlink(path(name).c_str());
  }
  unfinished_ = {};
  sleep_milliseconds(kPause);
}

bool KillWriter::step() {
  const uint64_t choice = random_() % 10;
  if (refused_ > 0 && random_() % 3 == 0 && !files_.empty()) return remove();
  if (files_.size() >= kFilesMax || (choice == 0 && !files_.empty())) return remove();
  if (choice == 1 && !files_.empty()) return move();
  if (choice <= 4 && !files_.empty()) return append();
  return write_new();
}

std::string KillWriter::any_name() {
  auto file = files_.begin();
  std::advance(file, static_cast<long>(random_() % files_.size()));
  return file->first;
}

bool KillWriter::sync_folder() const {
  const Fd fd(open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd >= 0 && fsync(fd) == 0;
}

bool KillWriter::write_new() {
  const std::string name = "f" + std::to_string(next_name_++);
  const File file{random_(), random_size(random_)};
  unfinished_ = {name, "", {}, file};
  const Fd fd(open(path(name).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (fd < 0) return failed("open");
  if (!write_all(fd, text(file.bytes, file.seed))) return failed("write");
  if (fsync(fd) != 0) return failed("fsync");  // makes its name durable, too
  files_[name] = file;
  return true;
}

bool KillWriter::append() {
  const std::string name = any_name();
  const File before = files_[name];
  const File after{before.seed, before.bytes + 1 + random_() % 20'000};
  unfinished_ = {name, "", before, after};
  const Fd fd(open(path(name).c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (fd < 0) return failed("open for appending");
  // The longer text begins with the shorter one.
  if (!write_all(fd, std::string_view(text(after.bytes, after.seed)).substr(before.bytes))) {
    return failed("append");
  }
  if (fdatasync(fd) != 0) return failed("fdatasync");
  files_[name] = after;
  return true;
}

bool KillWriter::move() {
  const std::string from = any_name();
  const std::string to = random_() % 2 == 0 ? any_name() : "m" + std::to_string(next_name_++);
  if (from == to) return true;
  const auto replaced = files_.find(to);
  unfinished_ = {from, to, replaced == files_.end() ? File{} : replaced->second, files_[from]};
  if (rename(path(from).c_str(), path(to).c_str()) != 0) return failed("rename");
  if (!sync_folder()) return failed("fsync of the folder");
  files_[to] = files_[from];
  files_.erase(from);
  return true;
}

bool KillWriter::remove() {
  const std::string name = any_name();
  unfinished_ = {name, "", files_[name], {}};
  if (unlink(path(name).c_str()) != 0) return failed("unlink");
  if (!sync_folder()) return failed("fsync of the folder");
  files_.erase(name);
  return true;
}

std::string KillWriter::check_file(const std::string& name, const File& file) const {
  if (!exists(path(name))) return name + " is missing";
  const std::string content = read_file(path(name));
  if (content.size() != file.bytes) {
    return name + " has " + std::to_string(content.size()) + " bytes, not " +
           std::to_string(file.bytes);
  }
  const std::string expected = text(file.bytes, file.seed);
  if (content == expected) return {};
  const auto different = std::mismatch(content.begin(), content.end(), expected.begin());
  return name + " differs from byte " + std::to_string(different.first - content.begin()) + " of " +
         std::to_string(file.bytes);
}

// The step under way: names in the old or in the new state, and no foreign bytes anywhere.
std::string KillWriter::check_unfinished() const {
  const Step& step = unfinished_;
  if (step.name.empty()) return {};
  if (!step.other
           .empty()) {  // a rename: the moved file has exactly one name, the target is never gone
    const bool moved = !exists(path(step.name));
    const std::string wrong = check_file(moved ? step.other : step.name, step.after);
    if (!wrong.empty() || moved) return wrong;
    return files_.count(step.other) != 0 ? check_file(step.other, step.before) : "";
  }
  const bool is_new = files_.count(step.name) == 0;
  const bool is_removal = step.after == File{};
  if (!exists(path(step.name))) return is_new || is_removal ? "" : step.name + " is missing";
  const std::string content = read_file(path(step.name));
  const std::string whole = text(std::max(step.before.bytes, step.after.bytes),
                                 is_removal ? step.before.seed : step.after.seed);
  if (content.size() < step.before.bytes) return step.name + " has lost acknowledged bytes";
  if (content.size() > whole.size()) return step.name + " is longer than was written";
  for (size_t i = 0; i < content.size(); ++i) {
    const bool may_be_zero = i >= step.before.bytes;
    if (content[i] != whole[i] && !(may_be_zero && content[i] == '\0')) {
      return step.name + " has a foreign byte at " + std::to_string(i);
    }
  }
  return {};
}

std::string KillWriter::verify() const {
  if (!folder_is_durable_) return {};
  for (const auto& [name, file] : files_) {
    if (name == unfinished_.name || name == unfinished_.other) continue;
    const std::string wrong = check_file(name, file);
    if (!wrong.empty()) return wrong;
  }
  const std::string wrong = check_unfinished();
  if (!wrong.empty()) return "unfinished step: " + wrong;
  DIR* const directory = opendir(folder_.c_str());
  if (directory == nullptr) return folder_ + " is missing";
  std::string surplus;
  while (const dirent* entry = readdir(directory)) {
    const std::string name = entry->d_name;
    const bool is_known = name[0] == '.' || files_.count(name) != 0 || name == unfinished_.name ||
                          name == unfinished_.other || given_up_.count(name) != 0;
    if (!is_known) surplus = name + " should not be there";
  }
  closedir(directory);
  return surplus;
}

void KillWriter::adopt() {
  for (const std::string& name : {unfinished_.name, unfinished_.other}) {
    if (name.empty()) continue;
    files_.erase(name);
    given_up_.insert(name);
  }
  std::erase_if(given_up_, [&](const std::string& name) {
    return unlink(path(name).c_str()) == 0 || errno == ENOENT;
  });
  unfinished_ = {};
  problem_.clear();
}

}  // namespace rvmfs::test
