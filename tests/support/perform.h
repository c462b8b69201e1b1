// SPDX-License-Identifier: BSD-2-Clause
//
// Performs one operation (operations.h) on the reference model or on a volume, and tells the answer
// as a text that must be equal for both.
//
// Not performed here: what concerns the run as a whole (fsync, sync, reopen, crash) and the slots
// (open, tmpfile and release only answer what they found; model_run.h changes the slots).
#pragma once

#include <string>
#include <vector>

#include "tests/support/operations.h"
#include "tests/support/volume_answers.h"

namespace rvmfs::test {

Outcome perform(ReferenceModel& model, const Slots& slots, const Op& op, bool with_atime);
Outcome perform(VolumeAnswers& volume, const Slots& slots, const Op& op, bool with_atime);

// The inode at a path, 0 if there is none.
Inode find_path(VolumeAnswers& volume, const Slots& slots, const std::string& path);

std::string describe(const Attributes& attributes, bool with_atime);
std::string describe(const std::vector<std::byte>& bytes);

}  // namespace rvmfs::test
