// SPDX-License-Identifier: BSD-2-Clause
//
// The reference model: names and attributes. Contents are in reference_model_data.cc, rename in
// reference_model_rename.cc. The rules are those of the Linux manual pages (section 2); where the
// kernel itself guards the call (permissions, path syntax) the model has no rule.
#include "tests/support/reference_model.h"

#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>

namespace rvmfs::test {

ReferenceModel::ReferenceModel(Time start, uint32_t root_mode, uint32_t uid, uint32_t gid)
    : now(start) {
  auto root = std::make_shared<ModelNode>();
  root->mode = S_IFDIR | root_mode;
  root->uid = uid;
  root->gid = gid;
  root->nlink = 2;
  root->parent = format::kRootInode;
  root->atime = root->mtime = root->ctime = root->btime = start;
  nodes_[format::kRootInode] = std::move(root);
}

const ModelNode* ReferenceModel::find(Inode inode) const {
  const auto found = nodes_.find(inode);
  return found == nodes_.end() ? nullptr : found->second.get();
}

ModelNode& ReferenceModel::edit(Inode inode) {
  std::shared_ptr<ModelNode>& slot = nodes_.at(inode);
  if (slot.use_count() > 1) slot = std::make_shared<ModelNode>(*slot);
  return *slot;
}

int ReferenceModel::check_name(Inode parent, std::string_view name) const {
  const ModelNode* directory = find(parent);
  if (directory == nullptr) return ESTALE;
  const bool too_long = name.size() > format::kNameBytesMax;
  if (!directory->is_directory()) return too_long ? kAnyError : ENOTDIR;
  return too_long ? ENAMETOOLONG : 0;
}

int ReferenceModel::check_new_name(Inode parent, std::string_view name) const {
  if (const int error = check_name(parent, name)) return error;
  if (find(parent)->nlink == 0) return ENOENT;  // removed, but still held
  return child(parent, name) != 0 ? EEXIST : 0;
}

Inode ReferenceModel::child(Inode parent, std::string_view name) const {
  const ModelNode& directory = *find(parent);
  const auto entry = directory.entries.find(std::string(name));
  return entry == directory.entries.end() ? 0 : entry->second;
}

Attributes ReferenceModel::attributes(Inode inode) const {
  const ModelNode& node = *find(inode);
  Attributes result;
  result.inode = inode;
  result.mode = node.mode;
  result.uid = node.uid;
  result.gid = node.gid;
  result.nlink = node.nlink;
  if (node.is_regular()) result.size = node.content.size();
  if (node.is_symlink()) result.size = node.target.size();
  if (node.is_directory()) result.size = node.entries.size();
  result.atime = node.atime;
  result.mtime = node.mtime;
  result.ctime = node.ctime;
  result.btime = node.btime;
  result.rdev_major = node.rdev_major;
  result.rdev_minor = node.rdev_minor;
  result.flags = node.flags;
  result.project = node.project;
  return result;
}

Inode ReferenceModel::add_node(Inode parent, uint32_t mode, Caller caller) {
  const Inode inode = hints.next_inode != 0 ? hints.next_inode : next_inode_;
  next_inode_ = inode + 1;
  auto node = std::make_shared<ModelNode>();
  const ModelNode& directory = *find(parent);
  node->mode = mode;
  node->uid = caller.uid;
  node->gid = caller.gid;
  if ((directory.mode & S_ISGID) != 0) {  // BSD groups: the directory's group is inherited
    node->gid = directory.gid;
    if (S_ISDIR(mode)) node->mode |= S_ISGID;
  }
  // chattr(1): what a directory passes on.
  const uint32_t for_files = FS_SYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL;
  const uint32_t for_directories = for_files | FS_DIRSYNC_FL | FS_PROJINHERIT_FL;
  if (S_ISREG(mode)) node->flags = directory.flags & for_files;
  if (S_ISDIR(mode)) node->flags = directory.flags & for_directories;
  if ((directory.flags & FS_PROJINHERIT_FL) != 0) node->project = directory.project;
  node->atime = node->mtime = node->ctime = node->btime = now;
  if (S_ISDIR(mode)) node->parent = parent;
  nodes_[inode] = std::move(node);
  return inode;
}

void ReferenceModel::stamp_directory(Inode directory) {
  ModelNode& node = edit(directory);
  node.mtime = node.ctime = now;
}

void ReferenceModel::add_entry(Inode parent, std::string_view name, Inode inode) {
  edit(parent).entries[std::string(name)] = inode;
  stamp_directory(parent);
}

void ReferenceModel::forget_if_unused(Inode inode) {
  if (find(inode)->nlink == 0 && !holds_.contains(inode)) nodes_.erase(inode);
}

void ReferenceModel::drop_link(Inode inode) {
  ModelNode& node = edit(inode);
  node.ctime = now;
  if (node.is_directory()) {
    node.nlink = 0;
  } else {
    --node.nlink;
  }
  forget_if_unused(inode);
}

void ReferenceModel::hold(Inode inode) { ++holds_[inode]; }

void ReferenceModel::forget(Inode inode) {
  const auto held = holds_.find(inode);
  if (held == holds_.end()) return;
  if (--held->second == 0) holds_.erase(held);
  forget_if_unused(inode);
}

void ReferenceModel::crash() {
  holds_.clear();
  std::erase_if(nodes_, [](const auto& node) { return node.second->nlink == 0; });
}

Answer<Attributes> ReferenceModel::lookup(Inode parent, std::string_view name) const {
  if (const int error = check_name(parent, name)) return {error, {}};
  const Inode found = child(parent, name);
  if (found == 0) return {ENOENT, {}};
  return {0, attributes(found)};
}

Answer<Attributes> ReferenceModel::mknod(Inode parent, std::string_view name, uint32_t mode,
                                         uint32_t rdev_major, uint32_t rdev_minor, Caller caller) {
  if (const int error = check_new_name(parent, name)) return {error, {}};
  const Inode inode = add_node(parent, mode, caller);
  ModelNode& node = edit(inode);
  node.nlink = 1;
  if (S_ISCHR(mode) || S_ISBLK(mode)) {
    node.rdev_major = rdev_major;
    node.rdev_minor = rdev_minor;
  }
  add_entry(parent, name, inode);
  return {0, attributes(inode)};
}

Answer<Attributes> ReferenceModel::mkdir(Inode parent, std::string_view name, uint32_t mode,
                                         Caller caller) {
  if (const int error = check_new_name(parent, name)) return {error, {}};
  const Inode inode = add_node(parent, S_IFDIR | (mode & 07777), caller);
  edit(inode).nlink = 2;
  add_entry(parent, name, inode);
  ++edit(parent).nlink;
  return {0, attributes(inode)};
}

Answer<Attributes> ReferenceModel::symlink(Inode parent, std::string_view name,
                                           std::string_view target, Caller caller) {
  const bool too_long = target.size() > format::kSymlinkBytesMax;
  if (const int error = check_new_name(parent, name)) return {too_long ? kAnyError : error, {}};
  if (too_long) return {ENAMETOOLONG, {}};
  const Inode inode = add_node(parent, S_IFLNK | 0777, caller);
  ModelNode& node = edit(inode);
  node.nlink = 1;
  node.target = target;
  add_entry(parent, name, inode);
  return {0, attributes(inode)};
}

Answer<Attributes> ReferenceModel::link(Inode inode, Inode new_parent, std::string_view new_name) {
  const ModelNode* node = find(inode);
  if (node == nullptr) return {ESTALE, {}};
  const int error = check_new_name(new_parent, new_name);
  if (node->is_directory()) return {error != 0 ? kAnyError : EPERM, {}};
  if (error != 0) return {error, {}};
  ModelNode& target = edit(inode);
  ++target.nlink;
  target.ctime = now;
  add_entry(new_parent, new_name, inode);
  return {0, attributes(inode)};
}

Done ReferenceModel::unlink(Inode parent, std::string_view name) {
  if (const int error = check_name(parent, name)) return {error, {}};
  const Inode inode = child(parent, name);
  if (inode == 0) return {ENOENT, {}};
  if (find(inode)->is_directory()) return {EISDIR, {}};
  edit(parent).entries.erase(std::string(name));
  stamp_directory(parent);
  drop_link(inode);
  return {};
}

Done ReferenceModel::rmdir(Inode parent, std::string_view name) {
  if (const int error = check_name(parent, name)) return {error, {}};
  const Inode inode = child(parent, name);
  if (inode == 0) return {ENOENT, {}};
  if (!find(inode)->is_directory()) return {ENOTDIR, {}};
  if (!find(inode)->entries.empty()) return {ENOTEMPTY, {}};
  edit(parent).entries.erase(std::string(name));
  --edit(parent).nlink;
  stamp_directory(parent);
  drop_link(inode);
  return {};
}

Answer<Attributes> ReferenceModel::tmpfile(Inode parent, uint32_t mode, Caller caller) {
  const ModelNode* directory = find(parent);
  if (directory == nullptr) return {ESTALE, {}};
  if (!directory->is_directory()) return {ENOTDIR, {}};
  if (directory->nlink == 0) return {ENOENT, {}};
  const Inode inode = add_node(parent, S_IFREG | (mode & 07777), caller);
  hold(inode);
  return {0, attributes(inode)};
}

Answer<std::string> ReferenceModel::readlink(Inode inode) {
  const ModelNode* node = find(inode);
  if (node == nullptr) return {ESTALE, {}};
  if (!node->is_symlink()) return {EINVAL, {}};
  std::string target = node->target;
  touch_atime(inode);
  return {0, std::move(target)};
}

Answer<std::vector<DirectoryName>> ReferenceModel::readdir(Inode directory) {
  const ModelNode* node = find(directory);
  if (node == nullptr) return {ESTALE, {}};
  if (!node->is_directory()) return {ENOTDIR, {}};
  std::vector<DirectoryName> names;
  names.push_back({".", directory, S_IFDIR >> 12});
  names.push_back({"..", node->parent, S_IFDIR >> 12});
  for (const auto& [name, inode] : node->entries) {
    const uint32_t type = (find(inode)->mode & S_IFMT) >> 12;
    names.push_back({name, inode, static_cast<uint8_t>(type)});
  }
  touch_atime(directory);
  return {0, std::move(names)};
}

Answer<Attributes> ReferenceModel::getattr(Inode inode) const {
  if (find(inode) == nullptr) return {ESTALE, {}};
  return {0, attributes(inode)};
}

void ReferenceModel::kill_suid_gid_bits(ModelNode& node) {
  if (!node.is_regular()) return;
  node.mode &= ~static_cast<uint32_t>(S_ISUID);
  if ((node.mode & S_IXGRP) != 0) node.mode &= ~static_cast<uint32_t>(S_ISGID);
}

Answer<Attributes> ReferenceModel::setattr(Inode inode, const AttributeChange& change) {
  using Change = AttributeChange;
  const ModelNode* present = find(inode);
  if (present == nullptr) return {ESTALE, {}};
  const auto has = [&](uint32_t bit) { return (change.valid & bit) != 0; };
  if (has(Change::size_bit)) {
    const bool too_big = change.size > format::kFileBytesMax;
    if (present->is_directory()) return {too_big ? kAnyError : EISDIR, {}};
    if (!present->is_regular()) return {too_big ? kAnyError : EINVAL, {}};
    if (too_big) return {EFBIG, {}};
  }
  if (change.valid == 0) return {0, attributes(inode)};
  ModelNode& node = edit(inode);
  if (has(Change::mode_bit)) node.mode = (node.mode & S_IFMT) | (change.mode & 07777);
  if (has(Change::uid_bit)) node.uid = change.uid;
  if (has(Change::gid_bit)) node.gid = change.gid;
  // Another owner, as in chown(2): the file keeps no privileges.
  const bool privileges_end =
      has(Change::uid_bit) || has(Change::gid_bit) || has(Change::kill_suid_gid_bit);
  if (privileges_end && !has(Change::mode_bit)) kill_suid_gid_bits(node);
  if (has(Change::size_bit)) {
    node.content.resize(change.size);
    node.mtime = now;
  }
  if (has(Change::atime_bit)) node.atime = change.atime;
  if (has(Change::atime_now_bit)) node.atime = now;
  if (has(Change::mtime_bit)) node.mtime = change.mtime;
  if (has(Change::mtime_now_bit)) node.mtime = now;
  node.ctime = has(Change::ctime_bit) ? change.ctime : now;
  return {0, attributes(inode)};
}

Done ReferenceModel::set_flags(Inode inode, uint32_t flags, uint32_t project) {
  const ModelNode* present = find(inode);
  if (present == nullptr) return {ESTALE, {}};
  if (!present->is_regular() && !present->is_directory()) return {EOPNOTSUPP, {}};
  ModelNode& node = edit(inode);
  node.flags = flags;
  node.project = project;
  node.ctime = now;
  return {};
}

Answer<std::string> ReferenceModel::getxattr(Inode inode, std::string_view name) const {
  const ModelNode* node = find(inode);
  if (node == nullptr) return {ESTALE, {}};
  const auto found = node->xattrs.find(std::string(name));
  if (found == node->xattrs.end()) return {ENODATA, {}};
  return {0, found->second};
}

Done ReferenceModel::setxattr(Inode inode, std::string_view name, std::string_view value,
                              int flags) {
  const ModelNode* node = find(inode);
  if (node == nullptr) return {ESTALE, {}};
  if (name.empty() || name.size() > 255) return {kAnyError, {}};
  const bool exists = node->xattrs.contains(std::string(name));
  const bool too_big = value.size() > format::kXattrValueBytesMax;
  if ((flags & XATTR_CREATE) != 0 && exists) return {too_big ? kAnyError : EEXIST, {}};
  if ((flags & XATTR_REPLACE) != 0 && !exists) return {too_big ? kAnyError : ENODATA, {}};
  if (too_big) return {E2BIG, {}};
  ModelNode& changed = edit(inode);
  changed.xattrs[std::string(name)] = value;
  changed.ctime = now;
  return {};
}

Done ReferenceModel::removexattr(Inode inode, std::string_view name) {
  const ModelNode* node = find(inode);
  if (node == nullptr) return {ESTALE, {}};
  if (!node->xattrs.contains(std::string(name))) return {ENODATA, {}};
  ModelNode& changed = edit(inode);
  changed.xattrs.erase(std::string(name));
  changed.ctime = now;
  return {};
}

Answer<std::vector<std::string>> ReferenceModel::listxattr(Inode inode) const {
  const ModelNode* node = find(inode);
  if (node == nullptr) return {ESTALE, {}};
  std::vector<std::string> names;
  for (const auto& [name, value] : node->xattrs) names.push_back(name);
  return {0, std::move(names)};
}

}  // namespace rvmfs::test
