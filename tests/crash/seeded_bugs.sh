#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Do the crash tests find bugs? Builds the tests with the defects of seeded_bugs/seeded_bug.h built in
# (in a build folder of its own), runs the crash tests once with each defect switched on, and expects
# them to fail; and once with none, and expects them to pass. Prints one line a defect, with the first
# test that found it; at the end, the same as a Markdown table, also in seeded_bugs.md in the build
# folder. Exit status 0 only if every defect was found and nothing else failed.
#
# A test that ends the program has found the defect as well; the table says so. A test that does not
# end has found nothing.
#
# The test that found a defect last time, by the table in docs/TESTING.md, is tried first: a run takes
# minutes instead of hours. What it no longer finds, the others are asked for.
#
#   tests/crash/seeded_bugs.sh [build folder] [name of a defect ...]
#
#   RVMFS_CRASH_STATES   states for each workload (default here: 400)
set -euo pipefail
cd "$(dirname "$0")/../.."

build_dir=${1:-${RVMFS_BUILD_DIR:-$PWD/build}/seeded}
shift || true
header=seeded_bugs/seeded_bug.h
states=${RVMFS_CRASH_STATES:-400}

# The names between the braces of kSeededBugs.
bugs=("$@")
if ((${#bugs[@]} == 0)); then
  mapfile -t bugs < <(sed -n 's/^ *{"\([a-z_0-9]*\)", ".*"},$/\1/p' "$header")
fi
((${#bugs[@]} > 0)) || { echo "no seeded bugs in $header" >&2; exit 1; }

generator=()
if [[ ! -f $build_dir/CMakeCache.txt ]] && command -v ninja >/dev/null; then generator=(-G Ninja); fi
# Without the check for undeclared bytes: it would find some of the defects before the crash does.
cmake -S . -B "$build_dir" "${generator[@]}" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DRVM_SEEDED_BUGS=ON -DRVM_CHECK_UNDECLARED=OFF -DRVMFS_BENCH=OFF >/dev/null
cmake --build "$build_dir" --target crash_tests -j "${RVMFS_JOBS:-$(nproc)}"
program=$build_dir/tests/crash_tests
log=$(mktemp)
trap 'rm -f "$log"' EXIT

table=$build_dir/seeded_bugs.md
printf '| defect | what is wrong | found by |\n|---|---|---|\n' >"$table"
# Whether the tests of a filter fail with the defect: with so many states for each workload, and so
# many failing calls of the device. Sets found_by, and timed_out if that was the end of it.
find_it() {
  local status=0 running
  RVMFS_SEEDED_BUG=$1 RVMFS_CRASH_STATES=$3 RVMFS_FAULTS=$4 timeout 600 "$program" \
    --gtest_filter="$2" --gtest_fail_fast >"$log" 2>&1 || status=$?
  found_by=$(grep -m1 -oE 'FAILED  \] [A-Za-z]+\.[A-Za-z0-9]+' "$log" | cut -c11- || true)
  running=$(grep -oE 'RUN      \] [A-Za-z]+\.[A-Za-z0-9]+' "$log" | tail -n 1 | cut -c12- || true)
  if ((status == 124)) && [[ -z $found_by ]]; then
    timed_out=true
    false
  elif ((status > 128 && status != 137)) && [[ -z $found_by ]]; then
    found_by="$running, which ends with SIG$(kill -l $((status - 128)))"
  elif ((status > 0)) && [[ -z $found_by ]]; then
    echo "the tests end with status $status and say nothing" >&2
    tail -n 20 "$log" >&2
    exit 1
  else
    ((status > 0))
  fi
}

missed=0
for bug in "${bugs[@]}"; do
  found=true timed_out=false
  what=$(sed -n "s/^ *{\"$bug\", \"\(.*\)\"},\$/\1/p" "$header")
  [[ -n $what ]] || { echo "no such defect: $bug" >&2; exit 1; }
  found_last=$(sed -n "s/^| $bug |.*| \([A-Za-z]*\.[A-Za-z0-9]*\)[^|]* |\$/\1/p" docs/TESTING.md)
  # The test that found it last time; then the quick look; then all of the commit tier.
  { [[ -n $found_last ]] && find_it "$bug" "$found_last" "$states" 60; } ||
    find_it "$bug" '-FsSequences.*' 60 20 || find_it "$bug" 'FsSequences.Each*' 60 20 ||
    find_it "$bug" '*' "$states" 60 || found=false
  if ! $found; then
    $timed_out && why=" (a test did not end in time)" || why=""
    echo "MISSED  $bug$why"
    missed=$((missed + 1))
    echo "| $bug | $what | **missed**$why |" >>"$table"
  else
    echo "found   $bug ($found_by)"
    echo "| $bug | $what | $found_by |" >>"$table"
  fi
done
timed_out=false
if find_it '' '-FsSequences.*' 60 20 || find_it '' '*' "$states" 60 || $timed_out; then
  tail -n 40 "$log"
  echo "the tests fail without any defect" >&2
  exit 1
fi
echo "none    all crash tests pass without a defect"
cat "$table"
echo "${#bugs[@]} defects, $missed missed"
((missed == 0))
