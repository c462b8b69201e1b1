// SPDX-License-Identifier: BSD-2-Clause
//
// A host filesystem that has no room left: programs are told so, and can make room.
#include "tests/mount/shell_test_base.h"

namespace rvmfs::test {
namespace {

class FullHost : public ShellTest {
 protected:
  void SetUp() override {
    ShellTest::SetUp();
    SKIP_UNLESS(is_root(), "only root can mount a small host filesystem");
  }
};

TEST_F(FullHost, is_told_and_files_can_still_be_truncated_and_removed) {
  expect_script(R"sh(
mkdir host
mount -t tmpfs -o size=24m small host
mkfs.rvmfs -q -E log_size=1M host/image 1G
rvmfs host/image $mnt
free() { stat -f -c %a $mnt; }   # blocks of 4 KiB
test $(free) -lt 6144            # what the host has, not what the volume would have
echo precious >$mnt/precious
for name in a b c; do head -c 5000000 /dev/urandom >$mnt/$name; done
md5sum $mnt/a >sum
for i in 1 2; do
  ! head -c 30000000 /dev/urandom >$mnt/big 2>said
  grep -q "No space left on device" said
  test $(free) -lt 600
  md5sum -c sum
  test "$(cat $mnt/precious)" = precious
  mv $mnt/big $mnt/moved; chmod 600 $mnt/moved; sync $mnt/moved
  truncate -s 1000000 $mnt/moved
  rm $mnt/b
  head -c 1000000 /dev/urandom >$mnt/b
  rm $mnt/moved
done
sync $mnt/b
md5sum $mnt/b >>sum
umount.rvmfs $mnt
fsck.rvmfs -n -f host/image
rvmfs host/image $mnt
md5sum -c sum
umount.rvmfs $mnt
)sh");
}

}  // namespace
}  // namespace rvmfs::test
