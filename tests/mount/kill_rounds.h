// SPDX-License-Identifier: BSD-2-Clause
//
// Rounds of: mount, let writers work, end the daemon in some ugly way, check the image, mount,
// compare with what fsync had acknowledged. What is ugly about it is the test's own.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/mount/kill_writer.h"
#include "tests/mount/mount_test_base.h"
#include "tests/support/tier.h"

namespace rvmfs::test {

class KillRounds : public MountTest {
 protected:
  static constexpr size_t kWriters = 8;

  struct Plan {
    std::string part;                   // of the TOTAL line
    uint64_t commit, nightly, release;  // rounds
    bool may_be_full = false;
  };
  // The rounds of this tier and slice; `round` does one and may ASSERT. The image is formatted
  // before and every writer must have got something done in the end.
  void run_rounds(const Plan& plan, const std::function<void()>& round);

  // Work starts in threads; end_work() joins them: after the daemon's death.
  void begin_work();
  void end_work();
  // Lets the writers work for a random time up to this.
  void work_a_while(int milliseconds_max);
  // fsck finds nothing; the volume mounts; every acknowledged byte is there; unmount; fsck again.
  void verify();
  // Only the part of it on the mounted volume.
  void compare();

  uint64_t below(uint64_t limit) { return random_() % limit; }
  Total& total() { return *total_; }

 private:
  std::mt19937_64 random_;
  std::unique_ptr<Total> total_;
  std::vector<std::unique_ptr<KillWriter>> writers_;
  std::vector<std::thread> threads_;
  std::vector<char> died_well_;
};

}  // namespace rvmfs::test
