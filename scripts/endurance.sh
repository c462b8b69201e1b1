#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Real programs on a mounted rvmfs, and kill -9 under them. Longer than a test, and meant to be read:
# every step says what it does and how long it took; the first failure ends it.
#
#   scripts/endurance.sh BUILD_DIRECTORY [STEP...]
#
# Steps (default: all, in this order):
#   copy    cp -a of a real tree, compared
#   tar     tar -x of a large tree, compared
#   git     git clone of a real repository, git fsck
#   build   build this project inside, pass its unit tests there
#   sqlite  2,000 durable sqlite transactions
#   remove  rm -rf of all that; the space comes back, fsck finds nothing
#   kill    rounds of kill -9 at random moments under load; every fsynced byte there, fsck clean
#   million a million empty files in one directory; mount time and memory
#   stress  stress-ng's filesystem and I/O classes: each stressor for STRESS_SECONDS
#   postmark, dbench   the mail server and the file server of these benchmarks
#
# The last three need `scripts/setup.sh --endurance`.
#
# Environment: WORK (a folder for image and mount, default: made under /tmp), KILL_ROUNDS (20),
# TREE (/usr/include), FILES (1000000), JOBS (number of processors), STRESS_SECONDS (3).
set -euo pipefail

usage() { sed -n '4,26p' "$0" | sed 's/^# \{0,1\}//'; exit 1; }
[[ $# -ge 1 && -x $1/bin/rvmfs ]] || usage
build=$(realpath "$1")
shift
steps=("$@")
[[ ${#steps[@]} -gt 0 ]] || steps=(copy tar git build sqlite remove kill million stress postmark dbench)

source_tree=$(realpath "$(dirname "$0")/..")
tree=${TREE:-/usr/include}
jobs=${JOBS:-$(nproc)}
work=${WORK:-$(mktemp -d /tmp/rvmfs-endurance-XXXXXX)}
image=$work/image
mnt=$work/mount
daemon=

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
seconds() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.2f s", to - from }'; }

mounted() { grep -qs " $mnt fuse.rvmfs " /proc/self/mounts; }

release() { # unmounts, lazily if "lazy"
  if [[ $(id -u) == 0 ]]; then umount ${1:+-l} "$mnt"; else fusermount3 -u ${1:+-z} "$mnt"; fi
}

start() {
  "$build/bin/rvmfs" -f ${1:+-o "$1"} "$image" "$mnt" &
  daemon=$!
  for _ in $(seq 2000); do
    mounted && stat -f "$mnt" > /dev/null && return
    kill -0 "$daemon" 2> /dev/null || fail "rvmfs did not mount"
    sleep 0.01
  done
  fail "rvmfs does not answer"
}

stop() {
  for _ in $(seq 100); do
    if release 2> /dev/null; then
      wait "$daemon" || fail "rvmfs ended with status $?"
      daemon=
      return
    fi
    sleep 0.05
  done
  fail "cannot unmount $mnt"
}

check() {
  "$build/bin/fsck.rvmfs" -n -f "$image" > "$work/fsck.output" 2>&1 || {
    cat "$work/fsck.output"
    fail "fsck.rvmfs found something"
  }
  echo "fsck.rvmfs -n -f: clean"
}

clean_up() {
  set +e
  [[ -n $daemon ]] && kill -9 "$daemon" 2> /dev/null
  mounted && release lazy
  [[ -n ${WORK:-} ]] || rm -rf "$work"
}
trap clean_up EXIT

step_copy() {
  say "cp -a $tree"
  local from=$EPOCHREALTIME
  cp -a "$tree" "$mnt/copy"
  sync "$mnt"
  echo "copied $(find "$mnt/copy" | wc -l) names, $(du -sm "$mnt/copy" | cut -f1) MiB in $(seconds "$from")"
  diff -r --no-dereference "$tree" "$mnt/copy"
  stop
  start
  diff -r --no-dereference "$tree" "$mnt/copy"
  echo "identical, before and after a remount"
}

step_tar() {
  say "tar -x of $tree and /usr/share/doc"
  local list=("${tree#/}")
  [[ -d /usr/share/doc ]] && list+=(usr/share/doc)
  tar -C / -cf "$work/tree.tar" "${list[@]}"
  mkdir -p "$mnt/tar"
  local from=$EPOCHREALTIME
  tar -C "$mnt/tar" -xf "$work/tree.tar"
  sync "$mnt"
  echo "$(stat -c %s "$work/tree.tar") bytes of archive in $(seconds "$from")"
  tar -C "$mnt/tar" --compare -f "$work/tree.tar"
  rm "$work/tree.tar"
  echo "tar --compare finds no difference"
}

step_git() {
  say "git clone, git fsck"
  local origin=$work/origin
  if [[ ! -d $origin ]]; then
    git init -q "$origin"
    cp -a "$tree" "$origin/tree"
    git -C "$origin" add -A
    git -C "$origin" -c user.name=Nobody -c user.email=nobody@example.org commit -q -m "A tree"
  fi
  local from=$EPOCHREALTIME
  git clone -q --no-local "$origin" "$mnt/clone"
  git -C "$mnt/clone" fsck --full --strict --no-progress
  [[ -z $(git -C "$mnt/clone" status --porcelain) ]] || fail "git status is not clean"
  git -C "$mnt/clone" gc -q
  git -C "$mnt/clone" fsck --full --no-progress
  rm -rf "$origin"
  echo "cloned, checked, packed and checked again in $(seconds "$from")"
}

step_build() {
  say "build this project on rvmfs, and pass its unit tests there"
  local from=$EPOCHREALTIME
  mkdir -p "$mnt/project"
  tar -C "$source_tree" --exclude=./build --exclude=./.git -cf - . | tar -C "$mnt/project" -xf -
  cmake -S "$mnt/project" -B "$mnt/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DRVMFS_BENCH=OFF > "$work/cmake.output"
  ninja -C "$mnt/build" -j "$jobs" > "$work/build.output" || { tail -50 "$work/build.output"; fail "build"; }
  echo "built in $(seconds "$from")"
  mkdir -p "$mnt/temporary"
  (cd "$mnt/build" && TMPDIR=$mnt/temporary ctest -L 'rvm|fs|fsck' -j "$jobs" > "$work/ctest.output") || {
    tail -50 "$work/ctest.output"
    fail "unit tests"
  }
  tail -3 "$work/ctest.output" | head -1
  echo "built and tested in $(seconds "$from")"
}

step_sqlite() {
  say "2,000 durable sqlite transactions"
  local from=$EPOCHREALTIME
  {
    echo "PRAGMA synchronous=FULL; CREATE TABLE t(i INTEGER PRIMARY KEY, x TEXT);"
    for i in $(seq 2000); do echo "INSERT INTO t VALUES($i, hex(randomblob(100)));"; done
  } | sqlite3 "$mnt/database" > /dev/null
  [[ $(sqlite3 "$mnt/database" "SELECT count(*) FROM t") == 2000 ]] || fail "rows are missing"
  [[ $(sqlite3 "$mnt/database" "PRAGMA integrity_check") == ok ]] || fail "integrity_check"
  echo "2000 transactions, integrity ok, in $(seconds "$from")"
}

step_remove() {
  say "rm -rf of everything"
  local from=$EPOCHREALTIME
  find "$mnt" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
  sync "$mnt"
  [[ -z $(ls -A "$mnt") ]] || fail "something is left"
  echo "removed in $(seconds "$from")"
  stop
  check
  echo "the image occupies $(du -m "$image" | cut -f1) MiB of the host"
  start
}

# Works in $1 until the mount dies; notes in $2, outside, what was made durable.
kill_load() {
  local folder=$1 notes=$2 i=0 bytes=$2.bytes
  mkdir -p "$folder"
  while :; do
    i=$((i + 1))
    head -c $((RANDOM * 7)) /dev/urandom > "$bytes" || return 0
    cp "$bytes" "$folder/f$i" 2> /dev/null || return 0
    sync "$folder/f$i" 2> /dev/null || return 0
    printf '%s  f%s\n' "$(sha256sum < "$bytes" | cut -d' ' -f1)" "$i" >> "$notes"
    if ((i % 7 == 0)); then
      mv "$folder/f$i" "$folder/f$i.moved" 2> /dev/null || return 0
      mv "$folder/f$i.moved" "$folder/f$i" 2> /dev/null || return 0
    fi
    if ((i % 50 == 0)); then
      cp -a "$tree/linux" "$folder/tree.$i" 2> /dev/null || return 0
      rm -rf "$folder/tree.$((i - 50))" 2> /dev/null || return 0
    fi
  done
}

kill_round() {
  local round=$1 writer
  local -a writers=()
  for writer in 1 2 3; do
    : > "$work/notes.$writer"
    kill_load "$mnt/round$round.$writer" "$work/notes.$writer" &
    writers+=($!)
  done
  sleep "$((RANDOM % 3)).$((500 + RANDOM % 500))"
  kill -9 "$daemon"
  wait "$daemon" 2> /dev/null || true
  daemon=
  wait "${writers[@]}" 2> /dev/null || true
  release lazy
  check
  start
  local durable=0
  for writer in 1 2 3; do
    # A file that was being renamed when the daemon died may have either name.
    (
      cd "$mnt/round$round.$writer" 2> /dev/null || { [[ ! -s $work/notes.$writer ]]; exit; }
      for moved in *.moved; do [[ -e $moved ]] && mv "$moved" "${moved%.moved}"; done
      [[ ! -s $work/notes.$writer ]] || sha256sum --quiet -c "$work/notes.$writer"
    ) || fail "round $round: fsynced bytes are missing"
    durable=$((durable + $(wc -l < "$work/notes.$writer")))
  done
  ((durable > 0)) || fail "round $round: the writers did not get to work"
  rm -rf "$mnt/round$round".*
  stop
  check
  start
  echo "round $round: $durable durable files, all there"
}

step_kill() {
  local rounds=${KILL_ROUNDS:-20} round
  say "$rounds rounds of kill -9"
  for round in $(seq "$rounds"); do kill_round "$round"; done
}

resident() { awk '/^VmRSS|^VmHWM/ { printf "%s %d MiB  ", $1, $2 / 1024 }' "/proc/$daemon/status"; }

step_million() {
  local files=${FILES:-1000000}
  say "$files empty files in one directory"
  mkdir "$mnt/many"
  local from=$EPOCHREALTIME
  (cd "$mnt/many" && seq -f 'file-%.0f' "$files" | xargs touch)
  sync "$mnt/many"
  echo "created in $(seconds "$from"); daemon: $(resident)"
  from=$EPOCHREALTIME
  [[ $(find "$mnt/many" -type f | wc -l) == "$files" ]] || fail "not all of them are listed"
  echo "listed in $(seconds "$from"); daemon: $(resident)"
  stop
  from=$EPOCHREALTIME
  start
  [[ -e $mnt/many/file-$files ]] || fail "the last file is missing"
  echo "unmounted; mounted again in $(seconds "$from"); daemon: $(resident)"
  from=$EPOCHREALTIME
  [[ $(find "$mnt/many" -type f | wc -l) == "$files" ]] || fail "not all of them are listed"
  echo "listed cold in $(seconds "$from"); daemon: $(resident)"
  stop
  from=$EPOCHREALTIME
  check
  echo "checked in $(seconds "$from"); the image occupies $(du -m "$image" | cut -f1) MiB"
  start
  from=$EPOCHREALTIME
  rm -rf "$mnt/many"
  echo "removed in $(seconds "$from"); daemon: $(resident)"
  stop
  check
  start
}

have() { command -v "$1" > /dev/null || fail "$1 is missing: scripts/setup.sh --endurance"; }

# After each stressor the daemon must live; after all of them, fsck must find nothing. A stressor that
# says that it cannot run here is not a failure.
step_stress() {
  say "stress-ng, class filesystem: each stressor for ${STRESS_SECONDS:-3} s"
  have stress-ng
  mkdir -p "$mnt/stress"
  local stressors stressor status passed=0
  stressors=$(stress-ng --class filesystem? 2>&1 | sed 's/.*stressors: //')
  for stressor in $stressors; do
    # Of the kernel's own filesystems and of system-wide limits, not of ours.
    case $stressor in bind-mount | binderfs | eventfd | ioprio | procfs) continue ;; esac
    status=0
    stress-ng --temp-path "$mnt/stress" --no-rand-seed --verify --timeout "${STRESS_SECONDS:-3}s" \
      --"$stressor" 2 > "$work/stress.output" 2>&1 || status=$?
    kill -0 "$daemon" 2> /dev/null || fail "the daemon ended under $stressor"
    case $status in
      0) passed=$((passed + 1)) ;;
      3 | 4) echo "$stressor: cannot run here" ;;  # EXIT_NO_RESOURCE, EXIT_NOT_IMPLEMENTED
      *) cat "$work/stress.output"; fail "stress-ng --$stressor: status $status" ;;
    esac
  done
  echo "$passed stressors passed"
  ((passed > 10)) || fail "hardly any stressor ran"
  rm -rf "$mnt/stress"
  stop
  check
  start
}

step_postmark() {
  say "postmark: 5,000 files, 20,000 transactions"
  have postmark
  mkdir -p "$mnt/postmark"
  local from=$EPOCHREALTIME
  printf 'set location %s\nset number 5000\nset transactions 20000\nset subdirectories 50\nset size 500 100000\nrun\nquit\n' \
    "$mnt/postmark" | postmark > "$work/postmark.output"
  grep -E 'transactions:|files/s|per second' "$work/postmark.output" | head -3
  grep -qi error "$work/postmark.output" && fail "postmark: see $work/postmark.output"
  echo "in $(seconds "$from")"
  [[ -z $(find "$mnt/postmark" -type f | head -1) ]] || fail "postmark left files behind"
  rm -rf "$mnt/postmark"
  stop
  check
  start
}

step_dbench() {
  say "dbench: 4 clients, 20 s"
  have dbench
  mkdir -p "$mnt/dbench"
  dbench -D "$mnt/dbench" -t 20 4 > "$work/dbench.output" 2>&1 ||
    { tail -20 "$work/dbench.output"; fail "dbench"; }
  grep Throughput "$work/dbench.output"
  rm -rf "$mnt/dbench"
  stop
  check
  start
}

mkdir -p "$mnt"
say "format and mount ($image on $mnt)"
"$build/bin/mkfs.rvmfs" -q "$image" 100G
start
for step in "${steps[@]}"; do
  declare -F "step_$step" > /dev/null || fail "there is no step $step"
  "step_$step"
done
stop
check
say "all steps passed: ${steps[*]}"
