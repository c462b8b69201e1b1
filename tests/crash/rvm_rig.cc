// SPDX-License-Identifier: BSD-2-Clause
//
// See rvm_rig.h: running a workload. A state is kept as one hash per region: comparing is cheap,
// and a failure can be run again with the states in full. Judging is in rvm_judge.cc.
#include "tests/crash/rvm_rig.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rvmfs::test {
namespace {

constexpr std::byte kOldBytes{0xc5};

}  // namespace

uint64_t hash_of(const std::byte* bytes, uint64_t length) { return XXH3_64bits(bytes, length); }

rvm::Options open_options(const RigOptions& options, const Ensemble& ensemble) {
  rvm::Options open;
  open.log_device = ensemble.device(0);
  std::vector<std::shared_ptr<rvm::Device>> devices;
  for (size_t i = 0; i < ensemble.device_count(); ++i) devices.push_back(ensemble.device(i));
  open.open_segment = [devices](std::string_view name,
                                bool) -> rvm::Result<std::shared_ptr<rvm::Device>> {
    return devices.at(static_cast<size_t>(name.at(1) - '0'));
  };
  open.tuning = options.tuning;
  open.background = false;
  open.recovery_bytes_max = options.recovery_bytes_max;
  return open;
}

rvm::Result<rvm::Region*> map_region(rvm::Rvm& rvm, const RigRegion& region) {
  rvm::RegionOptions options;
  options.offset = region.offset;
  options.length = region.length;
  options.hashed = region.hashed;
  options.hash_table_offset = region.hash_table_offset;
  if (region.device > 0) {
    RVM_ASSIGN(options.segment, rvm.open_segment("s" + std::to_string(region.device)));
  }
  return rvm.map(options);
}

RvmRig::RvmRig(const RigOptions& options, uint64_t seed) : options_(options), random_(seed) {
  const std::byte fill = options.grows ? std::byte{0} : kOldBytes;
  const uint64_t bytes = options.grows ? 0 : options.device_bytes;
  std::vector<SparseImage> images(options.devices, SparseImage(bytes, fill));
  ensemble_ = std::make_unique<Ensemble>(images, options.grows);
  used_.assign(options.devices, 0);
  used_[0] = options.log_bytes;
  account_.options = options;
  rvm::LogOptions log;
  log.length = options.log_bytes;
  log.block_bytes = options.block_bytes;
  log.generation = 1000;  // equal runs make equal histories
  check(rvm::Rvm::create_log(*ensemble_->device(0), log), "create_log");
  open_and_map();
}

RvmRig::RvmRig(const RigAccount& before, const std::vector<SparseImage>& images, uint64_t seed)
    : options_(before.options), random_(seed) {
  ensemble_ = std::make_unique<Ensemble>(images, options_.grows);
  account_.options = options_;
  account_.regions = before.regions;
  open_and_map();
  for (rvm::Region* region : mapped_) {
    auto bytes = region->read(0, region->length());
    if (!bytes) {
      check(bytes.error(), "read");
      return;
    }
    shadows_.emplace_back(*bytes, *bytes + region->length());
  }
  note_start();
}

RvmRig::~RvmRig() = default;

bool RvmRig::check(const rvm::Result<void>& result, const char* what) {
  if (!result && failure_.empty())
    failure_ = fmt::format("{}: {}", what, rvm::describe(result.error()));
  return failure_.empty();
}

void RvmRig::open_and_map() {
  auto opened = rvm::Rvm::initialize(open_options(options_, *ensemble_));
  if (!opened) {
    check(opened.error(), "initialize");
    return;
  }
  rvm_ = std::move(*opened);
  mapped_.clear();
  for (const RigRegion& region : account_.regions) {
    auto mapped = map_region(*rvm_, region);
    if (!mapped) {
      check(mapped.error(), "map");
      return;
    }
    mapped_.push_back(*mapped);
  }
}

uint64_t RvmRig::place(size_t device, uint64_t length) {
  const uint64_t offset = used_[device];
  used_[device] += length;
  return offset;
}

size_t RvmRig::add_region(size_t device, uint64_t length, bool hashed) {
  RigRegion region;
  region.device = device;
  region.length = length;
  region.hashed = hashed;
  if (hashed) {
    const uint64_t pages = length / rvm::kPageBytes;
    region.hash_table_offset = place(device, (pages + 510) / 511 * rvm::kPageBytes);
  }
  region.offset = place(device, length);
  account_.regions.push_back(region);
  shadows_.emplace_back(length, options_.grows ? std::byte{0} : kOldBytes);
  if (!failure_.empty()) return account_.regions.size() - 1;
  auto mapped = map_region(*rvm_, region);
  if (!mapped) {
    check(mapped.error(), "map");
    return account_.regions.size() - 1;
  }
  mapped_.push_back(*mapped);
  if (hashed) {
    rvm::Transaction tx = rvm_->begin();
    check(tx.format(**mapped), "format");
    auto ended = tx.end(rvm::Commit::flush);
    if (!ended) check(ended.error(), "end");
    shadows_.back().assign(length, std::byte{0});
  }
  return account_.regions.size() - 1;
}

void RvmRig::start() {
  if (!failure_.empty()) return;
  check(rvm_->flush(true), "flush");
  check(rvm_->truncate(), "truncate");
  for (size_t i = 0; i < ensemble_->device_count(); ++i) {
    check(ensemble_->device(i)->flush(), "flush of a device");
  }
  ensemble_->restart();
  note_start();
}

void RvmRig::note_start() {
  note_state();
  account_.begun_at.push_back(0);
  account_.durable.emplace_back(0, 0);
}

void RvmRig::note_state() {
  std::vector<uint64_t> hashes;
  if (!account_.hashes.empty()) hashes = account_.hashes.back();
  for (size_t i = 0; i < shadows_.size(); ++i) {
    const bool known = i < hashes.size();
    const bool changed =
        std::find(changed_regions_.begin(), changed_regions_.end(), i) != changed_regions_.end();
    if (known && !changed) continue;
    const uint64_t hash = hash_of(shadows_[i].data(), shadows_[i].size());
    if (known) hashes[i] = hash;
    if (!known) hashes.push_back(hash);
  }
  changed_regions_.clear();
  account_.hashes.push_back(std::move(hashes));
}

void RvmRig::note_durable() {
  account_.durable.emplace_back(ensemble_->event_count(), account_.hashes.size() - 1);
}

size_t RvmRig::format_region(size_t device, uint64_t length) {
  RigRegion region;
  region.device = device;
  region.length = length;
  region.hashed = true;
  region.hash_table_offset = place(device, rvm::kPageBytes);
  region.offset = place(device, length);
  region.exists_since = account_.hashes.size();
  const size_t index = account_.regions.size();
  if (!failure_.empty()) return index;
  auto mapped = map_region(*rvm_, region);
  if (!mapped) {
    check(mapped.error(), "map of a new region");
    return index;
  }
  account_.regions.push_back(region);
  mapped_.push_back(*mapped);
  shadows_.emplace_back(length, std::byte{0});
  rvm::Transaction tx = rvm_->begin();
  check(tx.format(**mapped), "format");
  change(tx, index, 0, 100);
  end(std::move(tx), rvm::Commit::no_flush);
  return index;
}

void RvmRig::change(rvm::Transaction& tx, size_t region, uint64_t offset, uint64_t length) {
  if (!failure_.empty()) return;
  auto bytes = tx.modify(*mapped_[region], offset, length);
  if (!bytes) {
    check(bytes.error(), "modify");
    return;
  }
  for (uint64_t i = 0; i < length; ++i) {
    // Some bytes stay as they are, some become zero: both are special cases of a log.
    const uint64_t dice = random_();
    if (dice % 4 != 0) (*bytes)[i] = static_cast<std::byte>(dice >> 8);
  }
  if (random_() % 8 == 0 && length > 0) std::memset(*bytes, 0, length);
  changed_regions_.push_back(region);
}

void RvmRig::change_somewhere(rvm::Transaction& tx, uint64_t bytes_max) {
  const size_t region = random_() % mapped_.size();
  const uint64_t length = 1 + random_() % std::min(bytes_max, account_.regions[region].length);
  // Half of the changes meet near the beginning, so that they overlap.
  const uint64_t room = account_.regions[region].length - length + 1;
  const uint64_t offset = random_() % (random_() % 2 == 0 ? room : std::min<uint64_t>(room, 2000));
  change(tx, region, offset, length);
}

void RvmRig::end(rvm::Transaction tx, rvm::Commit mode) {
  if (!failure_.empty()) return;
  account_.begun_at.push_back(ensemble_->event_count());
  // Only changed regions are copied; open transactions of a workload keep to regions of their own.
  for (const size_t i : changed_regions_) {
    auto bytes = mapped_[i]->read(0, mapped_[i]->length());
    if (!bytes) {
      check(bytes.error(), "read");
      return;
    }
    std::memcpy(shadows_[i].data(), *bytes, shadows_[i].size());
  }
  auto ended = tx.end(mode);
  if (!ended) {
    check(ended.error(), "end");
    return;
  }
  note_state();
  if (mode == rvm::Commit::flush) note_durable();
}

void RvmRig::abort(rvm::Transaction tx) {
  if (!failure_.empty()) return;
  if (!check(tx.abort(), "abort")) return;
  for (const size_t i : changed_regions_) {
    auto bytes = mapped_[i]->read(0, mapped_[i]->length());
    if (!bytes) {
      check(bytes.error(), "read");
    } else if (std::memcmp(*bytes, shadows_[i].data(), shadows_[i].size()) != 0) {
      failure_ = "an aborted transaction left changes";
    }
  }
  changed_regions_.clear();
}

void RvmRig::flush() {
  if (!failure_.empty() || !check(rvm_->flush(), "flush")) return;
  note_durable();
}

void RvmRig::truncate(rvm::Truncation mode) {
  if (failure_.empty()) check(rvm_->truncate(mode), "truncate");
}

void RvmRig::reopen() {
  if (!failure_.empty() || !check(rvm_->close(), "close")) return;
  rvm_.reset();
  note_durable();
  open_and_map();
}

RigAccount RvmRig::account() {
  account_.history = ensemble_->history();
  return account_;
}

}  // namespace rvmfs::test
