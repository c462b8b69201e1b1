// SPDX-License-Identifier: BSD-2-Clause
//
// A fault at every call to the device (fault_script.h says what must hold then): while a volume is
// opened and recovered, while it commits, while the log is truncated in both ways, while the volume
// and its metadata grow.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/crash/fault_script.h"
#include "tests/support/memory_device.h"
#include "tests/support/model_run.h"

namespace rvmfs::test {
namespace {

constexpr Caller kUser{1000, 100};

template <typename T>
Result<void> done(const Result<T>& result) {
  if (!result) return result.error();
  return {};
}

Result<Inode> find(Volume& volume, const std::string& name) {
  RVM_ASSIGN(const Attributes found, volume.lookup(1, name));
  return found.inode;
}

FaultStep make_dir(std::string name) {
  return {"mkdir " + name, [name](Volume& v) { return done(v.mkdir(1, name, 0755, kUser)); }};
}
FaultStep make_file(std::string name) {
  return {"mknod " + name,
          [name](Volume& v) { return done(v.mknod(1, name, S_IFREG | 0644, 0, 0, kUser)); }};
}
FaultStep write_file(std::string name, size_t bytes) {
  return {"write " + name, [name, bytes](Volume& v) -> Result<void> {
            RVM_ASSIGN(const Inode inode, find(v, name));
            const std::vector<std::byte> data(bytes, std::byte{'w'});
            return done(v.write(inode, 0, data));
          }};
}
FaultStep set_xattr(std::string name, size_t bytes) {
  return {"setxattr " + name, [name, bytes](Volume& v) -> Result<void> {
            RVM_ASSIGN(const Inode inode, find(v, name));
            return v.setxattr(inode, "user.x", std::string(bytes, 'x'), 0);
          }};
}
FaultStep unlink(std::string name) {
  return {"unlink " + name, [name](Volume& v) { return v.unlink(1, name); }};
}
FaultStep sync() {
  return {"sync", [](Volume& v) { return v.sync(); }, true};
}
FaultStep truncate_log(rvm::Truncation mode) {
  return {"truncate the log", [mode](Volume& v) { return v.rvm().truncate(mode); }};
}

using Work = std::function<void(Volume&)>;

// A volume in which `work` was done and which was closed, or killed.
SparseImage image_after(const Work& work, bool kill) {
  auto device = MemoryDevice::file();
  EXPECT_TRUE(format_for_tests(device, 16 << 20, 256 * 1024).has_value());
  MountOptions options;
  options.commit_seconds = 0;
  options.background = false;
  options.clock = [] { return Time{1'700'000'050, 1}; };
  auto volume = Volume::open(device, options);
  EXPECT_TRUE(volume.has_value());
  if (!volume) return device->snapshot();
  work(**volume);
  if (kill) {
    (*volume)->abandon();
  } else {
    EXPECT_TRUE((*volume)->close().has_value());
  }
  return device->snapshot();
}

void must_run(Volume& volume, const FaultStep& step) {
  const auto result = step.run(volume);
  EXPECT_TRUE(result.has_value()) << step.what;
}

void some_files(Volume& volume) {
  for (const FaultStep& step :
       {make_dir("old dir"), make_file("old"), write_file("old", 20'000), make_file("small"),
        write_file("small", 200), set_xattr("old", 3000)}) {
    must_run(volume, step);
  }
}

TEST(FaultScripts, AVolumeThatIsOpenedAndRecoveredLosesNothing) {
  const SparseImage start = image_after(
      [](Volume& volume) {
        some_files(volume);
        must_run(volume, sync());
        volume.hold(*find(volume, "old"));
        must_run(volume, unlink("old"));  // an orphan: its blocks are freed by the next open
        must_run(volume, make_dir("new"));
        must_run(volume, sync());
      },
      true);
  EXPECT_EQ(run_with_faults({"recover", start, {sync()}}, 1000), "");
}

TEST(FaultScripts, CommitsAreDurableOrToldToHaveFailed) {
  const FaultScript script{
      "commit",
      image_after(some_files, false),
      {make_dir("a"), sync(), make_file("b"), write_file("b", 300), make_file("d"),
       write_file("d", 30'000), sync(), set_xattr("small", 2000), unlink("small"), sync(),
       unlink("old"), sync(), make_file("c")}};
  EXPECT_EQ(run_with_faults(script, 40), "");
}

TEST(FaultScripts, TruncatingTheLogLosesNothing) {
  using rvm::Truncation;
  const FaultScript script{
      "truncate",
      image_after(some_files, false),
      {make_dir("a"), make_file("b"), write_file("b", 900), sync(),
       truncate_log(Truncation::incremental), unlink("old"), make_dir("c"), sync(),
       truncate_log(Truncation::epoch), make_dir("d"), truncate_log(Truncation::epoch), sync()}};
  EXPECT_EQ(run_with_faults(script, 40), "");
}

TEST(FaultScripts, GrowingTheVolumeLosesNothing) {
  const FaultStep grow{"grow", [](Volume& v) { return v.grow(40 << 20); }};
  const FaultStep label{"label", [](Volume& v) { return v.set_label("another"); }};
  const FaultScript script{"grow",
                           image_after(some_files, false),
                           {make_dir("a"), grow, make_file("b"), write_file("b", 50'000), sync(),
                            label, make_dir("c"), sync()}};
  EXPECT_EQ(run_with_faults(script, 40), "");
}

// Little room is left in the only chunk of metadata, and little memory: pages are read again and
// again.
TEST(FaultScripts, MetadataThatGrowLoseNothing) {
  const auto nearly_full = [](Volume& volume) {
    some_files(volume);
    for (int i = 0; i < 9; ++i) {
      const std::string name = "x" + std::to_string(i);
      must_run(volume, make_file(name));
      must_run(volume, set_xattr(name, 65'000));
      must_run(volume, sync());
    }
  };
  FaultScript script{"metadata", image_after(nearly_full, false), {}};
  script.metadata_bytes_max = 128 * 1024;
  for (int i = 0; i < 6; ++i) {
    const std::string name = "new" + std::to_string(i);
    script.steps.push_back(make_file(name));
    script.steps.push_back(set_xattr(name, 60'000));
    script.steps.push_back(sync());
  }
  EXPECT_EQ(run_with_faults(script, 12), "");
}

}  // namespace
}  // namespace rvmfs::test
