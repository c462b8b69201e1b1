// SPDX-License-Identifier: BSD-2-Clause
//
// Judges what is read from a damaged image: each answer must be right, or an error that says so
// (EIO). A wrong answer, however plausible, is a failure: another attribute, a name that is missing
// or too many, a byte of a file.
//
// Thread rules: as an int.
#pragma once

#include <string>

#include "tests/images/sample_images.h"

namespace rvmfs::test {

struct Verdict {
  std::string wrong;  // empty: no answer was wrong
  bool mounted = false;
  bool whole = false;  // every answer was there, and right
};

// Opens the image and reads everything, and asks fsck as well: what it calls clean must be whole.
// `may_lose_last_unit`: the tree without the last unit of the log is right too.
Verdict judge_damaged(const SampleImage& sample, const SparseImage& damaged,
                      bool may_lose_last_unit);

}  // namespace rvmfs::test
