// SPDX-License-Identifier: BSD-2-Clause
//
// The filesystem's own error codes, above librvm's, and the one table that maps both to errno.
#pragma once

#include "rvm/error.h"

namespace rvmfs {

using rvm::Error;
using rvm::Result;

enum class FsErrc : uint32_t {
  no_entry = 1000,      // ENOENT
  entry_exists,         // EEXIST
  not_a_directory,      // ENOTDIR
  is_a_directory,       // EISDIR
  directory_not_empty,  // ENOTEMPTY
  name_too_long,        // ENAMETOOLONG
  bad_argument,         // EINVAL
  too_many_links,       // EMLINK
  file_too_big,         // EFBIG
  no_attribute,         // ENODATA
  attribute_too_big,    // E2BIG
  buffer_too_small,     // ERANGE
  not_supported,        // EOPNOTSUPP
  not_permitted,        // EPERM
  stale,                // ESTALE
  no_data_there,        // ENXIO (SEEK_DATA beyond the last data)
  volume_full,          // ENOSPC
  read_only_volume,     // EROFS
  symlink_loop,         // ELOOP
  damaged,              // EIO
  not_rvmfs,            // no superblock of ours
  unknown_features,     // made by a newer rvmfs
};

constexpr Error fs_error(FsErrc code, const char* what = "", uint64_t position = 0) {
  return Error{static_cast<rvm::Errc>(code), 0, position, what};
}
inline bool is(const Error& error, FsErrc code) {
  return static_cast<uint32_t>(error.code) == static_cast<uint32_t>(code);
}

// The errno that a program is to see. io keeps the host's ENOSPC, EDQUOT and EFBIG; else EIO.
int errno_of(const Error& error);

// A sentence for people, for codes of both kinds.
std::string explain(const Error& error);  // (not "describe": that is found in rvm too)

}  // namespace rvmfs
