// SPDX-License-Identifier: BSD-2-Clause
//
// "The limit": class Volume (fs/volume.h) over a tree in memory. Linked with the sources of rvmfs's
// own daemon in place of the real Volume, it makes a program with the same command line, session,
// requests and switches that stores nothing: what rvmfs would be if the filesystem cost nothing.
//
// Thread rules: as Volume's. One lock: shared for what only looks, exclusive for changes.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <mutex>
#include <shared_mutex>

#include "bench/limit/memory_tree.h"
#include "fs/meta_lock.h"

namespace rvmfs {

class VolumeCore {
 public:
  explicit VolumeCore(bool count_lookups) : counts(count_lookups) {}

  MemoryTree tree;
  MetaLock mutex;
  const bool counts;
};

namespace {

using Exclusive = std::lock_guard<MetaLock>;
using Shared = std::shared_lock<MetaLock>;

constexpr uint64_t kBlocks = 1ULL << 28;
constexpr uint64_t kSectorBytes = 512;

Error absent() { return fs_error(FsErrc::no_entry); }
Error stale() { return fs_error(FsErrc::stale); }
uint8_t type_of(uint32_t mode) { return static_cast<uint8_t>(IFTODT(mode)); }

void touch(Node& node) { node.attributes.mtime = node.attributes.ctime = time_now(); }

void set_size(Node& node, uint64_t size) {
  if (size < node.attributes.size) node.content.shrink(size);
  node.attributes.size = size;
  node.attributes.blocks = (size + kSectorBytes - 1) / kSectorBytes;
}

// Shared by everything that makes a name. The node gets its attributes from `prepare`.
template <typename Prepare>
Result<Attributes> make_entry(VolumeCore& core, Inode parent, std::string_view name, uint32_t mode,
                              Caller caller, Prepare prepare) {
  if (name.size() > format::kNameBytesMax) return fs_error(FsErrc::name_too_long);
  const Exclusive lock(core.mutex);
  Node* const directory = core.tree.find(parent);
  if (directory == nullptr) return stale();
  if (directory->directory.find(name) != nullptr) return fs_error(FsErrc::entry_exists);
  Node& node = core.tree.make(mode, caller);
  node.attributes.nlink = 1;
  prepare(node, *directory);
  directory->directory.add(name, node.attributes.inode, type_of(mode));
  touch(*directory);
  if (core.counts) ++node.held;
  return node.attributes;
}

void drop_name(VolumeCore& core, Node& parent, std::string_view name, Node& node) {
  parent.directory.remove(name);
  touch(parent);
  if (S_ISDIR(node.attributes.mode)) {
    --parent.attributes.nlink;
    node.attributes.nlink = 0;
  } else {
    --node.attributes.nlink;
  }
  node.attributes.ctime = parent.attributes.ctime;
  core.tree.release(node);
}

Result<void> remove_entry(VolumeCore& core, Inode parent, std::string_view name, bool directory) {
  const Exclusive lock(core.mutex);
  Node* const from = core.tree.find(parent);
  if (from == nullptr) return stale();
  const Directory::Slot* const slot = from->directory.find(name);
  if (slot == nullptr) return absent();
  Node& node = *core.tree.find(slot->inode);
  const bool is_directory = S_ISDIR(node.attributes.mode);
  if (directory && !is_directory) return fs_error(FsErrc::not_a_directory);
  if (!directory && is_directory) return fs_error(FsErrc::is_a_directory);
  if (is_directory && !node.directory.empty()) return fs_error(FsErrc::directory_not_empty);
  drop_name(core, *from, name, node);
  return {};
}

void apply(Node& node, const AttributeChange& change) {
  using C = AttributeChange;
  Attributes& a = node.attributes;
  const Time now = time_now();
  if ((change.valid & C::mode_bit) != 0) a.mode = (a.mode & S_IFMT) | (change.mode & 07777);
  if ((change.valid & C::uid_bit) != 0) a.uid = change.uid;
  if ((change.valid & C::gid_bit) != 0) a.gid = change.gid;
  if ((change.valid & C::size_bit) != 0) set_size(node, change.size);
  if ((change.valid & C::atime_bit) != 0) a.atime = change.atime;
  if ((change.valid & C::mtime_bit) != 0) a.mtime = change.mtime;
  if ((change.valid & C::atime_now_bit) != 0) a.atime = now;
  if ((change.valid & C::mtime_now_bit) != 0) a.mtime = now;
  a.ctime = now;
}

}  // namespace

Volume::Volume(std::unique_ptr<VolumeCore> core) : core_(std::move(core)) {}
Volume::~Volume() = default;

Result<std::unique_ptr<Volume>> Volume::open(std::shared_ptr<rvm::Device>,
                                             const MountOptions& options) {
  return std::unique_ptr<Volume>(new Volume(std::make_unique<VolumeCore>(options.count_lookups)));
}
Result<void> Volume::close() { return {}; }
rvm::RecoveryReport Volume::recovery() const { return {}; }
Result<format::Superblock> read_superblock(rvm::Device&) {
  return fs_error(FsErrc::not_supported, "nothing is stored");
}

format::Superblock Volume::superblock() const {
  static const format::Superblock none{};
  return none;
}

Result<Attributes> Volume::lookup(Inode parent, std::string_view name) {
  if (name.size() > format::kNameBytesMax) return fs_error(FsErrc::name_too_long);
  const Exclusive lock(core_->mutex);  // it counts a hold
  Node* const directory = core_->tree.find(parent);
  if (directory == nullptr) return stale();
  const Directory::Slot* const slot = directory->directory.find(name);
  if (slot == nullptr) return absent();
  Node& node = *core_->tree.find(slot->inode);
  if (core_->counts) ++node.held;
  return node.attributes;
}

void Volume::forget(Inode inode, uint64_t count) {
  const Exclusive lock(core_->mutex);
  Node* const node = core_->tree.find(inode);
  if (node == nullptr) return;
  node->held -= std::min(node->held, count);
  core_->tree.release(*node);
}

void Volume::hold(Inode inode) {
  const Exclusive lock(core_->mutex);
  Node* const node = core_->tree.find(inode);
  if (node != nullptr) ++node->held;
}

Result<Attributes> Volume::mknod(Inode parent, std::string_view name, uint32_t mode,
                                 uint32_t rdev_major, uint32_t rdev_minor, Caller caller) {
  return make_entry(*core_, parent, name, mode, caller, [&](Node& node, Node&) {
    node.attributes.rdev_major = rdev_major;
    node.attributes.rdev_minor = rdev_minor;
  });
}

Result<Attributes> Volume::mkdir(Inode parent, std::string_view name, uint32_t mode,
                                 Caller caller) {
  return make_entry(*core_, parent, name, S_IFDIR | (mode & 07777), caller,
                    [&](Node& node, Node& directory) {
                      node.attributes.nlink = 2;
                      node.parent = parent;
                      ++directory.attributes.nlink;
                    });
}

Result<Attributes> Volume::symlink(Inode parent, std::string_view name, std::string_view target,
                                   Caller caller) {
  return make_entry(*core_, parent, name, S_IFLNK | 0777, caller, [&](Node& node, Node&) {
    node.target = target;
    node.attributes.size = target.size();
  });
}

Result<Attributes> Volume::link(Inode inode, Inode new_parent, std::string_view new_name) {
  const Exclusive lock(core_->mutex);
  Node* const node = core_->tree.find(inode);
  Node* const directory = core_->tree.find(new_parent);
  if (node == nullptr || directory == nullptr) return stale();
  if (directory->directory.find(new_name) != nullptr) return fs_error(FsErrc::entry_exists);
  directory->directory.add(new_name, inode, type_of(node->attributes.mode));
  ++node->attributes.nlink;
  if (core_->counts) ++node->held;
  touch(*directory);
  return node->attributes;
}

Result<void> Volume::unlink(Inode parent, std::string_view name) {
  return remove_entry(*core_, parent, name, false);
}

Result<void> Volume::rmdir(Inode parent, std::string_view name) {
  return remove_entry(*core_, parent, name, true);
}

Result<void> Volume::rename(Inode parent, std::string_view name, Inode new_parent,
                            std::string_view new_name, uint32_t flags) {
  if ((flags & ~static_cast<uint32_t>(RENAME_NOREPLACE)) != 0) {
    return fs_error(FsErrc::bad_argument);
  }
  const Exclusive lock(core_->mutex);
  Node* const from = core_->tree.find(parent);
  Node* const to = core_->tree.find(new_parent);
  if (from == nullptr || to == nullptr) return stale();
  const Directory::Slot* const slot = from->directory.find(name);
  if (slot == nullptr) return absent();
  Node& node = *core_->tree.find(slot->inode);
  if (const Directory::Slot* const old = to->directory.find(new_name)) {
    if (flags != 0) return fs_error(FsErrc::entry_exists);
    Node& target = *core_->tree.find(old->inode);
    if (&target == &node) return {};
    if (!target.directory.empty()) return fs_error(FsErrc::directory_not_empty);
    drop_name(*core_, *to, new_name, target);
  }
  from->directory.remove(name);
  to->directory.add(new_name, node.attributes.inode, type_of(node.attributes.mode));
  touch(*from);
  touch(*to);
  node.attributes.ctime = to->attributes.ctime;
  if (S_ISDIR(node.attributes.mode)) {
    --from->attributes.nlink;
    ++to->attributes.nlink;
    node.parent = new_parent;
  }
  return {};
}

Result<Attributes> Volume::tmpfile(Inode, uint32_t mode, Caller caller) {
  const Exclusive lock(core_->mutex);
  Node& node = core_->tree.make(mode, caller);
  if (core_->counts) ++node.held;
  return node.attributes;
}

Result<std::string> Volume::readlink(Inode inode) {
  const Shared lock(core_->mutex);
  const Node* const node = core_->tree.find(inode);
  if (node == nullptr) return stale();
  return node->target;
}

Result<void> Volume::readdir(Inode directory, uint64_t cookie, bool plus,
                             const std::function<bool(const DirectoryItem&)>& sink) {
  const Exclusive lock(core_->mutex);  // it counts holds
  const Node* const node = core_->tree.find(directory);
  if (node == nullptr) return stale();
  if (cookie < 1 && !sink({1, directory, DT_DIR, ".", nullptr})) return {};
  if (cookie < 2 && !sink({2, node->parent, DT_DIR, "..", nullptr})) return {};
  const auto& slots = node->directory.slots();
  for (size_t i = cookie < 2 ? 0 : cookie - 2; i < slots.size(); ++i) {
    const Directory::Slot& slot = slots[i];
    if (slot.name.empty()) continue;
    Node* const item = plus ? core_->tree.find(slot.inode) : nullptr;
    if (!sink({i + 3, slot.inode, slot.type, slot.name,
               item == nullptr ? nullptr : &item->attributes})) {
      return {};
    }
    if (item != nullptr && core_->counts) ++item->held;
  }
  return {};
}

Result<Attributes> Volume::getattr(Inode inode) {
  const Shared lock(core_->mutex);
  const Node* const node = core_->tree.find(inode);
  if (node == nullptr) return stale();
  return node->attributes;
}

Result<Attributes> Volume::setattr(Inode inode, const AttributeChange& change) {
  const Exclusive lock(core_->mutex);
  Node* const node = core_->tree.find(inode);
  if (node == nullptr) return stale();
  apply(*node, change);
  return node->attributes;
}

// Attributes that the workloads do not use.
Result<void> Volume::set_flags(Inode, uint32_t, uint32_t) {
  return fs_error(FsErrc::not_supported);
}
Result<std::string> Volume::getxattr(Inode, std::string_view) {
  return fs_error(FsErrc::no_attribute);
}
Result<void> Volume::setxattr(Inode, std::string_view, std::string_view, int, bool) {
  return fs_error(FsErrc::not_supported);
}
Result<void> Volume::removexattr(Inode, std::string_view) { return fs_error(FsErrc::no_attribute); }
Result<std::string> Volume::listxattr(Inode) { return std::string(); }

Result<size_t> Volume::read(Inode inode, uint64_t offset, std::span<std::byte> out, bool) {
  const Shared lock(core_->mutex);
  const Node* const node = core_->tree.find(inode);
  if (node == nullptr) return stale();
  if (offset >= node->attributes.size) return size_t{0};
  const size_t bytes = std::min<uint64_t>(out.size(), node->attributes.size - offset);
  node->content.read(offset, out.first(bytes));
  return bytes;
}

Result<size_t> Volume::write(Inode inode, uint64_t offset, std::span<const std::byte> in, bool) {
  const Exclusive lock(core_->mutex);
  Node* const node = core_->tree.find(inode);
  if (node == nullptr) return stale();
  node->content.write(offset, in);
  if (offset + in.size() > node->attributes.size) set_size(*node, offset + in.size());
  touch(*node);
  return in.size();
}

Result<void> Volume::fallocate(Inode inode, int mode, uint64_t offset, uint64_t length, bool) {
  if (mode != 0 && mode != FALLOC_FL_KEEP_SIZE) return fs_error(FsErrc::not_supported);
  const Exclusive lock(core_->mutex);
  Node* const node = core_->tree.find(inode);
  if (node == nullptr) return stale();
  if (mode == 0) set_size(*node, std::max(node->attributes.size, offset + length));
  return {};
}

Result<uint64_t> Volume::lseek(Inode inode, uint64_t offset, int whence) {
  const Shared lock(core_->mutex);
  const Node* const node = core_->tree.find(inode);
  if (node == nullptr) return stale();
  if (offset >= node->attributes.size) return fs_error(FsErrc::no_data_there);
  return whence == SEEK_DATA ? offset : node->attributes.size;
}

Result<uint64_t> Volume::copy_file_range(Inode, uint64_t, Inode, uint64_t, uint64_t, bool) {
  return fs_error(FsErrc::not_supported);
}

Result<void> Volume::fsync(Inode, bool) { return {}; }
Result<void> Volume::sync() { return {}; }
Result<void> Volume::grow(uint64_t) { return fs_error(FsErrc::not_supported); }
Result<void> Volume::set_label(std::string_view) { return fs_error(FsErrc::not_supported); }
Result<uint64_t> Volume::trim(uint64_t, uint64_t, uint64_t) {
  return fs_error(FsErrc::not_supported);
}
Result<void> Volume::shut_down() { return fs_error(FsErrc::not_supported); }
bool Volume::failed() const { return false; }

Result<VolumeStatus> Volume::statfs() {
  const Shared lock(core_->mutex);
  return VolumeStatus{kBlocks, kBlocks, kBlocks, core_->tree.count(), kBlocks};
}

}  // namespace rvmfs
