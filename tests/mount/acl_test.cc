// SPDX-License-Identifier: BSD-2-Clause
//
// Access control lists. Each script runs in a folder of the host's filesystem and in one of the
// volume, and must print the same; who may do what is asked of the kernel, as several users.
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "tests/mount/shell_test_base.h"

namespace rvmfs::test {
namespace {

class Acls : public ShellTest {
 protected:
  void SetUp() override {
    ShellTest::SetUp();
    SKIP_UNLESS(is_root(), "several users are needed, and so root");
    SKIP_UNLESS(setxattr(folder().path().c_str(), "system.posix_acl_access", "\2\0\0", 4, 0) == 0 ||
                    errno != EOPNOTSUPP,
                "the host's filesystem has no ACLs to compare with");
  }

  // Runs `body` in host/ and in $mnt, and compares what it printed. `as N command`: as user N, in
  // group N only. `show files`: modes and lists. `may command`: whether it succeeds.
  void expect_same(const std::string& body, const std::string& options = "acl") {
    const std::string functions = R"sh(
as() { id=$1; shift; setpriv --reuid=$id --regid=$id --clear-groups "$@"; }
show() { for f in "$@"; do stat -c '%n %A %u:%g' "$f"; getfacl -cnp "$f"; done; }
may() { if "$@" >/dev/null 2>&1; then echo "yes: $*"; else echo "no: $*"; fi; }
once() {
  cd $1
  umask 022
)sh";
    expect_script("chmod 755 .\n" + functions + body + R"sh(
  cd ..
}
set +x +e
mkdir host
mkfs.rvmfs -q $image 1G
rvmfs -o )sh" + options +
                  R"sh( $image $mnt
chmod 755 host $mnt
once host >host.said 2>&1
once $mnt >volume.said 2>&1
umount.rvmfs $mnt
diff host.said volume.said && test -s volume.said
)sh");
    expect_clean();
  }
};

TEST_F(Acls, are_set_shown_and_removed) {
  expect_same(R"sh(
  touch file; mkdir dir; ln -s file link
  setfacl -m u:1001:rw,g:1002:r file; show file
  setfacl -m u:1003:rwx,m::rx file; show file
  setfacl -x u:1001 file; show file
  setfacl -m d:u:1001:rwx,d:g::rx dir; show dir
  setfacl -d -m u:1001:rwx file
  setfacl -k dir; show dir
  setfacl -b file; show file
  setfacl -m u::rw,g::r,o::- file; show file; getfattr -d -m - file
  setfacl -b file; setfacl -k dir; setfattr -x system.posix_acl_access file
  ls -l file | cut -c 1-11; setfacl -m u:1001:r file; ls -l file | cut -c 1-11
)sh");
}

TEST_F(Acls, and_modes_stay_in_step) {
  expect_same(R"sh(
  touch file; setfacl -m u:1001:rwx,g:1002:r file; show file
  chmod 640 file; show file
  chmod g+w,o+r file; show file
  chmod 0 file; show file
  chmod 6775 file; show file
  setfacl -m g::rwx file; show file
  setfacl -n -m m::r file; show file
  chown 1001:1002 file; show file
  mkdir dir; setfacl -m u:1001:rwx dir; chmod 2750 dir; show dir
  setfacl -m m::rwx dir; show dir
)sh");
}

TEST_F(Acls, of_a_directory_are_inherited_and_cut_down_by_the_mode_asked_for) {
  expect_same(R"sh(
  mkdir dir; setfacl -m d:u:1001:rwx,d:g:1002:rx,d:o::r dir; show dir
  touch dir/file; mkdir dir/sub; mkdir -m 700 dir/private; mkfifo dir/pipe; mknod dir/null c 1 3
  ln -s file dir/link; mkdir -p dir/sub/sub; touch dir/sub/sub/file
  install -m 711 /dev/null dir/inst
  show dir/file dir/sub dir/private dir/pipe dir/null dir/sub/sub dir/sub/sub/file dir/inst
  umask 077; touch dir/other; mkdir dir/othersub; show dir/other dir/othersub
  umask 0; touch plain; mkdir plaindir; show plain plaindir
  umask 027; touch plain2; mkdir plaindir2; show plain2 plaindir2
  umask 022; setfacl -m d:u::rw,d:g::-,d:o::- plaindir; touch plaindir/f; mkdir plaindir/d
  show plaindir/f plaindir/d
  mv plain dir/moved; ln plain2 dir/linked; show dir/moved dir/linked
  cp plain2 dir/copied; show dir/copied
  python3 - <<'PYTHON'
import os
fd = os.open("dir", os.O_TMPFILE | os.O_RDWR, 0o666)
os.link("/proc/self/fd/%d" % fd, "dir/tmp", follow_symlinks=True)
os.symlink("x", "dir/link2")
fd = os.open("dir/opened", os.O_CREAT | os.O_RDWR, 0o604)
PYTHON
  show dir/tmp dir/opened
)sh");
}

TEST_F(Acls, decide_who_may_do_what) {
  expect_same(R"sh(
  echo secret >file; chmod 600 file
  setfacl -m u:1001:r,u:1002:rw,g:1003:r,g:1004:w file
  for id in 1001 1002 1003 1004 1005; do
    may as $id cat file; may as $id sh -c 'echo x >>file'; may as $id chmod 777 file
    may as $id setfacl -m u:$id:rwx file
  done
  setfacl -m m::- file; may as 1001 cat file; may as 1003 cat file
  setfacl -m m::r file; may as 1002 cat file; may as 1002 sh -c 'echo x >>file'
  chmod 644 file; may as 1005 cat file; setfacl -m u:1005:- file; may as 1005 cat file
  mkdir dir; chmod 700 dir; echo x >dir/in; chmod 644 dir/in
  setfacl -m u:1001:x,u:1002:rx,u:1003:rwx dir
  for id in 1001 1002 1003 1004; do
    may as $id ls dir; may as $id cat dir/in
    may as $id touch dir/new$id; may as $id rm -f dir/new$id
  done
  may as 1003 mv dir/in dir/out; may as 1001 setfacl -b dir
)sh");
}

TEST_F(Acls, change_at_once_for_programs_that_know_the_old_one) {
  expect_same(R"sh(
  echo x >file; chmod 600 file
  for i in 1 2 3; do
    may as 1001 cat file; setfacl -m u:1001:r file; may as 1001 cat file
    chmod 600 file; may as 1001 cat file; chmod 640 file; may as 1001 cat file; setfacl -b file
    chmod 600 file
  done
)sh");
}

TEST_F(Acls, set_by_a_stranger_to_the_group_take_setgid_away) {
  expect_same(R"sh(
  touch file; chown 1001:1002 file; chmod 2775 file; show file
  as 1001 setfacl -m u:1003:r file; show file
  chmod 2775 file; setfacl -m u:1003:rw file; show file
  touch own; chown 1001:1001 own; chmod 2775 own; as 1001 setfacl -m u:1003:r own; show own
)sh");
}

TEST_F(Acls, are_copied_by_cp_tar_and_rename) {
  expect_same(R"sh(
  mkdir dir; setfacl -m d:u:1001:rwx,u:1002:rx dir; touch dir/file; setfacl -m u:1003:- dir/file
  cp -a dir copy; show copy copy/file
  mv dir moved; show moved moved/file
  cp -a moved ../other_$$; show ../other_$$/file | tail -n +2; rm -r ../other_$$
  getfacl -Rnp moved
)sh");
}

TEST_F(Acls, that_are_damaged_or_misplaced_are_refused) {
  expect_same(R"sh(
  touch file; mkdir dir
  python3 - <<'PYTHON'
import os, struct
def acl(*entries, version=2):
    return struct.pack("<I", version) + b"".join(struct.pack("<HHI", *e) for e in entries)
N = 0xffffffff
u, g, o, m = (1, 6, N), (4, 4, N), (0x20, 4, N), (0x10, 4, N)
values = {
    "good": acl(u, (2, 7, 1001), g, m, o),
    "no mask": acl(u, (2, 7, 1001), g, o), "no other": acl(u, g),
    "twice": acl(u, u, g, o), "order": acl(g, u, o), "version": acl(u, g, o, version=1),
    "tag": acl(u, (3, 1, N), g, o),
    "bits": acl((1, 9, N), g, o),
    "same user twice": acl(u, (2, 7, 5), (2, 7, 5), g, m, o), "short": acl(u, g, o)[:-3],
    "empty": acl(), "nothing": b"",
}
for path in ("file", "dir"):
    for kind in ("access", "default"):
        for name, value in values.items():
            try:
                os.setxattr(path, "system.posix_acl_" + kind, value)
                print(path, kind, name, "taken", len(os.getxattr(path, "system.posix_acl_" + kind)))
            except OSError as error:
                print(path, kind, name, error.errno)
PYTHON
)sh");
}

TEST_F(Acls, outlive_a_remount) {
  expect_script(R"sh(
mkfs.rvmfs -q $image 1G
rvmfs $image $mnt
mkdir $mnt/dir; setfacl -m u:1001:rwx,d:u:1002:rx $mnt/dir; touch $mnt/dir/file
getfacl -Rnp $mnt >before
umount.rvmfs $mnt
fsck.rvmfs -n -f $image
rvmfs $image $mnt
getfacl -Rnp $mnt >after
diff before after
grep -q 1002 after
touch $mnt/dir/another
getfacl -cn $mnt/dir/another | grep -q user:1002:r-x
umount.rvmfs $mnt
)sh");
}

TEST_F(Acls, are_taken_along_by_mkfs_from_a_folder) {
  expect_script(R"sh(
mkdir source; mkdir source/dir; touch source/dir/before
setfacl -m u:1001:rwx,d:u:1002:rx source/dir
touch source/dir/file; setfacl -m u:1003:r source/dir/file
cp /bin/true source/program
setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 source/program
mkfs.rvmfs -q -d source $image 1G
rvmfs $image $mnt
lists() { (cd $1; find . | sort | xargs getfacl -np; getfattr -d -m security program); }
lists source >wanted
lists $mnt >found
umount.rvmfs $mnt
diff wanted found
grep -q capability found
)sh");
}

TEST_F(Acls, can_be_switched_off_and_are_refused_then) {
  expect_script(R"sh(
mkfs.rvmfs -q $image 1G
rvmfs -o noacl $image $mnt
touch $mnt/file
! setfacl -m u:1001:rw $mnt/file 2>said
grep -q "not supported" said
umask 027; touch $mnt/masked; mkdir $mnt/dir
test "$(stat -c %a $mnt/masked $mnt/dir | tr '\n' ' ')" = "640 750 "
umount.rvmfs $mnt
)sh");
}

TEST_F(Acls, work_without_the_extension_of_setxattr) {
  expect_same(R"sh(
  touch file; setfacl -m u:1001:rw,g:1002:r file; show file; setfattr -n user.a -v b file
  getfattr -d file; chmod 600 file; show file
)sh",
              "disable=setxattr_ext");
}

}  // namespace
}  // namespace rvmfs::test
