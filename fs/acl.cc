// SPDX-License-Identifier: BSD-2-Clause
//
// POSIX access control lists: see fs/acl.h.
//
// The value is what Linux passes through its calls, and what ext4's and other filesystems' tools
// know: a version, and entries in order of tag and id, little-endian.
#include "fs/acl.h"

#include <sys/stat.h>

#include <cstring>

#include "fs/attributes.h"
#include "fs/inode.h"
#include "fs/xattr.h"

namespace rvmfs {

namespace {

using format::InodeItem;

constexpr uint32_t kVersion = 2;
constexpr uint32_t kUndefinedId = UINT32_MAX;

enum Tag : uint16_t {
  owner = 0x01,
  user = 0x02,
  owning_group = 0x04,
  group = 0x08,
  mask = 0x10,
  other = 0x20,
};

struct Entry {
  uint16_t tag;
  uint16_t permissions;  // rwx as in a mode
  uint32_t id;           // of a user or a group
};
static_assert(sizeof(Entry) == 8);

class Acl {
 public:
  static Result<Acl> parse(std::string_view value);
  std::string text() const;

  bool empty() const { return entries_.empty(); }
  // Owner, group and others only.
  bool is_only_a_mode() const { return entries_.size() == 3; }
  uint32_t mode() const;
  void follow_mode(uint32_t mode);
  // Allows nothing that `mode` does not; returns what of the mode's permissions is left.
  uint32_t restrict_to(uint32_t mode);

 private:
  Entry* find(Tag tag);
  const Entry* find(Tag tag) const { return const_cast<Acl*>(this)->find(tag); }
  Entry* group_class() {  // whose permissions a mode shows as the group's
    Entry* const found = find(mask);
    return found != nullptr ? found : find(owning_group);
  }
  bool is_valid() const;

  std::vector<Entry> entries_;
};

Result<Acl> Acl::parse(std::string_view value) {
  Acl acl;
  if (value.empty()) return acl;
  uint32_t version = 0;
  if (value.size() < sizeof version || (value.size() - sizeof version) % sizeof(Entry) != 0) {
    return fs_error(FsErrc::bad_argument, "not an access control list");
  }
  std::memcpy(&version, value.data(), sizeof version);
  acl.entries_.resize((value.size() - sizeof version) / sizeof(Entry));
  if (!acl.empty()) {
    std::memcpy(acl.entries_.data(), value.data() + sizeof version, value.size() - sizeof version);
  }
  if (version != kVersion || (!acl.empty() && !acl.is_valid())) {
    return fs_error(FsErrc::bad_argument, "not an access control list");
  }
  return acl;
}

// In order of tags; what every list has stands there once; named entries only with a mask. As in
// the kernel, nobody minds the same user twice.
bool Acl::is_valid() const {
  uint32_t seen = 0;
  for (const Entry& entry : entries_) {
    const bool named = entry.tag == user || entry.tag == group;
    const bool is_tag = entry.tag != 0 && entry.tag <= other && (entry.tag & (entry.tag - 1)) == 0;
    const bool in_order = named ? entry.tag * 2U > seen : entry.tag > seen;
    if (!is_tag || !in_order || entry.permissions > 7) return false;
    if (named && entry.id == kUndefinedId) return false;
    seen |= entry.tag;
  }
  constexpr uint32_t kAlways = owner | owning_group | other;
  return (seen & kAlways) == kAlways && ((seen & (user | group)) == 0 || (seen & mask) != 0);
}

std::string Acl::text() const {
  std::string value(sizeof kVersion + entries_.size() * sizeof(Entry), '\0');
  std::memcpy(value.data(), &kVersion, sizeof kVersion);
  std::memcpy(value.data() + sizeof kVersion, entries_.data(), entries_.size() * sizeof(Entry));
  return value;
}

Entry* Acl::find(Tag tag) {
  for (Entry& entry : entries_) {
    if (entry.tag == tag) return &entry;
  }
  return nullptr;
}

uint32_t Acl::mode() const {
  const Entry* const group_bits = const_cast<Acl*>(this)->group_class();
  return uint32_t{find(owner)->permissions} << 6 | uint32_t{group_bits->permissions} << 3 |
         find(other)->permissions;
}

void Acl::follow_mode(uint32_t mode) {
  find(owner)->permissions = mode >> 6 & 7;
  group_class()->permissions = mode >> 3 & 7;
  find(other)->permissions = mode & 7;
}

uint32_t Acl::restrict_to(uint32_t mode) {
  find(owner)->permissions &= mode >> 6 & 7;
  group_class()->permissions &= mode >> 3 & 7;
  find(other)->permissions &= mode & 7;
  return (mode & ~0777U) | this->mode();
}

Result<Acl> read_acl(VolumeCore& core, Inode inode, std::string_view name) {
  Result<std::string> value = read_xattr(core, inode, name);
  if (!value) {
    if (is(value.error(), FsErrc::no_attribute)) return Acl();
    return value.error();
  }
  Result<Acl> acl = Acl::parse(*value);
  if (!acl) return fs_error(FsErrc::damaged, "access control list is damaged", inode);
  return acl;
}

Result<void> erase_acl(Operation& op, VolumeCore& core, Inode inode, std::string_view name) {
  Result<void> removed = remove_xattr(op, core, inode, name);
  if (!removed && is(removed.error(), FsErrc::no_attribute)) return {};
  return removed;
}

Result<void> set_mode(Operation& op, VolumeCore& core, Inode inode, uint32_t permissions,
                      bool kill_sgid) {
  RVM_ASSIGN(InodeItem * item, modify_inode_part(op, core, inode, 0, offsetof(InodeItem, uid)));
  item->mode = (item->mode & ~0777U) | permissions;
  if (kill_sgid) item->mode &= ~static_cast<uint32_t>(S_ISGID);
  return {};
}

}  // namespace

Result<void> set_acl(Operation& op, VolumeCore& core, Inode inode, std::string_view name,
                     std::string_view value, bool kill_sgid) {
  RVM_TRY(check_attributes_changeable(core, inode));
  RVM_ASSIGN(const InodeItem* item, core.inode(inode));
  const uint32_t type = item->mode & S_IFMT;
  RVM_ASSIGN(const Acl acl, Acl::parse(value));
  if (type == S_IFLNK) return fs_error(FsErrc::not_supported, "ACL of a symlink", inode);
  if (name == kDefaultAcl && type != S_IFDIR && !acl.empty()) {
    return fs_error(FsErrc::not_permitted, "default ACL of what is no directory", inode);
  }
  const bool is_access = name == kAccessAcl;
  if (acl.empty() || (is_access && acl.is_only_a_mode())) {
    RVM_TRY(erase_acl(op, core, inode, name));
  } else {
    RVM_TRY(put_xattr(op, core, inode, name, acl.text()));
  }
  if (is_access && !acl.empty()) RVM_TRY(set_mode(op, core, inode, acl.mode(), kill_sgid));
  return core.touch(op, inode, false, true, false);
}

Result<void> acl_follows_mode(Operation& op, VolumeCore& core, Inode inode, uint32_t mode) {
  if (!may_have_acls(core)) return {};
  RVM_ASSIGN(Acl acl, read_acl(core, inode, kAccessAcl));
  if (acl.empty()) return {};
  acl.follow_mode(mode);
  return put_xattr(op, core, inode, kAccessAcl, acl.text());
}

Result<std::optional<InheritedAcl>> inherited_acl(VolumeCore& core, Inode directory,
                                                  uint32_t mode) {
  std::optional<InheritedAcl> result;
  if (!may_have_acls(core) || S_ISLNK(mode)) return result;
  RVM_ASSIGN(Acl acl, read_acl(core, directory, kDefaultAcl));
  if (acl.empty()) return result;
  result.emplace();
  if (S_ISDIR(mode)) result->default_list = acl.text();
  result->mode = acl.restrict_to(mode);
  if (!acl.is_only_a_mode()) result->access = acl.text();
  return result;
}

Result<void> give_acl(Operation& op, VolumeCore& core, Inode inode, const InheritedAcl& acl) {
  if (!acl.access.empty()) RVM_TRY(put_xattr(op, core, inode, kAccessAcl, acl.access));
  if (acl.default_list.empty()) return {};
  return put_xattr(op, core, inode, kDefaultAcl, acl.default_list);
}

}  // namespace rvmfs
