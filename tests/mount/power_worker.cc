// SPDX-License-Identifier: BSD-2-Clause
//
// See power_worker.h.
#include "tests/mount/power_worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "tests/mount/mount_test_base.h"

namespace rvmfs::test {
namespace {

constexpr uint64_t kFilesMax = 40;
constexpr uint64_t kLogBytesMax = 200'000;

bool is_death(int number) {
  return number == ENOTCONN || number == ECONNABORTED || number == ECANCELED || number == EFAULT ||
         number == EIO || number == EINTR;
}

// Some are inline, some have blocks, some both ends of a block.
size_t size_of(uint64_t seed) {
  std::mt19937_64 random(seed);
  return random() % (random() % 2 == 0 ? 1000 : 30'000);
}

bool write_and_sync(int fd, std::string_view content, bool sync) {
  while (!content.empty()) {
    const ssize_t bytes = write(fd, content.data(), content.size());
    if (bytes < 0) return false;
    content.remove_prefix(static_cast<size_t>(bytes));
  }
  return !sync || fsync(fd) == 0;
}

// The bytes of a file of the volume; an error as a sentence in `wrong`.
std::string bytes_of(VolumeAnswers& volume, Inode inode, uint64_t size, std::string& wrong) {
  const auto read = volume.read(inode, 0, size);
  if (!read.ok() || read.value.size() != size) wrong = "cannot be read: " + volume.last_error;
  return {reinterpret_cast<const char*>(read.value.data()), read.value.size()};
}

std::string difference(const std::string& found, const std::string& expected) {
  if (found.size() != expected.size()) {
    return fmt::format("{} bytes, not {}", found.size(), expected.size());
  }
  const auto at = std::mismatch(found.begin(), found.end(), expected.begin()).first;
  return at == found.end() ? "" : fmt::format("byte {} differs", at - found.begin());
}

}  // namespace

PowerWorker::PowerWorker(std::string mount_point, std::string name, uint64_t seed,
                         std::function<size_t()> events)
    : name_(std::move(name)),
      folder_(std::move(mount_point) + "/" + name_),
      seed_(seed),
      events_(std::move(events)) {}

uint64_t PowerWorker::Account::promised_at(size_t point) const {
  uint64_t count = 0;
  for (const auto& [events, promised] : promises) {
    if (events <= point) count = promised;
  }
  return count;
}

std::string PowerWorker::file_text(uint64_t number) const {
  const uint64_t seed = seed_ * 1'000'003 + number;
  return text(size_of(seed), seed);
}

std::string PowerWorker::version_text(uint64_t number) const {
  const uint64_t seed = seed_ * 2'000'003 + number;
  return fmt::format("version {} ", number) + text(size_of(seed), seed);
}

std::string PowerWorker::log_text(uint64_t bytes) const { return text(bytes, seed_ * 3); }

bool PowerWorker::failed(const char* what) {
  if (!is_death(errno)) problem_ = std::string(what) + ": " + strerror(errno);
  return false;
}

bool PowerWorker::sync_folder() const {
  const Fd fd(open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd >= 0 && fsync(fd) == 0;
}

bool PowerWorker::prepare() {
  if (mkdir(folder_.c_str(), 0755) != 0) return failed("mkdir");
  if (!sync_folder()) return failed("fsync of the folder");
  folder_there_.emplace_back(events_(), 1);
  return true;
}

bool PowerWorker::run(const std::function<bool()>& stop) {
  if (!prepare()) return problem_.empty();
  std::mt19937_64 random(seed_);
  while (!stop()) {
    const uint64_t choice = random() % 3;
    const bool done = choice == 0 ? add_file() : choice == 1 ? replace() : append();
    if (!done) break;
  }
  return problem_.empty();
}

bool PowerWorker::add_file() {
  if (files_.begun == kFilesMax) return true;
  const uint64_t number = files_.begun++;
  const Fd fd(open(path("new" + std::to_string(number)).c_str(),
                   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (fd < 0) return failed("open");
  const bool sync = number % 3 != 0;
  if (!write_and_sync(fd, file_text(number), sync)) return failed("a new file");
  if (sync) files_.promise(events_(), number + 1);
  return true;
}

bool PowerWorker::replace() {
  const uint64_t number = ++versions_.begun;
  {
    const Fd fd(open(path("next").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (fd < 0) return failed("open of the next version");
    if (!write_and_sync(fd, version_text(number), true)) return failed("the next version");
  }
  if (rename(path("next").c_str(), path("current").c_str()) != 0) return failed("rename");
  if (number % 2 == 0) return true;
  if (!sync_folder()) return failed("fsync of the folder");
  versions_.promise(events_(), number);
  return true;
}

bool PowerWorker::append() {
  if (log_.begun > kLogBytesMax) return true;
  const uint64_t before = log_.begun;
  log_.begun += 1 + (before * 7 + seed_) % 5000;
  const Fd fd(open(path("log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (fd < 0) return failed("open for appending");
  const std::string whole = log_text(log_.begun);
  if (!write_and_sync(fd, std::string_view(whole).substr(before), false)) return failed("append");
  if (fdatasync(fd) != 0) return failed("fdatasync");
  log_.promise(events_(), log_.begun);
  return true;
}

std::string PowerWorker::check(VolumeAnswers& volume, size_t point) const {
  const auto folder = volume.lookup(format::kRootInode, name_);
  if (!folder.ok()) {
    const bool promised = !folder_there_.empty() && folder_there_[0].first <= point;
    return promised ? name_ + " is missing" : "";
  }
  const Inode inode = folder.value.inode;
  std::string wrong = check_files(volume, inode, files_.promised_at(point));
  if (wrong.empty()) wrong = check_current(volume, inode, versions_.promised_at(point));
  if (wrong.empty()) wrong = check_log(volume, inode, log_.promised_at(point));
  return wrong.empty() ? "" : name_ + "/" + wrong;
}

// A file that was not fsynced may be in any of the states that it went through.
std::string PowerWorker::check_files(VolumeAnswers& volume, Inode folder, uint64_t promised) const {
  bool gap = false;
  for (uint64_t i = 0; i < files_.begun; ++i) {
    const std::string name = "new" + std::to_string(i);
    const auto file = volume.lookup(folder, name);
    if (!file.ok()) {
      if (i < promised) return name + " is missing, and was fsynced, or a later one was";
      gap = true;
      continue;
    }
    if (gap) return name + " is there, and an earlier one is not";
    const std::string whole = file_text(i);
    if (file.value.size > whole.size()) return name + " is too long";
    std::string wrong;
    const std::string found = bytes_of(volume, file.value.inode, file.value.size, wrong);
    const bool synced = i < promised && i % 3 != 0;
    if (wrong.empty()) wrong = difference(found, synced ? whole : whole.substr(0, found.size()));
    if (!wrong.empty()) return name + ": " + wrong;
  }
  return "";
}

std::string PowerWorker::check_current(VolumeAnswers& volume, Inode folder,
                                       uint64_t promised) const {
  const auto file = volume.lookup(folder, "current");
  if (!file.ok()) return promised == 0 ? "" : "current is missing";
  std::string wrong;
  const std::string found = bytes_of(volume, file.value.inode, file.value.size, wrong);
  if (!wrong.empty()) return "current " + wrong;
  uint64_t number = 0;
  if (std::sscanf(found.c_str(), "version %lu", &number) != 1 || number > versions_.begun) {
    return "current is no version";
  }
  if (number < promised) return fmt::format("current is version {}, not {}", number, promised);
  wrong = difference(found, version_text(number));
  return wrong.empty() ? "" : fmt::format("current, version {}: {}", number, wrong);
}

std::string PowerWorker::check_log(VolumeAnswers& volume, Inode folder, uint64_t promised) const {
  const auto file = volume.lookup(folder, "log");
  if (!file.ok()) return promised == 0 ? "" : "log is missing";
  const uint64_t size = file.value.size;
  if (size < promised) return fmt::format("log has {} bytes, not {}", size, promised);
  if (size > log_.begun) return "log is too long";
  std::string wrong;
  const std::string found = bytes_of(volume, file.value.inode, size, wrong);
  if (wrong.empty()) wrong = difference(found, log_text(size));
  return wrong.empty() ? "" : "log: " + wrong;
}

}  // namespace rvmfs::test
