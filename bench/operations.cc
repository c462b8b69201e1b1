// SPDX-License-Identifier: BSD-2-Clause
//
// What operations on names cost in process, without FUSE: processor time, microseconds each. For
// finding where it goes (perf record), and what a change brings.
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "fs/volume.h"

namespace {

using rvmfs::Inode;
using rvmfs::Result;

struct Settings {
  std::string folder = ".";
  uint32_t files = 100'000;
};

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

Result<void> measure(const char* what, const Settings& settings,
                     const std::function<Result<void>(uint32_t)>& operation) {
  const double begin = cpu_seconds();
  for (uint32_t i = 0; i < settings.files; ++i) RVM_TRY(operation(i));
  const double seconds = cpu_seconds() - begin;
  std::printf("%-16s %6.2f us\n", what, seconds * 1e6 / settings.files);
  return {};
}

Result<void> run(rvmfs::Volume& volume, const Settings& settings) {
  RVM_ASSIGN(const rvmfs::Attributes made,
             volume.mkdir(rvmfs::format::kRootInode, "dir", 0755, {}));
  const Inode directory = made.inode;
  std::vector<Inode> inodes(settings.files);
  const auto old_name = [](uint32_t i) { return "file-" + std::to_string(i); };
  const auto new_name = [](uint32_t i) { return "renamed-" + std::to_string(i); };
  RVM_TRY(measure("create", settings, [&](uint32_t i) -> Result<void> {
    RVM_ASSIGN(const rvmfs::Attributes file,
               volume.mknod(directory, old_name(i), S_IFREG | 0644, 0, 0, {}));
    inodes[i] = file.inode;
    return {};
  }));
  RVM_TRY(measure("lookup", settings, [&](uint32_t i) -> Result<void> {
    RVM_ASSIGN(const rvmfs::Attributes file, volume.lookup(directory, old_name(i)));
    volume.forget(file.inode, 1);
    return {};
  }));
  RVM_TRY(measure("getattr", settings, [&](uint32_t i) -> Result<void> {
    RVM_TRY(volume.getattr(inodes[i]));
    return {};
  }));
  RVM_TRY(measure("rename", settings, [&](uint32_t i) -> Result<void> {
    return volume.rename(directory, old_name(i), directory, new_name(i), 0);
  }));
  RVM_TRY(measure("unlink", settings,
                  [&](uint32_t i) { return volume.unlink(directory, new_name(i)); }));
  return measure("forget, deleting", settings, [&](uint32_t i) -> Result<void> {
    volume.forget(inodes[i], 1);
    return {};
  });
}

Result<void> run_all(const Settings& settings) {
  const std::string path = settings.folder + "/operations-" + std::to_string(::getpid()) + ".img";
  RVM_ASSIGN(std::shared_ptr<rvm::Device> device,
             rvm::open_file_device(path, {.create = true, .exclusive = true}));
  ::unlink(path.c_str());  // gone when closed, also after an error
  rvmfs::FormatOptions format;
  format.volume_bytes = 1ULL << 33;
  format.uuid[0] = 1;
  RVM_TRY(rvmfs::format_volume(device, format));
  rvmfs::MountOptions mount;
  mount.background = false;
  mount.count_lookups = true;
  RVM_ASSIGN(const std::unique_ptr<rvmfs::Volume> volume, rvmfs::Volume::open(device, mount));
  RVM_TRY(run(*volume, settings));
  return volume->close();
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app{"Processor time of operations on names, in process."};
  app.add_option("--folder", settings.folder, "Where the image is made")->capture_default_str();
  app.add_option("--files", settings.files, "How many")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const Result<void> done = run_all(settings);
  if (!done) std::fprintf(stderr, "operations: %s\n", rvmfs::explain(done.error()).c_str());
  return done ? 0 : 1;
}
