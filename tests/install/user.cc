// SPDX-License-Identifier: BSD-2-Clause
//
// A program outside the source tree that uses the installed librvm: one file holds a log and a
// region of four pages; each run of `count` adds one to a number in it. Prints what went wrong;
// exit status 0 if two runs in a row see each other's commits.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

#include "rvm/device.h"
#include "rvm/rvm.h"

namespace {

constexpr uint64_t kLogBytes = 1 << 20;
constexpr uint64_t kRegionBytes = 4 * rvm::kPageBytes;

rvm::Result<void> make(const char* path) {
  RVM_ASSIGN(auto device, rvm::open_file_device(path, {.create = true}));
  RVM_TRY(device->resize(kLogBytes + kRegionBytes));
  rvm::LogOptions log;
  log.length = kLogBytes;
  return rvm::Rvm::create_log(*device, log);
}

rvm::Result<uint64_t> count(const char* path) {
  rvm::Options options;
  RVM_ASSIGN(options.log_device, rvm::open_file_device(path, {}));
  RVM_ASSIGN(auto instance, rvm::Rvm::initialize(std::move(options)));
  rvm::RegionOptions where;
  where.offset = kLogBytes;
  where.length = kRegionBytes;
  RVM_ASSIGN(rvm::Region* const region, instance->map(where));

  rvm::Transaction transaction = instance->begin();
  uint64_t number = 0;
  RVM_ASSIGN(std::byte* const bytes, transaction.modify(*region, 0, sizeof(number)));
  std::memcpy(&number, bytes, sizeof(number));
  ++number;
  std::memcpy(bytes, &number, sizeof(number));
  RVM_TRY(transaction.end(rvm::Commit::flush));
  RVM_TRY(instance->close());
  return number;
}

rvm::Result<bool> run(const char* path) {
  RVM_TRY(make(path));
  RVM_ASSIGN(const uint64_t first, count(path));
  RVM_ASSIGN(const uint64_t second, count(path));
  return first == 1 && second == 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto result = run(argv[1]);
  if (!result) {
    std::fprintf(stderr, "%s\n", rvm::describe(result.error()).c_str());
    return 1;
  }
  if (!*result) std::fprintf(stderr, "a commit was lost\n");
  return *result ? 0 : 1;
}
