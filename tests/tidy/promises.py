#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Every test that docs/PROMISES.md names must exist; every promise must name one or say that no test
# holds it yet.
#
#   promises.py SOURCE_DIR
import re
import sys
from pathlib import Path

NAMED = re.compile(r"`([A-Z]\w+\.\w+)`")
DEFINED = re.compile(r"^(?:TYPED_)?TEST(?:_[FP])?\(\s*(\w+)\s*,\s*(\w+)\s*\)", re.MULTILINE)
PROMISE = re.compile(r"^- \*\*(P\d+)\.", re.MULTILINE)


def main():
    root = Path(sys.argv[1])
    text = (root / "docs" / "PROMISES.md").read_text()
    defined = {
        f"{suite}.{name}"
        for source in (root / "tests").rglob("*.cc")
        for suite, name in DEFINED.findall(source.read_text())
    }
    findings = [f"no such test: {name}" for name in NAMED.findall(text) if name not in defined]

    parts = PROMISE.split(text)[1:]
    numbers = parts[::2]
    for number, body in zip(numbers, parts[1::2]):
        if not NAMED.search(body) and "Not held yet" not in body and "All tests named" not in body:
            findings.append(f"{number} names no test and does not say so")
    findings += [f"{number} stands twice" for number in sorted(set(numbers)) if numbers.count(number) > 1]
    if not parts:
        findings.append("no promises found")
    print("\n".join(findings) or f"{len(parts) // 2} promises, {len(defined)} tests")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
