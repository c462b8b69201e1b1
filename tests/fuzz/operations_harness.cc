// SPDX-License-Identifier: BSD-2-Clause
//
// Operations of the filesystem against the reference model (harness.h): the input's bytes are what
// the generator of operations takes for chance. At the end the trees must be equal, the volume must
// close, and fsck must find nothing.
#include <random>

#include "fsck/fsck.h"
#include "tests/fuzz/harness.h"
#include "tests/support/memory_device.h"
#include "tests/support/model_run.h"

namespace rvmfs::test {
namespace {

constexpr uint64_t kVolumeBytes = 8 << 20;

// Two bytes a draw; 0xffff is followed by eight, for numbers that do not fit.
class ByteChance {
 public:
  explicit ByteChance(Input input) : rest_(input) {}
  bool is_over() const { return rest_.empty(); }
  uint64_t operator()() {
    const uint64_t small = take(2);
    return small == 0xffff ? take(8) : small;
  }

 private:
  uint64_t take(size_t count) {
    uint64_t value = 0;
    for (size_t i = 0; i < count && !rest_.empty(); ++i) {
      value |= uint64_t{rest_[0]} << (8 * i);
      rest_ = rest_.subspan(1);
    }
    return value;
  }
  Input rest_;
};

class OperationsHarness final : public Harness {
 public:
  const char* name() const override { return "operations"; }

  std::string run(Input input) const override {
    const auto device = MemoryDevice::file();
    if (!format_for_tests(device, kVolumeBytes, 512 * 1024)) return "it cannot be formatted";
    ModelRunOptions options;
    options.may_be_full = true;
    options.tuning.spool_bytes_max = 64 * 1024;
    options.metadata_bytes_max = 256 * 1024;
    ModelRun run(device, options);
    std::string wrong = run.open();
    ByteChance chance(input);
    OperationGenerator generator([&] { return chance(); }, generator_options());
    while (wrong.empty() && !chance.is_over()) {
      wrong = run.apply(generator.next(run.model(), run.slots()));
    }
    if (wrong.empty()) wrong = run.compare();
    if (wrong.empty()) wrong = run.close();
    if (!wrong.empty()) return wrong;
    fsck::FindingList findings;
    fsck::check_image(*device, {}, findings);
    return findings.text(true);
  }

  std::vector<ByteString> seeds() const override {
    std::vector<ByteString> all;
    for (const uint64_t seed : {1, 2, 3}) {
      std::mt19937_64 random(seed);
      ByteString bytes(300 * seed);
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
      all.push_back(std::move(bytes));
    }
    return all;
  }

 private:
  static GeneratorOptions generator_options() {
    GeneratorOptions options;
    options.percent_fsync = 4;
    options.write_bytes_max = 40 * 1024;
    options.file_bytes_max = 128 * 1024;
    return options;
  }
};

}  // namespace

std::unique_ptr<Harness> operations_harness() { return std::make_unique<OperationsHarness>(); }

}  // namespace rvmfs::test
