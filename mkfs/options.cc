// SPDX-License-Identifier: BSD-2-Clause
//
// See options.h. Mistakes give one line that says what to write instead.
#include "mkfs/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>
#include <ostream>

#include "fs/format.h"
#include "mkfs/size.h"

namespace rvmfs::mkfs {
namespace {

// What the parser hands out before it is understood.
struct Raw {
  std::string size;
  std::vector<std::string> features, extended;
  bool version = false;
};

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || rest != end || text.empty()) return std::nullopt;
  return number;
}

std::string parse_owner(std::string_view text, CommandLine& command) {
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    command.root_uid = parse_number<uint32_t>(text.substr(0, colon));
    command.root_gid = parse_number<uint32_t>(text.substr(colon + 1));
  }
  if (command.root_uid && command.root_gid) return {};
  return fmt::format("root_owner '{}' is not of the form UID:GID", text);
}

std::string parse_extended(const std::string& item, CommandLine& command) {
  const size_t equals = item.find('=');
  const std::string key = item.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : item.substr(equals + 1);
  if (key == "root_owner") return parse_owner(value, command);
  if (key == "log_size") {
    command.log_bytes = parse_size(value);
    if (command.log_bytes) return {};
    return fmt::format("log_size '{}' is not a size (try log_size=64M)", value);
  }
  return fmt::format("extended option '{}' is unknown (log_size=SIZE and root_owner=UID:GID exist)",
                     key);
}

std::string parse_environment(CommandLine& command) {
  const char* const epoch = std::getenv("SOURCE_DATE_EPOCH");
  if (epoch == nullptr || *epoch == '\0') return {};
  command.source_date_epoch = parse_number<int64_t>(epoch);
  if (command.source_date_epoch) return {};
  return fmt::format("SOURCE_DATE_EPOCH '{}' is not a number of seconds", epoch);
}

// The sentence about what is wrong; empty if nothing.
std::string understand(const Raw& raw, CommandLine& command) {
  if (command.image.empty()) return "which image? (mkfs.rvmfs [options] IMAGE [SIZE])";
  if (!raw.size.empty()) {
    command.volume_bytes = parse_size(raw.size);
    if (!command.volume_bytes) {
      return fmt::format("'{}' is not a size (bytes, or with K, M, G, T: 20G)", raw.size);
    }
  }
  for (const std::string& feature : raw.features) {
    if (feature.empty() || feature == "none") continue;
    return fmt::format("feature '{}' is unknown (this version has none to choose)", feature);
  }
  for (const std::string& item : raw.extended) {
    const std::string fault = parse_extended(item, command);
    if (!fault.empty()) return fault;
  }
  if (command.label.size() > sizeof(format::Superblock::label)) {
    return fmt::format("the label is longer than {} bytes", sizeof(format::Superblock::label));
  }
  return parse_environment(command);
}

void describe_options(CLI::App& app, Raw& raw, CommandLine& command) {
  app.add_option("IMAGE", command.image, "File or block device; a file is made if there is none");
  app.add_option("SIZE", raw.size, "Nominal size: bytes, or with K, M, G, T");
  app.add_option("-L,--label", command.label, "Volume label, up to 64 bytes");
  app.add_option("-U,--uuid", command.uuid, "UUID, or 'random' or 'time'");
  app.add_flag("-n,--dry-run", command.dry_run, "Check everything and write nothing");
  app.add_flag("-q,--quiet", command.quiet, "Say nothing but errors");
  app.add_flag("-v,--verbose", command.verbose, "Say more");
  app.add_flag("-V,--version", raw.version, "Show the version");
  app.add_flag("-K,--no-discard", command.keep_blocks, "Do not give old blocks back to the host");
  app.add_flag("-f,--force", command.force,
               "Overwrite what is there; given twice, also what is mounted");
  app.add_option("-O,--features", raw.features, "Features to turn on or (^) off")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("-E,--extended", raw.extended, "log_size=SIZE, root_owner=UID:GID")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("-d,--populate", command.populate_from, "Copy this folder into the new volume");
}

}  // namespace

ParseResult parse_command_line(const std::vector<std::string>& args, std::ostream& out,
                               std::ostream& err) {
  ParseResult result;
  Raw raw;
  CLI::App app("Makes an rvmfs volume in a file or on a block device.", "mkfs.rvmfs");
  describe_options(app, raw, result.command);
  try {
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::CallForHelp& help) {
    app.exit(help, out, err);
    result.exit_code = 0;
    return result;
  } catch (const CLI::ParseError& mistake) {
    err << "mkfs.rvmfs: " << mistake.what() << " (--help shows the options)\n";
    result.exit_code = 1;
    return result;
  }
  if (raw.version) {
    out << "mkfs.rvmfs " << RVMFS_VERSION << "\n";
    result.exit_code = 0;
    return result;
  }
  const std::string fault = understand(raw, result.command);
  if (!fault.empty()) {
    err << "mkfs.rvmfs: " << fault << "\n";
    result.exit_code = 1;
  }
  return result;
}

}  // namespace rvmfs::mkfs
