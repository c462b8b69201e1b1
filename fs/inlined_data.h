// SPDX-License-Identifier: BSD-2-Clause
//
// Contents of small files, kept in the metadata (format::Layout::inlined). A regular file has one
// inlined item with exactly its size in bytes, and none if it is empty. (The targets of symbolic
// links may have several pieces; they are not read here.)
//
// A file begins inlined. It moves to extents when it grows beyond kInlineFileBytesMax, and is
// inlined again only when it is cut to nothing.
#pragma once

#include <span>

#include "fs/core.h"

namespace rvmfs {

// The content; as long as item.size says. Call inside run_read or run_write; valid until the next
// change of the tree. Errors: damaged.
Result<std::span<const std::byte>> read_inlined(VolumeCore& core, Inode inode,
                                                const format::InodeItem& item);

// Call inside run_write, for files of at most kInlineFileBytesMax afterwards. They change contents
// and size, no times. A file that grows has zeros between.
Result<void> write_inlined(Operation& op, VolumeCore& core, Inode inode, uint64_t offset,
                           std::span<const std::byte> data);
Result<void> resize_inlined(Operation& op, VolumeCore& core, Inode inode, uint64_t size);

// Frees inlined pieces (of files and symbolic links) from byte `size` on.
Result<bool> free_inlined(Operation& op, VolumeCore& core, Inode inode, uint64_t size,
                          uint32_t items_max);

// Moves the content of an inlined file to a block; what the file says stays the same. Call with the
// data lock held and without meta_lock. Errors: volume_full and others; then nothing has changed.
Result<void> convert_inlined(VolumeCore& core, Inode inode);

}  // namespace rvmfs
