// SPDX-License-Identifier: BSD-2-Clause
//
// Command line of the benchmark client: client SUITE --folder FOLDER [options]. All suites but
// `run` work in a folder that they make.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "bench/client/client.h"

namespace bench {
namespace {

using Suite = void (*)(const Settings&, Meter&);

const std::map<std::string, Suite> kSuites = {
    {"names", run_names},     {"small_files", run_small_files},
    {"tree", run_tree},       {"large_directory", run_large_directory},
    {"threads", run_threads}, {"durable", run_durable},
    {"raw_log", run_raw_log}, {"data", run_data},
    {"run", run_program},
};

[[noreturn]] void usage() {
  std::string suites;
  for (const auto& [name, suite] : kSuites) suites += " " + name;
  std::fprintf(stderr,
               "usage: client SUITE --folder FOLDER [--count N] [--bytes N] [--threads N]\n"
               "              [--shared] [--direct] [--phases A,B] [--daemon PID] [--messages]\n"
               "       client run --folder MOUNT [--daemon PID] [--messages] -- PROGRAM...\n"
               "suites:%s\n",
               suites.c_str());
  exit(2);
}

std::set<std::string> split(const std::string& list) {
  std::set<std::string> parts;
  std::istringstream in(list);
  for (std::string part; std::getline(in, part, ',');) parts.insert(part);
  return parts;
}

uint64_t number(const std::string& text) {
  char* end = nullptr;
  const uint64_t value = strtoull(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0') usage();
  return value;
}

Settings parse(const std::vector<std::string>& arguments) {
  Settings settings;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& option = arguments[i];
    if (option == "--") {
      settings.command.assign(arguments.begin() + static_cast<ptrdiff_t>(i) + 1, arguments.end());
      break;
    }
    if (option == "--shared") {
      settings.shared = true;
    } else if (option == "--direct") {
      settings.direct = true;
    } else if (option == "--messages") {
      settings.messages = true;
    } else {
      if (++i == arguments.size()) usage();
      const std::string& value = arguments[i];
      if (option == "--folder") {
        settings.folder = value;
      } else if (option == "--count") {
        settings.count = number(value);
      } else if (option == "--bytes") {
        settings.bytes = number(value);
      } else if (option == "--threads") {
        settings.threads = static_cast<int>(number(value));
      } else if (option == "--phases") {
        settings.phases = split(value);
      } else if (option == "--daemon") {
        settings.daemon = static_cast<pid_t>(number(value));
      } else {
        usage();
      }
    }
  }
  if (settings.folder.empty() || settings.threads < 1 || settings.count == 0) usage();
  return settings;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  if (argc < 2) bench::usage();
  const auto suite = bench::kSuites.find(argv[1]);
  if (suite == bench::kSuites.end()) bench::usage();
  const bench::Settings settings = bench::parse({argv + 2, argv + argc});
  const bool own_folder = suite->second != bench::run_program;
  if (own_folder) bench::check(mkdir(settings.folder.c_str(), 0755), "mkdir", settings.folder);
  bench::Meter meter(settings);
  suite->second(settings, meter);
  if (own_folder) bench::check(rmdir(settings.folder.c_str()), "rmdir", settings.folder);
  return 0;
}
