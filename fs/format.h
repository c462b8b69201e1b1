// SPDX-License-Identifier: BSD-2-Clause
//
// On-disk format of an rvmfs volume (docs/FORMAT.md tells every byte). Constants, structs and
// static asserts only; filesystem, mkfs and fsck share this header and no parsing code.
// Little-endian.
//
//   bytes 0 ... 65535                  left alone (boot sectors, partition tables)
//   65536  kSuperblockOffset           superblock (512 bytes, one sector)
//   69632  kOwnerOffset                owner record (512 bytes): who has the image mounted
//   1044480 kSuperblockCopyOffset      superblock copy
//   Superblock::log_offset             the log of librvm (rvm/log_format.h)
//   Superblock::chunk0_offset          chunk 0 of the metadata space (rvm/space_format.h)
//   everywhere else                    blocks of 4096 bytes: file data, further chunks
//
// Metadata are one space. Its root page (rvm::format::kRootPageOffset) holds VolumeRoot, and one
// tree holds everything else, by key {inode number, type << 56 | rest}.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rvm/space_format.h"

namespace rvmfs::format {

inline constexpr uint64_t kBlockBytes = 4096;
inline constexpr uint64_t kSuperblockOffset = 64 * 1024;
inline constexpr uint64_t kOwnerOffset = 68 * 1024;
inline constexpr uint64_t kSuperblockCopyOffset = (1 << 20) - 4096;
inline constexpr uint64_t kLogOffset = 1 << 20;  // where mkfs puts the log
inline constexpr uint64_t kVolumeBytesMin = 8 << 20;
inline constexpr uint64_t kVolumeBytesMax = 1ULL << 50;

inline constexpr uint64_t kSuperblockMagic = 0x00314653464d5652ULL;  // "RVMFSF1\0"
inline constexpr uint64_t kSuperblockSeed = 0x7375706572;
inline constexpr uint32_t kVersion = 1;

// Never changed while mounted, except volume_bytes (growing), label and kCompatAcl.
struct Superblock {
  uint64_t magic;
  uint64_t hash;  // XXH3_64bits_withSeed(512 bytes with `hash` zero, kSuperblockSeed)
  uint8_t uuid[16];
  char label[64];  // UTF-8, zero-padded; may use all 64 bytes
  uint32_t version;
  uint32_t block_bytes;         // 4096
  uint64_t features_compat;     // kCompat...; unknown bits: no matter
  uint64_t features_ro_compat;  // unknown bits: mount read-only only
  uint64_t features_incompat;   // unknown bits: refuse
  uint64_t volume_bytes;        // nominal size; an image file may be shorter
  uint64_t log_offset, log_bytes;
  uint64_t chunk0_offset;
  uint64_t name_hash_seed;
  int64_t created_seconds;
  uint8_t reserved[512 - 176];
};
static_assert(sizeof(Superblock) == 512);
static_assert(offsetof(Superblock, reserved) == 176);

// An access control list was set on something once. Without it there are none.
inline constexpr uint64_t kCompatAcl = 1;

inline constexpr uint64_t kOwnerMagic = 0x72656e774f4d5652ULL;  // "RVMOwner"

// Says who has the volume mounted. Advisory (the lock on the file decides on one host).
struct OwnerRecord {
  uint64_t magic;
  uint64_t hash;  // as Superblock, with seed kOwnerMagic
  uint64_t pid;   // 0: nobody (clean unmount)
  int64_t since_seconds, heartbeat_seconds;
  char boot_id[40];
  char host[256];
  uint8_t reserved[512 - 336];
};
static_assert(sizeof(OwnerRecord) == 512);

// ---- Space of blocks -------------------------------------------------------------------------
// Groups of kGroupBlocks blocks. A group's descriptor is all zeros as long as nothing in it was
// ever used; else it names the page (space offset) with its bitmap: bit b of byte b / 8 = block b
// of the group is in use. The first blocks (boot area ... end of chunk 0) are marked used by mkfs.
// Blocks of metadata chunks are used blocks.

inline constexpr uint64_t kGroupBlocks = 32768;
inline constexpr uint64_t kGroupsPerPage = 256;   // descriptors in one page
inline constexpr uint64_t kRefsPerPage = 512;     // u64 references in one page
inline constexpr uint64_t kGroupTableRefs = 256;  // level-1 pages; 16 TiB each
inline constexpr uint64_t kChunkTableRefs = 16;   // level-1 pages; 256 GiB of metadata each

struct GroupDescriptor {
  uint64_t bitmap;  // space offset of the bitmap page; 0: all blocks are free
  uint32_t used;    // blocks in use
  uint32_t reserved;
};
static_assert(sizeof(GroupDescriptor) == 16);

inline constexpr uint64_t kVolumeRootMagic = 0x746f6f724d5652ULL;  // "RVMroot"

struct VolumeRoot {
  uint64_t magic;
  uint64_t blocks_total;  // blocks of the volume (nominal)
  uint64_t blocks_used;   // all used blocks, chunks and log included
  uint64_t next_inode;    // inode numbers are never used twice
  uint64_t inodes_used;   // inode items in the tree (orphans included)
  rvm::format::TreeRoot tree;
  uint64_t reserved[9];
  // Chunk i lies at segment offset leaf[i % 512] where leaf is the page named by word (i / 512) %
  // 512 of the level-1 page chunk_table[i / 512 / 512]. Zero: none. Chunk 0 is in the superblock,
  // and its word is zero.
  uint64_t chunk_table[kChunkTableRefs];
  // Group g: descriptor g % 256 of the page named by word (g / 256) % 512 of the level-1 page
  // group_table[g / 256 / 512]. Zero anywhere: all its groups are free.
  uint64_t group_table[kGroupTableRefs];
};
static_assert(sizeof(VolumeRoot) == 128 + 8 * kChunkTableRefs + 8 * kGroupTableRefs);
static_assert(sizeof(VolumeRoot) <= 4096);

// ---- The tree ----------------------------------------------------------------------------------

inline constexpr uint64_t kRootInode = 1;
inline constexpr uint64_t kFirstFreeInode = 16;
inline constexpr uint64_t kInodeMax = (1ULL << 56) - 1;
inline constexpr int kTypeShift = 56;
inline constexpr uint64_t kRestMask = (1ULL << kTypeShift) - 1;

enum class ItemType : uint8_t {
  inode = 0x01,    // rest 0: InodeItem
  inlined = 0x02,  // rest = byte offset of the piece: bytes of a small file or symlink target
  xattr = 0x10,    // rest = hash40 << 16 | collision << 8 | piece: XattrHeader, name, value
  entry = 0x20,    // rest = hash48 << 8 | collision: DirectoryEntry, name
  extent = 0x30,   // rest = first file block: ExtentItem
  orphan = 0x40,   // in "inode" 0 (kOrphanHigh), rest = inode number: OrphanItem
};
inline constexpr uint64_t kOrphanHigh = 0;

// hash48 / hash40 = XXH3_64bits_withSeed(name, name_hash_seed), its upper 48 / 40 bits. `collision`
// is the first free number from 0 on. A directory entry's readdir cookie is rest + 3 (1 and 2 are
// "." and "..", which are not stored). Pieces of an xattr behind the first are more of its value.

enum class Layout : uint8_t {
  extents = 0,
  inlined = 1,  // the whole content is in `inlined` items
};

struct InodeItem {
  uint32_t mode;  // type and permission bits as in stat(2)
  uint32_t uid, gid;
  uint32_t nlink;   // directories: 2 + subdirectories
  uint64_t size;    // bytes; directories: number of entries
  uint64_t blocks;  // data blocks allocated (unwritten ones too)
  int64_t atime_seconds, mtime_seconds, ctime_seconds, btime_seconds;
  uint32_t atime_nanoseconds, mtime_nanoseconds, ctime_nanoseconds, btime_nanoseconds;
  uint64_t parent;  // directories: the inode of ".."; else 0
  uint32_t rdev_major, rdev_minor;
  uint32_t flags;  // FS_*_FL as in chattr(1)
  uint32_t project;
  uint8_t layout;  // Layout
  uint8_t reserved[7];
};
static_assert(sizeof(InodeItem) == 112);

inline constexpr uint32_t kInlinePieceBytes = 1024;
inline constexpr uint32_t kInlineFileBytesMax = 1024;  // larger files have extents
inline constexpr uint32_t kSymlinkBytesMax = 4095;

struct XattrHeader {
  uint32_t value_bytes;  // of the whole value, at most 65536
  uint8_t name_bytes;
  uint8_t reserved[3];
};
static_assert(sizeof(XattrHeader) == 8);
inline constexpr uint32_t kXattrPieceBytes = 1024;  // bytes of an item (header and name included)
inline constexpr uint32_t kXattrValueBytesMax = 65536;

struct DirectoryEntry {
  uint64_t inode;
  uint8_t type;  // DT_* of readdir(3)
  uint8_t name_bytes;
  uint8_t reserved[6];
};
static_assert(sizeof(DirectoryEntry) == 16);
inline constexpr uint32_t kNameBytesMax = 255;
inline constexpr uint32_t kLinkMax = 1u << 31;

inline constexpr uint32_t kExtentUnwritten = 1;  // allocated, reads as zeros
inline constexpr uint32_t kExtentBlocksMax = 1u << 20;
inline constexpr uint64_t kFileBytesMax = 1ULL << 56;  // EFBIG beyond

struct ExtentItem {
  uint64_t block;  // volume block number
  uint32_t count;
  uint32_t flags;
};
static_assert(sizeof(ExtentItem) == 16);

inline constexpr uint32_t kOrphanUnlinked = 1;  // no name left: delete when nobody holds it
inline constexpr uint32_t kOrphanTruncate = 2;  // blocks beyond `size` are still to be freed

struct OrphanItem {
  uint32_t flags;
  uint32_t reserved;
};
static_assert(sizeof(OrphanItem) == 8);

}  // namespace rvmfs::format
