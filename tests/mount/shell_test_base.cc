// SPDX-License-Identifier: BSD-2-Clause
//
// Tests that are shell scripts.
#include "tests/mount/shell_test_base.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace rvmfs::test {

bool ShellTest::is_root() { return geteuid() == 0; }

std::string ShellTest::program_folder() {
  return std::filesystem::path(RVMFS_PROGRAM).parent_path().string();
}

Outcome ShellTest::run_as_root(const std::string& body) {
  const std::string script = folder().file("script");
  std::ofstream(script) << "set -e\ncd '" << folder().path().string() << "'\n"
                        << "image='" << image() << "'\nmnt='" << mount_point() << "'\n"
                        << "bin='" << program_folder() << "'\nPATH=\"$bin:$PATH\"\n"
                        << "test_user='setpriv --reuid=65534 --regid=65534 --clear-groups'\n"
                        << "set -x\n"
                        << body;
  return run({"unshare", "-m", "sh", script});
}

void ShellTest::expect_script(const std::string& body) {
  const Outcome outcome = run_as_root(body);
  EXPECT_EQ(outcome.status, 0) << outcome.output;
}

}  // namespace rvmfs::test
