// SPDX-License-Identifier: BSD-2-Clause
//
// What is on a target now, and getting rid of it (see target.h). libblkid knows filesystems, RAID
// members, swap and partition tables; rvmfs volumes are recognised by their own superblock.
#include <blkid/blkid.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "fs/volume.h"
#include "mkfs/target.h"

namespace rvmfs::mkfs {
namespace {

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct ProbeDeleter {
  void operator()(blkid_probe probe) const { blkid_free_probe(probe); }
};
using Probe = std::unique_ptr<std::remove_pointer_t<blkid_probe>, ProbeDeleter>;

// nullptr: libblkid cannot look at it (a file of a few bytes, for instance).
Probe make_probe(int fd) {
  Probe probe(blkid_new_probe());
  if (!probe || blkid_probe_set_device(probe.get(), fd, 0, 0) != 0) return nullptr;
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_MAGIC | BLKID_SUBLKS_TYPE |
                                                     BLKID_SUBLKS_USAGE | BLKID_SUBLKS_BADCSUM);
  blkid_probe_enable_partitions(probe.get(), 1);
  blkid_probe_set_partitions_flags(probe.get(), BLKID_PARTS_MAGIC | BLKID_PARTS_FORCE_GPT);
  return probe;
}

std::string value_of(const Probe& probe, const char* name) {
  const char* value = nullptr;
  if (blkid_probe_lookup_value(probe.get(), name, &value, nullptr) != 0 || value == nullptr) {
    return {};
  }
  return value;
}

std::string found_by_libblkid(int fd) {
  const Probe probe = make_probe(fd);
  if (!probe || blkid_do_probe(probe.get()) != 0) return {};
  const std::string type = value_of(probe, "TYPE");
  if (type.empty()) return fmt::format("a {} partition table", value_of(probe, "PTTYPE"));
  const std::string usage = value_of(probe, "USAGE");
  if (usage == "filesystem") return fmt::format("a filesystem ({})", type);
  if (usage == "raid") return fmt::format("a member of a RAID ({})", type);
  return fmt::format("a known signature ({})", type);
}

rvm::Result<bool> begins_with_data(int fd) {
  std::array<char, 1 << 16> bytes;
  for (off_t at = 0; at < 1 << 20; at += static_cast<off_t>(bytes.size())) {
    const ssize_t got = ::pread(fd, bytes.data(), bytes.size(), at);
    if (got < 0) return rvm::Error{rvm::Errc::io, errno, 0, "cannot read the image"};
    if (std::any_of(bytes.begin(), bytes.begin() + got, [](char c) { return c != 0; })) return true;
    if (static_cast<size_t>(got) < bytes.size()) return false;
  }
  return false;
}

std::string found_by_superblock(rvm::Device& device) {
  const auto super = read_superblock(device);
  if (!super) return {};
  const std::string label(super->label, strnlen(super->label, sizeof(super->label)));
  return label.empty() ? "an rvmfs volume" : fmt::format("an rvmfs volume labelled '{}'", label);
}

}  // namespace

rvm::Result<std::string> contents_of(const std::string& path, const Target& target) {
  if (target.kind == Target::Kind::absent) return std::string();
  if (target.kind == Target::Kind::file && target.bytes == 0) return std::string();
  const Descriptor fd(path, O_RDONLY);
  if (fd.get() < 0) return rvm::Error{rvm::Errc::io, errno, 0, "cannot open the image"};
  RVM_ASSIGN(const auto device, rvm::open_file_device(path, {.read_only = true, .lock = false}));
  const std::string ours = found_by_superblock(*device);
  if (!ours.empty()) return ours;
  const std::string known = found_by_libblkid(fd.get());
  if (!known.empty()) return known;
  if (target.kind != Target::Kind::file) return std::string();
  RVM_ASSIGN(const bool has_data, begins_with_data(fd.get()));
  return std::string(has_data ? "data of an unknown kind" : "");
}

rvm::Result<void> wipe_signatures(const std::string& path) {
  const Descriptor fd(path, O_RDWR);
  if (fd.get() < 0) return rvm::Error{rvm::Errc::io, errno, 0, "cannot open the image"};
  const Probe probe = make_probe(fd.get());
  if (!probe) return {};  // too small for any signature
  // Wiping one may uncover the next; a medium that does not change must not keep us here for ever.
  for (int i = 0; i < 1000 && blkid_do_probe(probe.get()) == 0; ++i) {
    if (blkid_do_wipe(probe.get(), 0) != 0) {
      return rvm::Error{rvm::Errc::io, errno, 0, "cannot wipe an old signature"};
    }
  }
  return {};
}

}  // namespace rvmfs::mkfs
