// SPDX-License-Identifier: BSD-2-Clause
//
// Phase 5 (repair_tree.h): inodes without a name get one, "#INODE", in /lost+found, which is made
// if it does not exist. Each inode is one transaction: entry, the directory's counters, the parent
// of an attached directory. Its own link count is the next phase's, after another check.
#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "fsck/repair_tree.h"

namespace rvmfs::fsck {

using format::DirectoryEntry;
using format::InodeItem;
using format::ItemType;

namespace {

rvm::Key item_key(uint64_t inode, ItemType type, uint64_t rest = 0) {
  return {inode, static_cast<uint64_t>(type) << format::kTypeShift | rest};
}

std::span<const std::byte> bytes_of(const auto& value) {
  return std::as_bytes(std::span(&value, 1));
}

class LostAndFound {
 public:
  explicit LostAndFound(RepairSession& session)
      : session_(session), seed_(session.state().super.name_hash_seed) {}

  rvm::Result<void> attach_all() {
    RVM_TRY(find_or_make());
    for (const uint64_t inode : session_.state().repairs.attach) {
      rvm::Transaction tx = session_.begin();
      RVM_TRY(attach(tx, inode));
      RVM_TRY(session_.commit(tx));
    }
    return {};
  }

 private:
  struct Place {
    uint64_t rest = 0;   // where the name is, or could be
    uint64_t inode = 0;  // 0: the name is not there
    uint8_t type = DT_UNKNOWN;
  };

  // Follows the chain of names with the same hash.
  rvm::Result<Place> look_up(uint64_t directory, const std::string& name) {
    const uint64_t hash = XXH3_64bits_withSeed(name.data(), name.size(), seed_) >> 16;
    Place free_place;
    bool has_free_place = false;
    for (uint64_t collision = 0; collision < 256; ++collision) {
      const uint64_t rest = hash << 8 | collision;
      const auto found = session_.tree().find(item_key(directory, ItemType::entry, rest));
      if (!found && !(found.error() == rvm::Errc::not_found)) return found.error();
      if (!found) {
        if (!has_free_place) free_place.rest = rest;
        has_free_place = true;
        continue;
      }
      DirectoryEntry entry;
      if (found->size() != sizeof(entry) + name.size()) continue;
      std::memcpy(&entry, found->data(), sizeof(entry));
      if (std::memcmp(found->data() + sizeof(entry), name.data(), name.size()) == 0) {
        return Place{rest, entry.inode, entry.type};
      }
    }
    if (has_free_place) return free_place;
    return rvm::Error{rvm::Errc::full, 0, directory, "no place for another name with this hash"};
  }

  rvm::Result<InodeItem> read_inode(uint64_t inode) {
    RVM_ASSIGN(const auto bytes, session_.tree().find(item_key(inode, ItemType::inode)));
    InodeItem item;
    if (bytes.size() != sizeof(item)) {
      return rvm::Error{rvm::Errc::damaged_structure, 0, inode, "an inode item is too short"};
    }
    std::memcpy(&item, bytes.data(), sizeof(item));
    return item;
  }

  rvm::Result<void> write_inode(rvm::Transaction& tx, uint64_t inode, const InodeItem& item) {
    return session_.tree().put(tx, item_key(inode, ItemType::inode), bytes_of(item));
  }

  rvm::Result<void> add_entry(rvm::Transaction& tx, uint64_t directory, const std::string& name,
                              uint64_t target, uint8_t type) {
    RVM_ASSIGN(const Place place, look_up(directory, name));
    if (place.inode != 0) return rvm::Error{rvm::Errc::exists, 0, directory, "the name is taken"};
    DirectoryEntry entry{};
    entry.inode = target;
    entry.type = type;
    entry.name_bytes = static_cast<uint8_t>(name.size());
    std::vector<std::byte> value(sizeof(entry) + name.size());
    std::memcpy(value.data(), &entry, sizeof(entry));
    std::memcpy(value.data() + sizeof(entry), name.data(), name.size());
    RVM_TRY(session_.tree().insert(tx, item_key(directory, ItemType::entry, place.rest), value));
    RVM_ASSIGN(InodeItem item, read_inode(directory));
    ++item.size;
    if (type == DT_DIR) ++item.nlink;
    return write_inode(tx, directory, item);
  }

  // "lost+found", or "lost+found.1" and so on if that is something else.
  rvm::Result<void> find_or_make() {
    for (int i = 0; i < 1000; ++i) {
      const std::string name =
          i == 0 ? std::string(kLostAndFound) : fmt::format("{}.{}", kLostAndFound, i);
      RVM_ASSIGN(const Place place, look_up(format::kRootInode, name));
      if (place.inode != 0 && place.type != DT_DIR) continue;
      directory_ = place.inode;
      return place.inode != 0 ? rvm::Result<void>() : make(name);
    }
    return rvm::Error{rvm::Errc::full, 0, 0, "no name is left for lost+found"};
  }

  rvm::Result<void> make(const std::string& name) {
    rvm::Transaction tx = session_.begin();
    RVM_ASSIGN(format::VolumeRoot * root, session_.root(tx));
    directory_ = root->next_inode++;
    ++root->inodes_used;
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    InodeItem item{};
    item.mode = S_IFDIR | 0700;
    item.nlink = 2;
    item.parent = format::kRootInode;
    item.atime_seconds = item.mtime_seconds = item.ctime_seconds = item.btime_seconds = now.tv_sec;
    RVM_TRY(session_.tree().insert(tx, item_key(directory_, ItemType::inode), bytes_of(item)));
    RVM_TRY(add_entry(tx, format::kRootInode, name, directory_, DT_DIR));
    return session_.commit(tx);
  }

  rvm::Result<void> attach(rvm::Transaction& tx, uint64_t inode) {
    RVM_ASSIGN(InodeItem item, read_inode(inode));
    const auto type = static_cast<uint8_t>((item.mode & S_IFMT) >> 12);
    if (type == DT_DIR) {
      item.parent = directory_;
      RVM_TRY(write_inode(tx, inode, item));
    }
    return add_entry(tx, directory_, fmt::format("#{}", inode), inode, type);
  }

  RepairSession& session_;
  const uint64_t seed_;
  uint64_t directory_ = 0;
};

}  // namespace

rvm::Result<void> attach_lost(RepairSession& session) { return LostAndFound(session).attach_all(); }

}  // namespace rvmfs::fsck
