// SPDX-License-Identifier: BSD-2-Clause
//
// The switch behind seeded_bug.h; empty in ordinary builds.

#include "seeded_bug.h"

#ifdef RVM_SEEDED_BUGS
#include <cstdlib>

namespace rvm {

bool seeded_bug_active(std::string_view name) {
  static const char* const active = std::getenv("RVMFS_SEEDED_BUG");
  return active != nullptr && name == active;
}

}  // namespace rvm
#endif
