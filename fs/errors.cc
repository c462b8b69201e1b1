// SPDX-License-Identifier: BSD-2-Clause
//
// The table from error codes to errno, and sentences for the filesystem's own codes.
#include "fs/errors.h"

#include <fmt/format.h>

#include <cerrno>
#include <iterator>

namespace rvmfs {

namespace {

struct FsRow {
  FsErrc code;
  int number;
  const char* sentence;
};

constexpr FsRow kFsRows[] = {
    {FsErrc::no_entry, ENOENT, "no such file or directory"},
    {FsErrc::entry_exists, EEXIST, "the name exists already"},
    {FsErrc::not_a_directory, ENOTDIR, "not a directory"},
    {FsErrc::is_a_directory, EISDIR, "is a directory"},
    {FsErrc::directory_not_empty, ENOTEMPTY, "the directory is not empty"},
    {FsErrc::name_too_long, ENAMETOOLONG, "the name is too long"},
    {FsErrc::bad_argument, EINVAL, "invalid argument"},
    {FsErrc::too_many_links, EMLINK, "too many links"},
    {FsErrc::file_too_big, EFBIG, "the file would be too big"},
    {FsErrc::no_attribute, ENODATA, "no such extended attribute"},
    {FsErrc::attribute_too_big, E2BIG, "the attribute's value is too big"},
    {FsErrc::buffer_too_small, ERANGE, "out of range"},
    {FsErrc::not_supported, EOPNOTSUPP, "not supported"},
    {FsErrc::not_permitted, EPERM, "not permitted"},
    {FsErrc::stale, ESTALE, "the inode does not exist any more"},
    {FsErrc::no_data_there, ENXIO, "no data beyond this offset"},
    {FsErrc::volume_full, ENOSPC, "the volume is full"},
    {FsErrc::read_only_volume, EROFS, "the volume is read-only"},
    {FsErrc::symlink_loop, ELOOP, "too many symbolic links"},
    {FsErrc::damaged, EIO, "the volume is damaged (run fsck.rvmfs)"},
    {FsErrc::not_rvmfs, EINVAL, "not an rvmfs volume"},
    {FsErrc::unknown_features, EINVAL, "the volume was made by a newer rvmfs"},
};
static_assert(std::size(kFsRows) == uint32_t(FsErrc::unknown_features) - 1000 + 1);

const FsRow* row_of(const Error& error) {
  for (const FsRow& row : kFsRows) {
    if (is(error, row.code)) return &row;
  }
  return nullptr;
}

int errno_of_rvm(const Error& error) {
  using rvm::Errc;
  switch (error.code) {
    case Errc::no_space: return error.os_errno == EDQUOT ? EDQUOT : ENOSPC;
    case Errc::full: return ENOSPC;
    case Errc::io:
      return error.os_errno == ENOSPC || error.os_errno == EDQUOT || error.os_errno == EFBIG
                 ? error.os_errno
                 : EIO;
    case Errc::out_of_memory: return ENOMEM;
    case Errc::read_only: return EROFS;
    case Errc::busy: return EBUSY;
    case Errc::not_found: return ENOENT;
    case Errc::exists: return EEXIST;
    default:  // damage, and what must not happen
      return EIO;
  }
}

}  // namespace

int errno_of(const Error& error) {
  const FsRow* row = row_of(error);
  return row != nullptr ? row->number : errno_of_rvm(error);
}

std::string explain(const Error& error) {
  const FsRow* row = row_of(error);
  if (row == nullptr) return rvm::describe(error);
  std::string text = row->sentence;
  if (*error.what != '\0') text += fmt::format(": {}", error.what);
  if (error.position != 0) text += fmt::format(" ({})", error.position);
  return text;
}

}  // namespace rvmfs
