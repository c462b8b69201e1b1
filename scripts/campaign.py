#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Runs a whole tier of the laboratory (docs/TESTING.md): each part of it in slices, one after the
# other, and writes what was done and found to a file.
#
#   scripts/campaign.py nightly                   a night's work (build/checked must be built)
#   scripts/campaign.py release --resume          goes on where an interrupted run stopped
#   scripts/campaign.py nightly --parts model,kill --results /tmp/some.md
#   scripts/campaign.py --list                    the parts
#
#   --build DIR      the build whose test programs run (default: build/checked)
#   --results FILE   Markdown; the same as JSON beside it (default: docs/results/TIER.md)
#
# A slice is a test program with RVMFS_TIER and RVMFS_SLICE set. It prints TOTAL lines, whose figures
# are added up, PROGRESS lines, which are shown, and for each failure a line with "reproduce: ". Its
# whole output is kept in BUILD/campaign/TIER/. What is done is noted there after each slice, so an
# interrupted campaign loses one slice at most.
#
# Exit status: 0 if everything ran and nothing failed, 1 otherwise, 2 for a wrong call.
import argparse
import collections
import datetime
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
SLICE_SECONDS_MAX = 8 * 3600  # longer than that is a hang
NICENESS = 10

# A part: command with {build} and {source}, slices per tier. `totals`: it must print TOTAL lines.
Part = collections.namedtuple("Part", "name command slices totals")


def gtest(name, program, gtest_filter, nightly, release):
    command = ["{build}/tests/" + program, "--gtest_filter=" + gtest_filter]
    return Part(name, command, {"nightly": nightly, "release": release}, True)


def script(name, command):
    return Part(name, command, {"nightly": 1, "release": 1}, False)


PARTS = [
    gtest("crash", "crash_tests", "*Crash*", 10, 100),
    gtest("sequences", "crash_tests", "FsSequences.*", 20, 200),
    gtest("faults", "crash_tests", "*Fault*", 1, 1),
    gtest("images", "images_tests", "*", 1, 1),
    gtest("model", "model_tests", "Model.*", 10, 100),
    gtest("linearizability", "model_tests", "Linearizability.*", 4, 40),
    gtest("linearizability_mount", "mount_tests", "Linearizable.*", 2, 20),
    gtest("kill", "mount_tests", "Kill*.*loses_nothing*", 10, 100),
    gtest("random_calls", "conformance_tests", "*RandomCalls*", 4, 40),
    gtest("one_file", "conformance_tests", "*OneFile*volume*", 4, 40),
    gtest("power_loss", "mount_tests", "PowerLoss.*", 10, 100),
    script("sanitizers", ["env", "RVMFS_TEST_BUILDS=asan tsan", "{source}/scripts/test.sh"]),
    script("seeded_bugs", ["{source}/tests/crash/seeded_bugs.sh", "{build}-seeded"]),
]


def output_of(*command):
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def machine():
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.M)
    return "{} x {}, {:.0f} GiB, {} {}".format(
        os.cpu_count(), cpu[1] if cpu else platform.machine(),
        int(memory[1]) / 2**20 if memory else 0, platform.system(), platform.release())


def commit():
    if not shutil.which("git"):
        return "unknown (no git here)"
    dirty = output_of("git", "status", "--porcelain", "--untracked-files=no")
    return output_of("git", "rev-parse", "--short=12", "HEAD") + (" (changed)" if dirty else "")


def parse_total(line):
    """The pairs of a TOTAL line, or None if it is none."""
    if not line.startswith("TOTAL part="):
        return None
    pairs = dict(word.split("=", 1) for word in line.split()[1:] if "=" in word)
    return pairs if "failures" in pairs and "seconds" in pairs else None


def duration(seconds):
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


class Show:
    """One line on a terminal that is overwritten; elsewhere only whole lines, seldom."""

    def __init__(self):
        self.on_terminal = sys.stdout.isatty()
        self.last = 0.0

    def progress(self, text):
        if self.on_terminal:
            print(f"\r\033[K{text}", end="", flush=True)
        elif time.monotonic() - self.last > 60:
            self.last = time.monotonic()
            print(text, flush=True)

    def line(self, text):
        print(("\r\033[K" if self.on_terminal else "") + text, flush=True)


class Campaign:
    def __init__(self, tier, build, results, parts, show):
        self.tier, self.build, self.results, self.show = tier, build, results, show
        self.folder = build / "campaign" / tier
        self.note_file = self.folder / "done.json"
        self.work = [(part, number) for part in parts
                     for number in range(1, part.slices[tier] + 1)]
        self.note = {"tier": tier, "commit": commit(), "machine": machine(), "slices": {},
                     "begun": datetime.datetime.now().isoformat(timespec="seconds")}

    def resume(self):
        if not self.note_file.exists():
            return
        before = json.loads(self.note_file.read_text())
        if before["commit"] != self.note["commit"]:
            sys.exit(f"the interrupted campaign was of commit {before['commit']}, this is "
                     f"{self.note['commit']}: run it without --resume")
        self.note = before

    def save(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.note_file.with_suffix(".new")
        new.write_text(json.dumps(self.note, indent=1))
        new.rename(self.note_file)

    def run(self):
        for position, (part, number) in enumerate(self.work, 1):
            key = f"{part.name}.{number}"
            if key in self.note["slices"]:
                continue
            head = f"[{position}/{len(self.work)}] {part.name} {number}/{part.slices[self.tier]}"
            self.note["slices"][key] = self.run_slice(part, number, head)
            self.note["ended"] = datetime.datetime.now().isoformat(timespec="seconds")
            self.save()
            self.write_results()
        return self.failures()

    def run_slice(self, part, number, head):
        self.folder.mkdir(parents=True, exist_ok=True)
        log_path = self.folder / f"{part.name}.{number}.log"
        environment = dict(os.environ, RVMFS_TIER=self.tier,
                           RVMFS_SLICE=f"{number}/{part.slices[self.tier]}")
        command = [word.format(build=self.build, source=SOURCE) for word in part.command]
        outcome = {"totals": [], "reproduce": [], 
                   "log": str(log_path.relative_to(self.build.parent))}
        begun = time.monotonic()
        with open(log_path, "w", encoding="utf-8", errors="replace") as log:
            outcome["status"] = self.follow(command, environment, log, outcome, head)
        outcome["seconds"] = round(time.monotonic() - begun, 1)
        ran = re.search(r"^\[==========\] (\d+) tests? from .* ran", log_path.read_text(
            encoding="utf-8", errors="replace"), re.M)
        outcome["nothing"] = part.totals and (not outcome["totals"] or not ran or ran[1] == "0")
        outcome["failed"] = (outcome["status"] != 0 or outcome["nothing"] or
                             any(int(total["failures"]) for total in outcome["totals"]))
        self.show.line(f"{head}: {'FAILED' if outcome['failed'] else 'ok'}, "
                       f"{duration(outcome['seconds'])}")
        for line in outcome["reproduce"]:
            self.show.line("    " + line)
        return outcome

    def follow(self, command, environment, log, outcome, head):
        """Runs to the end; the exit status, or a sentence."""
        begun = time.monotonic()
        try:
            child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True, errors="replace",
                                     start_new_session=True, preexec_fn=lambda: os.nice(NICENESS))
        except OSError as error:
            log.write(str(error))
            return str(error)
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(child.pid, signal.SIGKILL))
        signal.alarm(SLICE_SECONDS_MAX)
        try:
            for line in child.stdout:
                log.write(line)
                if total := parse_total(line):
                    outcome["totals"].append(total)
                elif "reproduce: " in line and line.strip() not in outcome["reproduce"]:
                    outcome["reproduce"].append(line.strip())
                at = re.match(r"PROGRESS part=(\S+) done=(\d+) of=(\d+)", line)
                if at:
                    self.show.progress(f"{head}: {at[1]} {int(at[2]):,} of {int(at[3]):,}, "
                                       f"{duration(time.monotonic() - begun)}")
            return child.wait()
        except KeyboardInterrupt:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            self.show.line(f"{head}: interrupted; --resume goes on with it")
            sys.exit(1)
        finally:
            signal.alarm(0)

    def failures(self):
        return sum(1 for outcome in self.note["slices"].values() if outcome["failed"])

    def sums(self):
        """Figures of each part that printed a TOTAL line, over all slices."""
        sums = {}
        for outcome in self.note["slices"].values():
            for total in outcome["totals"]:
                figures = sums.setdefault(total["part"], collections.Counter())
                for name, value in total.items():
                    if name != "part":
                        figures[name] += float(value)
        return sums

    def write_results(self):
        self.results.parent.mkdir(parents=True, exist_ok=True)
        sums = self.sums()
        self.results.with_suffix(".json").write_text(json.dumps(
            {key: self.note[key] for key in ("tier", "commit", "machine", "begun", "ended")} |
            {"parts": sums, "slices_done": len(self.note["slices"]), "slices": len(self.work),
             "failed": [key for key, outcome in self.note["slices"].items()
                        if outcome["failed"]]}, indent=1) + "\n")
        self.results.write_text(self.markdown(sums))

    def markdown(self, sums):
        note = self.note
        complete = len(note["slices"]) == len(self.work)
        lines = [f"# The {self.tier} tier", "",
                 f"Written by `scripts/campaign.py {self.tier}`. Commit {note['commit']}; "
                 f"{note['begun']} to {note['ended']}; {note['machine']}. "
                 f"{len(note['slices'])} of {len(self.work)} slices"
                 f"{'' if complete else ' (not complete)'}, {self.failures()} failed.", "",
                 "| part | figures | seconds | failures |", "|---|---|---:|---:|"]
        for part, figures in sums.items():
            counts = ", ".join(f"{int(value):,} {name.replace('_', ' ')}"
                               for name, value in figures.items()
                               if name not in ("seconds", "failures"))
            lines.append(f"| {part} | {counts} | {figures['seconds']:,.0f} | "
                         f"{int(figures['failures'])} |")
        for key, outcome in note["slices"].items():
            if not outcome["totals"] and not outcome["failed"]:
                lines.append(f"| {key.rsplit('.', 1)[0]} | | {outcome['seconds']:,.0f} | 0 |")
        lines += self.failure_lines()
        return "\n".join(lines) + "\n"

    def failure_lines(self):
        lines = []
        for key, outcome in self.note["slices"].items():
            if not outcome["failed"]:
                continue
            why = "it ran no tests" if outcome["nothing"] else f"status {outcome['status']}"
            lines += ["", f"## {key} failed ({why})", ""]
            lines += [f"    {line}" for line in outcome["reproduce"] or [f"see {outcome['log']}"]]
        return lines


def parse_arguments():
    parser = argparse.ArgumentParser(description="Runs a whole tier of the laboratory.")
    parser.add_argument("tier", nargs="?", choices=["nightly", "release"])
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--build", type=Path, default=SOURCE / "build" / "checked")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--parts", help="names, separated by commas (default: all)")
    arguments = parser.parse_args()
    if arguments.list:
        for part in PARTS:
            print(f"{part.name:22} {' '.join(part.command)}")
        sys.exit(0)
    if not arguments.tier:
        parser.error("which tier?")
    return parser, arguments


def main():
    # Also in the background, where a shell has SIGINT ignored: the child must not outlive this.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    parser, arguments = parse_arguments()
    wanted = arguments.parts.split(",") if arguments.parts else [part.name for part in PARTS]
    unknown = set(wanted) - {part.name for part in PARTS}
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    results = arguments.results or SOURCE / "docs" / "results" / f"{arguments.tier}.md"
    parts = [part for part in PARTS if part.name in wanted]
    campaign = Campaign(arguments.tier, arguments.build.resolve(), results, parts, Show())
    if arguments.resume:
        campaign.resume()
    failures = campaign.run()
    print(f"{len(campaign.note['slices'])} slices, {failures} failed; see {results}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
