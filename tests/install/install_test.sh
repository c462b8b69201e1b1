#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# install_test.sh BUILD_DIR CXX: installs librvm from BUILD_DIR into a temporary folder, and builds
# and runs user.cc against it, once through the CMake package and once through pkg-config; then the
# example of the README.
set -euo pipefail
build=$1
cxx=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/rvmfs-install-XXXXXX")
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --component library --prefix "$work/prefix" >/dev/null

cmake -S "$here" -B "$work/user" -DCMAKE_CXX_COMPILER="$cxx" \
  -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/user" >/dev/null
"$work/user/user" "$work/one.rvm"
echo "install: the CMake package works"

pc=$(find "$work/prefix" -name librvm.pc)
flags=$(PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --define-variable=prefix="$work/prefix" \
  --static --cflags --libs librvm)
# shellcheck disable=SC2086  # a list of options
"$cxx" -std=c++20 "$here/user.cc" $flags -o "$work/user-pc"
"$work/user-pc" "$work/two.rvm"
echo "install: pkg-config works"

# The example as it stands there, and a program that counts to two with it.
{
  awk '/^```/ { inside = /^```cpp/; next } inside' "$here/../../README.md"
  cat <<'PROGRAM'
int main() {
  return make("counter.rvm") && count("counter.rvm") == 1u && count("counter.rvm") == 2u ? 0 : 1;
}
PROGRAM
} >"$work/example.cc"
# shellcheck disable=SC2086
"$cxx" -std=c++20 -Wall -Wextra -Werror "$work/example.cc" $flags -o "$work/example"
(cd "$work" && ./example)
echo "install: the example of the README works"
