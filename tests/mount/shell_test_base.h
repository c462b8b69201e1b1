// SPDX-License-Identifier: BSD-2-Clause
//
// Tests that are shell scripts: run with sh -e in the folder of the test, in a mount namespace of
// their own, so that whatever they mount is gone with them. Scripts see
//
//   $image, $mnt   the test's image (not formatted) and mount point
//   $bin           the folder with the programs, which are in PATH too
//   $test_user     a user without rights
#pragma once

#include <string>

#include "tests/mount/mount_test_base.h"

namespace rvmfs::test {

class ShellTest : public MountTest {
 protected:
  // As root. Failing lines are shown by the trace (sh -x) in the output.
  Outcome run_as_root(const std::string& body);
  // The script must end with 0.
  void expect_script(const std::string& body);

  static bool is_root();
  static std::string program_folder();
};

// Ends the test here, and says why, where something is missing on this machine that the test cannot
// do without.
#define SKIP_UNLESS(condition, reason) \
  if (!(condition)) GTEST_SKIP() << (reason)

}  // namespace rvmfs::test
