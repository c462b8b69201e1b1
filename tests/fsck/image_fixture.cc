// SPDX-License-Identifier: BSD-2-Clause
//
// See image_fixture.h.
#include "tests/fsck/image_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "fsck/hash.h"

namespace rvmfs::test {

namespace {

constexpr Caller kUser{1000, 100};

template <typename T>
T must(rvm::Result<T> result) {
  EXPECT_TRUE(result.has_value()) << explain(result.error());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

class NoSink final : public fsck::FindingSink {
 public:
  void report(const fsck::Finding&) override {}
};

}  // namespace

// Making it costs many flushes of a disk, so it is made once a process.
void ImageTest::make_volume() {
  static std::string content;
  static decltype(made) inodes;
  if (content.empty()) {
    build_volume();
    std::ifstream file(image, std::ios::binary);
    content.assign(std::istreambuf_iterator<char>(file), {});
    inodes = made;
    return;
  }
  made = inodes;
  std::ofstream file(image, std::ios::binary);
  file << content;
  ASSERT_TRUE(file.flush().good());
}

void ImageTest::build_volume() {
  auto device = must(rvm::open_file_device(image, {.create = true}));
  FormatOptions options;
  options.volume_bytes = 16 << 20;
  options.log_bytes = 512 << 10;
  options.name_hash_seed = 4711;
  options.now = {1'700'000'000, 0};
  must(format_volume(device, options));
  device.reset();
  use_volume([this](Volume& volume) {
    made.directory = must(volume.mkdir(1, "directory", 0755, kUser)).inode;
    made.subdirectory = must(volume.mkdir(made.directory, "sub", 0700, kUser)).inode;
    made.file = must(volume.mknod(made.directory, "file", S_IFREG | 0644, 0, 0, kUser)).inode;
    made.small = must(volume.mknod(1, "small", S_IFREG | 0600, 0, 0, kUser)).inode;
    must(volume.link(made.small, made.subdirectory, "small too"));
    made.symlink = must(volume.symlink(1, "symlink", std::string(2000, 'x'), kUser)).inode;
    must(volume.mknod(1, "device", S_IFCHR | 0600, 10, 200, kUser));
    must(volume.mknod(1, "pipe", S_IFIFO | 0600, 0, 0, kUser));
    const std::vector<std::byte> large(40'000, std::byte{'l'});
    must(volume.write(made.file, 8192, large));
    must(volume.write(made.small, 0, std::span(large).first(100)));
    must(volume.setxattr(made.file, "user.note", "a short one", 0));
    must(volume.setxattr(made.file, "user.long", std::string(5000, 'v'), 0));
    must(volume.fallocate(made.file, FALLOC_FL_KEEP_SIZE, 100'000, 50'000));
  });
}

void ImageTest::use_volume(const std::function<void(Volume&)>& work, bool die) {
  MountOptions options;
  options.background = false;
  options.clock = [] { return Time{1'700'000'001, 5}; };
  auto volume = must(Volume::open(open(), options));
  work(*volume);
  if (die) {
    volume->abandon();
  } else {
    must(volume->close());
  }
}

std::shared_ptr<rvm::Device> ImageTest::open(bool read_only) {
  return must(rvm::open_file_device(image, {.read_only = read_only}));
}

fsck::Summary ImageTest::check(fsck::FindingSink& sink) {
  return fsck::check_image(*open(true), {}, sink);
}

void ImageTest::edit(const Edit& change) {
  auto device = open();
  NoSink sink;
  const fsck::CheckOptions options;
  fsck::CheckState state(*device, options, sink);
  fsck::run_checks(state);
  auto session = must(fsck::RepairSession::open(device, state));
  auto tx = session->begin();
  must(change(*session, tx));
  must(session->commit(tx));
  must(session->close());
}

void ImageTest::overwrite(uint64_t offset, std::span<const std::byte> bytes) {
  must(open()->write(offset, bytes));
}

void ImageTest::flip(uint64_t offset) {
  auto device = open();
  std::byte byte;
  must(device->read(offset, std::span(&byte, 1)));
  byte ^= std::byte{0x10};
  must(device->write(offset, std::span(&byte, 1)));
}

void ImageTest::edit_superblock(uint64_t offset,
                                const std::function<void(format::Superblock&)>& change) {
  auto device = open();
  format::Superblock super;
  const auto bytes = std::as_writable_bytes(std::span(&super, 1));
  must(device->read(offset, bytes));
  change(super);
  super.hash = 0;
  super.hash = fsck::hash_of(bytes, format::kSuperblockSeed);
  must(device->write(offset, bytes));
}

RunResult ImageTest::run(std::vector<std::string> options) {
  options.push_back(image);
  std::ostringstream out, err;
  const int code = fsck::run_fsck(options, out, err);
  return {code, out.str(), err.str()};
}

std::vector<std::byte> ImageTest::bytes() {
  std::ifstream file(image, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

std::string ImageTest::dump() {
  std::ostringstream out;
  must(fsck::dump_tree(*open(true), out));
  return out.str();
}

uint64_t ImageTest::place_of(uint64_t space_offset) const {
  constexpr uint64_t kLogBytes = 512 << 10;
  const uint64_t chunk0 = (format::kLogOffset + kLogBytes + (1 << 20) - 1) >> 20 << 20;
  return chunk0 + space_offset;
}

format::VolumeRoot ImageTest::root() {
  format::VolumeRoot root;
  must(open(true)->read(place_of(rvm::format::kRootPageOffset),
                        std::as_writable_bytes(std::span(&root, 1))));
  return root;
}

format::Superblock ImageTest::superblock() { return must(read_superblock(*open(true))); }

}  // namespace rvmfs::test
