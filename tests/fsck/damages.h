// SPDX-License-Identifier: BSD-2-Clause
//
// One damaged image for every finding of fsck: what to do to a sound image (ImageTest::make_volume)
// so that the finding is made.
#pragma once

#include <functional>
#include <ostream>
#include <vector>

#include "tests/fsck/image_fixture.h"

namespace rvmfs::test {

struct Damage {
  fsck::FindingId id;
  std::function<void(ImageTest&)> apply;
};

inline void PrintTo(const Damage& damage, std::ostream* out) {
  *out << fsck::finding_row(damage.id).name;
}

// Superblocks, owner record, log.
std::vector<Damage> outer_damages();
// Pages, pool, tree, block groups.
std::vector<Damage> structure_damages();
// Inodes, names, data.
std::vector<Damage> item_damages();

}  // namespace rvmfs::test
