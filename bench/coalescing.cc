// SPDX-License-Identifier: BSD-2-Clause
//
// What the optimisations of lazy commits save, in the case that they were invented for: `cp * dir`.
// Creates and writes many small files in one directory of a fresh volume in an image file, in
// process, and forces the log at the end; with each optimisation on and off. Prints a Markdown
// table.
//
//   intra: ranges of one transaction that are declared twice, overlap or touch, are logged once
//   inter: bytes that a later lazy commit overwrites are not logged for the earlier one
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "fs/volume.h"

namespace {

using rvmfs::Result;

struct Settings {
  std::string folder = ".";
  uint32_t files = 5000;
  uint32_t bytes = 600;
  uint32_t commit_every = 0;  // files between two forces; 0: only at the end
};

struct Measured {
  rvm::Statistics statistics{};
  double seconds = 0;
};

Result<void> copy_files(rvmfs::Volume& volume, const Settings& settings) {
  const std::vector<std::byte> content(settings.bytes, std::byte{'x'});
  RVM_ASSIGN(const rvmfs::Attributes directory,
             volume.mkdir(rvmfs::format::kRootInode, "dir", 0755, {}));
  for (uint32_t i = 0; i < settings.files; ++i) {
    const std::string name = "file-" + std::to_string(i);
    RVM_ASSIGN(const rvmfs::Attributes file,
               volume.mknod(directory.inode, name, S_IFREG | 0644, 0, 0, {}));
    RVM_ASSIGN(const size_t written, volume.write(file.inode, 0, content));
    if (written != content.size()) return rvmfs::fs_error(rvmfs::FsErrc::volume_full);
    if (settings.commit_every != 0 && (i + 1) % settings.commit_every == 0) RVM_TRY(volume.sync());
  }
  return volume.sync();
}

Result<Measured> measure(const Settings& settings, bool intra, bool inter) {
  const std::string path = settings.folder + "/coalescing-" + std::to_string(::getpid()) + ".img";
  RVM_ASSIGN(std::shared_ptr<rvm::Device> device,
             rvm::open_file_device(path, {.create = true, .exclusive = true}));
  ::unlink(path.c_str());  // gone when closed, also after an error
  rvmfs::FormatOptions format;
  format.volume_bytes = 1ULL << 30;
  format.uuid[0] = 1;
  RVM_TRY(rvmfs::format_volume(device, format));
  rvmfs::MountOptions mount;
  mount.commit_seconds = 0;
  mount.background = false;
  mount.tuning.coalesce_ranges = intra;
  mount.tuning.coalesce_transactions = inter;
  RVM_ASSIGN(const std::unique_ptr<rvmfs::Volume> volume, rvmfs::Volume::open(device, mount));
  const rvm::Statistics before = volume->rvm().statistics();
  const auto begin = std::chrono::steady_clock::now();
  RVM_TRY(copy_files(*volume, settings));
  Measured measured;
  measured.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  measured.statistics = volume->rvm().statistics();
  measured.statistics.log_bytes_written -= before.log_bytes_written;
  measured.statistics.log_payload_bytes -= before.log_payload_bytes;
  measured.statistics.forces -= before.forces;
  RVM_TRY(volume->close());
  return measured;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app{"Log bytes and time of many small files, with each optimisation on and off"};
  app.add_option("--folder", settings.folder, "where the image is made");
  app.add_option("--files", settings.files, "number of files");
  app.add_option("--bytes", settings.bytes, "bytes in each file");
  app.add_option("--commit-every", settings.commit_every, "force the log after so many files");
  CLI11_PARSE(app, argc, argv);

  std::printf("%u files of %u bytes in one directory\n\n", settings.files, settings.bytes);
  std::printf(
      "| intra | inter | log bytes written | of it new values | forces | log, KiB a file | "
      "seconds |\n|---|---|---:|---:|---:|---:|---:|\n");
  for (const bool intra : {true, false}) {
    for (const bool inter : {true, false}) {
      const Result<Measured> measured = measure(settings, intra, inter);
      if (!measured) {
        std::fprintf(stderr, "%s\n", rvmfs::explain(measured.error()).c_str());
        return 1;
      }
      const rvm::Statistics& s = measured->statistics;
      std::printf("| %s | %s | %llu | %llu | %llu | %.2f | %.2f |\n", intra ? "on" : "off",
                  inter ? "on" : "off", static_cast<unsigned long long>(s.log_bytes_written),
                  static_cast<unsigned long long>(s.log_payload_bytes),
                  static_cast<unsigned long long>(s.forces),
                  static_cast<double>(s.log_bytes_written) / 1024 / settings.files,
                  measured->seconds);
      std::fflush(stdout);
    }
  }
  return 0;
}
