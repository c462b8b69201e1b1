// SPDX-License-Identifier: BSD-2-Clause
//
// See identity.h.
#include "mkfs/identity.h"

#include <fmt/format.h>
#include <uuid.h>
#include <xxhash.h>

#include <ctime>

namespace rvmfs::mkfs {
namespace {

// A name-based UUID from everything that distinguishes two reproducible volumes.
void derive_uuid(const CommandLine& command, uint64_t volume_bytes, uuid_t out) {
  uuid_t name_space;
  uuid_clear(name_space);
  const std::string name =
      fmt::format("rvmfs:{}:{}:{}", *command.source_date_epoch, volume_bytes, command.label);
  uuid_generate_sha1(out, name_space, name.data(), name.size());
}

}  // namespace

rvm::Result<void> set_identity(const CommandLine& command, FormatOptions& options) {
  if (command.uuid == "random" || (command.uuid.empty() && !command.source_date_epoch)) {
    uuid_generate_random(options.uuid);
  } else if (command.uuid == "time") {
    uuid_generate_time(options.uuid);
  } else if (command.uuid.empty()) {
    derive_uuid(command, options.volume_bytes, options.uuid);
  } else if (uuid_parse(command.uuid.c_str(), options.uuid) != 0) {
    return rvm::Error{rvm::Errc::invalid_argument, 0, 0,
                      "the UUID is not of the form 01234567-89ab-cdef-0123-456789abcdef"};
  }
  options.name_hash_seed = XXH3_64bits(options.uuid, sizeof(options.uuid));
  if (command.source_date_epoch) {
    options.now = {*command.source_date_epoch, 0};
  } else {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    options.now = {now.tv_sec, static_cast<uint32_t>(now.tv_nsec)};
  }
  return {};
}

std::string uuid_text(const uint8_t (&uuid)[16]) {
  char text[37];
  uuid_unparse_lower(uuid, text);
  return text;
}

}  // namespace rvmfs::mkfs
