#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# The tables of scripts/coverage.sh, from what llvm-cov exports, and whether they are good enough.
#
#   coverage_report.py SOURCE_DIR EXPORT.json [--missing FILE]
#
# A line counts as run if the code that it begins with was; lines of brackets alone are none.
# (llvm-cov 14 has zero for some lines behind a block, so its own count of lines is not used.)
#
# A branch is one outcome (true or false) of one condition in the source; each operand of && and ||
# is a condition. A macro's conditions count where the macro is used; of a template or an inline
# function the counts of all instances are added. Conditions that the compiler knows (a seeded bug
# that is switched off) are none, and neither is what they guard.
#
# A place that no test can reach says so in the source: a comment line that begins with
#
#   // not covered: REASON
#
# excuses the statement (or the whole block) that begins on the next line of code. Excuses are
# counted and printed; one that excuses nothing is an error, so that none is left behind.
#
# Exit status 1: the totals are below the thresholds, or a file of EVERY_BRANCH lacks a branch that
# is not excused, or an excuse is not needed.
import argparse
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

LINES_MIN = 95.0
BRANCHES_MIN = 90.0

# The reader of the log, recovery, truncation, and the status blocks (librvm's superblocks).
EVERY_BRANCH = {
    "rvm/src/log_area.cc",
    "rvm/src/log_area.h",
    "rvm/src/log_places.cc",
    "rvm/src/log_places.h",
    "rvm/src/log_unit.cc",
    "rvm/src/log_unit.h",
    "rvm/src/page_store.cc",
    "rvm/src/replay.cc",
    "rvm/src/rvm.cc",
    "rvm/src/truncate.cc",
}

EXCUSE = re.compile(r"^\s*// not covered: (.*)$")
SEEDED_BUG = re.compile(r"\bif \((.* && )?RVM_SEEDED_BUG\(")
CODE_REGION, EXPANSION_REGION = 0, 1


def statement_end(lines, begin):
    """The index of the last line of the statement, or block, that begins at lines[begin]."""
    depth, had_block = 0, False
    for at in range(begin, len(lines)):
        code = re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])*\'', '""', lines[at]).split("//")[0].rstrip()
        depth += sum(code.count(c) for c in "({[") - sum(code.count(c) for c in ")}]")
        had_block = had_block or code.endswith("{")
        if depth <= 0 and code.endswith("}" if had_block else (";", "}")):
            return at
    return len(lines) - 1


def body_end(lines, at):
    """The index of the last line that is further in than lines[at]."""
    indent = len(lines[at]) - len(lines[at].lstrip())
    end = at
    while len(lines[end + 1]) - len(lines[end + 1].lstrip()) > indent:
        end += 1
    return end


class Source:
    """A file's excuses: which lines they cover, and why."""

    def __init__(self, path):
        self.lines = path.read_text().splitlines()
        self.excuses = []  # (line of the comment, first line, last line, reason)
        self.seeded_bugs = []  # (first line, last line) of what is not compiled in ordinary builds
        for at, line in enumerate(self.lines):
            guard = SEEDED_BUG.search(line)
            if guard:  # of other conditions beside it, what it guards alone
                begin = at + 1 if guard[1] else at
                self.seeded_bugs.append((begin + 1, body_end(self.lines, at) + 1))
            found = EXCUSE.match(line)
            if not found:
                continue
            begin, reason = at + 1, found[1]
            while self.lines[begin].lstrip().startswith("//"):
                reason += " " + self.lines[begin].lstrip(" /")
                begin += 1
            end = statement_end(self.lines, begin)
            self.excuses.append((at + 1, begin + 1, end + 1, reason))

    def is_seeded_bug(self, line):
        return any(begin <= line <= end for begin, end in self.seeded_bugs)

    def excuse(self, line):
        for excuse in self.excuses:
            if excuse[1] <= line <= excuse[2]:
                return excuse
        return None


def sites(function):
    """For each macro expansion of the function: the place that it stands at."""
    return {r[6]: (r[5], r[0], r[1]) for r in function["regions"] if r[7] == EXPANSION_REGION}


def chain_of(file_id, line, column, expansions):
    """Innermost place first; returns the outermost file and the chain."""
    chain = [(line, column)]
    while file_id in expansions:
        file_id, line, column = expansions[file_id]
        chain.append((line, column))
    return file_id, tuple(chain)


def executed(function, branch):
    """How often the code that the condition is part of ran."""
    begin = (branch[0], branch[1])
    best = None
    for region in function["regions"]:
        if region[7] != CODE_REGION or region[5] != branch[6]:
            continue
        if (region[0], region[1]) <= begin <= (region[2], region[3]):
            if best is None or span(region) < best[0]:
                best = (span(region), region[4])
    return best[1] if best else function["count"]


class Branches:
    """Per file: {condition: [times true, times false]}, and the conditions that are constants."""

    def __init__(self, export, root):
        self.counts = defaultdict(dict)
        constants = set()
        for function in export["data"][0]["functions"]:
            expansions = sites(function)
            for branch in function["branches"]:
                file_id, chain = chain_of(branch[6], branch[0], branch[1], expansions)
                path = Path(function["filenames"][file_id])
                if not path.is_relative_to(root / "rvm"):
                    continue
                name = str(path.relative_to(root))
                counts = self.counts[name].setdefault(chain, [0, 0])
                counts[0] += branch[4]
                counts[1] += branch[5]
                if branch[4] == branch[5] == 0 and executed(function, branch) > 0:
                    constants.add((name, chain))
        for name, chain in constants:
            if self.counts[name][chain] == [0, 0]:
                del self.counts[name][chain]

    def missed(self, name):
        """(line, column, outcome) of each branch that was never taken."""
        found = []
        for chain, counts in self.counts[name].items():
            line, column = chain[-1]
            found += [(line, column, ("true", "false")[i]) for i in (0, 1) if counts[i] == 0]
        return sorted(found)


class Lines:
    """Per file: {line: how often it ran}, of the lines with code."""

    def __init__(self, export, root):
        self.counts = {}
        best = {}  # (file, line): (size of the function, count)
        texts = {}
        for function in export["data"][0]["functions"]:
            path = Path(function["filenames"][0])
            if not path.is_relative_to(root / "rvm"):
                continue
            name = str(path.relative_to(root))
            if name not in texts:
                texts[name] = path.read_text().splitlines()
            regions = [r for r in function["regions"] if r[7] == CODE_REGION and r[5] == 0]
            size = span(regions[0])
            for line, count in self.of_function(regions, texts[name]):
                known = best.get((name, line))
                if known is None or size < known[0]:  # a lambda inside of a function
                    best[(name, line)] = (size, count)
                elif size == known[0]:  # another instance
                    best[(name, line)] = (size, known[1] + count)
        for (name, line), (_, count) in best.items():
            self.counts.setdefault(name, {})[line] = count

    @staticmethod
    def of_function(regions, text):
        begin, end = regions[0][0], regions[0][2]
        for line in range(begin, end + 1):
            code = text[line - 1].strip()
            if not code.strip("{}();") or code.startswith(("//", "#")):
                continue
            column = len(text[line - 1]) - len(text[line - 1].lstrip("} ")) + 1
            inside = [r for r in regions if (r[0], r[1]) <= (line, column) < (r[2], r[3])]
            if line == begin:
                yield line, regions[0][4]
            elif inside:
                yield line, min(inside, key=span)[4]


def span(region):
    return region[2] - region[0], region[3] - region[1]


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


class Report:
    def __init__(self, root, branches, lines):
        self.root = root
        self.branches, self.lines = branches, lines
        self.sources = {name: Source(root / name) for name in lines}
        for name, source in self.sources.items():
            for line in [l for l in lines[name] if source.is_seeded_bug(l)]:
                del lines[name][line]
            counts = branches.counts[name]
            for chain in [c for c in counts if source.is_seeded_bug(c[-1][0])]:
                del counts[chain]
        self.failures = []
        self.used = defaultdict(lambda: [0, 0])  # (file, excuse): lines, branches

    def unexcused(self, name, places, kind):
        left = []
        for place in places:
            excuse = self.sources[name].excuse(place[0] if kind else place)
            if excuse is None:
                left.append(place)
            else:
                self.used[(name, excuse)][kind] += 1
        return left

    def table(self):
        rows, totals = [], [0] * 4
        for name in sorted(self.lines):
            counted = self.lines[name]
            lines_missed = self.unexcused(name, [l for l, n in counted.items() if n == 0], 0)
            branches_missed = self.unexcused(name, self.branches.missed(name), 1)
            lines, branches = len(counted), 2 * len(self.branches.counts[name])
            row = [lines, len(lines_missed), branches, len(branches_missed)]
            totals = [a + b for a, b in zip(totals, row)]
            rows.append((name, row))
            if name in EVERY_BRANCH and branches_missed:
                self.failures.append(f"{name} must have every branch and lacks {row[3]}")
        print(f"{'file':34} {'lines':>6} {'missed':>6} {'%':>6}  {'branches':>8} {'missed':>6} {'%':>6}")
        for name, row in rows + [("total", totals)]:
            star = "*" if name in EVERY_BRANCH else " "
            print(f"{name:33}{star} {row[0]:6} {row[1]:6} {percent(row[0] - row[1], row[0]):6.1f}  "
                  f"{row[2]:8} {row[3]:6} {percent(row[2] - row[3], row[2]):6.1f}")
        print("* must have every branch")
        for what, least, part, whole in (("lines", LINES_MIN, totals[0] - totals[1], totals[0]),
                                         ("branches", BRANCHES_MIN, totals[2] - totals[3],
                                          totals[2])):
            if percent(part, whole) < least:
                self.failures.append(f"{percent(part, whole):.1f} % of {what}: less than {least} %")

    def excuses(self):
        total = [0, 0]
        for name, source in sorted(self.sources.items()):
            for excuse in source.excuses:
                lines, branches = self.used[(name, excuse)]
                total = [total[0] + lines, total[1] + branches]
                print(f"  {name}:{excuse[0]}: {lines} lines, {branches} branches: {excuse[3]}")
                if lines == branches == 0:
                    self.failures.append(f"{name}:{excuse[0]}: an excuse for nothing")
        print(f"excused: {total[0]} lines, {total[1]} branches")

    def missing(self, wanted):
        for name in sorted(self.lines):
            if wanted not in name:
                continue
            source = self.sources[name]
            by_line = defaultdict(list)
            for line, count in self.lines[name].items():
                if count == 0 and not source.excuse(line):
                    by_line[line].append("never run")
            for line, column, outcome in self.branches.missed(name):
                if not source.excuse(line):
                    by_line[line].append(f"column {column} never {outcome}")
            for line, texts in sorted(by_line.items()):
                print(f"{name}:{line}: {source.lines[line - 1].strip()}")
                print(f"    {', '.join(texts)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("export", type=Path)
    parser.add_argument("--missing", action="append", default=[])
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    export = json.loads(arguments.export.read_text())
    report = Report(root, Branches(export, root), Lines(export, root).counts)
    report.table()
    report.excuses()
    for wanted in arguments.missing:
        report.missing(wanted)
    for failure in report.failures:
        print(f"coverage: {failure}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
