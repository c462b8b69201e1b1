// SPDX-License-Identifier: BSD-2-Clause
//
// chattr, lsattr, fstrim, swapon and shutting down: what programs reach through ioctls.
#include "tests/mount/shell_test_base.h"

namespace rvmfs::test {
namespace {

class Flags : public ShellTest {
 protected:
  void SetUp() override {
    ShellTest::SetUp();
    SKIP_UNLESS(is_root(), "flags and devices need root");
  }
  // `no command`: it must fail. `flags file`: as lsattr shows them, without the rest.
  const std::string kBegin = R"sh(
no() { if "$@"; then echo "worked, and must not: $*"; exit 1; fi; }
flags() { lsattr -d $1 | cut -d ' ' -f 1 | tr -d -; }
mkfs.rvmfs -q $image 1G
rvmfs $image $mnt
cd $mnt
)sh";
  const std::string kEnd = R"sh(
cd ..
umount.rvmfs $mnt
fsck.rvmfs -n -f $image
)sh";
};

TEST_F(Flags, immutable_files_and_directories_do_not_change) {
  expect_script(kBegin + R"sh(
echo x >file; mkdir dir; touch dir/inside
exec 5>>file
chattr +i file dir
test "$(flags file)" = i -a "$(flags dir)" = i
no sh -c 'echo y >>file'
no sh -c 'echo y >&5'
no chmod 600 file; no chown 1 file; no rm -f file; no mv file other; no ln file other
no truncate -s 0 file; no setfattr -n user.a -v b file; no touch -d 2001-01-01 file
no fallocate -l 10000 file; no sh -c ': >file'
no touch dir/new; no rm -f dir/inside; no mv dir/inside out; no rmdir dir; no mkdir dir/sub
touch movable; no mv movable dir/
test "$(cat file)" = x
chattr -i file dir
echo y >>file; rm -r dir; rm file
exec 5>&-
)sh" + kEnd);
}

TEST_F(Flags, append_only_files_only_grow) {
  expect_script(kBegin + R"sh(
echo x >file; mkdir dir; touch dir/old
chattr +a file dir
test "$(flags file)" = a
echo y >>file
no sh -c 'echo z >file'; no sh -c 'echo z 1<>file'; no truncate -s 0 file; no rm -f file
no mv file other; no ln file other; no chmod 600 file
test "$(cat file | tr -d '\n')" = xy
touch dir/new; no rm -f dir/old; no mv dir/old dir/older
chattr -a file dir
rm -r file dir
)sh" + kEnd);
}

TEST_F(Flags, others_are_kept_inherited_and_outlive_a_remount) {
  expect_script(kBegin + R"sh(
touch file; mkdir dir
chattr +ASd file; chattr +d dir; chattr -p 42 file
test "$(flags file)" = SdA
touch dir/child; mkdir dir/sub
test "$(flags dir/child)" = d -a "$(flags dir/sub)" = d
chattr +P -p 7 dir; touch dir/of7; mkdir dir/sub7
lsattr -p dir/of7 | grep -q '^ *7 '
lsattr -pd dir/sub7 | grep '^ *7 ' | grep -q P
no chattr +c file; no chattr +j file
cd ..; umount.rvmfs $mnt; rvmfs $image $mnt; cd $mnt
test "$(flags file)" = SdA
lsattr -p file | grep -q '^ *42 '
before=$(stat -c %x file); sleep 0.01; cat file; test "$(stat -c %x file)" = "$before"
)sh" + kEnd);
}

TEST_F(Flags, are_changed_by_the_owner_and_immutable_by_root_only) {
  expect_script(kBegin + R"sh(
touch file mine; chown nobody mine
$test_user chattr +d mine
no $test_user chattr +i mine; no $test_user chattr +a mine; no $test_user chattr +d file
test "$(flags mine)" = d -a -z "$(flags file)"
)sh" + kEnd);
}

TEST_F(Flags, fstrim_gives_free_space_back) {
  expect_script(R"sh(
mkfs.rvmfs -q $image 1G
rvmfs -o nodiscard $image $mnt
head -c 100000000 /dev/urandom >$mnt/big; head -c 1000000 /dev/urandom >$mnt/kept
md5sum $mnt/kept >sum; sync $mnt/kept; rm $mnt/big; sleep 0.1
full=$(du -k $image | cut -f 1)
fstrim -v $mnt
empty=$(du -k $image | cut -f 1)
test $((full - empty)) -gt 90000
echo 3 >/proc/sys/vm/drop_caches
md5sum -c sum
head -c 100000000 /dev/urandom >$mnt/big; md5sum $mnt/big >sum2
fstrim $mnt & md5sum -c sum2; wait $!
fstrim -o 1M -l 2M $mnt
! $test_user fstrim $mnt
umount.rvmfs $mnt
fsck.rvmfs -n -f $image
)sh");
}

TEST_F(Flags, swap_files_are_refused) {
  expect_script(kBegin + R"sh(
fallocate -l 10M swap; chmod 600 swap; mkswap swap
no swapon swap
)sh" + kEnd);
}

TEST_F(Flags, a_volume_that_is_shut_down_takes_no_changes_and_loses_none) {
  expect_script(R"sh(
mkfs.rvmfs -q $image 1G
rvmfs -o commit=0 $image $mnt
echo before >$mnt/file
cat >shut_down <<'PYTHON'
import fcntl, os
fcntl.ioctl(os.open("mount", 0), 0x8004587d, bytes(4))
PYTHON
chmod 755 .
! $test_user python3 shut_down
python3 shut_down
! touch $mnt/new 2>said
grep -q "Input/output error" said
! sync $mnt/file
test "$(cat $mnt/file)" = before
umount.rvmfs $mnt
rvmfs $image $mnt
test "$(cat $mnt/file)" = before
umount.rvmfs $mnt
fsck.rvmfs -n -f $image
)sh");
}

TEST_F(Flags, unknown_ioctls_and_modes_of_fallocate_are_refused_as_elsewhere) {
  expect_script(kBegin + R"sh(
python3 - <<'PYTHON'
import ctypes, errno, fcntl, os
fd = os.open("file", os.O_CREAT | os.O_RDWR)
os.write(fd, b"x" * 100000)
def refused(number, call):
    try:
        call()
    except OSError as error:
        assert error.errno == number, error
    else:
        raise AssertionError("worked")
libc = ctypes.CDLL(None, use_errno=True)
def fallocate(mode):
    if libc.fallocate(fd, mode, ctypes.c_long(4096), ctypes.c_long(4096)) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")
for ioctl in 0x5401, 0x80045299, 0xc0045299, 0x40045299, 0x0000529a:
    refused(errno.ENOTTY, lambda: fcntl.ioctl(fd, ioctl, bytes(8)))
for mode in 0x2, 0x8, 0x20, 0x40, 0x1000:  # punching without keeping the size; collapse; insert ...
    refused(errno.EOPNOTSUPP, lambda: fallocate(mode))
fallocate(0x10); fallocate(0x3); fallocate(0x1); fallocate(0)
PYTHON
)sh" + kEnd);
}

}  // namespace
}  // namespace rvmfs::test
