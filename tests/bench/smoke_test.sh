#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The benchmarks run, and leave nothing behind: one short workload on rvmfs and on the limit of FUSE.
# Skipped (status 77) where nobody may mount.
#
#   smoke_test.sh BUILD_DIRECTORY
set -euo pipefail
build=$(realpath "$1")
cd "$(dirname "$0")/../.."
if ((EUID != 0)) || [[ ! -c /dev/fuse ]]; then
  echo "needs root and /dev/fuse"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -B bench/run.py --quick --only create,unlink --rounds 1 --fs rvmfs,limit,default-limit \
  --build "$build" --work "$work" --out "$work/out"
grep -q '^| create empty | [0-9][0-9.k ]* | [0-9][0-9.k ]* | [0-9][0-9.k ]* |$' "$work/out/results.md"
[[ -s $work/out/metadata.svg ]]
! grep -F "$work" /proc/self/mounts
[[ -z $(find "$work" -mindepth 1 -maxdepth 1 -not -name out) ]]
