// SPDX-License-Identifier: BSD-2-Clause
//
// mkfs.rvmfs run in process: what it makes, what it refuses and how it says so.
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include <gtest/gtest.h>

#include "fs/volume.h"
#include "fsck/fsck.h"
#include "mkfs/mkfs.h"
#include "mkfs/size.h"
#include "mkfs/target.h"
#include "tests/support/temp_dir.h"

namespace rvmfs::test {
namespace {

class MkfsTest : public ::testing::Test {
 protected:
  void SetUp() override { ::unsetenv("SOURCE_DATE_EPOCH"); }
  void TearDown() override { ::unsetenv("SOURCE_DATE_EPOCH"); }

  int mkfs(std::vector<std::string> args) {
    out_.str("");
    err_.str("");
    return mkfs::run_mkfs(args, out_, err_);
  }
  std::string out() const { return out_.str(); }
  int64_t lines() const {
    const std::string text = out();
    return std::count(text.begin(), text.end(), '\n');
  }
  std::string err() const { return err_.str(); }

  format::Superblock super() {
    const auto device = rvm::open_file_device(image_, {.read_only = true});
    EXPECT_TRUE(device.has_value());
    const auto super = read_superblock(**device);
    EXPECT_TRUE(super.has_value());
    return super.value_or(format::Superblock{});
  }

  uint64_t length() const { return std::filesystem::file_size(image_); }

  uint64_t bytes_on_disk() const {
    struct stat status {};
    EXPECT_EQ(::stat(image_.c_str(), &status), 0);
    return static_cast<uint64_t>(status.st_blocks) * 512;
  }

  std::string content(const std::string& path) const {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void write_file(const std::string& path, const std::string& text) const {
    std::ofstream file(path, std::ios::binary);
    file << text;
    ASSERT_TRUE(file.flush().good());
  }

  void expect_clean() {
    const auto device = rvm::open_file_device(image_, {.read_only = true});
    ASSERT_TRUE(device.has_value());
    fsck::FindingList findings;
    EXPECT_TRUE(fsck::check_image(**device, {}, findings).clean()) << findings.text(true);
    EXPECT_EQ(findings.text(true), "");
  }

  // A file that libblkid takes for an ext4 filesystem: magic number and a minimum of sense.
  void make_ext4() const {
    std::string bytes(16 << 20, '\0');
    char* const super = bytes.data() + 1024;
    const auto set32 = [&](int at, uint32_t value) { std::memcpy(super + at, &value, 4); };
    set32(0, 1024);  // inodes
    set32(4, 4096);  // blocks
    set32(0x18, 2);  // 4096 bytes each
    super[0x38] = '\x53';
    super[0x39] = '\xef';
    set32(0x4c, 1);     // dynamic revision
    set32(0x5c, 4);     // has_journal
    set32(0x60, 0x42);  // filetype, extents
    set32(0x64, 1);
    write_file(image_, bytes);
  }

  TempDir folder_;
  std::string image_ = folder_.file("image");
  std::ostringstream out_, err_;
};

TEST_F(MkfsTest, a_volume_of_a_tebibyte_is_made_in_well_under_a_second_and_is_sparse) {
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(mkfs({image_, "1T"}), 0) << err();
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(took, std::chrono::seconds(2));  // a loaded machine; 0.1 s otherwise
  EXPECT_EQ(super().volume_bytes, 1ull << 40);
  EXPECT_LT(bytes_on_disk(), 80u << 20);
  EXPECT_NE(out().find("1 TiB"), std::string::npos) << out();
  EXPECT_EQ(lines(), 1);
  expect_clean();
}

TEST_F(MkfsTest, without_a_size_a_new_file_becomes_a_tebibyte) {
  ASSERT_EQ(mkfs({image_}), 0) << err();
  EXPECT_EQ(super().volume_bytes, 1ull << 40);
}

TEST_F(MkfsTest, without_a_size_an_existing_file_keeps_its_length) {
  write_file(image_, std::string(20 << 20, '\0'));
  ASSERT_EQ(mkfs({image_}), 0) << err();
  EXPECT_EQ(super().volume_bytes, 20u << 20);
  EXPECT_EQ(length(), 20u << 20);
  expect_clean();
}

TEST_F(MkfsTest, making_a_volume_anew_without_a_size_keeps_its_size) {
  ASSERT_EQ(mkfs({image_, "3G"}), 0) << err();
  ASSERT_EQ(mkfs({"-f", image_}), 0) << err();
  EXPECT_EQ(super().volume_bytes, 3ull << 30);
}

TEST_F(MkfsTest, label_uuid_owner_and_log_size_are_as_told) {
  ASSERT_EQ(mkfs({"-L", "my label", "-U", "01234567-89ab-cdef-0123-456789abcdef", "-E",
                  "log_size=2M,root_owner=77:88", image_, "64M"}),
            0)
      << err();
  const format::Superblock made = super();
  EXPECT_STREQ(made.label, "my label");
  EXPECT_EQ(made.uuid[0], 0x01);
  EXPECT_EQ(made.uuid[15], 0xef);
  EXPECT_EQ(made.log_bytes, 2u << 20);
  const auto device = rvm::open_file_device(image_, {});
  ASSERT_TRUE(device.has_value());
  MountOptions options;
  options.background = false;
  const auto volume = Volume::open(*device, options);
  ASSERT_TRUE(volume.has_value());
  const auto root = (*volume)->getattr(1);
  ASSERT_TRUE(root.has_value());
  EXPECT_EQ(root->uid, 77u);
  EXPECT_EQ(root->gid, 88u);
  EXPECT_EQ(root->mode, S_IFDIR | 0755u);
}

TEST_F(MkfsTest, uuids_differ_from_volume_to_volume) {
  ASSERT_EQ(mkfs({image_, "8M"}), 0) << err();
  const format::Superblock first = super();
  ASSERT_EQ(mkfs({"-f", image_, "8M"}), 0) << err();
  const format::Superblock second = super();
  EXPECT_NE(std::memcmp(first.uuid, second.uuid, 16), 0);
  EXPECT_NE(first.name_hash_seed, second.name_hash_seed);
}

TEST_F(MkfsTest, the_smallest_volume_is_8_mebibytes) {
  EXPECT_EQ(mkfs({image_, "8M"}), 0) << err();
  expect_clean();
  EXPECT_EQ(mkfs({"-f", image_, "7M"}), 1);
  EXPECT_NE(err().find("8 MiB"), std::string::npos) << err();
  EXPECT_EQ(mkfs({"-f", image_, "2P"}), 1);
  EXPECT_NE(err().find("1 PiB"), std::string::npos) << err();
}

TEST_F(MkfsTest, a_dry_run_writes_nothing) {
  EXPECT_EQ(mkfs({"-n", image_, "8M"}), 0) << err();
  EXPECT_FALSE(std::filesystem::exists(image_));
  EXPECT_NE(out().find("would"), std::string::npos) << out();
  make_ext4();
  const std::string before = content(image_);
  EXPECT_EQ(mkfs({"-n", "-f", image_}), 0) << err();
  EXPECT_EQ(mkfs({"-n", image_}), 1);
  EXPECT_EQ(content(image_), before);
}

TEST_F(MkfsTest, quiet_says_nothing_and_verbose_says_more) {
  ASSERT_EQ(mkfs({"-q", image_, "8M"}), 0);
  EXPECT_EQ(out() + err(), "");
  ASSERT_EQ(mkfs({"-v", "-f", image_, "8M"}), 0);
  EXPECT_GT(lines(), 2);
}

TEST_F(MkfsTest, a_known_signature_is_overwritten_with_force_only_and_is_gone_then) {
  make_ext4();
  EXPECT_EQ(mkfs({image_}), 1);
  EXPECT_NE(err().find("ext4"), std::string::npos) << err();
  EXPECT_NE(err().find("-f"), std::string::npos) << err();
  for (const std::vector<std::string>& options : {std::vector<std::string>{"-f"}, {"-f", "-K"}}) {
    make_ext4();
    std::vector<std::string> args = options;
    args.push_back(image_);
    ASSERT_EQ(mkfs(args), 0) << err();
    EXPECT_EQ(content(image_).substr(1024 + 0x38, 2), std::string(2, '\0'));
    EXPECT_EQ(length(), 16u << 20);
    expect_clean();
  }
}

TEST_F(MkfsTest, a_volume_and_a_file_of_anything_else_are_overwritten_with_force_only) {
  ASSERT_EQ(mkfs({"-L", "precious", image_, "8M"}), 0) << err();
  EXPECT_EQ(mkfs({image_}), 1);
  EXPECT_NE(err().find("precious"), std::string::npos) << err();
  write_file(image_, "my thesis");
  EXPECT_EQ(mkfs({image_, "8M"}), 1);
  EXPECT_EQ(content(image_), "my thesis");
  EXPECT_EQ(mkfs({"-f", image_, "8M"}), 0) << err();
  expect_clean();
}

TEST_F(MkfsTest, an_image_in_use_is_refused_even_with_force) {
  ASSERT_EQ(mkfs({image_, "8M"}), 0) << err();
  const auto holder = rvm::open_file_device(image_, {});
  ASSERT_TRUE(holder.has_value());
  EXPECT_EQ(mkfs({"-f", "-f", image_, "8M"}), 1);
  EXPECT_NE(err().find("in use"), std::string::npos) << err();
}

TEST_F(MkfsTest, a_mounted_or_attached_target_is_recognised) {
  write_file(image_, "x");
  const auto target = mkfs::look_at(image_);
  ASSERT_TRUE(target.has_value());
  const std::string fake = folder_.file("fake");
  std::filesystem::create_directories(fake + "/proc/self");
  std::filesystem::create_directories(fake + "/sys/block/loop7/loop");
  EXPECT_EQ(mkfs::user_of(*target, fake), "");
  write_file(fake + "/sys/block/loop7/loop/backing_file", image_ + "\n");
  EXPECT_EQ(mkfs::user_of(*target, fake), "attached to /dev/loop7");
  write_file(fake + "/proc/self/mountinfo",
             "36 35 0:77 / /mnt/a\\040b rw shared:1 - fuse.rvmfs " + image_ + " rw\n");
  EXPECT_EQ(mkfs::user_of(*target, fake), "mounted at /mnt/a b");
}

TEST_F(MkfsTest, source_date_epoch_makes_the_same_bytes_twice) {
  ::setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
  const std::string tree = folder_.file("tree");
  std::filesystem::create_directories(tree + "/sub");
  write_file(tree + "/sub/file", std::string(100'000, 'f'));
  write_file(tree + "/b", "small");
  ASSERT_EQ(mkfs({"-E", "root_owner=0:0", "-d", tree, image_, "32M"}), 0) << err();
  const std::string first = content(image_);
  std::filesystem::remove(image_);
  ASSERT_EQ(mkfs({"-E", "root_owner=0:0", "-d", tree, image_, "32M"}), 0) << err();
  EXPECT_TRUE(content(image_) == first);
  EXPECT_EQ(super().created_seconds, 1'700'000'000);
  ::setenv("SOURCE_DATE_EPOCH", "yesterday", 1);
  EXPECT_EQ(mkfs({"-f", image_, "32M"}), 1);
}

TEST_F(MkfsTest, a_folder_is_copied_into_the_volume) {
  const std::string tree = folder_.file("tree");
  std::filesystem::create_directories(tree + "/sub/deeper");
  write_file(tree + "/sub/deeper/file", std::string(200'000, 'f'));
  write_file(tree + "/small", "small");
  std::filesystem::create_hard_link(tree + "/small", tree + "/sub/link");
  std::filesystem::create_symlink("sub/deeper", tree + "/symlink");
  std::filesystem::permissions(tree + "/small", std::filesystem::perms(0640));
  ASSERT_EQ(mkfs({"-d", tree, image_, "32M"}), 0) << err();
  EXPECT_NE(out().find("6 files"), std::string::npos) << out();
  expect_clean();
  const auto device = rvm::open_file_device(image_, {.read_only = true});
  std::ostringstream dump;
  ASSERT_TRUE(fsck::dump_tree(**device, dump, {false}).has_value());
  EXPECT_NE(dump.str().find("/small type=f mode=0640"), std::string::npos) << dump.str();
  EXPECT_NE(dump.str().find("links=2 size=5"), std::string::npos) << dump.str();
  EXPECT_NE(dump.str().find("/sub/deeper/file type=f"), std::string::npos) << dump.str();
  EXPECT_NE(dump.str().find("target=sub/deeper"), std::string::npos) << dump.str();
}

TEST_F(MkfsTest, a_volume_that_could_not_be_finished_leaves_no_file_behind) {
  EXPECT_EQ(mkfs({"-d", folder_.file("nowhere"), image_, "32M"}), 1);
  EXPECT_NE(err().find("nowhere"), std::string::npos) << err();
  EXPECT_FALSE(std::filesystem::exists(image_));
}

TEST_F(MkfsTest, mistakes_on_the_command_line_say_what_to_write) {
  EXPECT_EQ(mkfs({}), 1);
  EXPECT_EQ(mkfs({image_, "large"}), 1);
  EXPECT_NE(err().find("20G"), std::string::npos) << err();
  EXPECT_EQ(mkfs({"-O", "compression", image_, "8M"}), 1) << "options take one argument";
  EXPECT_NE(err().find("compression"), std::string::npos) << err();
  EXPECT_EQ(mkfs({"-E", "log_size=many", image_, "8M"}), 1);
  EXPECT_EQ(mkfs({"-E", "nonsense=1", image_, "8M"}), 1);
  EXPECT_EQ(mkfs({"-E", "root_owner=me", image_, "8M"}), 1);
  EXPECT_EQ(mkfs({"-U", "no uuid", image_, "8M"}), 1);
  EXPECT_EQ(mkfs({"-L", std::string(65, 'l'), image_, "8M"}), 1);
  EXPECT_EQ(mkfs({"--nonsense", image_}), 1);
  EXPECT_EQ(mkfs({folder_.path().string(), "8M"}), 1);
  EXPECT_FALSE(std::filesystem::exists(image_));
  EXPECT_EQ(mkfs({"-V"}), 0);
  EXPECT_EQ(mkfs({"--help"}), 0);
}

TEST(MkfsSizeTest, sizes_are_read_and_written_as_people_do) {
  EXPECT_EQ(mkfs::parse_size("4096"), 4096u);
  EXPECT_EQ(mkfs::parse_size("64K"), 65536u);
  EXPECT_EQ(mkfs::parse_size("8m"), 8u << 20);
  EXPECT_EQ(mkfs::parse_size("1GiB"), 1ull << 30);
  EXPECT_EQ(mkfs::parse_size("2T"), 2ull << 40);
  EXPECT_EQ(mkfs::parse_size("16777216T"), std::nullopt);
  for (const char* wrong : {"", "K", "1.5G", "-1", "1X", "1KK", "0x10", " 1"}) {
    EXPECT_EQ(mkfs::parse_size(wrong), std::nullopt) << wrong;
  }
  EXPECT_EQ(mkfs::size_text(1ull << 40), "1 TiB");
  EXPECT_EQ(mkfs::size_text(512), "512 bytes");
  EXPECT_EQ(mkfs::size_text(1536 << 10), "1.5 MiB");
}

}  // namespace
}  // namespace rvmfs::test
