// SPDX-License-Identifier: BSD-2-Clause
//
// Reading directories. Entries are collected in batches under the shared lock, names and attributes
// copied, and handed to the caller's sink outside of it: a batch may be collected twice
// (fs/core.h), an entry is handed out once, and the sink may take its time.
//
// With attributes, every inode of a batch is held under the lock, so that none can vanish before
// the caller has it; what the caller did not consume is let go again.
#include <dirent.h>
#include <sys/stat.h>

#include "fs/attributes.h"
#include "fs/directory.h"

namespace rvmfs {

namespace {

using format::InodeItem;
using format::ItemType;

constexpr size_t kBatchEntries = 128;
constexpr size_t kBatchEntriesPlus = 32;  // about what one answer of FUSE takes
constexpr uint64_t kDotCookie = 1, kDotDotCookie = 2, kFirstCookie = 3;

struct Collected {
  uint64_t cookie = 0;
  Inode inode = 0;
  uint8_t type = 0;
  std::string name;
  bool has_attributes = false;
  Attributes attributes;
};

struct Batch {
  std::vector<Collected> entries;
  bool at_end = false;
};

Result<void> add_attributes(VolumeCore& core, Collected& entry) {
  Result<const InodeItem*> item = core.inode(entry.inode);
  if (item) {
    entry.has_attributes = true;
    entry.attributes = VolumeCore::attributes_of(entry.inode, **item);
    return {};
  }
  // A damaged inode costs its attributes, not the listing.
  const Error& error = item.error();
  const bool is_damage = is(error, FsErrc::stale) || is(error, FsErrc::damaged) ||
                         error == rvm::Errc::damaged_page || error == rvm::Errc::damaged_structure;
  if (is_damage) return {};
  return error;
}

void add_dots(Inode directory, const InodeItem& item, uint64_t cookie, Batch& batch) {
  if (cookie < kDotCookie) {
    batch.entries.push_back(
        {.cookie = kDotCookie, .inode = directory, .type = DT_DIR, .name = ".", .attributes = {}});
  }
  if (cookie < kDotDotCookie) {
    batch.entries.push_back({.cookie = kDotDotCookie,
                             .inode = item.parent,
                             .type = DT_DIR,
                             .name = "..",
                             .attributes = {}});
  }
}

Result<Batch> collect(VolumeCore& core, Inode directory, uint64_t cookie, bool plus) {
  Batch batch;
  RVM_ASSIGN(const InodeItem* item, directory_inode(core, directory));
  add_dots(directory, *item, cookie, batch);
  const uint64_t first = cookie < kFirstCookie ? 0 : cookie - kFirstCookie + 1;
  if (first > format::kRestMask) {
    batch.at_end = true;
    return batch;
  }
  const rvm::Key last = item_key(directory, ItemType::entry, format::kRestMask);
  const size_t entries_max = plus ? kBatchEntriesPlus : kBatchEntries;
  rvm::Tree::Cursor cursor(*core.tree);
  RVM_TRY(cursor.seek(item_key(directory, ItemType::entry, first)));
  while (cursor.valid() && cursor.key() <= last && batch.entries.size() < entries_max) {
    RVM_ASSIGN(const EntryView view, parse_entry(directory, cursor.value()));
    Collected entry{.cookie = item_rest(cursor.key()) + kFirstCookie,
                    .inode = view.inode,
                    .type = view.type,
                    .name = std::string(view.name),
                    .attributes = {}};
    if (plus) RVM_TRY(add_attributes(core, entry));
    batch.entries.push_back(std::move(entry));
    RVM_TRY(cursor.next());
  }
  batch.at_end = !cursor.valid() || cursor.key() > last;
  return batch;
}

// Nothing can fail behind the holds, so a batch that is collected again was not held before.
Result<Batch> collect_and_hold(VolumeCore& core, Inode directory, uint64_t cookie, bool plus) {
  RVM_ASSIGN(Batch batch, collect(core, directory, cookie, plus));
  if (plus && core.options.count_lookups) {
    for (const Collected& entry : batch.entries) {
      if (entry.has_attributes) core.hold(entry.inode);
    }
  }
  return batch;
}

}  // namespace

Result<void> Volume::readdir(Inode directory, uint64_t cookie, bool plus,
                             const std::function<bool(const DirectoryItem&)>& sink) {
  VolumeCore& core = *core_;
  bool from_start = cookie == 0;
  for (;;) {
    RVM_ASSIGN(const Batch batch, core.run_read<Batch>([&]() {
      return collect_and_hold(core, directory, cookie, plus);
    }));
    // An access time that cannot be written is no reason not to read; what is behind it (a failed
    // log, a damaged inode) shows itself to those whom it concerns.
    if (from_start) static_cast<void>(update_atime(core, directory));
    from_start = false;
    bool wants_more = true;
    for (const Collected& entry : batch.entries) {
      if (wants_more) {
        wants_more = sink({entry.cookie, entry.inode, entry.type, entry.name,
                           entry.has_attributes ? &entry.attributes : nullptr});
        if (wants_more) cookie = entry.cookie;
      }
      if (!wants_more && entry.has_attributes && core.options.count_lookups) {
        forget(entry.inode, 1);
      }
    }
    if (!wants_more || batch.at_end) return {};
  }
}

}  // namespace rvmfs
