#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Checks of the source tree itself, run as a test. Every finding is one line; any finding fails.
#
#   tidy.py SOURCE_DIR [BUILD_DIR]
#
# 1. Every source file begins with the SPDX line; C++ files go on with an opening comment.
# 2. No file is longer than 600 lines.
# 3. Includes go in the allowed directions only, and only fs/daemon sees libfuse (and, in bench, the
#    filesystem that shows what libfuse does by default).
# 4. Format headers include integer types and other format headers only.
# 5. With BUILD_DIR: every *.cc is compiled by some target, so no test can be forgotten (the
#    program of tests/install is built by its test).
# 6. No line of C++ is longer than 100 columns, has tabs, or ends in blanks.
import json
import re
import sys
from pathlib import Path

LINES_MAX = 600
COLUMNS_MAX = 100
SEES_LIBFUSE = ("fs/daemon", "tests", "bench/limit")
GROUPS = ("seeded_bugs", "rvm", "fs", "mkfs", "fsck", "tests", "bench")
SPDX = "SPDX-License-Identifier: BSD-2-Clause"
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# What fsck may share with the filesystem: formats and error codes, no code that reads.
FSCK_SHARES = {"fs/format.h", "fs/errors.h"}
FORMAT_MAY_INCLUDE = {"cstdint", "cstddef", "type_traits"}


class Tidy:
    def __init__(self, root):
        self.root = root
        self.findings = []

    def report(self, path, line, text):
        self.findings.append(f"{path.relative_to(self.root)}:{line}: {text}")

    def check_opening(self, path, lines, mark):
        first = 1 if lines and lines[0].startswith("#!") else 0
        if len(lines) <= first or lines[first] != f"{mark} {SPDX}":
            self.report(path, first + 1, f"the first line is not '{mark} {SPDX}'")
        elif mark == "//":
            body = lines[first + 1 : first + 4]
            if len(body) < 2 or not body[0].startswith("//") or not body[1].startswith("// "):
                self.report(path, first + 2, "no opening comment that tells the file's role")

    def check_shape(self, path, lines):
        if len(lines) > LINES_MAX:
            self.report(path, len(lines), f"longer than {LINES_MAX} lines: make it two files")
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS_MAX and not INCLUDE.match(line):
                self.report(path, number, f"longer than {COLUMNS_MAX} columns")
            if "\t" in line:
                self.report(path, number, "a tab")
            if line != line.rstrip():
                self.report(path, number, "blanks at the end of the line")

    def allowed(self, group, name):
        """Whether a file of this group may include "name" (written with quotes)."""
        if group == "tests":
            return True
        if "/" not in name:
            if name == "seeded_bug.h":
                return group in ("rvm/src", "fs")
            return group == "rvm/src" and (self.root / "rvm/src" / name).is_file()
        public = (self.root / "rvm/include" / name).is_file()
        if public or group.startswith("rvm"):
            return public
        below = {
            "fs": ("fs/",),
            "fs/daemon": ("fs/",),
            "mkfs": ("mkfs/", "fs/"),
            "fsck": ("fsck/",),
            "bench": ("bench/", "mkfs/", "fs/"),
        }[group]
        if group == "fsck" and name in FSCK_SHARES:
            return True
        if name.startswith("fs/daemon/") and group != "fs/daemon":
            return False
        return name.startswith(below)

    def check_includes(self, path, lines):
        relative = path.relative_to(self.root)
        group = relative.parts[0]
        if relative.parts[:2] in (("rvm", "src"), ("rvm", "include"), ("fs", "daemon")):
            group = "/".join(relative.parts[:2])
        is_format = path.suffix == ".h" and path.stem.endswith("format")
        for number, line in enumerate(lines, 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            quoted, name = found[1] == '"', found[2]
            if quoted and not self.allowed(group, name):
                self.report(path, number, f'{group} must not include "{name}"')
            if not quoted and "fuse" in name and not str(relative).startswith(SEES_LIBFUSE):
                self.report(path, number, f"only fs/daemon includes libfuse: <{name}>")
            if is_format and group != "tests":
                fine = name.endswith("format.h") if quoted else name in FORMAT_MAY_INCLUDE
                if not fine:
                    self.report(path, number, f"a format header must not include {name}")

    def check_compiled(self, build):
        commands = json.loads((build / "compile_commands.json").read_text())
        compiled = {Path(entry["directory"], entry["file"]).resolve() for entry in commands}
        for group in GROUPS:
            for path in sorted((self.root / group).rglob("*.cc")):
                in_own_project = path.parent == self.root / "tests/install"
                if path.resolve() not in compiled and not in_own_project:
                    self.report(path, 1, "no target compiles this file")

    def run(self, build):
        seen = 0
        for group in GROUPS:
            for path in sorted((self.root / group).rglob("*")):
                if path.suffix in (".cc", ".h"):
                    lines = path.read_text().splitlines()
                    self.check_opening(path, lines, "//")
                    self.check_shape(path, lines)
                    self.check_includes(path, lines)
                    seen += 1
                elif path.name == "CMakeLists.txt" or path.suffix in (".sh", ".py"):
                    self.check_opening(path, path.read_text().splitlines(), "#")
        for path in sorted((self.root / "scripts").glob("*.sh")):
            self.check_opening(path, path.read_text().splitlines(), "#")
        if build:
            self.check_compiled(build)
        if seen == 0:
            self.findings.append(f"{self.root}: no sources found")
        return seen


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: tidy.py SOURCE_DIR [BUILD_DIR]")
    tidy = Tidy(Path(sys.argv[1]).resolve())
    seen = tidy.run(Path(sys.argv[2]) if len(sys.argv) == 3 else None)
    for finding in tidy.findings:
        print(finding)
    print(f"tidy: {seen} files, {len(tidy.findings)} findings")
    sys.exit(1 if tidy.findings else 0)


if __name__ == "__main__":
    main()
