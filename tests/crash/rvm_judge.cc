// SPDX-License-Identifier: BSD-2-Clause
//
// See rvm_rig.h: judging a crash state.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "tests/crash/rvm_rig.h"

namespace rvmfs::test {
namespace {

// What recovery made of the regions, read when asked for.
class RecoveredRegions {
 public:
  RecoveredRegions(rvm::Rvm& rvm, const RigAccount& account)
      : rvm_(rvm), account_(account), read_(account.regions.size()) {}

  // True if every region that exists at this commit has its contents.
  bool equals(size_t commit) {
    const std::vector<uint64_t>& hashes = account_.hashes[commit];
    for (size_t i = 0; i < hashes.size(); ++i) {
      if (account_.regions[i].exists_since > commit) continue;
      if (!read_[i].done) read(i);
      if (!read_[i].error.empty()) {
        error_ = read_[i].error;
        return false;
      }
      if (read_[i].hash != hashes[i]) {
        error_ = fmt::format("region {} has other contents", i);
        return false;
      }
    }
    return true;
  }

  const std::string& error() const { return error_; }

  // A commit after recovery must hold.
  std::string probe() {
    if (!read_[0].done) read(0);
    rvm::Transaction tx = rvm_.begin();
    auto bytes = tx.modify(*read_[0].region, 8, 8);
    if (!bytes) return "probe: modify: " + rvm::describe(bytes.error());
    std::memset(*bytes, 0x77, 8);
    auto ended = tx.end(rvm::Commit::flush);
    return ended ? "" : "probe: end: " + rvm::describe(ended.error());
  }

 private:
  struct Read {
    bool done = false;
    uint64_t hash = 0;
    std::string error;
    rvm::Region* region = nullptr;
  };

  void read(size_t index) {
    Read& read = read_[index];
    read.done = true;
    auto mapped = map_region(rvm_, account_.regions[index]);
    if (!mapped) {
      read.error = fmt::format("map of region {}: {}", index, rvm::describe(mapped.error()));
      return;
    }
    read.region = *mapped;
    auto bytes = read.region->read(0, read.region->length());
    if (!bytes) {
      read.error = fmt::format("read of region {}: {}", index, rvm::describe(bytes.error()));
      return;
    }
    read.hash = hash_of(*bytes, read.region->length());
  }

  rvm::Rvm& rvm_;
  const RigAccount& account_;
  std::vector<Read> read_;
  std::string error_;
};

struct Window {
  size_t first, last;  // commits that may be the recovered one
};

Window window_at(const RigAccount& account, size_t point) {
  Window window{0, 0};
  for (const auto& [events, commit] : account.durable) {
    if (events <= point) window.first = std::max(window.first, commit);
  }
  for (size_t commit = 0; commit < account.hashes.size(); ++commit) {
    if (commit == 0 || account.begun_at[commit] < point) window.last = commit;
  }
  window.last = std::max(window.last, window.first);
  return window;
}

std::string judge(rvm::Rvm& rvm, const RigAccount& account, size_t point) {
  RecoveredRegions regions(rvm, account);
  const Window window = window_at(account, point);
  std::string errors;
  for (size_t commit = window.last + 1; commit-- > window.first;) {
    if (regions.equals(commit)) return regions.probe();
    errors += fmt::format(" [{}: {}]", commit, regions.error());
    if (errors.size() > 400) errors.resize(400);
  }
  return fmt::format("memory equals no commit of {} ... {}:{}", window.first, window.last, errors);
}

// A kill right after the probe: what the log held before the first crash must not come back, nor be
// taken for damage.
std::string judge_after_probe(const RigAccount& account, const std::vector<SparseImage>& images) {
  Ensemble devices(images, account.options.grows);
  auto opened = rvm::Rvm::initialize(open_options(account.options, devices));
  if (!opened) return "initialize after the probe: " + rvm::describe(opened.error());
  auto region = map_region(**opened, account.regions[0]);
  if (!region) return "map after the probe: " + rvm::describe(region.error());
  auto bytes = (*region)->read(8, 8);
  if (!bytes) return "read after the probe: " + rvm::describe(bytes.error());
  const bool there =
      std::all_of(*bytes, *bytes + 8, [](std::byte byte) { return byte == std::byte{0x77}; });
  return there ? "" : "what was committed after recovery is gone";
}

// The same without writing: recovery in memory must see the same as recovery in place.
std::string judge_read_only(const RigAccount& account, const std::vector<SparseImage>& images,
                            size_t point) {
  Ensemble devices(images, account.options.grows);
  rvm::Options options = open_options(account.options, devices);
  options.read_only = true;
  auto opened = rvm::Rvm::initialize(options);
  if (!opened) return "read-only initialize: " + rvm::describe(opened.error());
  RecoveredRegions regions(**opened, account);
  const Window window = window_at(account, point);
  bool fits = false;
  for (size_t commit = window.last + 1; !fits && commit-- > window.first;) {
    fits = regions.equals(commit);
  }
  if (!fits) return "read-only recovery equals no commit: " + regions.error();
  opened->reset();
  if (devices.event_count() != 0) return "read-only recovery wrote to a device";
  return "";
}

}  // namespace

CheckResult check_rvm_state(const RigAccount& account, const std::vector<SparseImage>& images,
                            size_t point) {
  CheckResult result;
  result.failure = judge_read_only(account, images, point);
  if (!result.failure.empty()) return result;
  Ensemble devices(images, account.options.grows);
  auto opened = rvm::Rvm::initialize(open_options(account.options, devices));
  if (!opened) {
    result.failure = "initialize: " + rvm::describe(opened.error());
    return result;
  }
  result.recovery = devices.history();
  if ((*opened)->query().recovery.pages_damaged != 0) {
    result.failure = "recovery met a page that does not match its hash";
    return result;
  }
  result.failure = judge(**opened, account, point);
  if (result.failure.empty()) result.failure = judge_after_probe(account, devices.snapshot());
  return result;
}

}  // namespace rvmfs::test
