// SPDX-License-Identifier: BSD-2-Clause
//
// See name_check.h. Directories are walked upward from each one not yet known to be reached, with
// marks, so the work is linear and nothing recurses.
#include "fsck/name_check.h"

#include <dirent.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace rvmfs::fsck {

using format::ItemType;

InodeRecord* CheckState::find_inode(uint64_t inode) {
  const auto found = std::lower_bound(
      inodes.begin(), inodes.end(), inode,
      [](const InodeRecord& record, uint64_t number) { return record.inode < number; });
  return found != inodes.end() && found->inode == inode ? &*found : nullptr;
}

namespace {

Key entry_key(const EntryRecord& entry) {
  return {entry.directory,
          static_cast<uint64_t>(ItemType::entry) << format::kTypeShift | entry.rest};
}

Key orphan_key(uint64_t inode) {
  return {format::kOrphanHigh,
          static_cast<uint64_t>(ItemType::orphan) << format::kTypeShift | inode};
}

void mark_orphans(CheckState& state) {
  for (const OrphanRecord& orphan : state.orphans) {
    InodeRecord* record = state.find_inode(orphan.inode);
    if (record == nullptr) {
      state.report.add(FindingId::orphan_dangling, "inode {}", orphan.inode);
      state.repairs.erase_items.push_back(orphan_key(orphan.inode));
      continue;
    }
    if ((orphan.flags & format::kOrphanUnlinked) != 0) {
      record->flags |= InodeRecord::kOrphanUnlinked;
      ++state.summary.orphans;
    }
    if ((orphan.flags & format::kOrphanTruncate) != 0) {
      record->flags |= InodeRecord::kOrphanTruncate;
    }
  }
  if (state.summary.orphans != 0) {
    state.report.add(FindingId::orphan_waiting, "{} of them", state.summary.orphans);
  }
}

// The first name of every directory.
struct DirectoryNames {
  std::vector<EntryRecord> first;
  std::unordered_map<uint64_t, size_t> index;  // by inode; filled when a second name is met

  EntryRecord& of(uint64_t inode) {
    for (size_t i = index.size(); i < first.size(); ++i) index.emplace(first[i].target, i);
    return first[index.at(inode)];
  }
};

// A directory's name number two or more goes, and a name for the root. The name that agrees with
// the directory's own parent is the good one.
void name_directory(CheckState& state, const EntryRecord& entry, InodeRecord& target,
                    DirectoryNames& names) {
  const auto erase = [&](const EntryRecord& which) {
    state.report.add(FindingId::directory_two_names, "inode {}, in directory {}", target.inode,
                     which.directory);
    state.repairs.erase_items.push_back(entry_key(which));
  };
  if (target.inode == format::kRootInode) return erase(entry);
  if (target.named_in == 0) {
    target.named_in = entry.directory;
    names.first.push_back(entry);
    return;
  }
  if (target.named_in == target.parent || entry.directory != target.parent) return erase(entry);
  EntryRecord& first = names.of(target.inode);
  erase(first);
  first = entry;
  target.named_in = entry.directory;
}

DirectoryNames follow_entries(CheckState& state) {
  DirectoryNames names;
  for (const EntryRecord& entry : state.entries) {
    InodeRecord* target = state.find_inode(entry.target);
    if (target == nullptr) {
      state.report.add(FindingId::entry_dangling, "in directory {}, to inode {}", entry.directory,
                       entry.target);
      state.repairs.erase_items.push_back(entry_key(entry));
      continue;
    }
    if (entry.type != target->type) {
      state.report.add(FindingId::entry_type, "in directory {}, for inode {}", entry.directory,
                       entry.target);
      state.repairs.entry_types.emplace_back(entry_key(entry), target->type);
    }
    if (target->names != UINT32_MAX) ++target->names;
    if (target->type == DT_DIR) name_directory(state, entry, *target, names);
  }
  for (const EntryRecord& entry : names.first) {
    InodeRecord* parent = state.find_inode(entry.directory);
    if (parent != nullptr) ++parent->subdirectories;
  }
  return names;
}

// Marks every directory that the root reaches. A way upward that meets itself is a cycle: one
// directory of it loses its name there and gets one in lost+found.
void check_reachability(CheckState& state, const DirectoryNames& names) {
  std::vector<InodeRecord*> path;
  std::unordered_set<uint64_t> cut;
  InodeRecord* root = state.find_inode(format::kRootInode);
  if (root != nullptr) root->flags |= InodeRecord::kReached;
  for (InodeRecord& start : state.inodes) {
    if (start.type != DT_DIR) continue;
    InodeRecord* at = &start;
    while (at != nullptr && (at->flags & (InodeRecord::kReached | InodeRecord::kOnPath)) == 0) {
      at->flags |= InodeRecord::kOnPath;
      path.push_back(at);
      at = at->named_in == 0 ? nullptr : state.find_inode(at->named_in);
    }
    if (at != nullptr && (at->flags & InodeRecord::kOnPath) != 0) {
      state.report.add(FindingId::directory_cycle, "inode {}", at->inode);
      cut.insert(at->inode);
    }
    for (InodeRecord* directory : path) {
      directory->flags &= static_cast<uint8_t>(~InodeRecord::kOnPath);
      directory->flags |= InodeRecord::kReached;  // reached, or told to be lost: once is enough
    }
    path.clear();
  }
  if (cut.empty()) return;
  for (const EntryRecord& entry : names.first) {
    if (cut.count(entry.target) != 0) state.repairs.erase_items.push_back(entry_key(entry));
  }
}

void set_links(CheckState& state, const InodeRecord& record, uint32_t links) {
  if (record.nlink == links) return;
  state.report.add(FindingId::inode_links, "inode {} says {}, has {}", record.inode, record.nlink,
                   links);
  state.repairs.links.emplace_back(record.inode, links);
}

void check_directory(CheckState& state, const InodeRecord& record) {
  set_links(state, record, 2 + record.subdirectories);
  const uint64_t parent = record.inode == format::kRootInode ? format::kRootInode : record.named_in;
  if (record.parent != parent && parent != 0) {
    state.report.add(FindingId::directory_parent, "directory {} says {}, is in {}", record.inode,
                     record.parent, parent);
    state.repairs.parents.emplace_back(record.inode, parent);
  }
}

void check_inode(CheckState& state, const InodeRecord& record) {
  if ((record.flags & InodeRecord::kOrphanUnlinked) != 0) {
    if (record.names != 0) {
      state.report.add(FindingId::orphan_linked, "inode {}", record.inode);
      state.repairs.erase_items.push_back(orphan_key(record.inode));
    } else if (record.nlink != 0) {
      set_links(state, record, 0);
    }
    return;
  }
  if (record.names == 0 && record.inode != format::kRootInode) {
    state.report.add(FindingId::inode_lost, "inode {}", record.inode);
    state.repairs.attach.push_back(record.inode);
    return;
  }
  if (record.type == DT_DIR) return check_directory(state, record);
  set_links(state, record, record.names);
}

}  // namespace

void check_names(CheckState& state) {
  mark_orphans(state);
  const DirectoryNames names = follow_entries(state);
  check_reachability(state, names);
  if (state.find_inode(format::kRootInode) == nullptr) {
    state.report.add(FindingId::inode_missing_root);
    return;
  }
  for (const InodeRecord& record : state.inodes) {
    if (record.type == DT_DIR) ++state.summary.directories;
    check_inode(state, record);
  }
}

}  // namespace rvmfs::fsck
