// SPDX-License-Identifier: BSD-2-Clause
//
// What the kernel's FUSE protocol has and the distribution's <linux/fuse.h> may be too old to know
// (that of Debian 12 ends with 7.38). Names are our own, so that a newer header is no conflict.
// "Since" is the minor version of the protocol, and the kernel.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rvmfs::protocol {

// Opcodes. One that is answered ENOSYS is never asked again; the kernel then does without.
constexpr uint32_t kSyncfs = 50;           // 7.34, Linux 5.14
constexpr uint32_t kTmpfile = 51;          // 7.37, Linux 6.2
constexpr uint32_t kStatx = 52;            // 7.39, Linux 6.6
constexpr uint32_t kCopyFileRange64 = 53;  // 7.45, Linux 6.18

// Flags of FUSE_INIT. Those above bit 31 travel in the word flags2, which counts if bit 30 is set.
constexpr uint64_t kExportSupport = 1ULL << 4;
constexpr uint64_t kReaddirplus = 1ULL << 13;
constexpr uint64_t kNoOpenSupport = 1ULL << 17;
constexpr uint64_t kParallelDirops = 1ULL << 18;
constexpr uint64_t kPosixAcl = 1ULL << 20;
constexpr uint64_t kCacheSymlinks = 1ULL << 23;
constexpr uint64_t kNoOpendirSupport = 1ULL << 24;
constexpr uint64_t kKillprivV2 = 1ULL << 28;         // 7.33, Linux 5.12
constexpr uint64_t kSetxattrExt = 1ULL << 29;        // 7.33, Linux 5.12
constexpr uint64_t kInitExt = 1ULL << 30;            // 7.36, Linux 5.17: there is a word flags2
constexpr uint64_t kDirectIoAllowMmap = 1ULL << 36;  // 7.39, Linux 6.6
constexpr uint64_t kNoExportSupport = 1ULL << 38;    // 7.40, Linux 6.9
constexpr uint64_t kAllowIdmap = 1ULL << 40;         // 7.41, Linux 6.12
constexpr uint64_t kOverIoUring = 1ULL << 41;        // 7.42, Linux 6.14
constexpr uint32_t kMinorOfFlags2 = 36;

// In the header of a request: the kernel does not tell who asks (with kAllowIdmap, in requests that
// make no inode).
constexpr uint32_t kNobodyTold = UINT32_MAX;

// Flags within requests.
constexpr uint32_t kWriteKillSuidGid = 1 << 2;
constexpr uint32_t kSetattrKillSuidGid = 1 << 11;
constexpr uint32_t kSetxattrAclKillSgid = 1;

// fuse_init_in from 7.36 on: its first words.
struct InitIn {
  uint32_t major, minor, max_readahead, flags, flags2;
};

// fuse_init_out, as long as since 7.23; the kernel ignores words of the end that it does not know.
struct InitOut {
  uint32_t major, minor, max_readahead, flags;
  uint16_t max_background, congestion_threshold;
  uint32_t max_write, time_granularity;
  uint16_t max_pages, map_alignment;
  uint32_t flags2;
  uint32_t rest[7];
};
static_assert(sizeof(InitOut) == 64);

// fuse_setxattr_in with kSetxattrExt.
struct SetxattrIn {
  uint32_t size, flags, setxattr_flags, padding;
};

struct CopyFileRangeOut {  // of kCopyFileRange64
  uint64_t bytes_copied;
};

struct StatxTime {
  int64_t seconds;
  uint32_t nanoseconds;
  int32_t reserved;
};

struct StatxOut {
  uint64_t attr_valid;
  uint32_t attr_valid_nsec;
  uint32_t flags;
  uint64_t spare[2];
  // As struct statx, up to its device numbers.
  uint32_t mask, block_bytes;
  uint64_t attributes;
  uint32_t nlink, uid, gid;
  uint16_t mode, spare0;
  uint64_t inode, size, blocks, attributes_mask;
  StatxTime atime, btime, ctime, mtime;
  uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
  uint64_t spare2[14];
};
static_assert(sizeof(StatxOut) == 288);

// FUSE over io_uring (7.42): the commands of an IORING_OP_URING_CMD, what they carry in the second
// half of their submission entry, and the headers of a slot (fuse_uring_req_header).
constexpr uint32_t kRingRegister = 1;
constexpr uint32_t kRingCommitAndFetch = 2;

struct RingCommand {
  uint64_t flags, commit_id;
  uint16_t queue;
  uint8_t padding[6];
};
static_assert(sizeof(RingCommand) == 24);

struct RingHeaders {
  std::byte in_out[128];     // fuse_in_header or fuse_out_header
  std::byte operation[128];  // of a request: the struct of its operation
  struct {
    uint64_t flags, commit_id;
    uint32_t payload_bytes, padding;
    uint64_t reserved;
  } entry;
};
static_assert(sizeof(RingHeaders) == 288);

}  // namespace rvmfs::protocol
