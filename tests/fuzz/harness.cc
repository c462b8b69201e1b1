// SPDX-License-Identifier: BSD-2-Clause
//
// See harness.h: the list of them.
#include "tests/fuzz/harness.h"

namespace rvmfs::test {

size_t Harness::mutate(uint8_t* data, size_t size, size_t max, std::mt19937_64&,
                       ByteMutator bytes) const {
  return bytes(data, size, max);
}

const std::vector<std::unique_ptr<Harness>>& harnesses() {
  static const std::vector<std::unique_ptr<Harness>> all = [] {
    std::vector<std::unique_ptr<Harness>> list;
    list.push_back(superblock_harness());
    list.push_back(log_harness());
    list.push_back(image_harness());
    list.push_back(fsck_harness());
    list.push_back(operations_harness());
    return list;
  }();
  return all;
}

const Harness* find_harness(const std::string& name) {
  for (const auto& harness : harnesses()) {
    if (harness->name() == name) return harness.get();
  }
  return nullptr;
}

}  // namespace rvmfs::test
