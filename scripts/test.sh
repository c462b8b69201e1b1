#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Sets up, builds and tests everything; the last line is "N passed, N failed".
#
#   scripts/test.sh
#
# The "checked" build (optimised; librvm looks for undeclared changes at every commit) runs all tests,
# those on real FUSE mounts included. The sanitizer builds run all but those on mounts; they take
# several times as long and are run by hand:
#
#   RVMFS_TEST_BUILDS="asan tsan" scripts/test.sh
#
#   RVMFS_BUILD_DIR    where to build (default: build/ in the source tree)
#   RVMFS_JOBS         parallel jobs (default: number of processors)
#   RVMFS_TEST_BUILDS  which of the builds to run (default: "checked"; also asan, tsan, debug)
set -euo pipefail
cd "$(dirname "$0")/.."

jobs=${RVMFS_JOBS:-$(nproc)}
build_root=${RVMFS_BUILD_DIR:-$PWD/build}
read -ra builds <<<"${RVMFS_TEST_BUILDS:-checked}"
started=$SECONDS

scripts/setup.sh

launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi

reports=()
for build in "${builds[@]}"; do
  dir=$build_root/$build
  echo "== $build: build in $dir"
  mkdir -p "$build_root"
  cmake --preset "$build" -B "$dir" "${launcher[@]}" >"$dir.configure.log" 2>&1 || {
    cat "$dir.configure.log" >&2
    exit 1
  }
  target=all
  select=()
  if [[ $build == asan || $build == tsan ]]; then
    target=unmounted_tests
    select=(-LE '^(mount|tidy|install)$')
  fi
  cmake --build "$dir" --target "$target" -j "$jobs"

  echo "== $build: test"
  report=$dir/test-report.xml
  rm -f "$report"
  # Failures are counted below; here they must not end the script before the other build has run.
  # The tests that pass are counted, not listed.
  ctest --test-dir "$dir" -j "$jobs" --output-on-failure --no-tests=error \
    "${select[@]}" --output-junit "$report" |
    grep -v -E '^ +Start +[0-9]+:|^ *[0-9]+/[0-9]+ Test .* Passed ' || true
  reports+=("$report")
done

echo "== $((SECONDS - started)) s in all"
exec python3 scripts/count_tests.py "${reports[@]}"
