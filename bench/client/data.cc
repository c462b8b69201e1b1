// SPDX-License-Identifier: BSD-2-Clause
//
// The suite `data`: one large file, sequentially and at random. "Cold" means that the filesystem's
// own pages of it are dropped; the host may still have those of the image. With --direct, all of it
// with O_DIRECT.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/client/client.h"

namespace bench {
namespace {

constexpr size_t kBlockBytes = 4096;
constexpr size_t kPieceBytes = 1 << 20;

class LargeFile {
 public:
  LargeFile(const Settings& settings, std::string path)
      : path_(std::move(path)),
        bytes_(settings.bytes / kPieceBytes * kPieceBytes),
        file_(path_, O_CREAT | O_RDWR | (settings.direct ? O_DIRECT : 0)),
        piece_(make_bytes(kPieceBytes)) {}

  int fd() const { return *file_; }
  uint64_t pieces() const { return bytes_ / kPieceBytes; }

  void write_all() const {
    for (uint64_t at = 0; at < bytes_; at += kPieceBytes) put(at, kPieceBytes);
  }
  void read_all() const {
    for (uint64_t at = 0; at < bytes_; at += kPieceBytes) get(at, kPieceBytes);
  }
  void read_some(uint64_t count, uint64_t seed) const {
    for (uint64_t i = 0; i < count; ++i) get(somewhere(seed), kBlockBytes);
  }
  void write_some(uint64_t count, uint64_t seed) const {
    for (uint64_t i = 0; i < count; ++i) put(somewhere(seed), kBlockBytes);
  }
  void read_mapped() const {
    void* const place = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, fd(), 0);
    if (place == MAP_FAILED) fail("mmap");
    uint64_t sum = 0;
    for (uint64_t at = 0; at < bytes_; at += kBlockBytes) {
      sum += static_cast<const volatile unsigned char*>(place)[at];
    }
    if (sum == 0) fail("zeros were read");
    munmap(place, bytes_);
  }

 private:
  uint64_t somewhere(uint64_t& seed) const {
    return next_random(seed) % (bytes_ / kBlockBytes) * kBlockBytes;
  }
  void put(uint64_t at, size_t size) const {
    const auto done =
        check(pwrite(fd(), piece_.get(), size, static_cast<off_t>(at)), "write", path_);
    if (done != static_cast<int64_t>(size)) fail("short write");
  }
  void get(uint64_t at, size_t size) const {
    const auto done = check(pread(fd(), piece_.get(), size, static_cast<off_t>(at)), "read", path_);
    if (done != static_cast<int64_t>(size)) fail("short read");
  }

  std::string path_;
  uint64_t bytes_;
  Descriptor file_;
  Bytes piece_;
};

}  // namespace

void run_data(const Settings& settings, Meter& meter) {
  const std::string path = settings.folder + "/large";
  {
    const LargeFile file(settings, path);
    const uint64_t count = settings.count;
    const std::string prefix = settings.direct ? "direct_" : "";
    const auto cold = [&](const std::string& name, uint64_t operations, const auto& work) {
      if (!meter.wanted(prefix + name)) return;
      drop_pages(file.fd());
      meter.phase(prefix + name, operations, work);
    };
    meter.begin();
    file.write_all();
    meter.end();
    if (meter.wanted(prefix + "seq_write")) meter.print(prefix + "seq_write", file.pieces());
    meter.phase(prefix + "seq_overwrite_fsync", file.pieces(), [&] {
      file.write_all();
      check(fsync(file.fd()), "fsync", path);
    });
    cold("seq_read_cold", file.pieces(), [&] { file.read_all(); });
    if (!settings.direct) {
      meter.phase("seq_read_warm", file.pieces(), [&] { file.read_all(); });
      cold("mmap_read_cold", file.pieces(), [&] { file.read_mapped(); });
    }
    cold("random_read_cold", count, [&] { file.read_some(count, 1); });
    if (!settings.direct) {
      file.read_all();
      meter.phase("random_read_warm", count, [&] { file.read_some(count, 2); });
    }
    meter.phase(prefix + "random_write", count, [&] { file.write_some(count, 3); });
    meter.phase(prefix + "random_write_fsync", count, [&] {
      file.write_some(count, 4);
      check(fsync(file.fd()), "fsync", path);
    });
  }
  check(unlink(path.c_str()), "unlink", path);
}

}  // namespace bench
