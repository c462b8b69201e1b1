// SPDX-License-Identifier: BSD-2-Clause
//
// How long a volume takes to open, which means: to recover. Opens the image once, with nothing of
// it in the host's cache, as after a loss of power, and prints a row of a Markdown table: the time
// that passed, and the time of a processor that it took. What it needs is what generate_image
// leaves behind. recovery.py makes whole tables of such rows.
//
//   recovery IMAGE
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>

#include "fs/volume.h"

namespace {

using rvmfs::Result;
using rvmfs::Volume;

bool drop_from_cache(const std::string& image) {
  const int fd = ::open(image.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool dropped = ::fsync(fd) == 0 && ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
  return ::close(fd) == 0 && dropped;
}

double cpu_ms() {
  rusage used{};
  (void)getrusage(RUSAGE_SELF, &used);
  const auto ms = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
  };
  return ms(used.ru_utime) + ms(used.ru_stime);
}

Result<void> measure(const std::string& image) {
  RVM_ASSIGN(const std::shared_ptr<rvm::Device> device, rvm::open_file_device(image, {}));
  const double cpu_before = cpu_ms();
  const auto begin = std::chrono::steady_clock::now();
  RVM_ASSIGN(const std::unique_ptr<Volume> volume, Volume::open(device, {}));
  const auto end = std::chrono::steady_clock::now();
  const double cpu = cpu_ms() - cpu_before;
  const rvm::RecoveryReport report = volume->rvm().query().recovery;
  RVM_ASSIGN(const rvmfs::VolumeStatus status, volume->statfs());
  std::printf("| %llu | %.1f MiB | %llu | %llu | %.0f ms | %.0f ms |\n",
              static_cast<unsigned long long>(status.inodes_used),
              static_cast<double>(report.log_bytes) / (1 << 20),
              static_cast<unsigned long long>(report.transactions),
              static_cast<unsigned long long>(report.pages_written),
              std::chrono::duration<double, std::milli>(end - begin).count(), cpu);
  return volume->close();
}

}  // namespace

int main(int argc, char** argv) {
  std::string image;
  CLI::App app{
      "Measures how long an image takes to recover; a row: inodes, live log, transactions, "
      "pages written home, time, time of a processor"};
  app.add_option("IMAGE", image, "as generate_image leaves it")->required();
  CLI11_PARSE(app, argc, argv);
  if (!drop_from_cache(image)) {
    std::perror("recovery");
    return 1;
  }
  const Result<void> result = measure(image);
  if (!result) {
    std::fprintf(stderr, "recovery: %s\n", rvmfs::explain(result.error()).c_str());
    return 1;
  }
  return 0;
}
