// SPDX-License-Identifier: BSD-2-Clause
//
// mount(8), umount(8), fstab and block devices: the helpers by their names, in a mount namespace in
// which the folder of the programs lies over /usr/sbin, as if they were installed.
#include "tests/mount/shell_test_base.h"

namespace rvmfs::test {
namespace {

class Helpers : public ShellTest {
 protected:
  void SetUp() override {
    ShellTest::SetUp();
    SKIP_UNLESS(is_root(), "mount(8) needs root");
    const Outcome outcome = run_as_root(kInstall);
    SKIP_UNLESS(outcome.status == 0,
                "no overlayfs to put the helpers in place:\n" + outcome.output);
  }
  void expect_installed(const std::string& body) { expect_script(kInstall + body); }

  const std::string kInstall =
      "mount -t overlay overlay -o lowerdir=$bin:/usr/sbin /usr/sbin\n"
      "mkdir -p second\n";
};

TEST_F(Helpers, mount_and_umount_work_as_for_any_filesystem) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
mount -t rvmfs $image $mnt
grep -q "^$image $mnt fuse.rvmfs rw," /proc/self/mounts
echo hello >$mnt/file
umount mount
mount -t fuse.rvmfs -o ro,noatime,nofail,_netdev,x-systemd.automount image mount
grep -q "^$image $mnt fuse.rvmfs ro,.*noatime" /proc/self/mounts
test "$(cat $mnt/file)" = hello
umount $image
! grep -q " $mnt " /proc/self/mounts
)sh");
}

TEST_F(Helpers, fstab_lines_are_mounted_by_mount_point_and_by_image) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
echo "$image $mnt rvmfs nofail,user,commit=5,x-anything=1 0 0" >fstab
mount --bind fstab /etc/fstab
mount $mnt
touch $mnt/file
umount $image
mount $image
test -e $mnt/file
umount $image
sed -i "s/ rvmfs / fuse.rvmfs /" fstab
mount -a
test -e $mnt/file
umount $mnt
)sh");
}

TEST_F(Helpers, all_of_fstab_is_mounted_and_what_may_fail_is_no_failure) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
cp --sparse=always $image other
cat >fstab <<END
$image $mnt rvmfs nofail,x-systemd.device-timeout=5,x-systemd.automount,_netdev 0 0
$PWD/other $PWD/second fuse.rvmfs noauto,ro 0 0
END
mount --bind fstab /etc/fstab
mount -a -t rvmfs,fuse.rvmfs
touch $mnt/file
mount -a                       # once more: nothing to do
test $(grep -c " $mnt " /proc/self/mounts) = 1
! mountpoint -q second
mount second
grep -q "second fuse.rvmfs ro" /proc/self/mounts
umount second
umount -a -t fuse.rvmfs
! mountpoint -q $mnt
fsck.rvmfs -f $image           # released
)sh");
}

TEST_F(Helpers, programs_are_found_by_the_type_of_the_filesystem) {
  expect_installed(R"sh(
for type in rvmfs fuse.rvmfs; do
  rm -f $image
  truncate -s 100M $image
  mkfs -t $type -q $image
  fsck -t $type $image -f
  fsck -T -t $type -n $image
  mount -t $type $image $mnt
  touch $mnt/file
  umount.$type $mnt
done
)sh");
}

TEST_F(Helpers, a_descriptor_that_is_mounted_already_can_be_the_mount_point) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
exec 9<>/dev/fuse
mount -i -t fuse.rvmfs $image $mnt \
  -o fd=9,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions
rvmfs $image /dev/fd/9
exec 9<&-
echo hello >$mnt/file
umount.rvmfs $mnt
fsck.rvmfs -f $image
rvmfs -o ro $image $mnt
test "$(cat $mnt/file)" = hello
)sh");
}

TEST_F(Helpers, umount_returns_when_the_image_is_released) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
for i in 1 2 3 4 5 6 7 8; do
  mount -t rvmfs $image $mnt -o commit=0
  head -c 20000000 /dev/zero >$mnt/$i
  umount.rvmfs $mnt
  fsck.rvmfs -f $image   # refuses an image in use
done
)sh");
}

TEST_F(Helpers, umount_of_the_system_returns_when_the_image_is_released_too) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
for how in "mount -t rvmfs" "mount -t fuse.rvmfs" "rvmfs" "rvmfs"; do
  $how -o commit=0 $image $mnt
  head -c 20000000 /dev/zero >$mnt/file
  umount $mnt          # an absolute path, by root: util-linux would not look at the type
  fsck.rvmfs -f $image # refuses an image in use
  ! grep -q " $mnt " /proc/self/mounts
  test ! -s $LIBMOUNT_UTAB
done
# Of a bind mount of the first one it returns at once, and of the last one when all is over.
mount -t rvmfs -o commit=0 $image $mnt
mount -t rvmfs $image second
head -c 20000000 /dev/zero >second/file
umount $mnt
test -e second/file
umount $PWD/second
fsck.rvmfs -f $image
test ! -s $LIBMOUNT_UTAB
)sh");
}

TEST_F(Helpers, what_a_killed_daemon_left_in_the_table_of_umount_does_no_harm) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
for i in 1 2 3; do
  rvmfs -f $image $mnt &
  until grep -q "TARGET=$mnt " $LIBMOUNT_UTAB && mountpoint -q $mnt; do sleep 0.05; done
  kill -9 $!
  wait $! || true
  LIBMOUNT_UTAB=/dev/null umount -i $mnt   # by somebody who does not know of the table
done
test $(grep -c "TARGET=$mnt " $LIBMOUNT_UTAB) = 1
# Another filesystem at the same place.
mount -t tmpfs other $mnt
umount $mnt
! grep -q " $mnt " /proc/self/mounts
# And ours once more, ended by a signal.
rvmfs -f $image $mnt &
until mountpoint -q $mnt; do sleep 0.05; done
kill $!
wait $!
test ! -s $LIBMOUNT_UTAB
)sh");
}

TEST_F(Helpers, mounting_and_unmounting_work_where_the_table_of_umount_cannot_be_written) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
export LIBMOUNT_UTAB=/proc/none/utab
mount -t rvmfs $image $mnt
touch $mnt/file
umount.rvmfs $mnt
fsck.rvmfs -f $image
)sh");
}

TEST_F(Helpers, a_second_mount_of_the_image_is_the_same_mount_again) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
mount -t rvmfs $image $mnt
mount -t rvmfs $image second -o ro
echo hello >$mnt/file
test "$(cat second/file)" = hello
! touch second/other
touch $mnt/other
umount $mnt
test "$(cat second/file)" = hello
umount second
fsck.rvmfs -n -f $image
)sh");
}

TEST_F(Helpers, a_file_of_the_same_name_is_not_taken_for_the_mounted_one) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
mount -t rvmfs $image $mnt
touch $mnt/first
rm $image  # the daemon still has it
mkfs.rvmfs -q $image 1G
mount -t rvmfs $image second
test ! -e second/first
umount second
umount $mnt
)sh");
}

TEST_F(Helpers, remounting_is_done_by_the_kernel) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
mount -t rvmfs $image $mnt
mount -o remount,ro $mnt
! touch $mnt/file
mount -o remount,rw,noexec,commit=7 $mnt
touch $mnt/file
grep -q " $mnt fuse.rvmfs rw,.*noexec" /proc/self/mounts
umount $mnt
)sh");
}

TEST_F(Helpers, failures_end_with_32_and_a_message) {
  expect_installed(R"sh(
status=0; mount -t rvmfs $PWD/absent $mnt 2>said || status=$?
test $status = 32
grep -q "No such file" said
mkfs.rvmfs -q $image 1G
status=0; mount.rvmfs $image $mnt -o frobnicate || status=$?
test $status = 32
status=0; mount.rvmfs $image || status=$?
test $status = 32
status=0; umount.rvmfs $mnt || status=$?
test $status = 32
mount.rvmfs $image $mnt
cd $mnt
status=0; umount.rvmfs $mnt || status=$?
test $status = 32
cd ..
umount.rvmfs $mnt
)sh");
}

TEST_F(Helpers, options_may_stand_behind_the_operands_and_unknown_ones_pass_with_s) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
mount.rvmfs $image $mnt -n -v -t fuse.rvmfs -o ro
! touch $mnt/file
umount.rvmfs $mnt -n
mount.rvmfs -s $image $mnt -o frobnicate
touch $mnt/file
umount.rvmfs -r $mnt
mount.rvmfs -f $image $mnt
! grep -q " $mnt " /proc/self/mounts
)sh");
}

TEST_F(Helpers, lazy_and_read_only_unmounting_of_a_mount_in_use) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
mount.rvmfs $image $mnt
exec 9<$mnt
umount.rvmfs -r $mnt
grep -q " $mnt fuse.rvmfs ro" /proc/self/mounts
umount.rvmfs -l $mnt
! grep -q " $mnt " /proc/self/mounts
exec 9<&-
)sh");
}

TEST_F(Helpers, mount_for_another_namespace) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
unshare -m --propagation private sh -c 'echo $$ >pid; exec sleep 20' &
here=$(readlink /proc/self/ns/mnt)
until test -s pid && test "$(readlink /proc/$(cat pid)/ns/mnt)" != "$here"; do
  sleep 0.05
done
there=$(cat pid)
trap 'kill $there' EXIT
mount.rvmfs $image $mnt -N $there
! grep -q " $mnt " /proc/self/mounts
grep -q "^$image $mnt fuse.rvmfs" /proc/$there/mounts
nsenter -t $there -m touch $mnt/file
umount.rvmfs -N $there $mnt
fsck.rvmfs -n -f $image 2>&1 | tee said
! grep -q "in use" said
)sh");
}

TEST_F(Helpers, a_dead_mount_of_another_filesystem_is_told_and_cleared_only_if_asked) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
# A FUSE mount whose daemon ends at once.
exec 9<>/dev/fuse
mount -i -t fuse.other -o fd=9,rootmode=40000,user_id=0,group_id=0 other $mnt
exec 9<&-
status=0; rvmfs $image $mnt 2>said || status=$?
test $status = 1
grep -q "run 'umount -l $mnt'" said
rvmfs -o clear_dead $image $mnt
touch $mnt/file
umount.rvmfs $mnt
)sh");
}

TEST_F(Helpers, an_image_that_cannot_be_written_is_refused_with_advice) {
  expect_installed(R"sh(
mkfs.rvmfs -q $image 1G
mkdir fixed
mount --bind -o ro . fixed
! rvmfs fixed/image $mnt 2>said
grep -q "mount it with -o ro" said
rvmfs -o ro fixed/image $mnt
umount.rvmfs $mnt
)sh");
}

class BlockDevice : public Helpers {
 protected:
  void SetUp() override {
    Helpers::SetUp();
    if (IsSkipped()) return;
    const Outcome outcome = run({"losetup", "-f"});
    SKIP_UNLESS(outcome.status == 0, "no loop devices: " + outcome.output);
  }
  const std::string kLoop =
      "mkfs.rvmfs -q $image 1G\n"
      "truncate -s 1G $image\n"
      "device=$(losetup -f --show $image)\n"
      "trap 'umount -q $mnt || true; umount -q second || true; losetup -d $device' EXIT\n";
};

TEST_F(BlockDevice, is_mounted_as_one_and_unmounting_waits) {
  expect_installed(kLoop + R"sh(
for i in 1 2 3 4 5 6 7 8; do
  mount -t rvmfs $device $mnt -o commit=0
  grep -q "^$device $mnt fuseblk.rvmfs" /proc/self/mounts
  head -c 5000000 /dev/zero >$mnt/file
  umount -i $mnt      # no helper waits: the kernel does
  fsck.rvmfs -y -f $device  # refuses what is in use
done
)sh");
}

TEST_F(BlockDevice, sync_makes_everything_durable) {
  expect_installed(kLoop + R"sh(
rvmfs -f -o commit=0 $device $mnt &
daemon=$!
until mountpoint -q $mnt; do sleep 0.05; done
echo hello >$mnt/file
sync
kill -9 $daemon
wait $daemon || true
rvmfs $device $mnt
test "$(cat $mnt/file)" = hello
)sh");
}

TEST_F(BlockDevice, that_is_mounted_is_refused_to_others) {
  expect_installed(kLoop + R"sh(
rvmfs $device $mnt
! rvmfs $device second 2>said
grep -q "in use by process" said
! mkfs.rvmfs -q -f $device
mount.rvmfs $device second
touch second/file
test -e $mnt/file
umount second
)sh");
}

TEST_F(BlockDevice, that_another_filesystem_has_mounted_is_refused) {
  expect_installed(kLoop + R"sh(
mkfs.ext4 -q -F $device
mount -t ext4 $device second
! rvmfs $device $mnt 2>said
cat said
grep -q "in use" said
)sh");
}

TEST_F(BlockDevice, may_have_many_read_only_mounts) {
  expect_installed(kLoop + R"sh(
rvmfs $device $mnt
touch $mnt/file
umount $mnt
rvmfs -o ro $device $mnt
rvmfs -o ro $device second
test -e $mnt/file -a -e second/file
umount $mnt second
)sh");
}

TEST_F(BlockDevice, can_be_mounted_as_a_file_is) {
  expect_installed(kLoop + R"sh(
rvmfs -o disable=fuseblk $device $mnt
grep -q "^$device $mnt fuse.rvmfs" /proc/self/mounts
touch $mnt/file
umount.rvmfs $mnt
)sh");
}

}  // namespace
}  // namespace rvmfs::test
