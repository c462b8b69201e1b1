// SPDX-License-Identifier: BSD-2-Clause
//
// See fs_vocabulary.h.
#include "tests/crash/fs_vocabulary.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include <algorithm>

#include "tests/crash/fs_workload.h"

namespace rvmfs::test {
namespace {

using Kind = Op::Kind;

Op node(std::string path, uint32_t mode) {
  Op result = op(Kind::mknod, std::move(path));
  result.mode = mode;
  result.offset = 3;  // device number
  return result;
}

Op put(std::string path, uint64_t offset, uint64_t length) {
  return write(std::move(path), offset, length, offset * 31 + length);
}

Op remove_xattr(std::string path, std::string name) {
  Op result = op(Kind::removexattr, std::move(path));
  result.name = std::move(name);
  return result;
}

Op copy(std::string from, std::string to, uint64_t length, uint64_t offset2) {
  Op result = op(Kind::copy_range, std::move(from), std::move(to));
  result.length = length;
  result.offset2 = offset2;
  return result;
}

Op owner(std::string path) {
  Op result = op(Kind::chown, std::move(path), "", 3);
  result.uid = 1000;
  result.gid = 100;
  return result;
}

Op times(std::string path) {
  Op result = op(Kind::utimes, std::move(path), "", 3);
  result.offset = 1'000'000'000;
  result.offset2 = 1'100'000'000;
  return result;
}

std::vector<Word> names() {
  const std::string long_target(2000, 't');
  return {
      {"create_n", node("/n", S_IFREG | 0644), "/n", "/"},
      {"create_dn", node("/d/n", S_IFREG | 0644), "/d/n", "/d"},
      {"mkdir_n", op(Kind::mkdir, "/n"), "/n", "/"},
      {"mkdir_dn", op(Kind::mkdir, "/d/n"), "/d/n", "/d"},
      {"fifo_n", node("/n", S_IFIFO | 0600), "/n", "/"},
      {"socket_en", node("/e/n", S_IFSOCK | 0600), "/e/n", "/e"},
      {"device_n", node("/n", S_IFCHR | 0600), "/n", "/"},
      {"disk_dn", node("/d/n", S_IFBLK | 0600), "/d/n", "/d"},
      {"symlink_n", op(Kind::symlink, "/n", "d/f"), "/n", "/"},
      {"symlink_long_dn", op(Kind::symlink, "/d/n", long_target), "/d/n", "/d"},
      {"link_a_n", op(Kind::link, "/a", "/n"), "/n", "/"},
      {"link_b_dn", op(Kind::link, "/b", "/d/n"), "/d/n", "/d"},
      {"tmpfile_d", op(Kind::tmpfile, "/d"), "@0", "/d"},
      {"link_tmpfile_n", op(Kind::link, "@0", "/n"), "/n", "/"},
      {"hold_b", op(Kind::open, "/b"), "@0", "/"},
      {"unlink_a", op(Kind::unlink, "/a"), "/d/h", "/"},
      {"unlink_b", op(Kind::unlink, "/b"), "", "/"},
      {"unlink_df", op(Kind::unlink, "/d/f"), "", "/d"},
      {"unlink_l", op(Kind::unlink, "/l"), "", "/"},
      {"unlink_x", op(Kind::unlink, "/x"), "", "/"},
      {"rmdir_e", op(Kind::rmdir, "/e"), "", "/"},
      {"rmdir_ds", op(Kind::rmdir, "/d/s"), "", "/d"},
      {"rename_a_n", op(Kind::rename, "/a", "/n"), "/n", "/"},
      {"rename_df_n", op(Kind::rename, "/d/f", "/n"), "/n", "/d"},
      {"rename_a_b", op(Kind::rename, "/a", "/b"), "/b", "/"},
      {"rename_b_df", op(Kind::rename, "/b", "/d/f"), "/d/f", "/"},
      {"rename_g_a", op(Kind::rename, "/g", "/a"), "/a", "/"},
      {"rename_noreplace", op(Kind::rename, "/b", "/e/n", RENAME_NOREPLACE), "/e/n", "/e"},
      {"exchange_a_df", op(Kind::rename, "/a", "/d/f", RENAME_EXCHANGE), "/d/f", "/d"},
      {"exchange_b_ds", op(Kind::rename, "/b", "/d/s", RENAME_EXCHANGE), "/d/s", "/d"},
      {"exchange_e_ds", op(Kind::rename, "/e", "/d/s", RENAME_EXCHANGE), "/e", "/"},
      {"whiteout_b_n", op(Kind::rename, "/b", "/n", RENAME_WHITEOUT), "/n", "/"},
      {"rename_dir_e_dn", op(Kind::rename, "/e", "/d/n"), "/d/n", "/d"},
      {"rename_dir_ds_e", op(Kind::rename, "/d/s", "/e"), "/e", "/d"},
      {"rename_dir_d_en", op(Kind::rename, "/d", "/e/n"), "/e/n/f", "/e"},
  };
}

std::vector<Word> attributes() {
  return {
      {"truncate_a_0", truncate("/a", 0), "/a", "/"},
      {"truncate_a_5000", truncate("/a", 5000), "/a", "/"},
      {"truncate_a_30000", truncate("/a", 30'000), "/a", "/"},
      {"truncate_b_100", truncate("/b", 100), "/b", "/"},
      {"truncate_b_3000", truncate("/b", 3000), "/b", "/"},
      {"truncate_g_20000", truncate("/g", 20'000), "/g", "/"},
      {"truncate_df_9000", truncate("/d/f", 9000), "/d/f", "/d"},
      {"chmod_a", op(Kind::chmod, "/a"), "/a", "/"},
      {"chmod_d", op(Kind::chmod, "/d"), "/d", "/"},
      {"chown_b", owner("/b"), "/b", "/"},
      {"utimens_df", times("/d/f"), "/d/f", "/d"},
      {"utimens_d", times("/d"), "/d", "/"},
      {"setxattr_a_long", set_xattr("/a", "user.a", 3000), "/a", "/"},
      {"setxattr_b", set_xattr("/b", "user.n", 50), "/b", "/"},
      {"setxattr_d", set_xattr("/d", "user.d", 700), "/d", "/"},
      {"setxattr_x_short", set_xattr("/x", "user.x", 20), "/x", "/"},
      {"removexattr_a", remove_xattr("/a", "user.a"), "/a", "/"},
      {"removexattr_x", remove_xattr("/x", "user.x"), "/x", "/"},
  };
}

std::vector<Word> contents() {
  constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  return {
      {"write_n", put("/n", 0, 5000), "/n", "/"},
      {"write_b_over", put("/b", 20, 200), "/b", "/"},
      {"write_b_append", put("/b", 300, 200), "/b", "/"},
      {"write_b_convert", put("/b", 300, 2000), "/b", "/"},
      {"write_a_over", put("/a", 1000, 3000), "/a", "/"},
      {"write_a_append", put("/a", 10'000, 5000), "/a", "/"},
      {"write_a_beyond", put("/a", 30'000, 100), "/a", "/"},
      {"write_df_block", put("/d/f", 0, 4096), "/d/f", "/d"},
      {"write_g_unwritten", put("/g", 17'000, 6000), "/g", "/"},
      {"write_x_first", put("/x", 0, 7000), "/x", "/"},
      {"write_held", put("@0", 100, 3000), "@0", "/"},
      {"allocate_a", fallocate("/a", 9000, 20'000, 0), "/a", "/"},
      {"allocate_b", fallocate("/b", 0, 4000, 0), "/b", "/"},
      {"allocate_df_keep", fallocate("/d/f", 6000, 30'000, FALLOC_FL_KEEP_SIZE), "/d/f", "/d"},
      {"punch_a_edges", fallocate("/a", 1000, 6000, kPunch), "/a", "/"},
      {"punch_a_tail", fallocate("/a", 4500, 9000, kPunch), "/a", "/"},
      {"punch_g_blocks", fallocate("/g", 4096, 8192, kPunch), "/g", "/"},
      {"punch_b", fallocate("/b", 50, 100, kPunch), "/b", "/"},
      {"zero_a", fallocate("/a", 2000, 7000, FALLOC_FL_ZERO_RANGE), "/a", "/"},
      {"zero_a_tail", fallocate("/a", 4500, 9000, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE), "/a",
       "/"},
      {"zero_df_beyond", fallocate("/d/f", 5000, 9000, FALLOC_FL_ZERO_RANGE), "/d/f", "/d"},
      {"copy_a_df", copy("/a", "/d/f", 8192, 100), "/d/f", "/d"},
  };
}

constexpr char kSyncLetters[] = {'n', 'f', 'd'};
constexpr const char* kStyleNames[] = {"lazy", "eager", "incremental", "epoch", "unlogged"};

}  // namespace

const std::vector<Word>& vocabulary() {
  static const std::vector<Word> all = [] {
    std::vector<Word> words = names();
    for (std::vector<Word> more : {attributes(), contents()}) {
      std::move(more.begin(), more.end(), std::back_inserter(words));
    }
    return words;
  }();
  return all;
}

const std::vector<Step>& all_steps() {
  static const std::vector<Step> all = [] {
    std::vector<Step> steps;
    for (size_t word = 0; word < vocabulary().size(); ++word) {
      steps.push_back({word, Sync::none});
      if (!vocabulary()[word].file.empty()) steps.push_back({word, Sync::file});
      steps.push_back({word, Sync::directory});
    }
    return steps;
  }();
  return all;
}

std::string name_of(const Sequence& sequence) {
  std::string text = "seq.";
  for (const Step& step : sequence.steps) {
    text += vocabulary()[step.word].name + "." + kSyncLetters[static_cast<size_t>(step.sync)] + "-";
  }
  return text + kStyleNames[static_cast<size_t>(sequence.style)];
}

Sequence sequence_named(const std::string& name) {
  Sequence sequence;
  if (!name.starts_with("seq.")) return sequence;
  size_t at = 4;
  for (size_t dash = name.find('-', at); dash != name.npos; dash = name.find('-', at)) {
    const std::string text = name.substr(at, dash - at);
    at = dash + 1;
    for (const Step& step : all_steps()) {
      const std::string known =
          vocabulary()[step.word].name + "." + kSyncLetters[static_cast<size_t>(step.sync)];
      if (text == known) sequence.steps.push_back(step);
    }
  }
  for (size_t i = 0; i < kStyles; ++i) {
    if (name.substr(at) == kStyleNames[i]) sequence.style = static_cast<Style>(i);
  }
  return sequence;
}

FsStart prepared_volume() {
  FsRigOptions options;
  options.volume_bytes = 8 << 20;
  options.log_bytes = 256 * 1024;
  FsRig rig(options);
  for (const Op& made :
       {node("/a", S_IFREG | 0644), put("/a", 0, 10'000), set_xattr("/a", "user.a", 100),
        node("/b", S_IFREG | 0600), put("/b", 0, 300), op(Kind::mkdir, "/d"),
        node("/d/f", S_IFREG | 0644), put("/d/f", 0, 6000), op(Kind::link, "/a", "/d/h"),
        op(Kind::mkdir, "/d/s"), op(Kind::mkdir, "/e"), node("/g", S_IFREG | 0644),
        put("/g", 0, 16'384), fallocate("/g", 16'384, 16'384, 0), op(Kind::symlink, "/l", "d"),
        node("/x", S_IFREG | 04755), set_xattr("/x", "user.x", 2500)}) {
    rig.apply(made);
    if (rig.failure().empty() && rig.run().last().error != 0) return {};
  }
  FsStart start = rig.close();
  return rig.failure().empty() ? start : FsStart{};
}

Played play(const FsStart& start, const Sequence& sequence) {
  rvm::Tuning tuning;
  const bool unlogged = sequence.style == Style::unlogged;
  if (sequence.style == Style::eager || unlogged) tuning.spool_bytes_max = 1;
  if (unlogged) tuning.data_log_bytes_max = 0;
  FsRig rig(start, tuning);
  Played played;
  for (const Step& step : sequence.steps) {
    const Word& word = vocabulary()[step.word];
    const bool last = &step == &sequence.steps.back();
    rig.apply(word.op);
    if (step.sync != Sync::none) {
      rig.apply(fsync(step.sync == Sync::file ? word.file : word.directory, step.word % 2 == 0));
      if (!last && rig.run().last().error == 0) played.first_new_event = rig.event_count();
    }
  }
  rig.apply(sync());
  if (sequence.style == Style::incremental) rig.checkpoint(rvm::Truncation::incremental);
  if (sequence.style == Style::epoch) rig.checkpoint(rvm::Truncation::epoch);
  played.failure = rig.failure();
  played.account = rig.account();
  return played;
}

}  // namespace rvmfs::test
