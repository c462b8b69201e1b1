// SPDX-License-Identifier: BSD-2-Clause
//
// Which volume it is.
#include "fs/daemon/volume_name.h"

#include <fmt/format.h>
#include <sys/xattr.h>

#include "fs/volume.h"

namespace rvmfs {

std::string uuid_text(const format::Superblock& super) {
  std::string text;
  for (size_t i = 0; i < sizeof super.uuid; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", super.uuid[i]);
  }
  return text;
}

std::string volume_name(const std::string& image, uint64_t offset) {
  rvm::FileOptions options;
  options.read_only = true;
  options.lock = false;
  auto device = rvm::open_file_device(image, options);
  if (!device || offset >= (*device)->size()) return {};
  const uint64_t length = (*device)->size() - offset;
  const auto super = read_superblock(*rvm::make_range_device(*device, offset, length));
  return super ? uuid_text(*super) : std::string();
}

std::string mounted_volume_name(const std::string& mount_point) {
  char text[64];
  const ssize_t length = getxattr(mount_point.c_str(), kUuidAttribute, text, sizeof text);
  return length > 0 ? std::string(text, static_cast<size_t>(length)) : std::string();
}

}  // namespace rvmfs
