// SPDX-License-Identifier: BSD-2-Clause
//
// See options.h.
#include "fsck/options.h"

#include <CLI/CLI.hpp>
#include <ostream>

#include "fsck/fsck.h"

namespace rvmfs::fsck {

namespace {

struct Raw {
  bool automatic = false, preen = false, no = false, yes = false, version = false;
  bool list_findings = false;
};

void describe_options(CLI::App& app, Raw& raw, CommandLine& command) {
  app.add_option("IMAGE", command.image, "File or block device with the volume");
  app.add_flag("-a", raw.automatic, "The same as -p");
  app.add_flag("-p", raw.preen, "Repair without asking");
  app.add_flag("-n", raw.no, "Repair nothing and write nothing");
  app.add_flag("-y", raw.yes, "Repair without asking");
  app.add_flag("-f,--force", command.force, "Check everything, also a volume that seems clean");
  app.add_flag("-v,--verbose", command.verbose, "Say more");
  app.add_flag("-V,--version", raw.version, "Show the version");
  app.add_option("-C", command.progress_fd, "Write the progress to this file descriptor");
  app.add_flag("--dump-tree", command.dump_tree, "Print the whole tree as canonical text");
  app.add_flag("--no-times", command.no_times, "Leave times out of --dump-tree");
  app.add_flag("--dump-log", command.dump_log, "Print the units of the log");
  app.add_flag("--list-findings", raw.list_findings, "Print what can be found, and how repaired");
}

}  // namespace

ParseResult parse_command_line(const std::vector<std::string>& args, std::ostream& out,
                               std::ostream& err) {
  ParseResult result;
  CommandLine& command = result.command;
  Raw raw;
  CLI::App app("Checks and repairs an rvmfs volume.", "fsck.rvmfs");
  describe_options(app, raw, command);
  const auto usage = [&](const char* what) {
    err << "fsck.rvmfs: " << what << " (--help shows the options)\n";
    result.exit_code = kExitUsage;
    return result;
  };
  try {
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::CallForHelp& help) {
    app.exit(help, out, err);
    result.exit_code = kExitClean;
    return result;
  } catch (const CLI::ParseError& mistake) {
    return usage(mistake.what());
  }
  if (raw.version) {
    out << "fsck.rvmfs " << RVMFS_VERSION << "\n";
    result.exit_code = kExitClean;
    return result;
  }
  if (raw.list_findings) {
    out << findings_page();
    result.exit_code = kExitClean;
    return result;
  }
  const bool preen = raw.automatic || raw.preen;
  if (preen + raw.no + raw.yes > 1) return usage("-p (or -a), -n and -y exclude each other");
  if (command.dump_tree && command.dump_log) {
    return usage("--dump-tree and --dump-log exclude each other");
  }
  if (command.image.empty()) return usage("which image?");
  if (preen || raw.yes) command.repair = CommandLine::Answer::yes;
  if (raw.no) command.repair = CommandLine::Answer::no;
  return result;
}

}  // namespace rvmfs::fsck
