// SPDX-License-Identifier: BSD-2-Clause
//
// See fs_rig.h: judging a crash state.
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include <algorithm>

#include "fsck/fsck.h"
#include "tests/crash/fs_rig.h"
#include "tests/support/memory_device.h"
#include "tests/support/tree_snapshot.h"

namespace rvmfs::test {
namespace {

using Page = std::array<std::byte, SparseImage::kPageBytes>;

struct Window {
  size_t first, last;  // operations
};

size_t last_before(const std::vector<std::pair<size_t, size_t>>& marks, size_t point) {
  size_t operation = 0;
  for (const auto& [events, number] : marks) {
    if (events <= point) operation = std::max(operation, number);
  }
  return operation;
}

Window window_at(const FsAccount& account, size_t point) {
  Window window{last_before(account.durable, point), 0};
  for (size_t i = 0; i < account.states.size(); ++i) {
    if (i == 0 || account.begun_at[i] < point) window.last = i;
  }
  window.last = std::max(window.last, window.first);
  return window;
}

// Before recovery one of the two superblocks may be torn: the next open mends it.
std::string run_fsck(rvm::Device& device, bool recovered) {
  fsck::FindingList findings;
  const fsck::Summary summary = fsck::check_image(device, {}, findings);
  uint64_t problems = summary.problems;
  for (const fsck::FindingId id :
       {fsck::FindingId::superblock_first_damaged, fsck::FindingId::superblock_copy_damaged}) {
    if (!recovered && findings.has(id)) --problems;
  }
  const char* when = recovered ? "after" : "before";
  return problems == 0 && summary.damages == 0
             ? ""
             : fmt::format("fsck {} recovery: {}", when, findings.text());
}

// Contents of one file, at or after its last fsync.
class ContentJudge {
 public:
  ContentJudge(const FsAccount& account, size_t point, Window window, Inode inode, bool has_garbage)
      : account_(account), inode_(inode), last_(window.last), has_garbage_(has_garbage) {
    // Data that some sync made durable, or an fsync of this very file.
    size_t first = 0;
    for (const auto& [events, number] : account.durable) {
      const bool sync = account.operations[number].starts_with("sync") ||
                        account.operations[number].starts_with("reopen") ||
                        account.operations[number].starts_with("crash");
      if (events <= point && sync) first = std::max(first, number);
    }
    const auto marks = account.file_durable.find(inode);
    if (marks != account.file_durable.end()) {
      first = std::max(first, last_before(marks->second, point));
    }
    first_ = first;
    for (size_t i = first; i <= window.last; ++i) {
      const auto& nodes = account_.states[i].nodes();
      const auto node = nodes.find(inode);
      if (node == nodes.end()) continue;
      if (!versions_.empty() && versions_.back() == node->second.get()) continue;
      versions_.push_back(node->second.get());
    }
  }

  // The sentence that says what is wrong, or nothing. `expected` is the state that metadata are in.
  std::string check(const SparseImage& expected, const SparseImage& actual) const {
    for (uint64_t at = next_page(expected, actual, 0); at < actual.size();
         at = next_page(expected, actual, at + SparseImage::kPageBytes)) {
      Page want, have;
      expected.read(at, want);
      actual.read(at, have);
      const uint64_t end = std::min(actual.size() - at, SparseImage::kPageBytes);
      for (uint64_t i = 0; i < end; ++i) {
        if (want[i] == have[i]) continue;
        if (allowed(at + i, have[i])) continue;
        return fmt::format("byte {} is {:02x}, should be {:02x}{}", at + i,
                           static_cast<unsigned>(have[i]), static_cast<unsigned>(want[i]),
                           have[i] == kCanary ? " (the canary: an old block)" : "");
      }
    }
    return "";
  }

 private:
  static uint64_t next_page(const SparseImage& a, const SparseImage& b, uint64_t from) {
    const uint64_t next = std::min(a.next_present(from), b.next_present(from));
    return next == UINT64_MAX ? next : next / SparseImage::kPageBytes * SparseImage::kPageBytes;
  }

  bool allowed(uint64_t offset, std::byte byte) const {
    for (const ModelNode* version : versions_) {
      if (offset >= version->content.size()) continue;
      std::byte was{};
      version->content.read(offset, {&was, 1});
      if (was == byte) return true;
    }
    return has_garbage_ && sector_was_written(offset);
  }

  // The versions differ in this sector of the file: somebody wrote to it. Operations that touch the
  // end of the file may write zeros behind it, into the sector that the last bytes are in.
  bool sector_was_written(uint64_t offset) const {
    std::array<std::byte, rvm::kSectorBytes> first, other;
    const uint64_t sector = offset / rvm::kSectorBytes * rvm::kSectorBytes;
    for (const Touched& touched : account_.touched) {
      const bool when = touched.operation > first_ && touched.operation <= last_;
      const bool where = touched.begin < sector + rvm::kSectorBytes && touched.end > sector;
      if (when && where && touched.inode == inode_) return true;
    }
    bool have_first = false;
    // Writes that were refused leave no version behind.
    const bool may_touch_end = versions_.size() > 1 || account_.options.faulty;
    for (const ModelNode* version : versions_) {
      const uint64_t size = version->content.size();
      if (may_touch_end && size > sector && size - sector < rvm::kSectorBytes) return true;
      version->content.read(sector, have_first ? other : first);
      if (have_first && first != other) return true;
      if (have_first && version->content.size() != versions_.front()->content.size()) return true;
      have_first = true;
    }
    return false;
  }

  const FsAccount& account_;
  const Inode inode_;
  size_t first_ = 0;
  const size_t last_;
  const bool has_garbage_;
  std::vector<const ModelNode*> versions_;
};

std::string check_contents(const FsAccount& account, size_t point, Window window,
                           const TreeSnapshot& expected, const TreeSnapshot& actual,
                           bool has_garbage) {
  for (const auto& [path, entry] : expected.paths) {
    if (!S_ISREG(entry.attributes.mode)) continue;
    const SparseImage& have = actual.paths.at(path).content;
    if (SparseImage::difference(entry.content, have).empty()) continue;
    const ContentJudge judge(account, point, window, entry.attributes.inode, has_garbage);
    const std::string wrong = judge.check(entry.content, have);
    if (!wrong.empty()) return fmt::format("contents of {}: {}", path, wrong);
  }
  return "";
}

// Finds the operation after which the tree was like this.
std::string check_tree(const FsAccount& account, size_t point, bool has_garbage,
                       VolumeAnswers& volume, size_t* operation) {
  const TreeSnapshot actual = snapshot(volume);
  if (!actual.error.empty()) return actual.error;
  const Window window = window_at(account, point);
  const std::string text = metadata_text(actual, kWithAllTimes);
  for (size_t k = window.last + 1; k-- > window.first;) {
    if (account.texts[k] != text) continue;
    *operation = k;
    const std::string wrong =
        check_contents(account, point, window, snapshot(account.states[k]), actual, has_garbage);
    if (wrong.empty()) return "";
    return fmt::format("{}; recovered: operation {} ({}) of {} ... {} ({})", wrong, k,
                       account.operations[k], window.first, window.last,
                       account.operations[window.last]);
  }
  return fmt::format(
      "the tree is that of no operation of {} ({}) ... {} ({})\n  against the first: {}\n  against "
      "the last: {}",
      window.first, account.operations[window.first], window.last, account.operations[window.last],
      difference(snapshot(account.states[window.first], false), actual, kWithAllTimes),
      difference(snapshot(account.states[window.last], false), actual, kWithAllTimes));
}

std::string check_inode_count(const FsAccount& account, size_t operation, Volume& volume) {
  ReferenceModel model = account.states[operation];
  model.crash();
  const auto status = volume.statfs();
  if (!status) return "statfs: " + explain(status.error());
  if (status->inodes_used == model.inodes()) return "";
  return fmt::format("{} inodes are in use, the tree has {}: something leaked", status->inodes_used,
                     model.inodes());
}

// Every directory must take a new file, and let it go.
std::string probe_directory(VolumeAnswers& volume, Inode directory) {
  const std::string name = "probe it";
  const std::array<std::byte, 100> data{std::byte{1}};
  const auto made = volume.mknod(directory, name, S_IFREG | 0600, 0, 0, {});
  if (!made.ok()) return "mknod: " + volume.last_error;
  const auto written = volume.write(made.value.inode, 0, data, false);
  if (!written.ok() || written.value != data.size()) return "write: " + volume.last_error;
  return volume.unlink(directory, name).ok() ? "" : "unlink: " + volume.last_error;
}

std::string probe_directories(VolumeAnswers& volume, const ReferenceModel& model) {
  for (const auto& [inode, node] : model.nodes()) {
    const bool immutable = (node->flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) != 0;
    if (!node->is_directory() || node->nlink == 0 || immutable) continue;
    const std::string wrong = probe_directory(volume, inode);
    if (!wrong.empty()) return fmt::format("probe of directory {}: {}", inode, wrong);
  }
  return "";
}

// The volume must be usable: a new file, durable, with its contents.
std::string probe(VolumeAnswers& volume) {
  const std::string text = "written after the crash";
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  const std::span<const std::byte> data(bytes, text.size());
  const auto made = volume.mknod(format::kRootInode, "probe", S_IFREG | 0600, 0, 0, {});
  if (!made.ok()) return "probe: mknod: " + volume.last_error;
  if (!volume.write(made.value.inode, 5000, data, false).ok()) {
    return "probe: write: " + volume.last_error;
  }
  if (!volume.fsync(made.value.inode, false).ok()) return "probe: fsync: " + volume.last_error;
  const auto read = volume.read(made.value.inode, 5000, text.size());
  if (!read.ok() || !std::equal(data.begin(), data.end(), read.value.begin(), read.value.end())) {
    return "probe: the bytes read are not those written";
  }
  return volume.unlink(format::kRootInode, "probe").ok() ? ""
                                                         : "probe: unlink: " + volume.last_error;
}

}  // namespace

CheckResult check_fs_state(const FsAccount& account, const SparseImage& image, size_t point,
                           bool has_garbage) {
  CheckResult result;
  MemoryDevice untouched(image, {.can_grow = account.options.image_file});
  result.failure = run_fsck(untouched, false);
  if (!result.failure.empty()) return result;

  Ensemble devices({image}, account.options.image_file);
  MountOptions mount;
  mount.commit_seconds = 0;
  mount.count_lookups = true;
  mount.background = false;
  mount.atime = MountOptions::Atime::noatime;
  auto volume = Volume::open(devices.device(0), mount);
  if (!volume) {
    result.failure = "open: " + explain(volume.error());
    return result;
  }
  result.recovery = devices.history();
  VolumeAnswers answers(**volume, true);
  size_t operation = 0;
  result.failure = check_tree(account, point, has_garbage, answers, &operation);
  if (result.failure.empty()) result.failure = check_inode_count(account, operation, **volume);
  const bool may_be_full = account.options.run.may_be_full;
  if (result.failure.empty() && !may_be_full) {
    result.failure = probe_directories(answers, account.states[operation]);
  }
  if (result.failure.empty() && !may_be_full) result.failure = probe(answers);
  if (!result.failure.empty()) return result;
  if (const auto closed = (*volume)->close(); !closed) {
    result.failure = "close: " + explain(closed.error());
    return result;
  }
  result.failure = run_fsck(*devices.device(0), true);
  return result;
}

}  // namespace rvmfs::test
