// SPDX-License-Identifier: BSD-2-Clause
//
// See sample_images.h. A sample that could not be made ends the program: nothing that is judged by
// it would mean anything.
#include "tests/images/sample_images.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>

#include "tests/support/fault_device.h"
#include "tests/support/memory_device.h"
#include "tests/support/model_run.h"

namespace rvmfs::test {
namespace {

constexpr uint64_t kVolumeBytes = 8 << 20;
constexpr Caller kUser{1000, 100};

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "sample_images: %s failed\n", what);
  std::abort();
}

template <typename T>
T must(rvm::Result<T> result, const char* what) {
  if (!result) std::fprintf(stderr, "sample_images: %s\n", explain(result.error()).c_str());
  check(result.has_value(), what);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::unique_ptr<Volume> open(std::shared_ptr<rvm::Device> device) {
  MountOptions options;
  options.commit_seconds = 0;
  options.background = false;
  options.count_lookups = true;
  options.atime = MountOptions::Atime::noatime;
  options.clock = [] { return Time{1'700'000'002, 9}; };
  return must(Volume::open(std::move(device), options), "open");
}

TreeSnapshot tree_of(Volume& volume) {
  VolumeAnswers answers(volume, true);
  TreeSnapshot tree = snapshot(answers);
  check(tree.error.empty(), tree.error.c_str());
  return tree;
}

std::vector<std::byte> text(size_t count, char letter) {
  return std::vector<std::byte>(count, static_cast<std::byte>(letter));
}

void write(Volume& volume, Inode inode, uint64_t offset, size_t count, char letter) {
  must(volume.write(inode, offset, text(count, letter)), "write");
}

// A tree with an item of every kind in it.
void fill(Volume& volume) {
  const Inode dir = must(volume.mkdir(1, "dir", 0755, kUser), "mkdir").inode;
  const Inode sub = must(volume.mkdir(dir, "sub", 0700, kUser), "mkdir").inode;
  const Inode file = must(volume.mknod(dir, "file", S_IFREG | 0644, 0, 0, kUser), "mknod").inode;
  write(volume, file, 0, 9000, 'a');
  write(volume, file, 40'000, 5000, 'b');
  must(volume.fallocate(file, FALLOC_FL_KEEP_SIZE, 60'000, 10'000), "fallocate");
  const Inode small = must(volume.mknod(1, "small", S_IFREG | 0600, 0, 0, kUser), "mknod").inode;
  write(volume, small, 0, 300, 's');
  must(volume.link(small, sub, "small too"), "link");
  must(volume.symlink(1, "symlink", std::string(1500, 't'), kUser), "symlink");
  must(volume.mknod(sub, "device", S_IFCHR | 0600, 10, 200, kUser), "mknod");
  must(volume.mknod(sub, "pipe", S_IFIFO | 0600, 0, 0, kUser), "mknod");
  must(volume.setxattr(file, "user.note", "a short one", 0), "setxattr");
  must(volume.setxattr(small, "user.long", std::string(2500, 'v'), 0), "setxattr");
}

// Three commits, each a unit of the log. Returns the tree before the last.
TreeSnapshot change(Volume& volume) {
  must(volume.mkdir(1, "one", 0755, kUser), "mkdir");
  must(volume.sync(), "sync");
  const Inode two = must(volume.mknod(1, "two", S_IFREG | 0600, 0, 0, kUser), "mknod").inode;
  write(volume, two, 0, 6000, 'c');
  must(volume.rename(1, "small", 1, "renamed", 0), "rename");
  must(volume.tmpfile(1, 0600, kUser), "tmpfile");
  must(volume.sync(), "sync");
  TreeSnapshot before = tree_of(volume);
  must(volume.unlink(1, "symlink"), "unlink");
  must(volume.sync(), "sync");
  return before;
}

std::shared_ptr<MemoryDevice> fresh(uint64_t bytes = kVolumeBytes) {
  auto device = MemoryDevice::file();
  must(format_for_tests(device, bytes, 256 * 1024), "format");
  auto volume = open(device);
  fill(*volume);
  must(volume->close(), "close");
  return device;
}

void finish(SampleImage& sample, const MemoryDevice& device) {
  sample.image = device.snapshot();
  sample.parts = image_parts(sample.image);
  sample.has_units = !parts_of(sample, PartKind::unit).empty();
}

SampleImage make_clean() {
  SampleImage sample;
  sample.name = "clean";
  const auto device = fresh();
  finish(sample, *device);
  sample.tree = tree_of(*open(device));
  return sample;
}

SampleImage make_logged() {
  SampleImage sample;
  sample.name = "logged";
  const auto device = fresh();
  auto volume = open(device);
  sample.before_last_unit = change(*volume);
  sample.tree = tree_of(*volume);
  volume->abandon();
  finish(sample, *device);
  check(parts_of(sample, PartKind::unit).size() == 3, "three units");
  return sample;
}

// The first write of a truncation is the journal, the next ones go home: the third fails, and
// everything after it.
SampleImage make_journaled() {
  SampleImage sample;
  sample.name = "journaled";
  const auto device = fresh();
  const auto faulty = std::make_shared<FaultDevice>(device);
  auto volume = open(faulty);
  sample.before_last_unit = change(*volume);
  sample.tree = tree_of(*volume);
  faulty->fail(DeviceCall::write, 3, {.forever = true});
  check(!volume->rvm().truncate(), "the truncation that must fail");
  volume->abandon();
  finish(sample, *device);
  check(parts_of(sample, PartKind::journal_page).size() > 3, "a batch of pages");
  return sample;
}

SampleImage make_chunks() {
  SampleImage sample;
  sample.name = "chunks";
  const auto device = fresh(16 << 20);
  auto volume = open(device);
  const Inode many = must(volume->mkdir(1, "many", 0755, kUser), "mkdir").inode;
  for (int i = 0; i < 20; ++i) {
    const std::string name = fmt::format("{:04} {}", i, std::string(230, 'n'));
    const Inode inode = must(volume->mknod(many, name, S_IFREG | 0644, 0, 0, kUser), "mknod").inode;
    must(volume->setxattr(inode, "user.large", std::string(65'000, 'x'), 0), "setxattr");
    must(volume->sync(), "sync");
  }
  sample.tree = tree_of(*volume);
  must(volume->close(), "close");
  finish(sample, *device);
  check(parts_of(sample, PartKind::hash_table).size() > 1, "several chunks");
  return sample;
}

}  // namespace

const std::vector<SampleImage>& sample_images() {
  static const std::vector<SampleImage> samples = [] {
    std::vector<SampleImage> all;
    all.push_back(make_clean());
    all.push_back(make_logged());
    all.push_back(make_journaled());
    all.push_back(make_chunks());
    for (SampleImage& sample : all) {
      sample.dump = canonical_text(sample.tree);
      sample.dump_before_last_unit = canonical_text(sample.before_last_unit);
    }
    return all;
  }();
  return samples;
}

std::vector<ImagePart> parts_of(const SampleImage& sample, PartKind kind) {
  std::vector<ImagePart> some;
  for (const ImagePart& part : sample.parts) {
    if (part.kind == kind) some.push_back(part);
  }
  return some;
}

}  // namespace rvmfs::test
