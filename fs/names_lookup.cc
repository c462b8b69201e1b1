// SPDX-License-Identifier: BSD-2-Clause
//
// Finding names: lookup and readlink.
#include <sys/stat.h>

#include "fs/attributes.h"
#include "fs/directory.h"

namespace rvmfs {

namespace {

using format::InodeItem;
using format::ItemType;

Result<Inode> resolve(VolumeCore& core, Inode parent, std::string_view name) {
  if (name == ".") return parent;  // also of a file: file handles are resolved this way
  RVM_ASSIGN(const InodeItem* directory, directory_inode(core, parent));
  if (name == "..") return directory->parent;
  RVM_ASSIGN(const FoundEntry entry, find_entry(core, parent, name));
  return entry.inode;
}

}  // namespace

Result<Attributes> Volume::lookup(Inode parent, std::string_view name) {
  RVM_TRY(check_name(name));
  VolumeCore& core = *core_;
  return core.run_read<Attributes>([&]() -> Result<Attributes> {
    RVM_ASSIGN(const Inode inode, resolve(core, parent, name));
    RVM_ASSIGN(const InodeItem* item, core.inode(inode));
    if (core.options.count_lookups) core.hold(inode);
    return VolumeCore::attributes_of(inode, *item);
  });
}

Result<std::string> Volume::readlink(Inode inode) {
  VolumeCore& core = *core_;
  RVM_ASSIGN(std::string result, core.run_read<std::string>([&]() -> Result<std::string> {
    RVM_ASSIGN(const InodeItem* item, core.inode(inode));
    if (!S_ISLNK(item->mode)) return fs_error(FsErrc::bad_argument, "not a symlink", inode);
    const uint64_t size = item->size;
    const Error damaged = fs_error(FsErrc::damaged, "symlink target is damaged", inode);
    if (size == 0 || size > format::kSymlinkBytesMax) return damaged;
    std::string target;
    while (target.size() < size) {
      auto piece = core.tree->find(item_key(inode, ItemType::inlined, target.size()));
      if (!piece) return piece.error() == rvm::Errc::not_found ? damaged : piece.error();
      if (piece->empty() || piece->size() > size - target.size()) return damaged;
      target.append(reinterpret_cast<const char*>(piece->data()), piece->size());
    }
    return target;
  }));
  // The target is there; a volume that cannot note the access (full, failed) does not spoil it.
  static_cast<void>(update_atime(core, inode));
  return result;
}

}  // namespace rvmfs
