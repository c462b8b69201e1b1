#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# The benchmarks: rvmfs side by side with other filesystems and with the limit of FUSE, all on image
# files on one host filesystem, interleaved. Needs root (loop devices, caches) and what
# `scripts/setup.sh --bench` installs. bench/README.md says how to read the result.
#
#   bench/run.py [--quick] [--only WORKLOAD,...] [--fs LIST] [--rounds N] [--out FOLDER]
#
# Writes results.md, results.json and *.svg into the folder --out. Whatever happens (failures,
# Ctrl-C), mounts, loop devices, daemons and images are gone afterwards.
import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))

from harness import filesystems, plots, report, workloads  # noqa: E402

ALL = "rvmfs,limit,default-limit,ext4,xfs,btrfs,fuse2fs,ntfs-3g"
IMAGE_BYTES = {True: 6 << 30, False: 32 << 30}  # quick, full
TRACING = Path("/sys/kernel/tracing")
IO_URING = Path("/sys/module/fuse/parameters/enable_uring")
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TREES = {True: ["/usr/include/c++", "/usr/include/linux"], False: ["/usr/include"]}


def parse():
    parser = argparse.ArgumentParser(description="rvmfs and others, side by side")
    parser.add_argument("--quick", action="store_true", help="smaller numbers: minutes")
    parser.add_argument("--only", default="", help="suites or phases, separated by commas")
    parser.add_argument("--fs", default=ALL, help=f"which filesystems (default: {ALL}); also "
                        "NAME=KIND[@BUILD][:MOUNT OPTIONS], e.g. other=rvmfs:commit=5")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--build", default=str(ROOT / "build/release"))
    parser.add_argument("--work", default="/var/tmp", help="where images and mount points are made")
    parser.add_argument("--out", default="bench-results", help="folder of the results")
    parser.add_argument("--tree", nargs="+", help="what programs copy, pack and search")
    parser.add_argument("--messages", action="store_true",
                        help="count FUSE messages by kind (slows FUSE down a little)")  # fmt: skip
    parser.add_argument("--nice", type=int, default=0,
                        help="run clients and daemons with this priority, on a busy machine: -15")  # fmt: skip
    parser.add_argument("--io-uring", action="store_true",
                        help="allow FUSE over io_uring while it runs (the fuse module's "
                        "enable_uring)")  # fmt: skip
    parser.add_argument("--pin", type=int, metavar="CPU",
                        help="keep clients and daemons on one processor: less noise, and the "
                        "round trip at its cheapest")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="print suites and phases")
    parser.add_argument("--report", metavar="RESULTS.json", help="only write the report again")
    return parser.parse_args()


def say(text):
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", flush=True)


def select(only):
    """The suites to run, and the phases (empty: all)."""
    suites = workloads.all_suites()
    names = {name for name in only.split(",") if name}
    if not names:
        return suites, set()
    known = {suite.name for suite in suites} | {p for s in suites for p in s.phases}
    if names - known:
        sys.exit(f"no such workload: {', '.join(sorted(names - known))} (see --list)")
    phases = set(names)
    for suite in suites:
        if suite.name in names:
            phases |= set(suite.phases)
    return [s for s in suites if s.name in names or names & set(s.phases)], phases


def source_commit():
    if not shutil.which("git"):
        return "unknown"
    commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
                            capture_output=True, check=False)  # fmt: skip
    return commit.stdout.decode().strip() or "unknown"


class Run:
    def __init__(self, arguments, work):
        self.arguments = arguments
        self.suites, phases = select(arguments.only)
        self.context = workloads.Context(
            Path(arguments.build).resolve(), work, arguments.quick, phases, arguments.messages)  # fmt: skip
        size = IMAGE_BYTES[arguments.quick]
        self.filesystems = [
            filesystems.make_filesystem(text, work, self.context.programs, size)
            for text in arguments.fs.split(",")
        ]
        self.kinds = {filesystem.name: filesystem.kind for filesystem in self.filesystems}
        self.rounds = {}
        self.mounted_tracing = False
        self.io_uring_before = None
        self.failures = []
        self.dead = []  # filesystems that could not be mounted, or whose daemon ended in between
        self.load = []

    def prepare(self):
        if self.arguments.io_uring:
            if not IO_URING.exists():
                sys.exit("this kernel has no FUSE over io_uring (Linux 6.14)")
            self.io_uring_before = IO_URING.read_text(encoding="ascii")
            IO_URING.write_text("Y", encoding="ascii")
        if self.arguments.messages and not TRACING.joinpath("events").exists():
            filesystems.run("mount", "-t", "tracefs", "tracefs", str(TRACING))
            self.mounted_tracing = True
        if any(isinstance(suite, workloads.Programs) for suite in self.suites):
            say("preparing the source tree")
            tree = self.arguments.tree or TREES[self.arguments.quick]
            small = 1000 if self.arguments.quick else 5000
            self.context.source = workloads.Source(self.context.work, tree, small)
        for filesystem in list(self.filesystems):
            filesystem.nice = self.arguments.nice
            try:
                filesystem.make()
                filesystem.mount()
            except filesystems.Failed as failure:
                if filesystem.kind == "rvmfs":
                    raise
                self.failures.append(f"{filesystem.name} is left out: {failure}")
                say(self.failures[-1])
                self.drop(filesystem)

    def clean_up(self):
        for filesystem in self.context.others + self.dead + self.filesystems:
            with contextlib.suppress(OSError):
                filesystem.clean_up()
        if self.mounted_tracing:
            subprocess.run(["umount", str(TRACING)], check=False)
        if self.io_uring_before is not None:
            IO_URING.write_text(self.io_uring_before, encoding="ascii")

    def note(self, phase, name, round_number, measured):
        of_phase = self.rounds.setdefault(phase, {}).setdefault(name, [])
        of_phase += [None] * (round_number + 1 - len(of_phase))
        of_phase[round_number] = dataclasses.asdict(measured)

    def measure(self, suite, filesystem, round_number):
        name = filesystem.name if filesystem else "host"
        try:
            for phase, measured in suite.run(filesystem, self.context):
                self.note(phase, name, round_number, measured)
            if filesystem:
                filesystems.settle(filesystem.mount_point)
        except (filesystems.Failed, OSError) as failure:
            self.failures.append(f"{suite.name} on {name}: {failure}")
            say(f"FAILED {self.failures[-1]}")
            if filesystem and not filesystem.alive():
                say(f"{name} is dead; going on without it")
                self.drop(filesystem)

    def drop(self, filesystem):
        self.filesystems = [f for f in self.filesystems if f is not filesystem]
        self.dead.append(filesystem)

    def go(self):
        for suite in self.suites:
            if not suite.wanted(self.context):
                continue
            begin = time.monotonic()
            for round_number in range(self.arguments.rounds):
                self.load.append(os.getloadavg()[0])
                if suite.on_host:
                    self.measure(suite, None, round_number)
                    continue
                # Each round begins with another one, so that no place in the order is favoured.
                shift = round_number % max(len(self.filesystems), 1)
                for filesystem in self.filesystems[shift:] + self.filesystems[:shift]:
                    self.measure(suite, filesystem, round_number)
            say(f"{suite.name}: {time.monotonic() - begin:.0f} s")
            self.write()

    def facts(self):
        mode = "quick" if self.arguments.quick else "full"
        facts = {
            "made by": f"`bench/run.py` ({mode}, {self.arguments.rounds} rounds)",
            "source": source_commit(),
            "date": f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
            "kernel": platform.release(),
            "processors": os.cpu_count(),
            "load while it ran": f"{min(self.load):.1f} to {max(self.load):.1f}",
        }
        if IO_URING.exists():
            on = IO_URING.read_text(encoding="ascii").startswith("Y")
            facts["FUSE over io_uring"] = "allowed" if on else "not allowed"
        if self.arguments.nice:
            facts["priority"] = f"nice {self.arguments.nice}"
        if self.arguments.pin is not None:
            facts["pinned"] = f"clients and daemons on processor {self.arguments.pin}"
        if self.context.source:
            facts["source tree"] = f"{self.context.source.files} files"
        if self.failures:
            facts["failed"] = "; ".join(self.failures)
        return facts

    def write(self):
        phases = {}
        for suite in self.suites:
            for name, phase in suite.phases.items():
                if name in self.rounds and (not self.context.phases or name in self.context.phases):
                    phases[name] = dataclasses.asdict(phase)
        kinds = {**self.kinds, "host": "host"}
        write_report(Path(self.arguments.out), phases, kinds, self.rounds, self.facts())


def write_report(out, phases, kinds, rounds, facts):
    out.mkdir(parents=True, exist_ok=True)
    everything = {"facts": facts, "phases": phases, "kinds": kinds, "rounds": rounds}
    (out / "results.json").write_text(json.dumps(everything, indent=1), encoding="utf-8")
    results = report.Results(phases, kinds, rounds)
    (out / "results.md").write_text(report.markdown(results, facts), encoding="utf-8")
    plots.write(results, out)


def interrupted(_signal, _frame):
    raise KeyboardInterrupt


def main():
    arguments = parse()
    if arguments.list:
        for suite in workloads.all_suites():
            print(f"{suite.name}: {' '.join(suite.phases)}")
        return 0
    if arguments.report:
        saved = json.loads(Path(arguments.report).read_text(encoding="utf-8"))
        write_report(Path(arguments.out), saved["phases"], saved["kinds"], saved["rounds"],
                     saved["facts"])  # fmt: skip
        return 0
    if os.geteuid() != 0:
        sys.exit("bench/run.py mounts and drops caches: run it as root")
    for number in ENDING:
        signal.signal(number, interrupted)
    if arguments.nice:
        filesystems.raise_priority(os.getpid(), arguments.nice)
    if arguments.pin is not None:
        os.sched_setaffinity(0, {arguments.pin})  # the daemons inherit it
    work = Path(tempfile.mkdtemp(prefix="rvmfs-bench-", dir=arguments.work))
    run = None
    try:
        run = Run(arguments, work)
        run.prepare()
        run.go()
    except filesystems.Failed as failure:
        say(f"FAILED {failure}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; what was measured is written")
        return 130
    finally:
        # A second Ctrl-C must not keep this from happening.
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        if run:
            run.clean_up()
        shutil.rmtree(work, ignore_errors=True)
    if not run.rounds:
        say("nothing was measured")
        return 1
    print(Path(arguments.out, "results.md").read_text(encoding="utf-8"))
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
