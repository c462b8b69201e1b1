#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The main job on real input, from a fresh system to a checked result:
#
#   set up, build; format an image; mount it; copy /usr/include and /usr/share/doc into it; kill the
#   daemon with SIGKILL in the middle of more work; mount again; compare every file with its
#   original and every fsynced file with what was written; unmount; check with fsck.
#
# Leaves nothing behind: no mount, no process, no image. Exit status 0 only if every step held.
#
#   RVMFS_BUILD_DIR   where to build (default: build/ in the source tree)
#   RVMFS_DEMO_TREES  what to copy (default: "/usr/include /usr/share/doc")
set -euo pipefail
cd "$(dirname "$0")/.."

build_dir=${RVMFS_BUILD_DIR:-$PWD/build}/release
read -ra trees <<<"${RVMFS_DEMO_TREES:-/usr/include /usr/share/doc}"
work=$(mktemp -d "${TMPDIR:-/tmp}/rvmfs-demo-XXXXXX")
image=$work/demo.img
mnt=$work/mnt
daemon=
workers=()

step() { printf '\n[%d] %s\n' "$((++step_number))" "$*"; }
say() { printf '    %s\n' "$*"; }
fail() { printf '\nFAILED: %s\n' "$*" >&2; exit 1; }
step_number=0

# A mount whose daemon is dead is still a mount, but cannot be looked into.
is_mounted() { grep -qF " $mnt " /proc/self/mounts; }

cleanup() {
  local status=$?
  trap - EXIT
  for pid in "${workers[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  if is_mounted; then fusermount3 -uz "$mnt" 2>/dev/null || umount -l "$mnt" || true; fi
  # Unmounted, the daemon ends by itself, and cleanly; give it a moment, and then no choice.
  if [[ -n $daemon ]]; then
    for _ in {1..50}; do kill -0 "$daemon" 2>/dev/null || break; sleep 0.1; done
    kill -KILL -- "-$daemon" 2>/dev/null || true
  fi
  if ((status != 0)) && [[ -s $work/daemon.log ]]; then
    echo "what the daemon said last:" >&2
    tail -n 20 "$work/daemon.log" >&2
  fi
  if is_mounted; then
    echo "still mounted, not removed: $mnt" >&2
  else
    rm -rf --one-file-system "$work"
  fi
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Mounts in the foreground of a process group of its own, so that its number is known and SIGKILL
# reaches all of it.
mount_image() {
  : >"$work/daemon.log"
  setsid "$build_dir/bin/rvmfs" -f "$image" "$mnt" >"$work/daemon.log" 2>&1 &
  daemon=$!
  for _ in {1..300}; do
    if is_mounted && stat "$mnt/." >/dev/null 2>&1; then
      if [[ -s $work/daemon.log ]]; then sed 's/^/    /' "$work/daemon.log"; fi
      return
    fi
    kill -0 "$daemon" 2>/dev/null || fail "the daemon ended instead of mounting"
    sleep 0.1
  done
  fail "no mount after 30 seconds"
}

unmount_image() {
  fusermount3 -u "$mnt"
  local status=0
  wait "$daemon" || status=$?
  daemon=
  ((status == 0)) || fail "the daemon ended with status $status"
}

# Names, types, modes, sizes, times and link targets of a tree, one line each, in a fixed order. Only
# root can give copies their owner; sizes of folders are every filesystem's own business.
list_tree() {
  local owner='-'
  if ((EUID == 0)); then owner='%U:%G'; fi
  (cd "$1" && find . \( -type d -printf "%P %y %m $owner %T@\n" \) -o \
    -printf "%P %y %m $owner %s %T@ %l\n" | LC_ALL=C sort)
}

compare_tree() {
  local original=$1 copy=$2
  diff -r --no-dereference "$original" "$copy" >"$work/diff.txt" 2>&1 || {
    head -n 20 "$work/diff.txt" >&2
    fail "$copy is not the same as $original"
  }
  diff <(list_tree "$original") <(list_tree "$copy") >"$work/diff.txt" || {
    head -n 20 "$work/diff.txt" >&2
    fail "attributes in $copy are not those in $original"
  }
}

# More work, part 1: copies trees and removes them again, as fast as it can.
churn() {
  local round
  for ((round = 0; ; ++round)); do
    cp -a "${trees[0]}" "$mnt/churn-$round" || return 0
    ((round == 0)) || rm -rf "$mnt/churn-$((round - 1))" || return 0
  done
}

# More work, part 2: writes small files, forces each with fsync, and only then notes its name outside.
journal() {
  local number
  mkdir -p "$mnt/journal" || return 0
  for ((number = 0; ; ++number)); do
    printf 'entry %d of the journal\n' "$number" >"$mnt/journal/$number" || return 0
    sync "$mnt/journal/$number" "$mnt/journal" || return 0
    echo "$number" >>"$work/fsynced.txt"
  done
}

step "Set up and build"
scripts/setup.sh | sed 's/^/    /'
mkdir -p "$(dirname "$build_dir")"
launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
{
  cmake --preset release -B "$build_dir" "${launcher[@]}"
  cmake --build "$build_dir" --target rvmfs mkfs.rvmfs fsck.rvmfs -j "$(nproc)"
} >"$work/build.log" 2>&1 || {
  tail -n 40 "$work/build.log" >&2
  fail "the build"
}
say "programs in $build_dir/bin"

step "Format an image that may grow to 16 GiB"
mkdir "$mnt"
"$build_dir/bin/mkfs.rvmfs" "$image" 16G | sed 's/^/    /'
say "length $(stat -c %s "$image") bytes, on the host $(du -k "$image" | cut -f1) KiB"

step "Mount it as $(id -un)"
mount_image
say "$(grep -F " $mnt " /proc/self/mounts)"

step "Copy ${trees[*]} into it with cp -a"
began=$SECONDS
for tree in "${trees[@]}"; do
  cp -a "$tree" "$mnt/" 2>"$work/cp.txt" || {
    head -n 20 "$work/cp.txt" >&2
    fail "cp -a $tree: $(wc -l <"$work/cp.txt") errors"
  }
done
sync "$mnt"
say "$(find "$mnt" | wc -l) names, $(du -sk --apparent-size "$mnt" | cut -f1) KiB, in" \
  "$((SECONDS - began)) s, made durable with an fsync of the root"

step "More work: copying and removing trees, and a journal with an fsync per entry"
: >"$work/fsynced.txt"
churn 2>/dev/null &
workers+=($!)
journal 2>/dev/null &
workers+=($!)
sleep 3
[[ -s $work/fsynced.txt ]] || fail "the journal has not written anything in 3 seconds"
for pid in "${workers[@]}"; do
  kill -0 "$pid" 2>/dev/null || fail "the work ended by itself: an operation failed"
done

step "SIGKILL the daemon in the middle of it"
{ kill -KILL -- "-$daemon"; wait "$daemon" || true; } 2>/dev/null  # else bash tells it, too
daemon=
for pid in "${workers[@]}"; do wait "$pid" 2>/dev/null || true; done
workers=()
say "$(wc -l <"$work/fsynced.txt") journal entries had been fsynced"
fusermount3 -uz "$mnt"

step "Mount again: recovery is part of mounting"
mount_image

step "Compare with the originals (contents, types, modes, owners, times)"
for tree in "${trees[@]}"; do
  compare_tree "$tree" "$mnt/$(basename "$tree")"
  say "$tree: the same, $(find "$tree" | wc -l) names"
done

step "Look for every fsynced entry of the journal"
while read -r number; do
  [[ $(cat "$mnt/journal/$number") == "entry $number of the journal" ]] ||
    fail "journal entry $number was fsynced and is lost or wrong"
done <"$work/fsynced.txt"
say "all $(wc -l <"$work/fsynced.txt") are there"
say "unfinished work that survived, in order: $(find "$mnt" -path '*/churn-*' | wc -l) names"

step "Unmount"
unmount_image

step "Check the image without changing it: fsck.rvmfs -n -f"
"$build_dir/bin/fsck.rvmfs" -n -f "$image" >"$work/fsck.txt" 2>&1 || {
  status=$?
  cat "$work/fsck.txt" >&2
  fail "fsck.rvmfs found something (exit status $status)"
}
sed 's/^/    /' "$work/fsck.txt"

printf '\nAll steps held: nothing that was promised durable was lost.\n'
