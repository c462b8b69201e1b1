// SPDX-License-Identifier: BSD-2-Clause
//
// The owner record.
#include "fs/daemon/owner.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <optional>
#include <span>
#include <string_view>

#include "fs/daemon/messages.h"
#include "fs/format.h"

namespace rvmfs {
namespace {

using format::OwnerRecord;

// So many intervals without a sign of life, and a holder on another host counts as dead.
constexpr uint32_t kHeartbeatsWatched = 3;
constexpr auto kPatienceWithDying = std::chrono::seconds(30);
constexpr auto kPatienceWithNobody = std::chrono::milliseconds(500);

uint64_t hash_of(OwnerRecord record) {
  record.hash = 0;
  return XXH3_64bits_withSeed(&record, sizeof record, format::kOwnerMagic);
}

std::string boot_id() {
  std::array<char, sizeof(OwnerRecord::boot_id)> text{};
  FILE* const file = fopen("/proc/sys/kernel/random/boot_id", "re");
  if (file == nullptr) return {};
  const size_t length = fread(text.data(), 1, text.size() - 1, file);
  fclose(file);
  std::string id(text.data(), length);
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

std::string host_name() {
  std::array<char, sizeof(OwnerRecord::host)> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return {};
  return name.data();
}

std::string_view text_of(std::span<const char> field) {
  return {field.data(), strnlen(field.data(), field.size())};
}

Result<void> write_record(rvm::Device& device, OwnerRecord record) {
  record.magic = format::kOwnerMagic;
  record.hash = hash_of(record);
  return device.write(format::kOwnerOffset, std::as_bytes(std::span(&record, 1)));
}

std::optional<OwnerRecord> read_record(const std::string& image, uint64_t volume_offset) {
  rvm::FileOptions options;
  options.read_only = true;
  options.lock = false;
  const auto device = rvm::open_file_device(image, options);
  if (!device) return std::nullopt;
  OwnerRecord record{};
  const auto bytes = std::as_writable_bytes(std::span(&record, 1));
  if (!(*device)->read(volume_offset + format::kOwnerOffset, bytes)) return std::nullopt;
  if (record.magic != format::kOwnerMagic || record.hash != hash_of(record)) return std::nullopt;
  return record;
}

// A record of this host's present boot whose process is gone was left by a daemon that was killed.
bool is_left_over(const OwnerRecord& record) {
  if (record.pid == 0) return true;
  if (text_of(record.boot_id) != boot_id()) return text_of(record.host) == host_name();
  return kill(static_cast<pid_t>(record.pid), 0) != 0 && errno == ESRCH;
}

}  // namespace

std::string describe_holder(const std::string& image, uint64_t volume_offset) {
  const std::optional<OwnerRecord> record = read_record(image, volume_offset);
  if (!record || is_left_over(*record)) return "another program";
  const time_t since = record->since_seconds;
  tm local{};
  localtime_r(&since, &local);
  return fmt::format("process {} on host {} since {:%Y-%m-%d %H:%M:%S}", record->pid,
                     text_of(record->host), local);
}

std::chrono::milliseconds patience_with_holder(const std::string& image, uint64_t volume_offset) {
  const std::optional<OwnerRecord> record = read_record(image, volume_offset);
  if (!record || record->pid == 0) return kPatienceWithNobody;
  if (text_of(record->boot_id) != boot_id()) return {};
  // The first thread of a process that was killed ends before the others.
  std::ifstream status(fmt::format("/proc/{}/status", record->pid));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("State:") && line.find("zombie") != line.npos) return kPatienceWithDying;
  }
  return {};
}

Result<void> check_other_hosts(const std::string& image, uint64_t volume_offset,
                               uint32_t heartbeat_seconds) {
  const std::optional<OwnerRecord> first = read_record(image, volume_offset);
  if (!first || first->pid == 0 || heartbeat_seconds == 0) return {};
  const bool is_ours = text_of(first->boot_id) == boot_id() || text_of(first->host) == host_name();
  if (is_ours) return {};
  const uint32_t patience = heartbeat_seconds * kHeartbeatsWatched;
  say(Level::notice,
      "{} was mounted by process {} on host {}: watching for {} s whether it is alive", image,
      first->pid, text_of(first->host), patience);
  for (uint32_t second = 0; second < patience; ++second) {
    sleep(1);
    // Opened anew each time: that is when a network filesystem looks at its server.
    const std::optional<OwnerRecord> now = read_record(image, volume_offset);
    if (now && now->hash != first->hash) {
      return Error{rvm::Errc::busy, 0, 0, "another host has the volume mounted"};
    }
  }
  return {};
}

Result<void> write_owner(rvm::Device& device, int64_t since_seconds) {
  OwnerRecord record{};
  record.pid = static_cast<uint64_t>(getpid());
  record.since_seconds = since_seconds;
  record.heartbeat_seconds = time(nullptr);
  const std::string boot = boot_id();
  const std::string host = host_name();
  memcpy(record.boot_id, boot.data(), std::min(boot.size(), sizeof record.boot_id));
  memcpy(record.host, host.data(), std::min(host.size(), sizeof record.host));
  return write_record(device, record);
}

Result<void> clear_owner(rvm::Device& device) { return write_record(device, OwnerRecord{}); }

}  // namespace rvmfs
