// SPDX-License-Identifier: BSD-2-Clause
//
// The command line of rvmfs.
#include "fs/daemon/options.h"

#include <fmt/format.h>
#include <fuse3/fuse_common.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <ostream>

#include "fs/daemon/size_text.h"

namespace rvmfs {
namespace {

constexpr uint64_t kMetadataBytesMin = 1 << 20;
constexpr uint32_t kWorkersMax = 256;
constexpr uint32_t kCommitSecondsMax = 24 * 3600;
constexpr uint32_t kHeartbeatSecondsMax = 3600;

// Sets something, and returns what is wrong with the value (or an empty string).
using Apply = std::string (*)(Options&, std::string_view value);

struct OwnOption {
  std::string_view name;
  bool takes_value;
  Apply apply;
};

std::string set_commit(Options& options, std::string_view value) {
  const auto seconds = parse_number(value);
  if (!seconds || *seconds > kCommitSecondsMax) return "a number of seconds, at most a day";
  options.volume.commit_seconds = *seconds;
  return {};
}

std::string set_metadata_memory(Options& options, std::string_view value) {
  const auto bytes = parse_size(value);
  if (!bytes || *bytes < kMetadataBytesMin) return "a size of at least 1M";
  options.volume.metadata_bytes_max = *bytes;
  return {};
}

std::string set_threads(uint32_t& target, std::string_view value) {
  const auto threads = parse_number(value);
  if (!threads || *threads == 0 || *threads > kWorkersMax) return "a number from 1 to 256";
  target = *threads;
  return {};
}

std::string set_placement(Options& options, std::string_view value) {
  if (value != "caller" && value != "kernel") return "caller or kernel";
  options.follow_caller = value == "caller";
  return {};
}

std::string set_aligned_size(uint64_t& target, std::string_view value) {
  const auto bytes = parse_size(value);
  if (!bytes || *bytes % format::kBlockBytes != 0) return "a size, a multiple of 4096";
  target = *bytes;
  return {};
}

std::string set_heartbeat(Options& options, std::string_view value) {
  const auto seconds = parse_number(value);
  if (!seconds || *seconds > kHeartbeatSecondsMax) return "a number of seconds, at most an hour";
  options.heartbeat_seconds = *seconds;
  return {};
}

std::string set_disabled(Options& options, std::string_view value) {
  const auto feature = feature_by_name(value);
  if (!feature) return fmt::format("one of {}", feature_names());
  options.disabled.add(*feature);
  return {};
}

std::string set_synchronous(Options& options, const char* kernel_option) {
  options.synchronous_names = true;
  options.kernel_options.emplace_back(kernel_option);
  return {};
}

using O = Options;
using V = std::string_view;
using Atime = MountOptions::Atime;

constexpr std::array kOwnOptions = {
    OwnOption{"ro", false, [](O& o, V) { return o.volume.read_only = true, std::string(); }},
    OwnOption{"rw", false, [](O& o, V) { return o.volume.read_only = false, std::string(); }},
    OwnOption{"noatime", false,
              [](O& o, V) { return o.volume.atime = Atime::noatime, std::string(); }},
    OwnOption{"relatime", false,
              [](O& o, V) { return o.volume.atime = Atime::relatime, std::string(); }},
    OwnOption{"strictatime", false,
              [](O& o, V) { return o.volume.atime = Atime::strictatime, std::string(); }},
    OwnOption{"discard", false, [](O& o, V) { return o.volume.discard = true, std::string(); }},
    OwnOption{"nodiscard", false, [](O& o, V) { return o.volume.discard = false, std::string(); }},
    OwnOption{"allow_other", false, [](O& o, V) { return o.allow_other = true, std::string(); }},
    OwnOption{"allow_root", false, [](O& o, V) { return o.allow_root = true, std::string(); }},
    OwnOption{"clone_fd", false, [](O& o, V) { return o.clone_fd = true, std::string(); }},
    OwnOption{"debug", false, [](O& o, V) { return o.debug = true, std::string(); }},
    OwnOption{"sync", false, [](O& o, V) { return set_synchronous(o, "sync"); }},
    OwnOption{"dirsync", false, [](O& o, V) { return set_synchronous(o, "dirsync"); }},
    OwnOption{"acl", false, [](O&, V) { return std::string(); }},
    OwnOption{"noacl", false, [](O& o, V) { return o.disabled.add(Feature::acl), std::string(); }},
    OwnOption{"commit", true, set_commit},
    OwnOption{"metadata_memory", true, set_metadata_memory},
    OwnOption{"workers", true, [](O& o, V v) { return set_threads(o.workers, v); }},
    OwnOption{"receivers", true, [](O& o, V v) { return set_threads(o.receivers, v); }},
    OwnOption{"placement", true, set_placement},
    OwnOption{"offset", true, [](O& o, V v) { return set_aligned_size(o.offset, v); }},
    OwnOption{"sizelimit", true, [](O& o, V v) { return set_aligned_size(o.size_limit, v); }},
    // mount(8) keeps offset= and sizelimit= for loop devices; these come through.
    OwnOption{"image_offset", true, [](O& o, V v) { return set_aligned_size(o.offset, v); }},
    OwnOption{"image_size", true, [](O& o, V v) { return set_aligned_size(o.size_limit, v); }},
    OwnOption{"heartbeat", true, set_heartbeat},
    OwnOption{"clear_dead", false, [](O& o, V) { return o.clear_dead = true, std::string(); }},
    OwnOption{"disable", true, set_disabled},
};

// default_permissions is always on; naming it does no harm.
constexpr std::array kIgnored = {"defaults",   "auto",          "noauto",     "nofail",
                                 "_netdev",    "user",          "nouser",     "users",
                                 "nousers",    "owner",         "group",      "silent",
                                 "loud",       "nouuid",        "comment",    "default_permissions",
                                 "loop",       "nostrictatime", "norelatime", "iversion",
                                 "noiversion", "lazytime",      "nolazytime", "uhelper",
                                 "helper"};

constexpr std::array kForKernel = {"suid",   "nosuid", "dev",        "nodev",    "exec",
                                   "noexec", "async",  "nodiratime", "diratime", "nosymfollow"};

template <typename List>
bool contains(const List& list, std::string_view name) {
  return std::any_of(list.begin(), list.end(), [&](const char* item) { return name == item; });
}

std::string apply_own(const OwnOption& own, bool has_value, std::string_view value, Options& out) {
  if (own.takes_value != has_value) {
    return own.takes_value ? fmt::format("mount option '{0}' needs a value: {0}=...", own.name)
                           : fmt::format("mount option '{}' takes no value", own.name);
  }
  const std::string wanted = own.apply(out, value);
  if (wanted.empty()) return {};
  return fmt::format("mount option '{}={}': the value must be {}", own.name, value, wanted);
}

std::string apply_one(std::string_view option, Options& options, bool sloppy) {
  const size_t equals = option.find('=');
  const bool has_value = equals != std::string_view::npos;
  const std::string_view name = option.substr(0, equals);
  for (const OwnOption& own : kOwnOptions) {
    if (own.name != name) continue;
    return apply_own(own, has_value, has_value ? option.substr(equals + 1) : "", options);
  }
  if (contains(kIgnored, name) || name.substr(0, 2) == "x-") return {};
  if (!has_value && contains(kForKernel, name)) {
    if (name != "diratime") options.kernel_options.emplace_back(name);
    return {};
  }
  return sloppy ? std::string() : fmt::format("unknown mount option '{}'", option);
}

struct CommandLine {
  CLI::App app{"Mounts an rvmfs volume.", "rvmfs"};
  Options options;
  std::vector<std::string> lists;
  bool single_thread = false;
  bool show_version = false;

  CommandLine() {
    app.set_help_flag("-h,--help", "Print this help and exit");
    app.add_flag("-V,--version", show_version, "Print the version and exit");
    app.add_flag("-f,--foreground", options.foreground, "Stay in the foreground");
    app.add_flag("-d,--debug", options.debug, "Print every request (implies -f)");
    app.add_flag("-s,--single-thread", single_thread, "Serve requests with a single thread");
    app.add_option("-o", lists, "Mount options, separated by commas: rvmfs(8)")
        ->type_name("OPTION[,OPTION...]")
        ->expected(1)
        ->allow_extra_args(false)
        ->take_all();
    app.add_option("IMAGE", options.image, "Image file or block device")->type_name("");
    app.add_option("MOUNTPOINT", options.mount_point, "Directory to mount it on")->type_name("");
  }
};

std::string finish(CommandLine& line) {
  for (const std::string& list : line.lists) {
    std::string wrong = apply_mount_options(list, line.options);
    if (!wrong.empty()) return wrong;
  }
  if (line.single_thread) line.options.workers = 1;
  if (line.options.debug) line.options.foreground = true;
  if (line.options.image.empty()) return "no image given";
  if (line.options.mount_point.empty()) return "no mount point given";
  if (line.options.allow_other && line.options.allow_root) {
    return "allow_other and allow_root exclude each other";
  }
  return {};
}

}  // namespace

std::string apply_mount_options(std::string_view list, Options& options, bool sloppy) {
  std::string option;
  for (size_t i = 0; i <= list.size(); ++i) {
    if (i < list.size() && list[i] == '\\' && i + 1 < list.size()) {
      option += list[++i];
    } else if (i < list.size() && list[i] != ',') {
      option += list[i];
    } else if (!option.empty()) {
      std::string wrong = apply_one(option, options, sloppy);
      if (!wrong.empty()) return wrong;
      option.clear();
    }
  }
  return {};
}

ParsedOptions parse_options(int argc, const char* const* argv, std::ostream& out,
                            std::ostream& err) {
  CommandLine line;
  try {
    line.app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    out << line.app.help();
    return {std::nullopt, 0};
  } catch (const CLI::ParseError& error) {
    err << "rvmfs: " << error.what() << "\nTry 'rvmfs -h'.\n";
    return {std::nullopt, 1};
  }
  if (line.show_version) {
    out << fmt::format("rvmfs {} (libfuse {})\n", RVMFS_VERSION, fuse_pkgversion());
    return {std::nullopt, 0};
  }
  const std::string wrong = finish(line);
  if (!wrong.empty()) {
    err << "rvmfs: " << wrong << "\nTry 'rvmfs -h'.\n";
    return {std::nullopt, 1};
  }
  return {std::move(line.options), 0};
}

}  // namespace rvmfs
