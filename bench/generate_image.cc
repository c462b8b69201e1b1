// SPDX-License-Identifier: BSD-2-Clause
//
// Fills a formatted volume in process, without FUSE: for measurements of volumes with very many
// files, and of recovery from a log of a given length.
//
//   generate_image [--files N] [--per-directory N] [--full-log | --live-log MIB] IMAGE
//
// Files are empty; their names and directories are numbered. With --full-log, small files are made
// durable in the end until the log is nearly full, or with --live-log until it has so many MiB to
// be recovered; the volume is then left as a process leaves it that was killed.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <utility>

#include "fs/volume.h"

namespace {

using rvmfs::Attributes;
using rvmfs::Result;
using rvmfs::Volume;

constexpr uint64_t kPercentFull = 95;
constexpr uint64_t kFilesASync = 50;

struct Settings {
  std::string image;
  uint64_t files = 0;
  uint64_t per_directory = 10'000;
  bool full_log = false;
  uint64_t live_log_mib = 0;
};

Result<void> make_files(Volume& volume, const Settings& settings) {
  rvmfs::Inode directory = 0;
  for (uint64_t i = 0; i < settings.files; ++i) {
    if (i % settings.per_directory == 0) {
      const std::string name = "dir-" + std::to_string(i / settings.per_directory);
      RVM_ASSIGN(const Attributes made, volume.mkdir(rvmfs::format::kRootInode, name, 0755, {}));
      directory = made.inode;
    }
    const std::string name = "file-" + std::to_string(i);
    RVM_TRY(volume.mknod(directory, name, S_IFREG | 0644, 0, 0, {}));
  }
  return {};
}

// One writer that makes what it wrote durable again and again, until the log holds so much.
Result<void> fill_log(Volume& volume, uint64_t wanted) {
  RVM_ASSIGN(const Attributes directory,
             volume.mkdir(rvmfs::format::kRootInode, "full-log", 0755, {}));
  const std::vector<std::byte> content(1000, std::byte{'x'});
  uint64_t used = 0;
  for (uint64_t i = 0;; ++i) {
    const uint64_t before = std::exchange(used, volume.rvm().query().log_bytes_used);
    if (used >= wanted) return {};
    if (used < before) {
      return rvm::Error{.code = rvm::Errc::too_big,
                        .position = before,
                        .what = "the log is too small for so much"};
    }
    for (uint64_t k = 0; k < kFilesASync; ++k) {
      const std::string name = "file-" + std::to_string(i * kFilesASync + k);
      RVM_ASSIGN(const Attributes file,
                 volume.mknod(directory.inode, name, S_IFREG | 0644, 0, 0, {}));
      RVM_TRY(volume.write(file.inode, 0, content));
    }
    RVM_TRY(volume.sync());
  }
}

Result<void> generate(const Settings& settings) {
  RVM_ASSIGN(const std::shared_ptr<rvm::Device> device, rvm::open_file_device(settings.image, {}));
  RVM_ASSIGN(std::unique_ptr<Volume> volume, Volume::open(device, {}));
  RVM_TRY(make_files(*volume, settings));
  RVM_TRY(volume->close());
  volume.reset();
  if (!settings.full_log && settings.live_log_mib == 0) return {};
  rvmfs::MountOptions quiet;
  quiet.background = false;  // nobody shortens the log
  RVM_ASSIGN(volume, Volume::open(device, quiet));
  const uint64_t full = volume->rvm().query().log_bytes_capacity / 100 * kPercentFull;
  RVM_TRY(fill_log(*volume, settings.full_log ? full : settings.live_log_mib << 20));
  volume->abandon();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app{"Fills a formatted volume with empty files, in process"};
  app.add_option("--files", settings.files, "number of files");
  app.add_option("--per-directory", settings.per_directory, "files in each directory")
      ->check(CLI::PositiveNumber);
  app.add_flag("--full-log", settings.full_log, "leave a log that is nearly full to recover");
  app.add_option("--live-log", settings.live_log_mib, "leave a log of so many MiB to recover")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("IMAGE", settings.image, "what mkfs.rvmfs has made")->required();
  CLI11_PARSE(app, argc, argv);
  const Result<void> result = generate(settings);
  if (!result) {
    std::fprintf(stderr, "generate_image: %s\n", rvmfs::explain(result.error()).c_str());
    return 1;
  }
  return 0;
}
