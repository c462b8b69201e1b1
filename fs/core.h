// SPDX-License-Identifier: BSD-2-Clause
//
// The inside of an open volume, shared by the rooms of this folder (not public).
//
// Lock order: inode data lock (InodeLocks) -> meta_lock -> allocator's mutex / holds mutex ->
// librvm. meta_lock: shared for reading the space, exclusive for a transaction. Nothing waits for
// the device while holding it: operations run inside a rvm::NoWait scope; when a page is missing,
// the operation is undone, the lock released, the page read, and the operation run again. Therefore
// an operation's body may run several times, and must not change volatile state before it succeeds
// (register such changes with Operation::on_success).
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <unordered_set>
#include <vector>

#include "fs/hold_counts.h"
#include "fs/meta_lock.h"
#include "fs/volume.h"
#include "rvm/page_pool.h"
#include "rvm/space.h"
#include "rvm/tree.h"

namespace rvmfs {

inline constexpr rvm::Key item_key(Inode inode, format::ItemType type, uint64_t rest = 0) {
  return {inode, static_cast<uint64_t>(type) << format::kTypeShift | (rest & format::kRestMask)};
}
inline constexpr uint64_t item_rest(rvm::Key key) { return key.low & format::kRestMask; }

class BlockAllocator;

// A transaction of the filesystem, handed to the body of run_write.
struct Operation {
  rvm::Transaction tx;
  Time now;  // one time for the whole operation
  std::vector<std::function<void(rvm::CommitTicket)>>
      on_success;  // run under meta_lock after end()
};

// Shared/exclusive locks for file contents, by inode number.
class InodeLocks {
 public:
  std::shared_mutex& of(Inode inode) { return stripes_[(inode * 0x9e3779b97f4a7c15ULL) >> 54]; }
  // Two inodes: locks both exclusively in stripe order (once if they share a stripe).

 private:
  std::shared_mutex stripes_[1024];
};

class VolumeCore : public rvm::ChunkSource {
 public:
  std::shared_ptr<rvm::Device> device;
  MountOptions options;
  // Changed under super_mutex and the exclusive meta_lock, so either one is enough to read it.
  format::Superblock super{};
  std::unique_ptr<rvm::Rvm> rvm;
  std::unique_ptr<rvm::Space> space;
  std::unique_ptr<rvm::PagePool> pool;
  std::unique_ptr<rvm::Tree> tree;
  std::unique_ptr<BlockAllocator> blocks;
  InodeLocks inode_locks;
  MetaLock meta_lock;

  VolumeCore();
  ~VolumeCore() override;

  // Runs `body(Operation&) -> Result<T>` as one transaction under the exclusive meta_lock and
  // commits it lazily. On error it is aborted. Back-pressure (spool, log, memory) is taken before
  // the lock.
  template <typename T>
  Result<T> run_write(const std::function<Result<T>(Operation&)>& body);
  // Runs `body() -> Result<T>` under the shared meta_lock.
  template <typename T>
  Result<T> run_read(const std::function<Result<T>()>& body);

  // The clock of the volume; does not go back but when the host's clock was set back.
  Time now() const;
  // Nothing may be changed on a read-only volume, nor after a write of the log failed: not even
  // data in place. Errors: read_only_volume.
  Result<void> check_writable() const;

  // -- inode items (inode.cc). Call inside run_read / run_write.
  Result<const format::InodeItem*> inode(Inode number);  // FsErrc::stale if there is none
  Result<format::InodeItem*> modify_inode(Operation& op, Inode number);  // declares the whole item
  // Declares and sets only these fields.
  Result<void> touch(Operation& op, Inode number, bool mtime, bool ctime, bool atime);
  static Attributes attributes_of(Inode number, const format::InodeItem& item);

  Result<format::VolumeRoot> root();                       // a copy
  Result<format::VolumeRoot*> modify_root(Operation& op);  // declares the fixed part
  static constexpr uint64_t kRootOffset = rvm::format::kRootPageOffset;

  // -- holds (holds.cc): how often an inode is known outside. Not persistent.
  void hold(Inode inode, uint64_t count = 1);
  bool is_held(Inode inode);

  // -- rvm::ChunkSource (chunks.cc)
  Result<rvm::ChunkPlace> locate(uint64_t index) override;
  Result<rvm::ChunkPlace> grow(rvm::Transaction& tx, uint64_t index) override;

  // -- file contents (extents.cc, file_*.cc). Call inside run_write, with the inode's data lock
  // held. Frees all data of the inode (extents or inlined items) beyond `size`, in steps: at most
  // `items_max` items in this transaction; false if something is left to do.
  Result<bool> free_data_beyond(Operation& op, Inode number, uint64_t size, uint32_t items_max);

 private:
  template <typename T>
  Result<T> attempt_write_(const std::function<Result<T>(Operation&)>& body);
  // May this volume be written? Then back-pressure: forces the spool and drops clean pages where
  // due. Call without locks. Errors: read_only_volume, and what flush and truncate say.
  Result<void> before_write_();
  Result<void> relieve_memory_();
  // Makes freed blocks usable that are not yet. True if there were any.
  bool make_room_(uint64_t since);
  uint64_t settled_() const;

  mutable std::mutex clock_mutex_;
  mutable Time last_now_;
  std::mutex relieve_mutex_;  // one thread at a time drops pages

 public:
  // holds.cc
  std::mutex holds_mutex;
  HoldCounts holds;
  std::unordered_set<Inode> orphans;  // inodes without a name that exist still (this mount's)

  // volume_admin.cc: superblock writes exclude each other.
  std::mutex super_mutex;
  bool closed = false;
  std::atomic<bool> shut_down{false};  // by request; all was durable then

  // background.cc: commit timer, orphans that became free, discards.
  std::mutex background_mutex;
  std::condition_variable background_wakeup;
  std::vector<Inode> orphans_to_delete;
  bool stopping = false;
  std::vector<std::thread> threads;
};

}  // namespace rvmfs

#include "fs/core_run.h"  // the templates
