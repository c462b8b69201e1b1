// SPDX-License-Identifier: BSD-2-Clause
//
// An open rvmfs volume: every operation of the filesystem, in process, without FUSE. Names follow
// the system calls. Each namespace or attribute operation is one transaction and commits lazily;
// fsync, sync, the commit interval and close make everything before them durable, in order.
//
// Permission checks are the kernel's (default_permissions); the volume enforces what the kernel
// cannot know: immutable and append-only flags, read-only state, limits.
//
// Life of an inode: it exists while it has a name or is held. Operations that return an Entry hold
// the inode once more if MountOptions::count_lookups; forget() releases. An inode without a name
// that nobody holds is deleted (after a crash: at the next open).
//
// Thread rules: all calls from any thread at any time.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs/errors.h"
#include "fs/format.h"
#include "rvm/device.h"
#include "rvm/rvm.h"

namespace rvmfs {

using Inode = uint64_t;

struct Time {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
  friend auto operator<=>(const Time&, const Time&) = default;
};

struct Attributes {
  Inode inode = 0;
  uint32_t mode = 0, uid = 0, gid = 0, nlink = 0;
  uint64_t size = 0;
  uint64_t blocks = 0;  // of 512 bytes, as in stat(2)
  Time atime, mtime, ctime, btime;
  uint32_t rdev_major = 0, rdev_minor = 0;
  uint32_t flags = 0, project = 0;
};

// What setattr changes. Times "now" are resolved by the volume.
struct AttributeChange {
  enum : uint32_t {
    mode_bit = 1,
    uid_bit = 2,
    gid_bit = 4,
    size_bit = 8,
    atime_bit = 16,
    mtime_bit = 32,
    atime_now_bit = 64,
    mtime_now_bit = 128,
    ctime_bit = 256,
    kill_suid_gid_bit = 512,
  };
  uint32_t valid = 0;
  uint32_t mode = 0, uid = 0, gid = 0;
  uint64_t size = 0;
  Time atime = {}, mtime = {}, ctime = {};
};

// Who asks: owner of new inodes. The umask is taken away from the mode that is passed, unless the
// directory has a default ACL.
struct Caller {
  uint32_t uid = 0, gid = 0;
  uint32_t umask = 0;
};

struct DirectoryItem {
  uint64_t cookie;  // pass it to readdir to go on behind this entry
  Inode inode;
  uint8_t type;  // DT_*
  std::string_view name;
  const Attributes* attributes;  // with readdirplus, except for "." and ".." and damaged inodes
};

struct VolumeStatus {
  uint64_t blocks_total = 0, blocks_free = 0, blocks_available = 0;  // of 4096 bytes
  uint64_t inodes_used = 0, inodes_free = 0;
};

struct MountOptions {
  bool read_only = false;
  uint32_t commit_seconds = 1;  // 0: no timer; fsync, close and size still commit
  bool count_lookups = false;   // entry-returning operations hold the inode (FUSE)
  enum class Atime : uint8_t { relatime, noatime, strictatime } atime = Atime::relatime;
  uint64_t metadata_bytes_max = 256ull << 20;
  bool background = true;  // threads: commit timer, truncation, discards. Off in tests.
  bool discard = true;     // give freed blocks back to the host
  rvm::Tuning tuning;
  std::function<Time()> clock;  // default: CLOCK_REALTIME
};

struct FormatOptions {
  uint64_t volume_bytes = 0;  // nominal size; for devices of fixed size at most theirs
  uint64_t log_bytes = 0;     // 0: by the size of the volume
  std::string label;
  uint8_t uuid[16] = {};
  uint64_t name_hash_seed = 0;
  Time now;
  uint32_t root_uid = 0, root_gid = 0, root_mode = 0755;
};

// Writes an empty volume; the superblock last. Everything on the device is lost.
Result<void> format_volume(std::shared_ptr<rvm::Device> device, const FormatOptions& options);

// The log size that format_volume chooses for a volume of this size.
uint64_t default_log_bytes(uint64_t volume_bytes);

// Reads and checks the superblock (falling back to the copy).
Result<format::Superblock> read_superblock(rvm::Device& device);

class VolumeCore;  // internal

class Volume {
 public:
  // Recovers first. Errors: not_rvmfs, unknown_features, damaged_*, io.
  static Result<std::unique_ptr<Volume>> open(std::shared_ptr<rvm::Device> device,
                                              const MountOptions& options);
  // Makes everything durable, truncates the log, gives up. The destructor does it without a report.
  Result<void> close();
  ~Volume();
  // Stops without writing anything more, as a killed process would. For tests.
  void abandon();

  format::Superblock superblock() const;  // as it is now
  rvm::RecoveryReport recovery() const;
  rvm::Rvm& rvm();

  // -- names. Errors as the system calls'.
  Result<Attributes> lookup(Inode parent, std::string_view name);
  void forget(Inode inode, uint64_t count);
  void hold(Inode inode);
  Result<Attributes> mknod(Inode parent, std::string_view name, uint32_t mode, uint32_t rdev_major,
                           uint32_t rdev_minor, Caller caller);  // regular files too
  Result<Attributes> mkdir(Inode parent, std::string_view name, uint32_t mode, Caller caller);
  Result<Attributes> symlink(Inode parent, std::string_view name, std::string_view target,
                             Caller caller);
  Result<Attributes> link(Inode inode, Inode new_parent, std::string_view new_name);
  Result<void> unlink(Inode parent, std::string_view name);
  Result<void> rmdir(Inode parent, std::string_view name);
  // flags: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT of rename(2).
  Result<void> rename(Inode parent, std::string_view name, Inode new_parent,
                      std::string_view new_name, uint32_t flags);
  // An inode without a name (O_TMPFILE); held if count_lookups. If nobody holds and then forgets
  // it, it stays until close.
  Result<Attributes> tmpfile(Inode parent, uint32_t mode, Caller caller);
  Result<std::string> readlink(Inode inode);
  // Calls `sink` for entries behind `cookie` (0: from the start; "." and ".." included) until it
  // returns false. An entry for which it returned false was not consumed. `plus`: with attributes
  // (and a hold if count_lookups, for entries that were consumed).
  Result<void> readdir(Inode directory, uint64_t cookie, bool plus,
                       const std::function<bool(const DirectoryItem&)>& sink);

  // -- attributes
  Result<Attributes> getattr(Inode inode);
  Result<Attributes> setattr(Inode inode, const AttributeChange& change);
  Result<void> set_flags(Inode inode, uint32_t flags, uint32_t project);
  Result<std::string> getxattr(Inode inode, std::string_view name);
  // flags: XATTR_CREATE, XATTR_REPLACE; without meaning for ACLs, which change the mode with them.
  // kill_sgid: that takes setgid away.
  Result<void> setxattr(Inode inode, std::string_view name, std::string_view value, int flags,
                        bool kill_sgid = false);
  Result<void> removexattr(Inode inode, std::string_view name);
  Result<std::string> listxattr(Inode inode);  // names, each ended by a NUL

  // -- data
  // no_atime: as for a file opened with O_NOATIME.
  Result<size_t> read(Inode inode, uint64_t offset, std::span<std::byte> out,
                      bool no_atime = false);
  // kill_suid_gid, here and below: clear setuid/setgid as write(2) by an unprivileged caller does.
  Result<size_t> write(Inode inode, uint64_t offset, std::span<const std::byte> in,
                       bool kill_suid_gid = false);
  // mode: 0, FALLOC_FL_KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE [| KEEP_SIZE]; else
  // not_supported.
  Result<void> fallocate(Inode inode, int mode, uint64_t offset, uint64_t length,
                         bool kill_suid_gid = false);
  Result<uint64_t> lseek(Inode inode, uint64_t offset, int whence);  // SEEK_DATA, SEEK_HOLE
  Result<uint64_t> copy_file_range(Inode in, uint64_t in_offset, Inode out, uint64_t out_offset,
                                   uint64_t length, bool kill_suid_gid = false);

  // -- durability
  // Everything that was done before the call is durable afterwards.
  Result<void> fsync(Inode inode, bool data_only);
  Result<void> sync();

  // -- the volume
  Result<VolumeStatus> statfs();
  // Raises the nominal size while mounted. Shrinking: bad_argument.
  Result<void> grow(uint64_t volume_bytes);
  Result<void> set_label(std::string_view label);
  // Gives free blocks in this range of bytes back to the host (also with MountOptions::discard
  // off), in runs of at least `run_bytes_min`. How many bytes were free there.
  Result<uint64_t> trim(uint64_t offset, uint64_t length, uint64_t run_bytes_min);
  // Makes everything durable, and lets nothing be changed any more: EIO from then on.
  Result<void> shut_down();
  bool failed() const;  // made itself read-only after a failed write of the log

 private:
  explicit Volume(std::unique_ptr<VolumeCore> core);
  std::unique_ptr<VolumeCore> core_;
};

}  // namespace rvmfs
