// SPDX-License-Identifier: BSD-2-Clause
//
// See damage_judge.h.
#include "tests/images/damage_judge.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <sstream>

#include "fsck/fsck.h"
#include "tests/support/memory_device.h"
#include "tests/support/perform.h"

namespace rvmfs::test {
namespace {

// Compares a volume with the tree that it should hold, object by object.
class TreeJudge {
 public:
  TreeJudge(VolumeAnswers& volume, const TreeSnapshot& want) : volume_(volume), want_(want) {}

  void run() {
    for (const auto& [path, entry] : want_.paths) {
      if (wrong.empty()) judge_object(path, entry);
    }
  }

  std::string wrong;
  bool any_error = false;

 private:
  template <typename T, typename IsRight>
  void judge(const char* what, const Answer<T>& answer, const IsRight& is_right) {
    if (answer.error == EIO) {
      any_error = true;
    } else if (!answer.ok()) {
      wrong = fmt::format("{} {}: errno {} ({})", what, path_, answer.error, volume_.last_error);
    } else if (!is_right(answer.value)) {
      wrong = fmt::format("{} {}: a wrong answer", what, path_);
    }
  }

  void judge_object(const std::string& path, const TreeEntry& entry) {
    path_ = path;
    judge_lookup(path, entry);
    const Inode inode = entry.attributes.inode;
    judge("getattr", volume_.getattr(inode), [&](const Attributes& have) {
      return describe(have, true) == describe(entry.attributes, true);
    });
    judge_xattrs(entry);
    if (S_ISLNK(entry.attributes.mode)) {
      judge("readlink", volume_.readlink(inode),
            [&](const std::string& target) { return target == entry.target; });
    }
    if (S_ISDIR(entry.attributes.mode)) judge_directory(path, inode);
    if (S_ISREG(entry.attributes.mode)) judge_content(entry);
  }

  void judge_lookup(const std::string& path, const TreeEntry& entry) {
    if (path == "/") return;
    const size_t slash = path.rfind('/');
    const std::string parent = slash == 0 ? "/" : path.substr(0, slash);
    const Inode directory = want_.paths.at(parent).attributes.inode;
    judge("lookup", volume_.lookup(directory, path.substr(slash + 1)), [&](const Attributes& have) {
      return describe(have, true) == describe(entry.attributes, true);
    });
  }

  void judge_xattrs(const TreeEntry& entry) {
    const Inode inode = entry.attributes.inode;
    judge("listxattr", volume_.listxattr(inode), [&](const std::vector<std::string>& names) {
      size_t known = 0;
      for (const std::string& name : names) known += entry.xattrs.count(name);
      return names.size() == entry.xattrs.size() && known == names.size();
    });
    for (const auto& xattr : entry.xattrs) {
      judge("getxattr", volume_.getxattr(inode, xattr.first),
            [&](const std::string& have) { return have == xattr.second; });
    }
  }

  void judge_directory(const std::string& path, Inode inode) {
    const std::string prefix = path == "/" ? path : path + "/";
    judge("readdir", volume_.readdir(inode), [&](const std::vector<DirectoryName>& names) {
      size_t children = 0;
      for (auto at = want_.paths.upper_bound(prefix);
           at != want_.paths.end() && at->first.starts_with(prefix); ++at) {
        if (at->first.find('/', prefix.size()) == std::string::npos) ++children;
      }
      for (const DirectoryName& name : names) {
        if (name.name == "." || name.name == "..") continue;
        const auto child = want_.paths.find(prefix + name.name);
        if (child == want_.paths.end()) return false;
        if (child->second.attributes.inode != name.inode) return false;
      }
      return names.size() == children + 2;
    });
  }

  void judge_content(const TreeEntry& entry) {
    const uint64_t size = entry.attributes.size;
    std::vector<std::byte> bytes(size);
    entry.content.read(0, bytes);
    judge("read", volume_.read(entry.attributes.inode, 0, size),
          [&](const std::vector<std::byte>& have) { return have == bytes; });
  }

  VolumeAnswers& volume_;
  const TreeSnapshot& want_;
  std::string path_;
};

MountOptions mount_options() {
  MountOptions options;
  options.commit_seconds = 0;
  options.background = false;
  options.count_lookups = true;
  options.atime = MountOptions::Atime::noatime;
  return options;
}

// A file of the host that cannot become larger than this, whatever an image says.
std::shared_ptr<MemoryDevice> device_of(const SparseImage& image) {
  return std::make_shared<MemoryDevice>(image, MemoryOptions{.host_bytes_max = 64 << 20});
}

Verdict judge_volume(Volume& volume, const TreeSnapshot& want) {
  VolumeAnswers answers(volume, true);
  TreeJudge judge(answers, want);
  judge.run();
  return {judge.wrong, true, judge.wrong.empty() && !judge.any_error};
}

// What a mount answers. A mount that is refused is no wrong answer.
Verdict judge_mount(const SampleImage& sample, const SparseImage& damaged, bool may_lose) {
  const auto device = device_of(damaged);
  auto volume = Volume::open(device, mount_options());
  if (!volume) {
    const int error = errno_of(volume.error());
    const bool honest = error == EIO || error == EINVAL || error == EOPNOTSUPP || error == EUCLEAN;
    return {honest ? "" : fmt::format("the mount is refused with errno {}", error)};
  }
  Verdict verdict = judge_volume(**volume, sample.tree);
  if (!verdict.wrong.empty() && may_lose) verdict = judge_volume(**volume, sample.before_last_unit);
  (*volume)->abandon();
  return verdict;
}

std::string judge_dump(const SampleImage& sample, const SparseImage& damaged, bool may_lose) {
  const auto device = device_of(damaged);
  std::ostringstream text;
  if (!fsck::dump_tree(*device, text, {.times = false})) return "";
  if (text.str() == sample.dump) return "";
  if (may_lose && text.str() == sample.dump_before_last_unit) return "";
  return "the dump of the tree differs:\n" + text.str();
}

}  // namespace

Verdict judge_damaged(const SampleImage& sample, const SparseImage& damaged,
                      bool may_lose_last_unit) {
  const bool may_lose = may_lose_last_unit && sample.has_units;
  Verdict verdict = judge_mount(sample, damaged, may_lose);
  if (!verdict.wrong.empty()) return verdict;
  const auto device = device_of(damaged);
  fsck::FindingList findings;
  const bool clean = fsck::check_image(*device, {}, findings).clean();
  if (clean && !verdict.whole) {
    verdict.wrong = "fsck calls it clean, and it is not: " + findings.text(true);
  } else if (clean) {
    verdict.wrong = judge_dump(sample, damaged, may_lose);
  }
  return verdict;
}

}  // namespace rvmfs::test
