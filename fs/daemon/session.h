// SPDX-License-Identifier: BSD-2-Clause
//
// The FUSE session: libfuse mounts, decodes requests and encodes replies; receiving, threads and
// stopping are our own. So every request is seen raw before libfuse decodes it (raw_request.h), and
// every reply on its way out (init_flags.h); kernel features that are newer than the distribution's
// libfuse do not wait for it.
//
// Workers: as many as are busy with long requests at once, plus those that receive, up to a limit.
// A worker whose turn it is (turns.h) reads a request into its own buffer, carries it out and
// replies. Where it runs, and from which thread the reply is sent, is the matter of placement.h and
// reply_lanes.h. Where the kernel allows it, requests come over io_uring, to other workers
// (ring.h); then these ones only read what the kernel still sends over /dev/fuse: FORGET and
// INTERRUPT.
//
// Life: mount -> start -> (ready) -> (ended) -> stop -> destructor. `ended` comes when the
// filesystem was unmounted, or the connection was aborted, or stop() was called.
//
// Thread rules: one thread (the main one) owns a Session and makes all calls.
#pragma once

#include <fuse3/fuse_lowlevel.h>
#include <pthread.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "fs/daemon/placement.h"
#include "fs/daemon/raw_request.h"
#include "fs/daemon/reply_lanes.h"
#include "fs/daemon/ring.h"
#include "fs/daemon/sideline.h"
#include "fs/daemon/state.h"
#include "fs/daemon/turns.h"
#include "fs/daemon/watcher.h"

namespace rvmfs {

struct SessionSettings {
  std::string source;       // what /proc/mounts shows as the device
  std::string mount_point;  // absolute
  bool debug = false;
  uint32_t workers = 8;
  uint32_t receivers = 1;  // how many of them receive at once
  bool clone_fd = false;
  bool follow_caller = true;         // workers run where the requests come from (placement.h)
  bool block_device = false;         // mounted as "fuseblk", with `source` as the device
  std::vector<std::string> options;  // more mount options, for libfuse and the kernel
};

class Session {
 public:
  // Mounts. libfuse says by itself what is wrong (messages.h).
  static Result<std::unique_ptr<Session>> mount(SessionSettings settings, MountState& state);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Result<void> start();
  // Becomes readable whenever ready() or ended() may have changed.
  int event_fd() const { return event_fd_; }
  void clear_event() const;
  bool ready() const { return ready_; }  // the mount answers
  bool ended() const { return ended_; }  // no worker waits for requests any more

  // It was unmounted already, though somebody still uses it: the destructor must not unmount again
  // what may now be another mount at that place. (libfuse then leaks its copy of the path.)
  void forget_mount() { mounted_ = false; }

  // Sends a reply to a request (errno and -1 as writev, as far as it is known when it returns).
  ssize_t send(int fd, iovec* parts, int count);

  // The kernel forgets the attributes of the inode, and replies under way that carry them.
  void forget_attributes(fuse_ino_t inode);

  // The calling thread, if it is a worker at a request, may wait for long: somebody else receives.
  static void about_to_wait();

  // Ends: requests that are being worked on are finished, then all workers are gone.
  void stop();

 private:
  struct Worker : Turns::Seat {
    std::thread thread;
    std::atomic<bool> finished{false};
    std::atomic<pid_t> id{0};
    std::atomic<int> cpu{Placement::kUnknown};  // where it is bound to
  };

  Session(SessionSettings settings, MountState& state);
  Result<void> attach();
  static ssize_t on_read(int fd, void* buffer, size_t bytes, void* userdata);
  static ssize_t on_write(int fd, iovec* parts, int count, void* userdata);
  static ssize_t send_init_reply(int fd, iovec* parts, int count, MountState& state);

  bool spawn();  // false: the host gave no thread
  void spawn_receivers();
  void serve(Worker& self);
  void receive_all(Worker& self, std::byte* buffer);
  int open_channel();                                          // the descriptor for one worker
  bool receive_next(Worker& self, int fd, std::byte* buffer);  // false: the session has ended
  bool receive(int fd, std::byte* buffer, size_t& bytes);      // as well
  void dispatch(Worker& self, int fd, std::byte* buffer, size_t bytes);
  bool takes_ring(int fd);
  // What is read beside the ring is worked on where the requests of the ring come from.
  bool follows_ring() const { return settings_.follow_caller && ring_.carries(); }
  bool serve_slot(RingSlot& slot);
  void work(const RawRequest& request, std::span<std::byte> whole);
  void place(Worker& worker);
  void notify() const;

  SessionSettings settings_;
  MountState& state_;
  fuse_session* fuse_ = nullptr;
  bool mounted_ = false;
  int event_fd_ = -1;
  std::atomic<bool> agreed_{false};  // INIT was answered, and whether there is a ring is decided
  std::atomic<bool> ready_{false};
  std::atomic<bool> ended_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<int> living_{0};  // workers
  Placement placement_;
  std::atomic<int> home_{Placement::kUnknown};  // where workers should be bound to
  Watcher watcher_;
  ReplyLanes lanes_;
  Turns turns_;
  Ring ring_;
  Sideline sideline_;
  std::mutex workers_mutex_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace rvmfs
