#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Adds up ctest's JUnit reports. Names what failed and what was skipped, and ends with the line
# "N passed, N failed". Exit status 0 only if something passed and nothing failed; a report that is
# missing counts as a failure.
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter


def outcome(case):
    if case.find("failure") is not None or case.get("status") == "fail":
        return "failed"
    if case.get("status") in ("disabled", "notrun") or case.find("skipped") is not None:
        return "skipped"
    return "passed"


def main():
    total = Counter()
    for report in sys.argv[1:]:
        try:
            cases = ElementTree.parse(report).getroot().findall("testcase")
        except (OSError, ElementTree.ParseError) as error:
            print(f"failed: no report: {error}")
            total["failed"] += 1
            continue
        for case in cases:
            result = outcome(case)
            total[result] += 1
            if result != "passed":
                print(f"{result}: {case.get('name')} ({report})")
    if total["skipped"]:
        print(f"{total['skipped']} skipped")
    print(f"{total['passed']} passed, {total['failed']} failed")
    sys.exit(0 if total["failed"] == 0 and total["passed"] > 0 else 1)


if __name__ == "__main__":
    main()
