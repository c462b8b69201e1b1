#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Builds the fuzzing harnesses (tests/fuzz) with clang and runs them one after the other, each in one
# process, for so many seconds. What fuzzing learns stays in the build folder and is gone on with the
# next time; what it finds is written beside it and named.
#
#   scripts/fuzz.sh [seconds each (default 60)] [harness ...]
#
#   RVMFS_BUILD_DIR   where to build (default: build/ in the source tree)
#   RVMFS_JOBS        parallel jobs of the build (default: number of processors)
#
# One line a harness at the end: "TOTAL part=fuzz_NAME inputs=... seconds=... failures=...". Exit
# status 0 only if nothing was found. A finding is run again, and reduced, by
#
#   RVMFS_HARNESS=NAME build/fuzz/tests/rvmfs_fuzz [-minimize_crash=1 -runs=10000] FILE
#
# and belongs into tests/fuzz/corpus/NAME once it is mended.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
harnesses=("$@")
((${#harnesses[@]} > 0)) || harnesses=(superblock log image fsck operations)
dir=${RVMFS_BUILD_DIR:-$PWD/build}/fuzz

scripts/setup.sh --fuzz
launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
cmake --preset fuzz -B "$dir" "${launcher[@]}" >/dev/null
cmake --build "$dir" --target rvmfs_fuzz -j "${RVMFS_JOBS:-$(nproc)}"

failures=0
totals=()
for harness in "${harnesses[@]}"; do
  work=$dir/work/$harness
  mkdir -p "$work/corpus" "$work/findings"
  log=$work/log
  status=0
  RVMFS_HARNESS=$harness nice "$dir/tests/rvmfs_fuzz" -max_total_time="$seconds" -timeout=60 \
    -rss_limit_mb=3000 -malloc_limit_mb=512 -print_final_stats=1 \
    -max_len=40000 \
    -artifact_prefix="$work/findings/" \
    "$work/corpus" "tests/fuzz/corpus/$harness" >"$log" 2>&1 || status=$?
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  totals+=("TOTAL part=fuzz_$harness inputs=${inputs:-0} seconds=$seconds failures=$((status != 0))")
  if ((status != 0)); then
    failures=$((failures + 1))
    tail -n 60 "$log"
    echo "fuzz: $harness has found something: $work/findings, the whole story in $log"
  fi
done
printf '%s\n' "${totals[@]}"
exit $((failures != 0))
