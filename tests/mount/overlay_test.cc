// SPDX-License-Identifier: BSD-2-Clause
//
// The volume as upper and work directory of overlayfs: what containers do. The same script runs
// with an upper directory of the host and with one of the volume; the merged trees must be equal,
// the upper layers too (whiteouts, opaque directories), and the volume sound.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/mount/shell_test_base.h"

namespace rvmfs::test {
namespace {

class Overlay : public ShellTest {
 protected:
  void SetUp() override {
    ShellTest::SetUp();
    SKIP_UNLESS(is_root(), "the test needs root to begin with");
  }

  // Functions for the scripts:
  //   lower         makes the lower layer
  //   change        changes things in merged/ in every way that overlayfs has an answer to
  //   overlay DIR   mounts merged/ with upper and work directory in DIR
  //   listing DIR   everything there, without what differs between two runs
  const std::string kFunctions = R"sh(
lower() {
  mkdir -p lower/dir/deep lower/gone lower/replaced merged host
  echo a >lower/a; echo b >lower/b; echo c >lower/c; echo dd >lower/dir/d; echo e >lower/dir/deep/e
  echo g >lower/gone/g; echo r >lower/replaced/r; ln -s a lower/link; ln lower/b lower/b2
  mkfifo lower/pipe; chmod 640 lower/c; head -c 300000 /dev/urandom >lower/large
}
overlay() {
  mkdir -p $1/upper $1/work
  mount -t overlay overlay -o ${2}lowerdir=lower,upperdir=$1/upper,workdir=$1/work merged
}
change() {
  cd merged
  cp a copied; cp -a dir tree; mv b moved; rm c; rm -r gone
  mv dir/d dir/renamed; mv dir elsewhere; rm -r replaced; mkdir replaced; echo new >replaced/n
  echo more >>a; chmod 600 a; ln a linked; : >elsewhere/deep/e; mv -f copied elsewhere/deep/e
  ln -sf b link; mv pipe pipe2
  dd if=/dev/zero of=large bs=4096 seek=10 count=2 conv=notrunc status=none
  setfattr -n user.colour -v red a 2>/dev/null || setfattr -h -n trusted.colour -v red a
  mkdir new; for i in 1 2 3 4 5 6 7 8 9; do echo $i >new/$i; done; rm new/[1-5]; mv new newer
  touch -d 2001-02-03 moved; rm b2
  cd ..
}
listing() {
  (cd $1 && find . -mindepth 1 -printf '%p %y %m %U:%G %s %n %l\n' |
    sed -E 's/^(\S+ d \S+ \S+) [0-9]+ [0-9]+/\1/' | sort
    find . -type f -exec md5sum {} + | sort -k 2)
}
both() {  # both DIR [options]: first on the host, then in DIR
  set +x
  lower
  overlay host "$2" || { echo "no overlayfs here"; exit 77; }
  change; listing merged >host.merged; umount merged; listing host/upper >host.upper
  cp lower/large large; rm -r lower; lower; cp large lower/large
  overlay $1 "$2"
  change; listing merged >volume.merged; umount merged; listing $1/upper >volume.upper
  diff host.merged volume.merged
  diff host.upper volume.upper
  test $(wc -l <volume.merged) -gt 30
}
)sh";

  void expect_overlay(const std::string& body) {
    const Outcome outcome = run_as_root(kFunctions + body);
    SKIP_UNLESS(outcome.status != 77, "this kernel cannot do it: " + outcome.output);
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    expect_clean();
  }
};

TEST_F(Overlay, on_the_volume_behaves_as_on_the_host_for_root) {
  expect_overlay(R"sh(
mkfs.rvmfs -q $image 1G
rvmfs $image $mnt
both $mnt
test "$(stat -c %F $mnt/upper/c)" = "character special file"   # a whiteout
getfattr -n trusted.overlay.opaque $mnt/upper/replaced
umount.rvmfs $mnt
)sh");
}

TEST_F(Overlay, outlives_a_killed_daemon) {
  expect_overlay(R"sh(
mkfs.rvmfs -q $image 1G
rvmfs -f $image $mnt &
daemon=$!
until mountpoint -q $mnt; do sleep 0.05; done
set +x
lower
overlay $mnt || exit 77
change; listing merged >before
sync merged
umount merged
exec 9<$mnt; sync $mnt; exec 9<&-
kill -9 $daemon; wait $daemon || true
rvmfs $image $mnt
overlay $mnt
listing merged >after
diff before after
umount merged
umount.rvmfs $mnt
)sh");
}

TEST_F(Overlay, works_in_a_user_namespace_that_mounts_the_volume_itself) {
  SKIP_UNLESS(has_user_namespaces(), "user namespaces are not allowed here");
  expect_overlay(R"sh(
mkfs.rvmfs -q $image 1G
sed -n '/^lower()/,/^}$/p;/^overlay()/,/^}$/p;/^change()/,/^}$/p' script >functions
sed -n '/^listing()/,/^}$/p;/^both()/,/^}$/p' script >>functions
cat >inner <<INNER
set -e
. ./functions
rvmfs $image $mnt
both $mnt userxattr,
getfattr -n user.overlay.opaque $mnt/upper/replaced
umount.rvmfs $mnt
INNER
unshare -Urm sh inner
)sh");
}

TEST_F(Overlay, works_for_an_ordinary_user_in_a_user_namespace) {
  SKIP_UNLESS(has_user_namespaces(), "user namespaces are not allowed here");
  std::filesystem::permissions(folder().path(), std::filesystem::perms(0755));
  for (const char* name : {"rvmfs", "mkfs.rvmfs"}) {
    std::filesystem::copy_file(program_folder() + "/" + name, folder().file(name));
  }
  expect_overlay(R"sh(
PATH="$PWD:$PATH"
mkdir dev; mount -t tmpfs tmpfs dev; mknod -m 666 dev/fuse c 10 229; mount --bind dev/fuse /dev/fuse
sed -n '/^lower()/,/^}$/p;/^overlay()/,/^}$/p;/^change()/,/^}$/p' script >functions
sed -n '/^listing()/,/^}$/p;/^both()/,/^}$/p' script >>functions
mkdir user; chown nobody user $mnt
cat >inner <<INNER
set -e
cd user
. ../functions
both $mnt userxattr,
getfattr -n user.overlay.opaque $mnt/upper/replaced
INNER
chmod 644 inner functions
touch $image; chown nobody $image
$test_user mkfs.rvmfs -q -f $image 1G
$test_user rvmfs $image $mnt
$test_user unshare -Urm sh inner
$test_user fusermount3 -u $mnt
)sh");
}

}  // namespace
}  // namespace rvmfs::test
