// SPDX-License-Identifier: BSD-2-Clause
//
// The i-th allocation finds no memory, and none after it does. What is promised then: the program
// ends at once with a message and its own exit code, and what was durable is there afterwards, as
// after any other crash. A child process opens, recovers, commits, truncates the log, grows, and
// closes; another repairs. The parent looks at what is left.
//
//   RVMFS_ALLOCATION_ONLY=script:number   one of them
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <sstream>

#include "fsck/fsck.h"
#include "rvm/out_of_memory.h"
#include "rvm/space_format.h"
#include "tests/images/memory_meter.h"
#include "tests/images/sample_images.h"
#include "tests/images/shared_device.h"
#include "tests/support/environment.h"
#include "tests/support/memory_device.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

constexpr int kExitCode = 77;
constexpr uint64_t kDeviceBytes = 16 << 20;
constexpr Caller kUser{1000, 100};

// What the child has come to, told through shared memory.
struct Progress {
  std::atomic<size_t> begun{0}, durable{0};  // steps
};

class SharedProgress {
 public:
  SharedProgress()
      : progress_(new (::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Progress) {}
  ~SharedProgress() { ::munmap(progress_, sizeof(Progress)); }
  Progress* operator->() { return progress_; }

 private:
  Progress* progress_;
};

struct Ended {
  int status = 0;
  std::string message;
};

// Runs `work` in a child whose allocation number `nth` fails; UINT64_MAX: none.
Ended run_child(uint64_t nth, const std::function<void()>& work) {
  int pipe[2];
  if (::pipe(pipe) != 0) return {-1, "pipe"};
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(pipe[1], STDERR_FILENO);
    rvm::exit_when_out_of_memory("child", kExitCode);
    if (nth != UINT64_MAX) fail_allocation(nth);
    work();
    ::_exit(0);
  }
  ::close(pipe[1]);
  Ended ended;
  char text[512];
  for (ssize_t got; (got = ::read(pipe[0], text, sizeof(text))) > 0;) {
    ended.message.append(text, static_cast<size_t>(got));
  }
  ::close(pipe[0]);
  ::waitpid(child, &ended.status, 0);
  return ended;
}

// Empty if the child came to its end as it should.
std::string judge_end(const Ended& ended) {
  if (WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == 0) return "";
  const bool out_of_memory = WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == kExitCode;
  if (out_of_memory && ended.message.starts_with("child: out of memory")) return "";
  return fmt::format("the process ended with status {:#x} and said: {}", ended.status,
                     ended.message);
}

MountOptions mount_options() {
  MountOptions options;
  options.commit_seconds = 0;
  options.background = false;
  options.atime = MountOptions::Atime::noatime;
  options.clock = [] { return Time{1'700'000'100, 1}; };
  return options;
}

struct Step {
  bool durable;
  std::function<Result<void>(Volume&)> run;
};

template <typename T>
Result<void> done(const Result<T>& result) {
  if (!result) return result.error();
  return {};
}

std::vector<Step> steps() {
  const auto make = [](const char* name) {
    return [name](Volume& v) { return done(v.mkdir(1, name, 0755, kUser)); };
  };
  const auto sync = [](Volume& v) { return v.sync(); };
  return {
      {false, make("a")},
      {true, sync},
      {false,
       [](Volume& v) -> Result<void> {
         RVM_ASSIGN(const Attributes file, v.mknod(1, "file", S_IFREG | 0644, 0, 0, kUser));
         return v.setxattr(file.inode, "user.x", std::string(5000, 'x'), 0);
       }},
      {true, sync},
      {false, [](Volume& v) { return v.rvm().truncate(rvm::Truncation::incremental); }},
      {false, make("b")},
      {false, [](Volume& v) { return v.grow(kDeviceBytes); }},
      {true, sync},
      {false, [](Volume& v) { return v.rvm().truncate(rvm::Truncation::epoch); }},
      {false, [](Volume& v) { return v.rename(1, "b", 1, "c", 0); }},
      {false, [](Volume& v) { return v.unlink(1, "file"); }},
  };
}

std::string tree_text(Volume& volume) {
  VolumeAnswers answers(volume, false);
  const TreeSnapshot tree = snapshot(answers);
  return tree.error.empty() ? metadata_text(tree) + canonical_text(tree) : tree.error;
}

// In the child. Exits with 3 if something fails that is not memory.
void run_steps(const std::shared_ptr<rvm::Device>& device, Progress& progress) {
  auto volume = Volume::open(device, mount_options());
  if (!volume) ::_exit(3);
  size_t number = 0;
  for (const Step& step : steps()) {
    progress.begun = ++number;
    if (!step.run(**volume)) ::_exit(4);
    if (step.durable) progress.durable = number;
  }
  if (!(*volume)->close()) ::_exit(5);
  progress.durable = number;
}

// The tree after each step, and how many allocations the whole takes.
std::vector<std::string> learn(const SparseImage& image, uint64_t& count) {
  const auto device = std::make_shared<SharedDevice>(image, kDeviceBytes);
  std::vector<std::string> texts;
  auto volume = Volume::open(device, mount_options());
  EXPECT_TRUE(volume.has_value());
  if (!volume) return texts;
  texts.push_back(tree_text(**volume));
  for (const Step& step : steps()) {
    EXPECT_TRUE(step.run(**volume).has_value());
    texts.push_back(tree_text(**volume));
  }
  EXPECT_TRUE((*volume)->close().has_value());
  SharedProgress progress;
  const uint64_t before = allocations();
  run_steps(std::make_shared<SharedDevice>(image, kDeviceBytes), *progress.operator->());
  count = allocations() - before;
  return texts;
}

std::string judge(const SparseImage& image, const std::vector<std::string>& texts, size_t durable,
                  size_t begun) {
  const auto device = std::make_shared<MemoryDevice>(image);
  auto volume = Volume::open(device, mount_options());
  if (!volume) return "recovery: " + explain(volume.error());
  const std::string text = tree_text(**volume);
  bool known = false;
  for (size_t k = durable; k <= begun; ++k) known = known || texts[k] == text;
  if (!known) return fmt::format("no tree of the steps {} ... {}:\n{}", durable, begun, text);
  if (const auto closed = (*volume)->close(); !closed) return "close: " + explain(closed.error());
  fsck::FindingList findings;
  return fsck::check_image(*device, {}, findings).clean() ? "" : findings.text();
}

bool is_left_out(const char* script, uint64_t nth) {
  const std::string only = text_from_environment("RVMFS_ALLOCATION_ONLY");
  return !only.empty() && only != fmt::format("{}:{}", script, nth);
}

uint64_t step_of(uint64_t count) {
  return by_tier<uint64_t>(std::max<uint64_t>(1, count / 30), slice().count, slice().count);
}

TEST(OutOfMemory, EndsTheProgramAndLosesNothingThatWasDurable) {
  const SampleImage& sample = sample_images()[1];  // killed: the open has to recover
  ASSERT_EQ(sample.name, "logged");
  uint64_t count = 0;
  const std::vector<std::string> texts = learn(sample.image, count);
  ASSERT_GT(count, 100u);
  Total total("allocations_volume");
  uint64_t ended = 0;
  for (uint64_t nth = slice().index; nth < count; nth += step_of(count)) {
    if (is_left_out("volume", nth)) continue;
    const auto device = std::make_shared<SharedDevice>(sample.image, kDeviceBytes);
    SharedProgress progress;
    const Ended end = run_child(nth, [&] { run_steps(device, *progress.operator->()); });
    ended += WEXITSTATUS(end.status) == kExitCode ? 1 : 0;
    std::string wrong = judge_end(end);
    if (wrong.empty()) {
      wrong = judge(device->snapshot(), texts, progress->durable, progress->begun);
    }
    total.add("allocations");
    total.progress(nth, count);
    if (wrong.empty()) continue;
    total.fail();
    FAIL() << wrong << "\nreproduce: RVMFS_ALLOCATION_ONLY=volume:" << nth;
  }
  if (text_from_environment("RVMFS_ALLOCATION_ONLY").empty()) EXPECT_GT(ended, 15u);
}

// In the child.
void run_repair(const std::shared_ptr<rvm::Device>& device) {
  std::ostringstream out;
  const int code = fsck::run_fsck(
      {"-y", "-f", "image"}, out, out,
      [&](const std::string&,
          const rvm::FileOptions&) -> rvm::Result<std::shared_ptr<rvm::Device>> { return device; });
  if (code != fsck::kExitCorrected) ::_exit(6);
}

TEST(OutOfMemory, CutsARepairThatTheNextOneFinishes) {
  const SampleImage& sample = sample_images()[0];
  SparseImage image = sample.image;
  // The counters of the only chunk of metadata, and the second superblock.
  const ImagePart header = parts_of(sample, PartKind::page)[0];
  const uint32_t free_pages = 3;
  image.write(header.offset + 4, std::as_bytes(std::span(&free_pages, 1)));
  seal(image, header);
  store_to(image, format::kSuperblockCopyOffset + 20, uint64_t{99});
  uint64_t count = allocations();
  run_repair(std::make_shared<SharedDevice>(image, kDeviceBytes));
  count = allocations() - count;
  Total total("allocations_repair");
  for (uint64_t nth = slice().index; nth < count; nth += step_of(count)) {
    if (is_left_out("repair", nth)) continue;
    const auto device = std::make_shared<SharedDevice>(image, kDeviceBytes);
    std::string wrong = judge_end(run_child(nth, [&] { run_repair(device); }));
    const auto left = std::make_shared<MemoryDevice>(device->snapshot());
    std::ostringstream out;
    const auto opener = [&](const std::string&,
                            const rvm::FileOptions&) -> rvm::Result<std::shared_ptr<rvm::Device>> {
      return left;
    };
    const int again = fsck::run_fsck({"-y", "-f", "image"}, out, out, opener);
    const int last = fsck::run_fsck({"-n", "-f", "image"}, out, out, opener);
    if (wrong.empty() && ((again & ~fsck::kExitCorrected) != 0 || last != fsck::kExitClean)) {
      wrong = fmt::format("the next repair exits with {}, the check after it with {}:\n{}", again,
                          last, out.str());
    }
    total.add("allocations");
    if (wrong.empty()) continue;
    total.fail();
    FAIL() << wrong << "\nreproduce: RVMFS_ALLOCATION_ONLY=repair:" << nth;
  }
}

}  // namespace
}  // namespace rvmfs::test
