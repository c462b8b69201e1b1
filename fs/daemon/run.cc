// SPDX-License-Identifier: BSD-2-Clause
//
// The program rvmfs from command line to exit status. The order matters:
//   paths, fork, signals | lock the image, open the volume (recovery), mount, serve | detach, wait
//   for the end | unmount, workers gone, close the volume (everything durable), let go of the lock
#include "fs/daemon/run.h"

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "fs/daemon/daemonize.h"
#include "fs/daemon/messages.h"
#include "fs/daemon/mount_point.h"
#include "fs/daemon/owner.h"
#include "fs/daemon/session.h"
#include "fs/daemon/signals.h"
#include "fs/daemon/size_text.h"

namespace rvmfs {
namespace {

constexpr int kFailure = 1;
constexpr int kPatienceMilliseconds = 1000;

Result<std::string> absolute_path(const std::string& path) {
  char resolved[PATH_MAX];
  if (realpath(path.c_str(), resolved) == nullptr) {
    return Error{rvm::Errc::io, errno, 0, "image"};
  }
  return std::string(resolved);
}

// The image as the volume sees it: all of it, or the part from offset= to sizelimit=.
Result<std::shared_ptr<rvm::Device>> open_image(const Options& options) {
  rvm::FileOptions file;
  file.read_only = options.volume.read_only;
  RVM_ASSIGN(std::shared_ptr<rvm::Device> device, rvm::open_file_device(options.image, file));
  if (options.offset == 0 && options.size_limit == 0) return device;
  const uint64_t size = device->size();
  if (options.offset >= size) return fs_error(FsErrc::bad_argument, "offset= beyond the image");
  uint64_t length = (size - options.offset) / format::kBlockBytes * format::kBlockBytes;
  if (options.size_limit != 0) length = std::min(length, options.size_limit);
  return rvm::make_range_device(std::move(device), options.offset, length);
}

void complain_about_image(const Options& options, const Error& error) {
  if (error == rvm::Errc::busy) {
    say(Level::error, "{} is in use by {}", options.image,
        describe_holder(options.image, options.offset));
  } else {
    say(Level::error, "{}: {}", options.image, explain(error));
  }
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
    auto device = open_image(options_);
    if (!device) return complain_about_image(options_, device.error()), false;
    device_ = *device;
    MountOptions mount_options = options_.volume;
    mount_options.count_lookups = true;
    const auto start = std::chrono::steady_clock::now();
    auto volume = Volume::open(device_, mount_options);
    if (!volume) return complain_about_image(options_, volume.error()), false;
    volume_ = std::move(*volume);
    tell_recovery(volume_->recovery(), std::chrono::steady_clock::now() - start);
    if (options_.volume.read_only) return true;
    const Result<void> owned = write_owner(*device_);
    if (!owned) return complain_about_image(options_, owned.error()), false;
    return true;
  }

  // Mounts and serves until the end. False if that went wrong (and was said).
  bool serve(Background& background, const SignalEvents& signals) {
    state_.emplace(*volume_, options_);
    auto session = Session::mount(session_settings(), *state_);
    if (!session) {
      say(Level::error, "{}: {}", options_.mount_point, why(session.error()));
      return false;
    }
    return serve_session(**session, background, signals);
  }

  // Everything durable, and the image free for others.
  bool close() {
    const Result<void> closed = volume_->close();
    if (!closed) {
      say(Level::error, "{}: the last changes may not be durable: {}", options_.image,
          explain(closed.error()));
    }
    volume_.reset();
    if (!options_.volume.read_only && device_) {
      const Result<void> cleared = clear_owner(*device_);
      if (!cleared) say(Level::warning, "owner record: {}", explain(cleared.error()));
    }
    device_.reset();
    return closed.has_value();
  }
  bool is_open() const { return volume_ != nullptr; }

 private:
  SessionSettings session_settings() const {
    SessionSettings settings;
    settings.source = options_.image;
    settings.mount_point = options_.mount_point;
    settings.debug = options_.debug;
    settings.workers = options_.workers;
    settings.clone_fd = options_.clone_fd;
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
      wait(session, signals);
      if (session.ready() && !announced) {
        if (!is_descriptor(options_.mount_point)) raise_readahead(options_.mount_point);
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

  static void wait(const Session& session, const SignalEvents& signals) {
    pollfd events[2] = {{session.event_fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}};
    poll(events, 2, -1);
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
  std::shared_ptr<rvm::Device> device_;
  std::unique_ptr<Volume> volume_;
  std::optional<MountState> state_;
};

Result<void> resolve_paths(Options& options) {
  RVM_ASSIGN(options.image, absolute_path(options.image));
  RVM_ASSIGN(options.mount_point, prepare_mount_point(options.mount_point));
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

int run_rvmfs(int argc, const char* const* argv) {
  ParsedOptions parsed = parse_options(argc, argv, std::cout, std::cerr);
  if (!parsed.options) return parsed.exit_status;
  Options& options = *parsed.options;
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

}  // namespace rvmfs
