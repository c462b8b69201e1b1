#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Which lines and branches of librvm its tests run: builds with counters (clang's source-based
# coverage), runs the tests, prints a table of the files, and fails where too little is run or where
# a branch of the log's reader, of recovery, of truncation or of the status blocks is not.
# scripts/coverage_report.py says how it counts, and how a place is excused.
#
#   scripts/coverage.sh [options] [BUILD_DIR]      (default: build/coverage)
#     --missing FILE  also the places of this file that no test runs (a part of its name is enough)
#     --crash         the crash tests of librvm too (they need the filesystem, and minutes to build)
#     --no-run        the table of the last run again
#
#   RVMFS_JOBS  parallel jobs of the build (default: number of processors)
#
# The crash tests take few states of each workload here: more of them run no other code. Trees of a
# million entries are left out for the same reason.
set -euo pipefail
cd "$(dirname "$0")/.."

run=1
programs=(rvm_tests)
missing=()
dir=$PWD/build/coverage
while (($# > 0)); do
  case $1 in
    --missing)
      missing+=(--missing "${2?--missing needs a file}")
      shift
      ;;
    --no-run) run=0 ;;
    --crash) programs+=(crash_tests) ;;
    -*)
      echo "usage: scripts/coverage.sh [--missing FILE] [--crash] [--no-run] [BUILD_DIR]" >&2
      exit 1
      ;;
    *) dir=$(realpath -m "$1") ;;
  esac
  shift
done

declare -A tests=(
  [rvm_tests]='-LargeTree.*'
  [crash_tests]='RvmCrash.*:ClientDataCrash.*'
)

if ((run)); then
  scripts/setup.sh --coverage
  launcher=()
  if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  cmake --preset coverage -B "$dir" "${launcher[@]}" >/dev/null
  cmake --build "$dir" -j "${RVMFS_JOBS:-$(nproc)}" --target "${programs[@]}"
  rm -rf "$dir/counts"
  for program in "${programs[@]}"; do
    echo "== $program"
    RVMFS_CRASH_STATES=${RVMFS_CRASH_STATES:-60} LLVM_PROFILE_FILE="$dir/counts/%m%c.profraw" \
      "$dir/tests/$program" --gtest_brief=1 --gtest_filter="${tests[$program]}"
  done
fi

objects=("$dir/tests/${programs[0]}")
for program in "${programs[@]:1}"; do objects+=(-object "$dir/tests/$program"); done
llvm-profdata-14 merge -o "$dir/counts/all" "$dir"/counts/*.profraw
llvm-cov-14 export -instr-profile "$dir/counts/all" "${objects[@]}" >"$dir/counts/export.json" \
  2>"$dir/counts/export.log" || {
  cat "$dir/counts/export.log" >&2
  exit 1
}
exec python3 scripts/coverage_report.py . "$dir/counts/export.json" "${missing[@]}"
