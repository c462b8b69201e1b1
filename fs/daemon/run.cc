// SPDX-License-Identifier: BSD-2-Clause
//
// The program rvmfs from command line to exit status. The order matters:
//   paths, fork, signals | lock the image, open the volume (recovery), mount, serve | detach, wait
//   for the end | unmount, workers gone, close the volume (everything durable), let go of the lock
#include "fs/daemon/run.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iostream>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "fs/daemon/announcing_device.h"
#include "fs/daemon/daemonize.h"
#include "fs/daemon/image.h"
#include "fs/daemon/messages.h"
#include "fs/daemon/mount_point.h"
#include "fs/daemon/owner.h"
#include "fs/daemon/session.h"
#include "fs/daemon/signals.h"
#include "fs/daemon/size_text.h"
#include "fs/daemon/utab.h"

namespace rvmfs {
namespace {

constexpr int kFailure = 1;
constexpr auto kBusyInterval = std::chrono::milliseconds(20);
constexpr int kPatienceMilliseconds = 1000;
constexpr uint32_t kProcessorsOfReceiver = 4;

uint32_t default_receivers() {
  return std::max(1U, std::thread::hardware_concurrency() / kProcessorsOfReceiver);
}

void tell_recovery(const rvm::RecoveryReport& report, std::chrono::steady_clock::duration took) {
  if (!report.was_needed) return;
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
  say(Level::notice, "recovered: {} transactions, {} of log, {} pages in {} ms{}",
      report.transactions, format_size(report.log_bytes), report.pages_written, milliseconds,
      report.tail_was_torn ? "; torn tail cut" : "");
}

// A mounted volume and everything that belongs to it.
class Mount {
 public:
  explicit Mount(const Options& options) : options_(options) {}

  // Says by itself what went wrong.
  bool open() {
    Result<void> opened = open_volume();
    const auto begin = std::chrono::steady_clock::now();
    while (!opened && opened.error() == rvm::Errc::busy &&
           std::chrono::steady_clock::now() - begin <
               patience_with_holder(options_.image, options_.offset)) {
      claim_.release();  // a block device can be claimed once, by ourselves too
      std::this_thread::sleep_for(kBusyInterval);
      opened = open_volume();
    }
    if (opened) return true;
    complain_about_image(options_, opened.error());
    return false;
  }

  // Mounts and serves until the end. False if that went wrong (and was said).
  bool serve(Background& background, const SignalEvents& signals) {
    state_.emplace(*volume_, options_);
    state_->on_destroy = [this] { close_volume(); };
    auto session = mount_session();
    if (!session) {
      say(Level::error, "{}: {}", options_.mount_point, why(session.error()));
      return false;
    }
    return serve_session(**session, background, signals);
  }

  // Everything durable, and the image free for others.
  bool close() {
    close_volume();
    if (in_utab_) remove_from_utab(options_.mount_point);
    volume_.reset();
    device_.reset();
    return closed_well_;
  }
  bool is_open() const { return volume_ != nullptr; }

 private:
  Result<void> open_volume() {
    // Before anything is written: a device that something else has mounted is not touched.
    if (!options_.volume.read_only) RVM_TRY(claim_.take(options_.image));
    RVM_ASSIGN(std::shared_ptr<rvm::Device> image, open_image(options_));
    device_ = make_announcing_device(std::move(image), Session::about_to_wait);
    MountOptions mount_options = options_.volume;
    mount_options.count_lookups = true;
    const auto start = std::chrono::steady_clock::now();
    RVM_ASSIGN(volume_, Volume::open(device_, mount_options));
    tell_recovery(volume_->recovery(), std::chrono::steady_clock::now() - start);
    if (options_.volume.read_only) return {};
    return write_owner(*device_, since_);
  }

  // Everything durable, nobody named as the owner any more, and the image free for others: the
  // kernel may be waiting for it in umount(2), and this process ends later. Once.
  void close_volume() {
    const std::lock_guard lock(closing_);
    if (std::exchange(closed_, true)) return;
    close_durably();
    device_->release_lock();
  }

  void close_durably() {
    const Result<void> closed = volume_->close();
    if (!closed) {
      say(Level::error, "{}: the last changes may not be durable: {}", options_.source,
          explain(closed.error()));
    }
    closed_well_ = closed.has_value();
    if (options_.volume.read_only) return;
    const Result<void> cleared = clear_owner(*device_);
    if (!cleared) say(Level::warning, "owner record: {}", explain(cleared.error()));
  }

  Result<std::unique_ptr<Session>> mount_session() {
    SessionSettings settings = session_settings();
    if (!is_for_fuseblk(options_)) return Session::mount(std::move(settings), *state_);
    // The kernel claims the device for the mount; then it must not be claimed by us.
    claim_.release();
    settings.block_device = true;
    auto session = Session::mount(settings, *state_);
    if (session) return session;
    say(Level::notice, "{} cannot be mounted as a block device; mounting it as a file",
        options_.source);
    if (!options_.volume.read_only) RVM_TRY(claim_.take(options_.image));
    settings.block_device = false;
    return Session::mount(std::move(settings), *state_);
  }

  // Says that this process is alive, and how long to wait until the next time.
  int beat() {
    if (options_.volume.read_only || options_.heartbeat_seconds == 0) return -1;
    using std::chrono::milliseconds;
    const auto now = std::chrono::steady_clock::now();
    const auto interval = std::chrono::seconds(options_.heartbeat_seconds);
    const std::lock_guard lock(closing_);
    if (now >= next_beat_ && !closed_) {
      next_beat_ = now + interval;
      // The volume's own writes tell of a host that cannot write.
      const Result<void> written = write_owner(*device_, since_);
      if (!written) say_limited(Level::warning, "owner record: " + explain(written.error()));
    }
    const auto left = std::chrono::ceil<milliseconds>(next_beat_ - now).count();
    return static_cast<int>(std::clamp<int64_t>(left, 1, interval / milliseconds(1)));
  }

  SessionSettings session_settings() const {
    SessionSettings settings;
    settings.source = options_.source;
    settings.mount_point = options_.mount_point;
    settings.debug = options_.debug;
    settings.workers = options_.workers;
    const uint32_t wanted = options_.receivers > 0 ? options_.receivers : default_receivers();
    settings.receivers = std::min(options_.workers, wanted);
    settings.clone_fd = options_.clone_fd;
    // Replies have to go through the descriptor of their worker then, which may be closed earlier.
    settings.follow_caller = options_.follow_caller && !options_.clone_fd;
    settings.options = options_.kernel_options;
    if (options_.volume.read_only) settings.options.emplace_back("ro");
    if (options_.volume.atime == MountOptions::Atime::noatime) {
      settings.options.emplace_back("noatime");
    }
    // A volume that root mounts is for everybody, as with any filesystem; permissions are checked.
    if (options_.allow_root) {
      settings.options.emplace_back("allow_root");
    } else if (options_.allow_other || geteuid() == 0) {
      settings.options.emplace_back("allow_other");
    }
    return settings;
  }

  bool serve_session(Session& session, Background& background, const SignalEvents& signals) {
    const Result<void> started = session.start();
    if (!started) return say(Level::error, "{}", why(started.error())), false;
    bool announced = false;
    while (!session.ended()) {
      wait(session, signals, beat());
      if (session.ready() && !announced) {
        greet();
        background.detach();
        announced = true;
      }
      if (signals.take() != 0) {
        leave(session);
        break;
      }
    }
    // It may have been unmounted as soon as it answered, and before the worker that answered came
    // to say so: after stop() it has.
    session.stop();
    if (session.ready()) return background.detach(), true;
    say(Level::error, "{}: the mount never answered", options_.mount_point);
    return false;
  }

  // The mount answers: what others may want to know of it before they are told.
  void greet() {
    if (is_descriptor(options_.mount_point)) return;
    raise_readahead(options_.mount_point);
    enter_in_utab(options_.source, options_.mount_point);
    in_utab_ = true;
  }

  static void wait(const Session& session, const SignalEvents& signals, int milliseconds) {
    pollfd events[2] = {{session.event_fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}};
    poll(events, 2, milliseconds);
    session.clear_event();
  }

  // Asked to end by a signal. The workers still serve: unmounting makes the kernel write back what
  // programs have changed in shared mappings. If the mount is in use, that is done by syncfs, and
  // the mount goes away from the tree of names; its users get errors from then on.
  void leave(Session& session) const {
    if (is_descriptor(options_.mount_point)) return;
    if (unmount(options_.mount_point, Detach::no)) {
      pollfd event{session.event_fd(), POLLIN, 0};
      while (!session.ended() && poll(&event, 1, kPatienceMilliseconds) > 0) session.clear_event();
      // If it has not ended, another mount namespace has a copy of the mount; it loses it.
      if (!session.ended()) session.forget_mount();
      return;
    }
    say(Level::notice, "{} is in use; unmounting it all the same", options_.mount_point);
    sync_mount(options_.mount_point);
    const Result<void> gone = unmount(options_.mount_point, Detach::yes);
    if (!gone) return say(Level::error, "{}: {}", options_.mount_point, why(gone.error()));
    session.forget_mount();
  }

  const Options& options_;
  const int64_t since_ = time(nullptr);
  std::chrono::steady_clock::time_point next_beat_ =
      std::chrono::steady_clock::now() + std::chrono::seconds(options_.heartbeat_seconds);
  DeviceClaim claim_;
  std::shared_ptr<rvm::Device> device_;
  std::unique_ptr<Volume> volume_;
  std::mutex closing_;  // a request of the kernel may close the volume (on_destroy)
  bool closed_ = false;
  bool closed_well_ = false;
  bool in_utab_ = false;
  std::optional<MountState> state_;
};

Result<void> resolve_paths(Options& options) {
  RVM_TRY(resolve_image(options));
  RVM_ASSIGN(options.mount_point, prepare_mount_point(options.mount_point, options.clear_dead));
  return {};
}

int run_mount(const Options& options, Background& background) {
  const Result<void> prepared = prepare_signals();
  const Result<SignalEvents> signals = SignalEvents::open();
  if (!prepared || !signals) {
    const Error& error = prepared ? signals.error() : prepared.error();
    say(Level::error, "{}", why(error));
    return kFailure;
  }
  Mount mount(options);
  bool good = mount.open() && mount.serve(background, *signals);
  if (mount.is_open()) good = mount.close() && good;
  return good ? 0 : kFailure;
}

}  // namespace

int mount_and_serve(Options options) {
  route_libfuse_messages();
  const std::string image = options.image;
  const std::string mount_point = options.mount_point;
  const Result<void> resolved = resolve_paths(options);
  if (!resolved) {
    const bool is_image = std::string_view(resolved.error().what) == "image";
    say(Level::error, "{}: {}", is_image ? image : mount_point, why(resolved.error()));
    return kFailure;
  }
  if (options.foreground) {
    Background none;
    return run_mount(options, none);
  }
  std::optional<int> parent_status;
  Result<Background> background = Background::enter(parent_status);
  if (!background) {
    say(Level::error, "{}", why(background.error()));
    return kFailure;
  }
  if (parent_status) return *parent_status;
  return run_mount(options, *background);
}

int run_rvmfs(int argc, const char* const* argv) {
  ParsedOptions parsed = parse_options(argc, argv, std::cout, std::cerr);
  if (!parsed.options) return parsed.exit_status;
  return mount_and_serve(std::move(*parsed.options));
}

}  // namespace rvmfs
