// SPDX-License-Identifier: BSD-2-Clause
//
// rename, with RENAME_NOREPLACE, RENAME_EXCHANGE and RENAME_WHITEOUT: one transaction, so the
// target name is never missing. An existing target's entry is changed in place.
//
// A directory must not be moved below itself. Walking up from the new parent finds out; the walk
// ends on damaged images too, since a loop of parents meets itself (R. P. Brent's cycle detection).
#include <sys/stat.h>

#include <optional>

#include "fs/attributes.h"
#include "fs/directory.h"
#include "fs/inode.h"
#include "fs/orphans.h"
#include "seeded_bug.h"

namespace rvmfs {

namespace {

using format::InodeItem;

constexpr uint32_t kNoReplace = 1, kExchange = 2, kWhiteout = 4;  // as in rename(2)

struct Place {
  Inode parent = 0;
  std::string_view name;
};

struct Thing {
  FoundEntry entry;
  bool is_directory = false;
};

Result<void> check_rename(const Place& from, const Place& to, uint32_t flags) {
  if ((flags & ~(kNoReplace | kExchange | kWhiteout)) ||
      ((flags & kExchange) && (flags & (kNoReplace | kWhiteout)))) {
    return fs_error(FsErrc::bad_argument, "rename flags");
  }
  for (const Place* place : {&from, &to}) {
    RVM_TRY(check_name(place->name));
    if (is_dot(place->name)) return fs_error(FsErrc::bad_argument, "rename of a dot");
  }
  return {};
}

Result<Thing> find_thing(VolumeCore& core, const Place& place) {
  RVM_ASSIGN(const FoundEntry entry, find_entry(core, place.parent, place.name));
  RVM_ASSIGN(const InodeItem* item, core.inode(entry.inode));
  return Thing{entry, S_ISDIR(item->mode)};
}

// A thing whose name is to go away or to become another's.
Result<void> check_movable(VolumeCore& core, const Thing& thing) {
  RVM_ASSIGN(const InodeItem* item, core.inode(thing.entry.inode));
  if (item->flags & (kFlagImmutable | kFlagAppend)) {
    return fs_error(FsErrc::not_permitted, "immutable or append-only", thing.entry.inode);
  }
  return {};
}

// bad_argument if `directory` is `ancestor` or lies below it.
Result<void> check_not_below(VolumeCore& core, Inode directory, Inode ancestor) {
  Inode checkpoint = 0;
  for (uint64_t steps = 0, next_checkpoint = 1; directory != format::kRootInode; ++steps) {
    if (directory == ancestor) {
      return fs_error(FsErrc::bad_argument, "a directory below itself", ancestor);
    }
    if (directory == checkpoint) {
      return fs_error(FsErrc::damaged, "directories contain each other", directory);
    }
    if (steps == next_checkpoint) {
      checkpoint = directory;
      next_checkpoint *= 2;
    }
    RVM_ASSIGN(const InodeItem* item, directory_inode(core, directory));
    directory = item->parent;
  }
  return {};
}

Result<void> set_parent(Operation& op, VolumeCore& core, Inode directory, Inode parent) {
  RVM_ASSIGN(InodeItem * item, modify_inode_part(op, core, directory, offsetof(InodeItem, parent),
                                                 offsetof(InodeItem, rdev_major)));
  item->parent = parent;
  return {};
}

// The target of a plain rename goes: its entry is about to name something else.
Result<void> displace(Operation& op, VolumeCore& core, const Thing& source, const Thing& target) {
  RVM_TRY(check_movable(core, target));
  if (source.is_directory && !target.is_directory) return fs_error(FsErrc::not_a_directory);
  if (!source.is_directory && target.is_directory) return fs_error(FsErrc::is_a_directory);
  if (!target.is_directory) return drop_link(op, core, target.entry.inode);
  RVM_ASSIGN(const bool empty, is_empty_directory(core, target.entry.inode));
  if (!empty) return fs_error(FsErrc::directory_not_empty, "", target.entry.inode);
  return drop_directory(op, core, target.entry.inode);
}

// The old name goes, or becomes a whiteout: a character device 0:0, which overlayfs understands.
Result<void> leave(Operation& op, VolumeCore& core, const Place& from, const Thing& source,
                   bool whiteout) {
  if (!whiteout) return erase_entry(op, core, source.entry);
  RVM_ASSIGN(const InodeItem* parent, core.inode(from.parent));
  const NewInode what{.mode = S_IFCHR, .caller = {parent->uid, parent->gid}};
  RVM_ASSIGN(const Inode inode, create_inode(op, core, from.parent, what));
  return replace_entry(op, core, source.entry, inode, entry_type(S_IFCHR));
}

// Both parents' counts and times, the moved thing's ctime and "..".
Result<void> account(Operation& op, VolumeCore& core, const Place& from, const Place& to,
                     const Thing& source, const std::optional<Thing>& target, bool whiteout) {
  const int source_links = source.is_directory ? 1 : 0;
  const int target_links = target && target->is_directory ? 1 : 0;
  const int entries_lost = whiteout ? 0 : 1;
  const int entries_gained = target ? 0 : 1;
  if (from.parent == to.parent) {
    RVM_TRY(change_directory(op, core, from.parent, entries_gained - entries_lost, -target_links));
  } else {
    RVM_TRY(change_directory(op, core, from.parent, -entries_lost, -source_links));
    RVM_TRY(change_directory(op, core, to.parent, entries_gained, source_links - target_links));
    const bool moved = source.is_directory && !RVM_SEEDED_BUG("dotdot_kept");
    if (moved) RVM_TRY(set_parent(op, core, source.entry.inode, to.parent));
  }
  return core.touch(op, source.entry.inode, false, true, false);
}

// The inode whose name was displaced; 0 if there was none.
Result<Inode> move(Operation& op, VolumeCore& core, const Place& from, const Place& to,
                   uint32_t flags) {
  RVM_ASSIGN(const Thing source, find_thing(core, from));
  RVM_TRY(directory_inode(core, to.parent));
  std::optional<Thing> target;
  Result<Thing> found = find_thing(core, to);
  if (found) {
    target = *found;
  } else if (!is(found.error(), FsErrc::no_entry)) {
    return found.error();
  }
  if (target && (flags & kNoReplace)) return fs_error(FsErrc::entry_exists);
  if (target && target->entry.inode == source.entry.inode) return Inode{0};  // one file: no-op

  RVM_TRY(directory_for_remove(core, from.parent));
  RVM_TRY(check_movable(core, source));
  RVM_TRY(directory_for_insert(core, to.parent));
  if (target) RVM_TRY(directory_for_remove(core, to.parent));
  if (source.is_directory && from.parent != to.parent) {
    RVM_TRY(check_not_below(core, to.parent, source.entry.inode));
  }
  if (target) {
    RVM_TRY(displace(op, core, source, *target));
    RVM_TRY(replace_entry(op, core, target->entry, source.entry.inode, source.entry.type));
  } else {
    RVM_TRY(insert_entry(op, core, to.parent, to.name, source.entry.inode, source.entry.type));
  }
  RVM_TRY(leave(op, core, from, source, flags & kWhiteout));
  RVM_TRY(account(op, core, from, to, source, target, flags & kWhiteout));
  return target ? target->entry.inode : Inode{0};
}

Result<void> check_exchange(VolumeCore& core, const Place& from, const Place& to, const Thing& a,
                            const Thing& b) {
  RVM_TRY(directory_for_remove(core, from.parent));
  RVM_TRY(directory_for_remove(core, to.parent));
  RVM_TRY(check_movable(core, a));
  RVM_TRY(check_movable(core, b));
  if (from.parent == to.parent) return {};
  if (a.is_directory) RVM_TRY(check_not_below(core, to.parent, a.entry.inode));
  if (b.is_directory) RVM_TRY(check_not_below(core, from.parent, b.entry.inode));
  return {};
}

Result<Inode> exchange(Operation& op, VolumeCore& core, const Place& from, const Place& to) {
  RVM_ASSIGN(const Thing a, find_thing(core, from));
  RVM_ASSIGN(const Thing b, find_thing(core, to));
  if (a.entry.inode == b.entry.inode) return Inode{0};
  RVM_TRY(check_exchange(core, from, to, a, b));
  RVM_TRY(replace_entry(op, core, a.entry, b.entry.inode, b.entry.type));
  RVM_TRY(replace_entry(op, core, b.entry, a.entry.inode, a.entry.type));
  const int from_links = int{b.is_directory} - int{a.is_directory};
  if (from.parent == to.parent) {
    RVM_TRY(change_directory(op, core, from.parent, 0, 0));
  } else {
    RVM_TRY(change_directory(op, core, from.parent, 0, from_links));
    RVM_TRY(change_directory(op, core, to.parent, 0, -from_links));
    if (a.is_directory) RVM_TRY(set_parent(op, core, a.entry.inode, to.parent));
    if (b.is_directory) RVM_TRY(set_parent(op, core, b.entry.inode, from.parent));
  }
  RVM_TRY(core.touch(op, a.entry.inode, false, true, false));
  RVM_TRY(core.touch(op, b.entry.inode, false, true, false));
  return Inode{0};
}

// The seeded bug: the target goes in a transaction of its own.
void remove_target_early(Volume& volume, VolumeCore& core, const Place& from, const Place& to) {
  const Result<bool> two_files = core.run_read<bool>([&]() -> Result<bool> {
    RVM_ASSIGN(const Thing source, find_thing(core, from));
    RVM_ASSIGN(const Thing target, find_thing(core, to));
    return source.entry.inode != target.entry.inode && !source.is_directory && !target.is_directory;
  });
  if (two_files && *two_files) static_cast<void>(volume.unlink(to.parent, to.name));
}

}  // namespace

Result<void> Volume::rename(Inode parent, std::string_view name, Inode new_parent,
                            std::string_view new_name, uint32_t flags) {
  const Place from{parent, name}, to{new_parent, new_name};
  RVM_TRY(check_rename(from, to, flags));
  if (flags == 0 && RVM_SEEDED_BUG("rename_in_two_transactions")) {
    remove_target_early(*this, *core_, from, to);
  }
  auto displaced = core_->run_write<Inode>([&](Operation& op) -> Result<Inode> {
    RVM_TRY(directory_inode(*core_, from.parent));
    RVM_TRY(directory_inode(*core_, to.parent));
    return flags & kExchange ? exchange(op, *core_, from, to) : move(op, *core_, from, to, flags);
  });
  if (!displaced) return displaced.error();
  if (*displaced != 0) delete_if_unused(*core_, *displaced);
  return {};
}

}  // namespace rvmfs
