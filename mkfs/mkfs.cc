// SPDX-License-Identifier: BSD-2-Clause
//
// The order of things in mkfs: look, decide, open, clear, format, populate. Nothing is written
// before every reason to refuse has been looked at; a file that was made for a volume that could
// not be finished is removed again.
#include "mkfs/mkfs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ostream>

#include "fs/errors.h"
#include "fs/volume.h"
#include "mkfs/identity.h"
#include "mkfs/options.h"
#include "mkfs/populate.h"
#include "mkfs/size.h"
#include "mkfs/target.h"

namespace rvmfs::mkfs {
namespace {

constexpr uint64_t kDefaultVolumeBytes = 1ull << 40;

// A Result whose error is the whole message.
using Outcome = tl::expected<void, std::string>;

tl::unexpected<std::string> refuse(std::string why) {
  return tl::unexpected<std::string>(std::move(why));
}

class Mkfs {
 public:
  Mkfs(const CommandLine& command, std::ostream& out) : command_(command), out_(out) {}

  Outcome run() {
    if (auto fit = decide(); !fit) return fit;
    if (command_.dry_run) {
      say_summary("would make an rvmfs volume of");
      return {};
    }
    Outcome made = make();
    if (!made && target_.kind == Target::Kind::absent && created_) {
      device_.reset();
      ::unlink(command_.image.c_str());
    }
    return made;
  }

 private:
  Outcome decide() {
    auto target = look_at(command_.image);
    if (!target) return refuse(rvmfs::explain(target.error()));
    target_ = *target;
    if (target_.kind == Target::Kind::other) return refuse("neither a file nor a block device");
    const std::string user = user_of(target_);
    if (!user.empty() && command_.force < 2) {
      return refuse(
          fmt::format("it is {}; detach it first (-f -f overwrites it all the same)", user));
    }
    auto contents = contents_of(command_.image, target_);
    if (!contents) return refuse(rvmfs::explain(contents.error()));
    if (!contents->empty() && command_.force < 1) {
      return refuse(fmt::format("it holds {}; give -f to overwrite it", *contents));
    }
    if (auto sized = choose_size(); !sized) return sized;
    return choose_options();
  }

  // Length of what is there, for a size that was not given. An rvmfs volume keeps its size.
  uint64_t size_of_target() const {
    if (target_.kind == Target::Kind::absent) return 0;
    auto device = rvm::open_file_device(command_.image, {.read_only = true, .lock = false});
    if (!device) return 0;  // told when it is opened for writing
    const uint64_t bytes = (*device)->size();
    if (target_.kind == Target::Kind::file) {
      if (const auto super = read_superblock(**device)) return std::max(super->volume_bytes, bytes);
    }
    return bytes;
  }

  Outcome choose_size() {
    const uint64_t there = size_of_target();
    uint64_t bytes = command_.volume_bytes.value_or(there);
    if (bytes == 0 && !command_.volume_bytes) bytes = kDefaultVolumeBytes;
    if (target_.kind == Target::Kind::block_device && bytes > there) {
      return refuse(fmt::format("the device has {} only", size_text(there)));
    }
    bytes = bytes / format::kBlockBytes * format::kBlockBytes;
    if (bytes < format::kVolumeBytesMin || bytes > format::kVolumeBytesMax) {
      return refuse(fmt::format("a volume has {} to {}, not {}", size_text(format::kVolumeBytesMin),
                                size_text(format::kVolumeBytesMax), size_text(bytes)));
    }
    format_.volume_bytes = bytes;
    return {};
  }

  Outcome choose_options() {
    format_.log_bytes = command_.log_bytes.value_or(0);
    if (command_.log_bytes && (*command_.log_bytes < rvm::kLogBytesMin ||
                               *command_.log_bytes > format_.volume_bytes / 2)) {
      return refuse(fmt::format("a log of {} does not fit: at least {}, at most half the volume",
                                size_text(*command_.log_bytes), size_text(rvm::kLogBytesMin)));
    }
    format_.log_bytes = format_.log_bytes / format::kBlockBytes * format::kBlockBytes;
    format_.label = command_.label;
    format_.root_uid = command_.root_uid.value_or(::geteuid());
    format_.root_gid = command_.root_gid.value_or(::getegid());
    if (auto set = set_identity(command_, format_); !set) {
      return refuse(rvmfs::explain(set.error()));
    }
    return {};
  }

  Outcome make() {
    auto opened = open();
    if (!opened) return refuse(open_message(opened.error()));
    device_ = *opened;
    created_ = true;
    if (auto done = clear(); !done) return refuse(rvmfs::explain(done.error()));
    if (auto done = format_volume(device_, format_); !done) {
      return refuse(rvmfs::explain(done.error()));
    }
    if (!command_.populate_from.empty()) {
      auto copied = populate(device_, command_.populate_from, command_.source_date_epoch);
      if (!copied) return refuse(copied.error());
      populated_ = *copied;
    }
    if (auto done = restore_length(); !done) return refuse(rvmfs::explain(done.error()));
    if (auto done = device_->flush(); !done) return refuse(rvmfs::explain(done.error()));
    say_summary("rvmfs volume of");
    return {};
  }

  rvm::Result<std::shared_ptr<rvm::Device>> open() const {
    auto device = rvm::open_file_device(command_.image, {.create = true});
    const bool override_lock = !device && device.error() == rvm::Errc::busy &&
                               target_.kind == Target::Kind::block_device && command_.force >= 2;
    if (!override_lock) return device;
    return rvm::open_file_device(command_.image, {.lock = false});
  }

  static std::string open_message(const rvm::Error& error) {
    if (!(error == rvm::Errc::busy)) return rvmfs::explain(error);
    return "it is in use by another process (a mounted rvmfs, perhaps); unmount it first";
  }

  // Takes away what was there: all of it, or with -K only what could be mistaken for something
  // else.
  rvm::Result<void> clear() {
    if (target_.kind == Target::Kind::absent) return {};
    if (command_.keep_blocks) return wipe_signatures(command_.image);
    if (target_.kind == Target::Kind::file) return device_->resize(0);
    RVM_TRY(wipe_signatures(command_.image));
    return device_->discard(0, device_->size());
  }

  // A file that somebody gave a length keeps it (as a hole), so that a second mkfs finds it again.
  rvm::Result<void> restore_length() {
    const uint64_t length = std::min(target_.bytes, format_.volume_bytes);
    if (target_.kind != Target::Kind::file || device_->size() >= length) return {};
    return device_->resize(length);
  }

  void say_summary(const char* what) {
    if (command_.quiet) return;
    const uint64_t log =
        format_.log_bytes != 0 ? format_.log_bytes : default_log_bytes(format_.volume_bytes);
    out_ << fmt::format("{}: {} {}, log {}, UUID {}", command_.image, what,
                        size_text(format_.volume_bytes), size_text(log), uuid_text(format_.uuid));
    if (!format_.label.empty()) out_ << fmt::format(", label '{}'", format_.label);
    if (populated_.files != 0) {
      out_ << fmt::format(", with {} files of {}", populated_.files, command_.populate_from);
    }
    out_ << "\n";
    if (!command_.verbose) return;
    out_ << fmt::format("  blocks of {} bytes: {}\n  root directory: owner {}:{}\n",
                        format::kBlockBytes, format_.volume_bytes / format::kBlockBytes,
                        format_.root_uid, format_.root_gid);
    if (device_) out_ << fmt::format("  length of the image now: {}\n", size_text(device_->size()));
  }

  const CommandLine& command_;
  std::ostream& out_;
  Target target_;
  FormatOptions format_;
  Populated populated_;
  std::shared_ptr<rvm::Device> device_;
  bool created_ = false;
};

}  // namespace

int run_mkfs(const std::vector<std::string>& args, std::ostream& out, std::ostream& err) {
  const ParseResult parsed = parse_command_line(args, out, err);
  if (parsed.exit_code) return *parsed.exit_code;
  const Outcome outcome = Mkfs(parsed.command, out).run();
  if (outcome) return 0;
  err << "mkfs.rvmfs: " << parsed.command.image << ": " << outcome.error() << "\n";
  return 1;
}

}  // namespace rvmfs::mkfs
