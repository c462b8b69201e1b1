#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Do the crash tests find bugs? Builds the tests with the defects of seeded_bugs/seeded_bug.h built in
# (in a build folder of its own), runs the crash tests once with each defect switched on, and expects
# them to fail; and once with none, and expects them to pass. Prints one line a defect, with the first
# test that found it; at the end, the same as a Markdown table, also in seeded_bugs.md in the build
# folder. Exit status 0 only if every defect was found and nothing else failed.
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
# many failing calls of the device. A defect may also crash the program or make it hang.
find_it() {
  ! RVMFS_SEEDED_BUG=$1 RVMFS_CRASH_STATES=$3 RVMFS_FAULTS=$4 timeout 600 "$program" \
    --gtest_filter="$2" --gtest_brief=1 --gtest_fail_fast >"$log" 2>&1
}

missed=0
for bug in "${bugs[@]}"; do
  found=true
  what=$(sed -n "s/^ *{\"$bug\", \"\(.*\)\"},\$/\1/p" "$header")
  [[ -n $what ]] || { echo "no such defect: $bug" >&2; exit 1; }
  # The quick look first, then all of the commit tier.
  find_it "$bug" '-FsSequences.*' 60 20 || find_it "$bug" 'FsSequences.Each*' 60 20 ||
    find_it "$bug" '*' "$states" 60 || found=false
  if ! $found; then
    echo "MISSED  $bug"
    missed=$((missed + 1))
    echo "| $bug | $what | **missed** |" >>"$table"
  else
    found_by=$(grep -m1 -oE 'FAILED  \] [A-Za-z]+\.[A-Za-z0-9]+' "$log" | cut -c11- || true)
    echo "found   $bug (${found_by:-crash or hang})"
    echo "| $bug | $what | ${found_by:-crash or hang} |" >>"$table"
  fi
done
if find_it '' '-FsSequences.*' 60 20 || find_it '' '*' "$states" 60; then
  tail -n 40 "$log"
  echo "the tests fail without any defect" >&2
  exit 1
fi
echo "none    all crash tests pass without a defect"
cat "$table"
echo "${#bugs[@]} defects, $missed missed"
((missed == 0))
