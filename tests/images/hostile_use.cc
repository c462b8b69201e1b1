// SPDX-License-Identifier: BSD-2-Clause
//
// See hostile_use.h.
#include "tests/images/hostile_use.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <set>
#include <sstream>

#include "fs/volume.h"
#include "fsck/fsck.h"
#include "tests/images/memory_meter.h"
#include "tests/support/memory_device.h"
#include "tests/support/processor_time.h"

namespace rvmfs::test {
namespace {

constexpr size_t kInodesMax = 200;
constexpr size_t kNamesMax = 2000;  // of one directory
constexpr uint64_t kHostBytesMax = 64 << 20;
constexpr Caller kUser{1000, 100};

std::shared_ptr<MemoryDevice> device_of(const SparseImage& image, bool read_only = false) {
  return std::make_shared<MemoryDevice>(
      image, MemoryOptions{.host_bytes_max = kHostBytesMax, .read_only = read_only});
}

// Every answer is welcome.
template <typename T>
void ignore(const T&) {}

// Reads everything about every inode that can be reached, within limits: a hostile directory may
// contain itself.
class HostileWalk {
 public:
  explicit HostileWalk(Volume& volume) : volume_(volume) {}

  std::string run() {
    queue_.push_back(format::kRootInode);
    while (!queue_.empty() && seen_.size() < kInodesMax) {
      const Inode inode = queue_.front();
      queue_.pop_front();
      if (!seen_.insert(inode).second) continue;
      read_inode(inode);
      if (!wrong_.empty()) return wrong_;
    }
    return "";
  }

  const std::set<Inode>& inodes() const { return seen_; }
  const std::vector<std::pair<Inode, std::string>>& names() const { return names_; }

 private:
  void read_inode(Inode inode) {
    const auto attributes = volume_.getattr(inode);
    ignore(volume_.readlink(inode));
    read_xattrs(inode);
    read_names(inode);
    read_bytes(inode, attributes ? attributes->size : 4096);
  }

  void read_xattrs(Inode inode) {
    const auto names = volume_.listxattr(inode);
    if (!names) return;
    for (size_t at = 0; at < names->size(); at = names->find('\0', at) + 1) {
      ignore(volume_.getxattr(inode, names->c_str() + at));
      if (names->find('\0', at) == std::string::npos) break;
    }
  }

  void read_names(Inode inode) {
    size_t count = 0;
    uint64_t last = 0;
    const auto sink = [&](const DirectoryItem& item) {
      if (item.cookie <= last) wrong_ = "readdir: a cookie that does not grow";
      last = item.cookie;
      if (names_.size() < kNamesMax) names_.emplace_back(inode, std::string(item.name));
      queue_.push_back(item.inode);
      return ++count < kNamesMax;
    };
    ignore(volume_.readdir(inode, 0, false, sink));
    count = last = 0;
    ignore(volume_.readdir(inode, 0, true, sink));
    for (size_t i = names_.size() < 20 ? 0 : names_.size() - 20; i < names_.size(); ++i) {
      ignore(volume_.lookup(names_[i].first, names_[i].second));
    }
  }

  void read_bytes(Inode inode, uint64_t size) {
    std::vector<std::byte> bytes(64 * 1024);
    for (const uint64_t at : {uint64_t{0}, size / 2, size - std::min<uint64_t>(size, 5000)}) {
      const auto read = volume_.read(inode, at, bytes);
      if (read && *read > bytes.size()) wrong_ = "read: more bytes than there is room for";
      ignore(volume_.lseek(inode, at, SEEK_DATA));
      ignore(volume_.lseek(inode, at, SEEK_HOLE));
    }
  }

  Volume& volume_;
  std::deque<Inode> queue_;
  std::set<Inode> seen_;
  std::vector<std::pair<Inode, std::string>> names_;
  std::string wrong_;
};

// Changes of every kind, of things that may not be what they seem.
void change_everything(Volume& volume, const HostileWalk& walk) {
  const std::vector<std::byte> bytes(9000, std::byte{'h'});
  int number = 0;
  for (const Inode inode : walk.inodes()) {
    if (++number > 12) break;
    const std::string name = fmt::format("new{}", number);
    ignore(volume.mkdir(inode, name, 0755, kUser));
    ignore(volume.mknod(inode, name + "f", S_IFREG | 0644, 0, 0, kUser));
    ignore(volume.write(inode, 3000, bytes));
    ignore(volume.write(inode, 1 << 20, bytes, true));
    ignore(volume.setxattr(inode, "user.h", std::string(2000, 'h'), 0));
    ignore(volume.fallocate(inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 8000));
    ignore(volume.copy_file_range(inode, 0, inode, 1 << 21, 10'000));
    AttributeChange change;
    change.valid = AttributeChange::size_bit | AttributeChange::mode_bit;
    change.size = 2000;
    change.mode = 0600;
    ignore(volume.setattr(inode, change));
    ignore(volume.removexattr(inode, "user.h"));
  }
  ignore(volume.sync());
  const auto& names = walk.names();
  for (size_t i = 0; i < names.size() && i < 40; ++i) {
    const auto& [parent, name] = names[i];
    if (i % 4 == 0) ignore(volume.rename(parent, name, names[i / 2].first, "moved", 0));
    if (i % 4 == 1) ignore(volume.unlink(parent, name));
    if (i % 4 == 2) ignore(volume.rmdir(parent, name));
    if (i % 4 == 3) {
      ignore(volume.rename(parent, name, names[i / 2].first, names[i / 2].second, RENAME_EXCHANGE));
    }
  }
  ignore(volume.statfs());
}

MountOptions mount_options(bool read_only) {
  MountOptions options;
  options.read_only = read_only;
  options.commit_seconds = 0;
  options.background = false;
  options.count_lookups = false;
  return options;
}

struct Run {
  int code = 0;
  std::string out, err;
};

Run run_fsck_on(const std::shared_ptr<rvm::Device>& device, std::vector<std::string> args) {
  args.push_back("image");
  std::ostringstream out, err;
  const int code = fsck::run_fsck(
      args, out, err,
      [&](const std::string&,
          const rvm::FileOptions&) -> rvm::Result<std::shared_ptr<rvm::Device>> { return device; });
  return {code, out.str(), err.str()};
}

}  // namespace

std::string mount_hostile(const SparseImage& image) {
  const auto looked_at = device_of(image, true);
  if (auto volume = Volume::open(looked_at, mount_options(true))) {
    std::string wrong = HostileWalk(**volume).run();
    if (!wrong.empty()) return wrong;
  }
  const auto device = device_of(image);
  auto volume = Volume::open(device, mount_options(false));
  if (volume) {
    HostileWalk walk(**volume);
    std::string wrong = walk.run();
    if (!wrong.empty()) return wrong;
    change_everything(**volume, walk);
    ignore((*volume)->close());
  }
  const auto super = read_superblock(*device_of(image));
  const uint64_t most = std::max(image.size(), super ? super->volume_bytes : 0);
  if (device->size() > most) return fmt::format("the image has grown to {} bytes", device->size());
  return "";
}

std::string check_hostile(const SparseImage& image) {
  const auto device = device_of(image);
  fsck::FindingList findings;
  const fsck::Summary summary = fsck::check_image(*device, {}, findings);
  if (summary.clean() != findings.text().empty()) {
    return "the counts and the findings disagree:\n" + findings.text();
  }
  std::ostringstream text;
  ignore(fsck::dump_tree(*device, text, {.contents = false}));
  ignore(fsck::dump_log(*device, text));
  return device->snapshot() == image ? "" : "a check has written to the image";
}

std::string repair_hostile(const SparseImage& image) {
  const auto device = device_of(image);
  const Run first = run_fsck_on(device, {"-y", "-f"});
  const Run second = run_fsck_on(device, {"-n", "-f"});
  const bool all_repaired = (first.code & ~fsck::kExitCorrected) == 0;
  if (all_repaired && second.code != fsck::kExitClean) {
    return fmt::format("fsck repaired, exit {}:\n{}{}, but finds then, exit {}:\n{}{}", first.code,
                       first.out, first.err, second.code, second.out, second.err);
  }
  // What can be repaired is repaired the first time.
  const Run third = run_fsck_on(device, {"-y", "-f"});
  if ((third.code & fsck::kExitCorrected) != 0) {
    return fmt::format(
        "a second repair found more to repair, exit {}:\n{}{}\nfirst, exit {}:\n{}{}", third.code,
        third.out, third.err, first.code, first.out, first.err);
  }
  return "";
}

std::string within_limits(const std::function<std::string()>& use) {
  reset_memory_peak();
  const uint64_t before = memory_in_use();
  const double begin = processor_seconds();
  std::string wrong = use();
  const double seconds = processor_seconds() - begin;
  if (!wrong.empty()) return wrong;
  if (seconds > kHostileSecondsMax) return fmt::format("it took {} s", seconds);
  if (memory_peak() - before > kHostileMemoryMax) {
    return fmt::format("it took {} bytes of memory", memory_peak() - before);
  }
  return "";
}

}  // namespace rvmfs::test
