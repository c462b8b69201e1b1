#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Formats all C++ sources with clang-format; with --check only says what is not formatted.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=(-i)
if [[ ${1:-} == --check ]]; then mode=(--dry-run -Werror); fi
find seeded_bugs rvm fs mkfs fsck tests bench \( -name '*.h' -o -name '*.cc' \) -print0 |
  xargs -0 -r clang-format "${mode[@]}"
