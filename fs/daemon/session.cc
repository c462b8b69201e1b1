// SPDX-License-Identifier: BSD-2-Clause
//
// The FUSE session: receiving, threads, stopping.
#include "fs/daemon/session.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "fs/daemon/messages.h"
#include "fs/daemon/operations.h"
#include "fs/daemon/signals.h"

namespace rvmfs {
namespace {

// The largest write (1 MiB) and the headers before it.
constexpr size_t kPageBytes = 4096;
constexpr size_t kBufferBytes = (1 << 20) + kPageBytes;
constexpr int64_t kStopRetryNanoseconds = 2'000'000;

Error system_error(const char* what) { return Error{rvm::Errc::io, errno, 0, what}; }

struct FreeBuffer {
  void operator()(std::byte* buffer) const { free(buffer); }
};
using Buffer = std::unique_ptr<std::byte, FreeBuffer>;

Buffer make_buffer() {
  return Buffer(static_cast<std::byte*>(aligned_alloc(kPageBytes, kBufferBytes)));
}

// The argument list that libfuse takes its options from.
class Arguments {
 public:
  Arguments() { add("rvmfs"); }
  ~Arguments() {
    fuse_opt_free_args(&args_);
    free(option_list_);
  }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  // Commas and backslashes in the option are escaped.
  void option(const std::string& text) {
    failed_ |= fuse_opt_add_opt_escaped(&option_list_, text.c_str()) != 0;
  }
  fuse_args* finish() {
    add("-o");
    add(option_list_);
    return failed_ ? nullptr : &args_;
  }

 private:
  void add(const char* argument) { failed_ |= fuse_opt_add_arg(&args_, argument) != 0; }

  fuse_args args_ = FUSE_ARGS_INIT(0, nullptr);
  char* option_list_ = nullptr;
  bool failed_ = false;
};

void fill(Arguments& arguments, const SessionSettings& settings) {
  arguments.option("fsname=" + settings.source);
  arguments.option("subtype=rvmfs");
  arguments.option("default_permissions");
  if (settings.block_device) {
    arguments.option("blkdev");
    arguments.option("blksize=" + std::to_string(format::kBlockBytes));
  }
  if (settings.debug) arguments.option("debug");
  for (const std::string& option : settings.options) arguments.option(option);
}

}  // namespace

Session::Session(SessionSettings settings, MountState& state)
    : settings_(std::move(settings)),
      state_(state),
      placement_(settings_.follow_caller),
      lanes_(watcher_),
      turns_(settings_.receivers, {[this](Turns::Seat& seat) { place(static_cast<Worker&>(seat)); },
                                   [this] { spawn(); }}),
      ring_(settings_.workers, placement_, watcher_,
            [this](RingSlot& slot) { return serve_slot(slot); }) {
  watcher_.watch([this] { return turns_.look(); });
}

Session::~Session() {
  stop();
  if (mounted_) fuse_session_unmount(fuse_);
  if (fuse_ != nullptr) fuse_session_destroy(fuse_);
  if (event_fd_ >= 0) close(event_fd_);
}

Result<std::unique_ptr<Session>> Session::mount(SessionSettings settings, MountState& state) {
  std::unique_ptr<Session> session(new Session(std::move(settings), state));
  RVM_TRY(session->attach());
  return session;
}

Result<void> Session::attach() {
  state_.session = this;
  event_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_fd_ < 0) return system_error("eventfd");
  Arguments arguments;
  fill(arguments, settings_);
  fuse_args* const args = arguments.finish();
  if (args == nullptr) return Error{rvm::Errc::out_of_memory, ENOMEM, 0, "mount options"};
  errno = 0;
  fuse_ = fuse_session_new(args, &operations(), sizeof(fuse_lowlevel_ops), &state_);
  if (fuse_ == nullptr) return system_error("cannot make a FUSE session");
  errno = 0;
  if (fuse_session_mount(fuse_, settings_.mount_point.c_str()) != 0) {
    return system_error("cannot mount");
  }
  mounted_ = true;
  fuse_custom_io io{};
  io.read = on_read;
  io.writev = on_write;
  const int result = fuse_session_custom_io(fuse_, &io, fuse_session_fd(fuse_));
  if (result != 0) return Error{rvm::Errc::io, abs(result), 0, "cannot take over the FUSE session"};
  return {};
}

Result<void> Session::start() {
  const bool started = watcher_.start() && spawn();
  if (!started) return Error{rvm::Errc::out_of_memory, EAGAIN, 0, "cannot start a thread"};
  return {};
}

void Session::clear_event() const {
  uint64_t count = 0;
  // Nothing to read is fine: somebody else's event was counted with ours.
  [[maybe_unused]] const ssize_t ignored = read(event_fd_, &count, sizeof count);
}

void Session::notify() const {
  const uint64_t one = 1;
  // Cannot fail but for a full counter, which is readable anyway.
  [[maybe_unused]] const ssize_t ignored = write(event_fd_, &one, sizeof one);
}

void Session::forget_attributes(fuse_ino_t inode) {
  // Fails if the kernel does not know the inode any more: then there is nothing to forget.
  static_cast<void>(fuse_lowlevel_notify_inval_inode(fuse_, inode, -1, 0));
}

void Session::stop() {
  stopping_ = true;
  turns_.close();
  sideline_.close();
  // A worker that waits in read(2) is woken by a signal. The signal may come just before the read,
  // so it is sent again until the worker is gone.
  const timespec pause{0, kStopRetryNanoseconds};
  for (size_t i = 0;; ++i) {
    Worker* worker = nullptr;
    {
      const std::lock_guard lock(workers_mutex_);
      if (i == workers_.size()) break;
      worker = workers_[i].get();
    }
    while (!worker->finished) {
      pthread_kill(worker->thread.native_handle(), kWakeSignal);
      nanosleep(&pause, nullptr);
    }
    worker->thread.join();
  }
  ring_.stop();
  watcher_.stop();
  lanes_.stop();
  const std::lock_guard lock(workers_mutex_);
  workers_.clear();
}

// Without another thread, those that are there serve on.
bool Session::spawn() {
  const std::lock_guard lock(workers_mutex_);
  if (workers_.size() >= settings_.workers || stopping_) return true;
  auto worker = std::make_unique<Worker>();
  Worker& self = *worker;
  ++living_;
  try {
    self.thread = std::thread([this, &self] { serve(self); });
  } catch (const std::system_error&) {
    --living_;
    return false;
  }
  turns_.join(self);
  workers_.push_back(std::move(worker));
  return true;
}

// The first one is there.
void Session::spawn_receivers() {
  for (uint32_t i = 1; i < settings_.receivers; ++i) spawn();
}

int Session::open_channel() {
  const int shared = fuse_session_fd(fuse_);
  if (!settings_.clone_fd) return shared;
  const int own = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  uint32_t source = static_cast<uint32_t>(shared);
  if (own >= 0 && ioctl(own, FUSE_DEV_IOC_CLONE, &source) == 0) return own;
  say(Level::warning, "clone_fd does not work here ({}); using one descriptor", strerror(errno));
  if (own >= 0) close(own);
  return shared;
}

void Session::serve(Worker& self) {
  const Buffer buffer = make_buffer();
  self.id = gettid();
  if (buffer) receive_all(self, buffer.get());
  if (!buffer) say(Level::warning, "no memory for a request buffer");
  self.finished = true;
  // Without memory for one more worker, the others go on; without any worker it is the end.
  const bool is_last = --living_ == 0;
  if (!buffer && !is_last) return;
  ended_ = true;
  turns_.close();
  notify();
}

void Session::receive_all(Worker& self, std::byte* buffer) {
  const int fd = open_channel();
  while (turns_.take(self) && receive_next(self, fd, buffer)) {
  }
  if (fd != fuse_session_fd(fuse_)) close(fd);
}

bool Session::receive_next(Worker& self, int fd, std::byte* buffer) {
  const bool is_beside_ring = ring_.carries();
  if (follows_ring()) {
    home_ = ring_.cpu();
    place(self);
  }
  if (is_beside_ring && !sideline_.await(fd)) return !stopping_;
  if (!is_beside_ring && !agreed_) {
    // Nothing may be read past the sideline once there is a ring: so look again when it comes.
    pollfd event{fd, POLLIN, 0};
    poll(&event, 1, -1);
    if (ring_.carries()) return !stopping_;
  }
  size_t bytes = 0;
  const bool received = receive(fd, buffer, bytes);
  if (is_beside_ring) sideline_.has_read();
  if (received) {
    const Turns::Request request(turns_, self);
    watcher_.wake();
    dispatch(self, fd, buffer, bytes);
  }
  if (is_beside_ring) sideline_.done();
  return received;
}

bool Session::receive(int fd, std::byte* buffer, size_t& bytes) {
  while (!stopping_ && !ended_) {
    const ssize_t result = read(fd, buffer, kBufferBytes);
    if (result >= static_cast<ssize_t>(sizeof(fuse_in_header))) {
      bytes = static_cast<size_t>(result);
      return true;
    }
    // ENOENT: the request was interrupted before it could be read.
    if (result < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) continue;
    // ENODEV: unmounted; ECONNABORTED: somebody aborted the connection.
    if (result < 0 && errno != ENODEV && errno != ECONNABORTED) {
      say(Level::error, "reading from /dev/fuse: {}", strerror(errno));
    }
    return false;
  }
  return false;
}

void Session::dispatch(Worker& self, int fd, std::byte* buffer, size_t bytes) {
  RawRequest request;
  request.fd = fd;
  memcpy(&request.header, buffer, sizeof request.header);
  request.body = {buffer + sizeof(fuse_in_header), bytes - sizeof(fuse_in_header)};
  const int cpu = follows_ring() ? ring_.cpu() : placement_.see(request.header, lanes_.closed());
  home_ = cpu;
  if (settings_.workers == 1) place(self);
  if (self.cpu != cpu || takes_long(request)) turns_.pass(self);
  if (self.cpu == cpu) request.lane = cpu;
  placement_.begin(request.header);
  work(request, {buffer, bytes});
  placement_.end(request.header);
}

bool Session::takes_ring(int fd) {
  const bool may = settings_.workers > 1 && !settings_.clone_fd;
  if (may && state_.init.enabled(Feature::io_uring) && ring_.prepare(fd)) return true;
  state_.init.give_up(Feature::io_uring);
  return false;
}

bool Session::serve_slot(RingSlot& slot) {
  RawRequest request;
  request.fd = fuse_session_fd(fuse_);
  request.slot = &slot;
  memcpy(&request.header, slot.request().data(), sizeof request.header);
  request.body = slot.request().subspan(sizeof request.header);
  if (takes_long(request)) Ring::about_to_wait();
  placement_.begin(request.header);
  // What was deleted before is free, and the last FORGETs come before the end.
  const uint32_t operation = request.header.opcode;
  if (operation == FUSE_STATFS || operation == FUSE_DESTROY) sideline_.drain(request.fd);
  const uint64_t rounds = sideline_.rounds();
  work(request, slot.request());
  if (slot.error() == -ENOSPC) {
    sideline_.drain(request.fd);
    if (sideline_.rounds() != rounds) work(request, slot.request());
  }
  placement_.end(request.header);
  return is_large(request);
}

void Session::about_to_wait() {
  Turns::pass_mine();
  Ring::about_to_wait();
}

// Binds a worker that is about to receive. It sleeps yet: a thread that runs would be moved at
// once, by a thread of the kernel, and the CPU that it leaves would then look for work and take the
// program away again from where we go. So who finds itself in the wrong place passes its turn.
void Session::place(Worker& worker) {
  const int cpu = home_;
  if (worker.cpu.exchange(cpu) != cpu) placement_.bind(worker.id, cpu);
}

void Session::work(const RawRequest& request, std::span<std::byte> whole) {
  const CurrentRequest current(request);
  if (request.header.opcode == FUSE_INIT) state_.init.see_request(whole);
  if (answer_raw(state_, request)) return;
  fuse_buf buf{};
  buf.mem = whole.data();
  buf.size = whole.size();
  fuse_session_process_buf(fuse_, &buf);
}

ssize_t Session::on_read(int fd, void* buffer, size_t bytes, void*) {
  return read(fd, buffer, bytes);  // libfuse wants one; receive() reads instead
}

ssize_t Session::on_write(int fd, iovec* parts, int count, void* userdata) {
  MountState& state = *static_cast<MountState*>(userdata);
  const RawRequest& request = current_request();
  if (request.fd >= 0) fd = request.fd;  // a cloned descriptor takes the replies to its requests
  if (request.fd < 0) return writev(fd, parts, count);  // a notification
  if (request.header.opcode != FUSE_INIT) return state.session->send(fd, parts, count);
  return send_init_reply(fd, parts, count, state);
}

ssize_t Session::send(int fd, iovec* parts, int count) {
  const std::span<const iovec> reply(parts, static_cast<size_t>(count));
  fuse_out_header header{};
  memcpy(&header, parts[0].iov_base, sizeof header);
  if (header.unique != 0) {  // not a notification
    const RawRequest& request = current_request();
    // (libfuse may also answer an INTERRUPT that came before.)
    const bool is_for_slot = request.slot != nullptr && header.unique == request.header.unique;
    if (is_for_slot) return request.slot->reply(reply);
    if (lanes_.send(request.lane, fd, reply)) return header.len;
  }
  return writev(fd, parts, count);
}

ssize_t Session::send_init_reply(int fd, iovec* parts, int count, MountState& state) {
  fuse_out_header header{};
  fuse_init_out body{};
  memcpy(&header, parts[0].iov_base, sizeof header);
  const bool is_agreement = count == 2 && header.error == 0 && parts[1].iov_len <= sizeof body &&
                            state.init.is_reply(header.unique);
  if (!is_agreement) return writev(fd, parts, count);
  memcpy(&body, parts[1].iov_base, parts[1].iov_len);
  Session& session = *state.session;
  const bool takes_ring = session.takes_ring(fd);
  state.init.edit_reply({reinterpret_cast<std::byte*>(&body), parts[1].iov_len});
  iovec edited[2] = {parts[0], {&body, parts[1].iov_len}};
  const ssize_t result = writev(fd, edited, 2);
  if (result >= 0 && body.major == FUSE_KERNEL_VERSION) {
    // What comes beside a ring is for one receiver, the one that is here.
    if (!takes_ring || !session.ring_.enroll()) session.spawn_receivers();
    session.agreed_ = true;
    session.ready_ = true;
    session.notify();
  }
  return result;
}

}  // namespace rvmfs
