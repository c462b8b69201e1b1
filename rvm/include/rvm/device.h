// SPDX-License-Identifier: BSD-2-Clause
//
// The one seam to the medium. Everything that librvm and the filesystem read or write goes through
// a Device; faults, recordings and memory disks are other implementations of this class.
//
// What is assumed of a medium (docs/PROMISES.md, assumptions): between two completed flushes any
// subset of the written sectors (512 bytes) may survive a power loss, in any order; a sector that
// was being written may hold garbage. After a completed flush, everything written before it is
// there. A failed flush says nothing about what survived, and neither does a later one.
//
// Thread rules: all calls may be made from any thread at the same time. Overlapping concurrent
// writes leave unspecified bytes. A flush covers every write that returned before it was called.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "rvm/error.h"

namespace rvm {

inline constexpr uint64_t kSectorBytes = 512;

class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  // Reads exactly out.size() bytes at `offset` (bytes). Reading beyond size() is out_of_range;
  // holes read as zeros. Errors: io, out_of_range.
  virtual Result<void> read(uint64_t offset, std::span<std::byte> out) = 0;

  // Reads as many of these bytes, from the first one on, as it can without waiting for a medium,
  // and returns how many. None where nobody can tell.
  virtual size_t read_cached(uint64_t /*offset*/, std::span<std::byte> /*out*/) { return 0; }

  // Writes all bytes or fails. A file grows when written beyond its end; other devices answer
  // out_of_range. Errors: io, no_space, out_of_range, read_only.
  virtual Result<void> write(uint64_t offset, std::span<const std::byte> in) = 0;

  // Makes everything written before the call durable. Errors: io.
  virtual Result<void> flush() = 0;

  // Writes, and returns when these bytes are durable; says nothing about earlier writes. After
  // no_space nothing is known to have been written, and the device is as good as before; after any
  // other error, as after a failed flush. The default is write() and flush().
  virtual Result<void> write_durable(uint64_t offset, std::span<const std::byte> in);

  // What is read next of this range comes from the medium, not from what a host keeps of earlier
  // calls, as far as the host can be asked to. For recovery, after a flush: when one fails, Linux
  // drops what was still to be written and goes on showing it, as if it were on the medium.
  virtual void forget_cached(uint64_t /*offset*/, uint64_t /*length*/) {}

  // The bytes are not needed any more. On a file a hole is punched and the range reads as zeros;
  // on other devices what the range reads afterwards is unspecified. A device that cannot do it
  // succeeds without doing anything. Errors: io.
  virtual Result<void> discard(uint64_t offset, uint64_t length) = 0;

  // Reserves host space for the range (growing a file if needed), so that later writes to it do
  // not meet no_space. A host that cannot reserve succeeds after growing the file. The content of
  // never-written bytes is zeros. Errors: io, no_space, out_of_range.
  virtual Result<void> allocate(uint64_t offset, uint64_t length) = 0;

  // The first byte of the range that has no storage on the host yet, or storage that was never
  // written: the first write to it costs the host metadata of its own. The end of the range where
  // there is none, or where nobody can tell.
  virtual uint64_t first_hole(uint64_t offset, uint64_t length) const { return offset + length; }

  // Bytes. For a file its current length.
  virtual uint64_t size() const = 0;

  // Sets a file's length; devices of fixed size answer out_of_range unless it is their size.
  virtual Result<void> resize(uint64_t bytes) = 0;

  // Bytes that could still be written before the host is full (for a file: free space of its host
  // filesystem; for a device of fixed size: UINT64_MAX).
  virtual uint64_t host_bytes_free() const { return UINT64_MAX; }

  // True if the length can change (an ordinary file).
  virtual bool can_grow() const { return false; }

  virtual bool read_only() const { return false; }

  // Lets others open the image though this object still exists (FileOptions::lock). Nothing may be
  // written afterwards.
  virtual void release_lock() {}

  // For messages.
  virtual std::string name() const = 0;
};

struct FileOptions {
  bool read_only = false;
  bool create = false;     // create an empty file if there is none
  bool exclusive = false;  // with create: fail if there is one
  // Take the open-file-description lock (F_OFD_SETLK): exclusive when opened for
  // writing, shared when read-only. A conflicting holder gives Errc::busy.
  bool lock = true;
  // The part of the file that is locked; length 0: all that follows.
  uint64_t lock_offset = 0, lock_bytes = 0;
  // With lock: a block device is claimed (O_EXCL) too, so that nobody can mount it meanwhile.
  bool claim = true;
  uint32_t create_mode = 0666;
};

// A file or block device of the host. The only code that makes system calls on an image.
// Errors: not_found, exists (exclusive), invalid_argument (neither a file nor a block device), busy
// (locked by another process), no_space, io (os_errno).
Result<std::shared_ptr<Device>> open_file_device(const std::string& path,
                                                 const FileOptions& options);

// `length` bytes of another device from `base_offset` on, seen as a device of fixed size.
std::shared_ptr<Device> make_range_device(std::shared_ptr<Device> base, uint64_t base_offset,
                                          uint64_t length);

}  // namespace rvm
