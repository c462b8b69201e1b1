#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Installs what building, testing and mounting need, from the packages of Debian 12. Does nothing,
# and needs no rights, where everything is there already.
#
#   scripts/setup.sh [--bench | --fuzz | --coverage | --endurance]
#     --bench  also the filesystems that bench/run.py compares with
#     --fuzz   also clang with libFuzzer, for scripts/fuzz.sh
#     --coverage   also clang with its counters and llvm-cov, for scripts/coverage.sh
#     --endurance  also what makes the loads of scripts/endurance.sh
set -euo pipefail

packages=(
  build-essential cmake ninja-build pkg-config python3
  libexpected-dev libfmt-dev libcli11-dev nlohmann-json3-dev libxxhash-dev
  uuid-dev libblkid-dev libmount-dev liburing-dev libfuse3-dev fuse3
  libgtest-dev libgmock-dev
  acl attr diffutils e2fsprogs findutils mount util-linux
)
if [[ ${1:-} == --bench ]]; then
  packages+=(e2fsprogs fuse2fs ntfs-3g xfsprogs btrfs-progs mount git tar)
elif [[ ${1:-} == --fuzz ]]; then
  packages+=(clang libclang-rt-14-dev)
elif [[ ${1:-} == --coverage ]]; then
  packages+=(clang clang-14 libclang-rt-14-dev llvm-14)
elif [[ ${1:-} == --endurance ]]; then
  packages+=(stress-ng postmark dbench git sqlite3)
elif (($# > 0)); then
  echo "usage: scripts/setup.sh [--bench | --fuzz | --coverage | --endurance]" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done

if ((${#missing[@]} == 0)); then
  echo "setup: all ${#packages[@]} packages are installed"
else
  echo "setup: installing ${missing[*]}"
  as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || {
      echo "setup: not root and no sudo; install by hand: apt-get install ${missing[*]}" >&2
      exit 1
    }
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

# fusermount3 reads it; a minimal container may have none.
if [[ ! -e /etc/mtab ]] && ((EUID == 0)); then ln -s /proc/self/mounts /etc/mtab; fi

# A minimal container has no udev to make the device.
if [[ ! -e /dev/fuse ]]; then
  if ((EUID == 0)); then
    mknod -m 0666 /dev/fuse c 10 229 2>/dev/null || true
  fi
  [[ -e /dev/fuse ]] || echo "setup: there is no /dev/fuse here: nothing can be mounted" >&2
fi
