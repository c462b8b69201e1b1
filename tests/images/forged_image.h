// SPDX-License-Identifier: BSD-2-Clause
//
// A sound image, killed with units in its log, whose log and page journal a test forges under right
// hashes; and all who could recover it: mounts and fsck.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "rvm/log_format.h"
#include "tests/images/sample_images.h"

namespace rvmfs::test {

class ForgedImage : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(sample_.name, "logged"); }

  ImagePart first_unit() const { return parts_of(sample_, PartKind::unit)[0]; }
  // The first region of the first unit.
  void change_region(const std::function<void(rvm::format::RegionEntry&)>& change);
  // The journal has one page, of there.
  void journal_page(uint32_t segment, uint64_t offset);

  // Two mounts, one of which would only read, fail with EIO and change no byte. Returns what the
  // last one says.
  std::string refused_by_mounts() const;
  int run_fsck(const std::string& option, std::string& text) const;

  const SampleImage& sample_ = sample_images()[1];
  SparseImage image_ = sample_.image;
};

}  // namespace rvmfs::test
