// SPDX-License-Identifier: BSD-2-Clause
//
// What fsck says of sound volumes: clean ones, crashed ones, ones in use; and that looking writes
// nothing.
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "tests/fsck/image_fixture.h"
#include "tests/support/memory_device.h"

namespace rvmfs::test {
namespace {

using fsck::FindingId;
using fsck::FindingList;

class CheckTest : public ImageTest {
 protected:
  void must_make_file(const std::string& text) {
    std::ofstream file(image);
    file << text;
    ASSERT_TRUE(file.good());
  }
};

TEST_F(CheckTest, a_fresh_volume_of_any_size_is_clean) {
  for (const uint64_t bytes : {8ull << 20, 100ull << 20, 3ull << 30, 1ull << 40, 1ull << 50}) {
    auto device = MemoryDevice::file();
    FormatOptions options;
    options.volume_bytes = bytes;
    ASSERT_TRUE(format_volume(device, options).has_value());
    FindingList findings;
    const auto summary = fsck::check_image(*device, {}, findings);
    EXPECT_EQ(findings.text(true), "") << bytes;
    EXPECT_TRUE(summary.clean());
    EXPECT_EQ(summary.inodes, 1u);
    EXPECT_EQ(summary.directories, 1u);
  }
}

TEST_F(CheckTest, a_volume_with_every_kind_of_file_is_clean) {
  make_volume();
  FindingList findings;
  const auto summary = check(findings);
  EXPECT_EQ(findings.text(true), "");
  EXPECT_TRUE(summary.clean());
  EXPECT_EQ(summary.inodes, 8u);
  EXPECT_EQ(summary.directories, 3u);
  EXPECT_FALSE(summary.log_was_used);
}

TEST_F(CheckTest, a_volume_with_many_chunks_of_metadata_is_clean) {
  make_volume();
  use_volume([&](Volume& volume) {
    for (int i = 0; i < 5000; ++i) {
      const std::string name = "a file with a rather long name, number " + std::to_string(i);
      ASSERT_TRUE(volume.mknod(made.directory, name, S_IFREG | 0644, 0, 0, {0, 0}).has_value());
    }
    for (int i = 0; i < 5000; i += 3) {
      const std::string name = "a file with a rather long name, number " + std::to_string(i);
      ASSERT_TRUE(volume.unlink(made.directory, name).has_value());
    }
  });
  FindingList findings;
  const auto summary = check(findings);
  EXPECT_EQ(findings.text(true), "");
  EXPECT_GT(summary.metadata_pages, 254u);
}

TEST_F(CheckTest, the_log_of_a_crashed_volume_is_replayed_in_memory) {
  make_volume();
  use_volume(
      [&](Volume& volume) {
        ASSERT_TRUE(volume.mkdir(1, "new", 0755, {0, 0}).has_value());
        ASSERT_TRUE(volume.unlink(1, "small").has_value());
        ASSERT_TRUE(volume.sync().has_value());
      },
      true);
  const auto before = bytes();
  FindingList findings;
  const auto summary = check(findings);
  EXPECT_EQ(findings.text(), "");
  EXPECT_TRUE(findings.has(FindingId::log_replayed));
  EXPECT_TRUE(summary.log_was_used);
  EXPECT_EQ(summary.inodes, 9u);
  EXPECT_NE(dump().find("/new type=d"), std::string::npos);
  EXPECT_EQ(dump().find("/small type=f"), std::string::npos);
  EXPECT_EQ(bytes(), before);
}

TEST_F(CheckTest, a_volume_that_died_without_a_commit_is_as_it_was) {
  make_volume();
  const std::string before = dump();
  use_volume([&](Volume& volume) { ASSERT_TRUE(volume.unlink(1, "small").has_value()); }, true);
  EXPECT_EQ(dump(), before);
}

TEST_F(CheckTest, a_deleted_file_that_was_open_at_the_crash_is_a_note_and_no_problem) {
  make_volume();
  use_volume(
      [&](Volume& volume) {
        volume.hold(made.symlink);
        ASSERT_TRUE(volume.unlink(1, "symlink").has_value());
        ASSERT_TRUE(volume.sync().has_value());
      },
      true);
  FindingList findings;
  const auto summary = check(findings);
  EXPECT_EQ(findings.text(), "");
  EXPECT_TRUE(findings.has(FindingId::orphan_waiting));
  EXPECT_EQ(summary.orphans, 1u);
}

TEST_F(CheckTest, a_read_only_check_leaves_every_byte_of_a_crashed_image) {
  make_volume();
  use_volume(
      [](Volume& volume) {
        ASSERT_TRUE(volume.mkdir(1, "new", 0755, {0, 0}).has_value());
        ASSERT_TRUE(volume.sync().has_value());
      },
      true);
  const auto before = bytes();
  for (const auto& options : std::vector<std::vector<std::string>>{
           {"-n"}, {"-n", "-f", "-v"}, {"--dump-tree"}, {"--dump-log"}}) {
    const RunResult result = run(options);
    EXPECT_EQ(result.code, 0) << result.out << result.err;
    EXPECT_EQ(bytes(), before);
  }
}

TEST_F(CheckTest, a_clean_volume_is_told_in_one_line) {
  make_volume();
  const auto before = bytes();
  const RunResult result = run({});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out,
            image + ": clean, 8 inodes, " + std::to_string(root().blocks_used) + "/4096 blocks\n");
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(bytes(), before);
}

TEST_F(CheckTest, replay_with_nothing_else_wrong_is_no_correction) {
  make_volume();
  use_volume(
      [](Volume& volume) {
        ASSERT_TRUE(volume.mkdir(1, "new", 0755, {0, 0}).has_value());
        ASSERT_TRUE(volume.sync().has_value());
      },
      true);
  const RunResult result = run({"-p"});
  EXPECT_EQ(result.code, 0) << result.out << result.err;
  EXPECT_NE(result.out.find("recovered"), std::string::npos) << result.out;
  FindingList findings;
  EXPECT_FALSE(check(findings).log_was_used);
  EXPECT_EQ(findings.text(true), "");
  EXPECT_NE(dump().find("/new type=d"), std::string::npos);
}

TEST_F(CheckTest, an_image_in_use_is_refused_and_only_looked_at_with_a_warning) {
  make_volume();
  const auto holder = open();
  RunResult result = run({"-p"});
  EXPECT_EQ(result.code, 8);
  EXPECT_NE(result.err.find("in use"), std::string::npos) << result.err;
  result = run({"-n"});
  EXPECT_EQ(result.code, 0) << result.out << result.err;
  EXPECT_NE(result.err.find("warning"), std::string::npos) << result.err;
}

TEST_F(CheckTest, usage_mistakes_exit_with_16) {
  make_volume();
  EXPECT_EQ(run({"-p", "-n"}).code, 16);
  EXPECT_EQ(run({"-y", "-n"}).code, 16);
  EXPECT_EQ(run({"-a", "-y"}).code, 16);
  EXPECT_EQ(run({"--nonsense"}).code, 16);
  EXPECT_EQ(run({"-a", "-p"}).code, 0);
  std::ostringstream out, err;
  EXPECT_EQ(fsck::run_fsck({}, out, err), 16);
  EXPECT_EQ(fsck::run_fsck({"-V"}, out, err), 0);
}

TEST_F(CheckTest, what_is_no_volume_or_not_there_exits_with_8) {
  EXPECT_EQ(run({"-n"}).code, 8);
  must_make_file("text");
  EXPECT_EQ(run({"-n"}).code, 8);
  EXPECT_NE(run({"-n"}).err.find("not an rvmfs volume"), std::string::npos);
}

TEST_F(CheckTest, progress_is_written_to_the_descriptor_that_was_given) {
  make_volume();
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  EXPECT_EQ(run({"-n", "-f", "-C", std::to_string(pipe[1])}).code, 0);
  ::close(pipe[1]);
  char text[4096];
  const ssize_t got = ::read(pipe[0], text, sizeof(text));
  ::close(pipe[0]);
  ASSERT_GT(got, 0);
  EXPECT_EQ(std::string(text, static_cast<size_t>(got)).rfind("1 0 1 " + image + "\n", 0), 0u);
}

}  // namespace
}  // namespace rvmfs::test
