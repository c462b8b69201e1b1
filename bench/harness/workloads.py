# SPDX-License-Identifier: BSD-2-Clause
#
# The workloads. A *suite* runs on one mounted filesystem and gives a measurement for each of its
# phases; run.py goes round the filesystems with it. Phases have a title, a unit and a class of
# target (report.py).
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness.filesystems import Failed, cpu_seconds, run

HERE = Path(__file__).resolve().parent


@dataclass
class Measurement:
    value: float  # in the phase's unit: operations a second, seconds, MiB a second
    operations: int
    seconds: float
    client: float = 0.0  # CPU seconds
    daemon: float = 0.0
    switches: float = 0.0  # context switches of the daemon
    messages: dict = field(default_factory=dict)


@dataclass
class Phase:
    title: str
    unit: str  # "op/s", "MiB/s": higher is better; "s", "ms", "MiB": lower is better
    target: str  # a class of report.TARGETS


@dataclass
class Context:
    programs: Path
    work: Path
    quick: bool
    phases: set  # which are wanted; empty: all
    messages: bool
    source: "Source" = None
    others: list = field(default_factory=list)  # more filesystems that have to be cleaned up


class Suite:
    name = ""
    phases = {}
    on_host = False  # runs once a round on the host filesystem instead

    def wanted(self, context):
        return [p for p in self.phases if not context.phases or p in context.phases]

    def run(self, filesystem, context):
        """Yields (phase, Measurement)."""
        raise NotImplementedError


class ClientSuite(Suite):
    """Phases of bench/client."""

    def __init__(self, name, suite, phases, quick, full):
        self.name = name
        self.suite = suite
        self.phases = phases
        self.quick = quick
        self.full = full
        self.on_host = suite == "raw_log"

    def run(self, filesystem, context):
        folder = (context.work if self.on_host else filesystem.mount_point) / "client"
        arguments = [self.suite, "--folder", str(folder)]
        arguments += (self.quick if context.quick else self.full).split()
        arguments += ["--phases", ",".join(self.wanted(context))]
        try:
            for seen in client(context, None if self.on_host else filesystem, arguments):
                if seen["phase"] in self.phases:
                    yield seen["phase"], measurement(seen, seen["operations"] / seen["seconds"])
        except Failed:
            shutil.rmtree(folder, ignore_errors=True)
            raise


class Source:
    """What the programs work on, made once on the host: a tree, its archive, a git repository of
    it, and a folder of small files."""

    def __init__(self, work, tree, small_files):
        self.tree = work / "source/tree"
        self.archive = work / "source/tree.tar"
        self.repository = work / "source/repository"
        self.small = work / "source/small"
        self.tree.mkdir(parents=True)
        for part in tree:
            subprocess.run(["cp", "-rL", part, str(self.tree)], check=False,
                           stderr=subprocess.DEVNULL)  # fmt: skip
        self.files = sum(len(files) for _, _, files in os.walk(self.tree))
        if self.files == 0:
            raise Failed(f"no files in {' '.join(tree)}")
        run("tar", "-C", str(self.tree.parent), "-cf", str(self.archive), "tree")
        run("git", "init", "-q", str(self.repository))
        run("cp", "-r", str(self.tree), str(self.repository))
        git = ["git", "-C", str(self.repository), "-c", "user.name=n", "-c", "user.email=n@x"]
        run(*git, "add", "-A")
        run(*git, "commit", "-q", "-m", "tree")
        self.small.mkdir()
        for i in range(small_files):
            (self.small / f"file-{i}").write_bytes(b"x" * (100 + i % 1000))


def drop_caches():
    Path("/proc/sys/vm/drop_caches").write_text("2\n", encoding="ascii")
    time.sleep(0.2)


def client(context, filesystem, arguments):
    """Runs bench/client; yields what it prints."""
    command = [str(context.programs / "bench/client"), *arguments]
    at = command.index("--") if "--" in command else len(command)
    if filesystem and filesystem.pid:
        command[at:at] = ["--daemon", str(filesystem.pid)]
        if context.messages:
            command.insert(at, "--messages")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")
    for line in done.stdout.decode().splitlines():
        yield json.loads(line)


def measurement(seen, value):
    return Measurement(value, seen["operations"], seen["seconds"], seen["client"], seen["daemon"],
                       seen["switches"], seen.get("messages", {}))  # fmt: skip


def timed(context, filesystem, *command, cold=False):
    """Seconds of a program that must succeed."""
    if cold:
        drop_caches()
    arguments = ["run", "--folder", str(filesystem.mount_point), "--", *map(str, command)]
    seen = next(client(context, filesystem, arguments))
    return measurement(seen, seen["seconds"])


class Programs(Suite):
    name = "programs"
    phases = {
        "cp_star": Phase("cp * dir, 5,000 small files (quick: 1,000)", "s", "programs"),
        "tar_x": Phase("tar -x of a source tree", "s", "programs"),
        "cp_r": Phase("cp -r of it", "s", "programs"),
        "find": Phase("find, cold", "s", "programs"),
        "grep_r": Phase("grep -r, cold", "s", "programs"),
        "rm_rf": Phase("rm -rf", "s", "programs"),
        "git_clone": Phase("git clone", "s", "programs"),
        "git_status": Phase("git status, cold", "s", "programs"),
    }

    def run(self, filesystem, context):
        source = context.source
        top = filesystem.mount_point / "programs"
        top.mkdir()
        wanted = set(self.wanted(context))

        def measure(*command, cold=False):
            return timed(context, filesystem, *command, cold=cold)

        def shell(command, *arguments, cold=False):
            return measure("sh", "-c", command, "sh", *arguments, cold=cold)

        try:
            if "cp_star" in wanted:
                (top / "small").mkdir()
                yield "cp_star", shell('cd "$1" && cp * "$2"', source.small, top / "small")
            if wanted & {"tar_x", "find", "grep_r", "rm_rf"}:
                yield "tar_x", measure("tar", "-C", top, "-xf", source.archive)
            if "cp_r" in wanted:
                yield "cp_r", measure("cp", "-r", source.tree, top / "copy")
            tree = top / "tree"
            if "find" in wanted:  # -newer: a stat of each
                yield "find", measure("find", tree, "-newer", "/proc/self", cold=True)
            if "grep_r" in wanted:  # status 1: not found
                command = 'grep -r -c "no such words" "$1" | wc -l; test "${PIPESTATUS[0]}" = 1'
                yield "grep_r", measure("bash", "-c", command, "sh", tree, cold=True)
            if "rm_rf" in wanted:
                yield "rm_rf", measure("rm", "-rf", tree)
            if wanted & {"git_clone", "git_status"}:
                clone = top / "clone"
                yield "git_clone", measure("git", "clone", "-q", "--no-local", source.repository,
                                           clone)  # fmt: skip
                yield "git_status", shell('test -z "$(git -C "$1" status --porcelain)"', clone,
                                          cold=True)  # fmt: skip
        finally:
            shutil.rmtree(top, ignore_errors=True)


class Sqlite(Suite):
    name = "sqlite"
    phases = {
        "sqlite_wal": Phase("sqlite transactions, WAL", "op/s", "wal"),
        "sqlite_delete": Phase("sqlite transactions, DELETE journal", "op/s", "sqlite"),
    }

    def run(self, filesystem, context):
        for phase in self.wanted(context):
            mode = phase.removeprefix("sqlite_")
            count = (200 if context.quick else 2000) // (1 if mode == "wal" else 4)
            folder = filesystem.mount_point / "sqlite"
            folder.mkdir()
            try:
                daemon = cpu_seconds(filesystem.pid) if filesystem.pid else 0
                command = [sys.executable, str(HERE / "sqlite_client.py"), str(folder / "db"), mode]
                seconds, cpu = map(float, run(*command, str(count)).split())
                spent = cpu_seconds(filesystem.pid) - daemon if filesystem.pid else 0
                yield phase, Measurement(count / seconds, count, seconds, cpu, spent)
            finally:
                shutil.rmtree(folder, ignore_errors=True)


def of_threads(count):
    return "1 thread" if count == 1 else f"{count} threads"


def client_suites():
    op = "op/s"
    mib = "MiB/s"

    def metadata(title):
        return Phase(title, op, "metadata")

    names = {
        "create": metadata("create empty"),
        "stat_warm": Phase("stat, warm", op, "cached"),
        "stat_cold": metadata("stat, cold"),
        "absent_first": metadata("stat of absent names, first time"),
        "absent_again": Phase("stat of absent names, again", op, "cached"),
        "open_close": metadata("open + close"),
        "chmod": metadata("chmod"),
        "list_cold": metadata("readdir + stat, cold, entries"),
        "list_warm": Phase("readdir + stat, warm, entries", op, "cached"),
        "rename": metadata("rename"),
        "unlink": metadata("unlink"),
    }
    small = {
        "small_write": metadata("4 KiB files written"),
        "small_read_warm": Phase("4 KiB files read, warm", op, "cached"),
        "small_read_cold": metadata("4 KiB files read, cold"),
        "small_unlink": metadata("4 KiB files deleted"),
    }
    large = {
        "first_tenth": metadata("create in a large directory, first tenth"),
        "last_tenth": Phase("create in a large directory, last tenth", op, "flat"),
        "large_list_cold": metadata("a large directory listed, cold, entries"),
        "large_unlink": metadata("a large directory emptied"),
    }
    huge = {key + "_million": Phase(p.title.replace("large directory", "directory of a million"),
                                    p.unit, p.target) for key, p in large.items()}  # fmt: skip

    def threads(suffix, where):
        return {
            f"create_{suffix}": metadata(f"create, 4 threads, {where}"),
            f"stat_cold_{suffix}": metadata(f"stat, cold, 4 threads, {where}"),
            f"rename_{suffix}": metadata(f"rename, 4 threads, {where}"),
            f"unlink_{suffix}": metadata(f"unlink, 4 threads, {where}"),
        }

    def durable(n):
        return {
            f"create_fsync_{n}": Phase(f"create + 4 KiB + fsync, {of_threads(n)}", op, f"durable_{n}"),
            f"append_fsync_{n}": Phase(f"append 4 KiB + fsync, {of_threads(n)}", op, f"durable_{n}"),
        }

    def raw(n):
        return {f"raw_append_{n}": Phase(f"raw durable 4 KiB append, {of_threads(n)}", op, "raw")}

    data = {
        "seq_write": Phase("sequential write", mib, "data"),
        "seq_overwrite_fsync": Phase("sequential overwrite + fsync", mib, "none"),
        "seq_read_cold": Phase("sequential read, cold", mib, "data"),
        "seq_read_warm": Phase("sequential read, warm", mib, "data"),
        "mmap_read_cold": Phase("mmap read, cold", mib, "data"),
        "random_read_cold": Phase("random 4 KiB read, cold", op, "data"),
        "random_read_warm": Phase("random 4 KiB read, warm", op, "data"),
        "random_write": Phase("random 4 KiB write", op, "data"),
        "random_write_fsync": Phase("random 4 KiB writes + one fsync", op, "none"),
    }
    direct = {
        "direct_seq_write": Phase("O_DIRECT sequential write", mib, "direct"),
        "direct_seq_overwrite_fsync": Phase("O_DIRECT overwrite + fsync", mib, "direct"),
        "direct_seq_read_cold": Phase("O_DIRECT sequential read", mib, "direct"),
        "direct_random_read_cold": Phase("O_DIRECT random 4 KiB read", op, "direct"),
        "direct_random_write": Phase("O_DIRECT random 4 KiB write", op, "direct"),
    }
    return [
        ClientSuite("names", "names", names, "--count 4000", "--count 20000"),
        ClientSuite("small-files", "small_files", small, "--count 3000", "--count 20000"),
        ClientSuite("tree", "tree", {"mkdir": metadata("mkdir, tree")},
                    "--count 2500", "--count 20000"),
        ClientSuite("threads-own", "threads", threads("own", "own directories"),
                    "--threads 4 --count 8000", "--threads 4 --count 40000"),
        ClientSuite("threads-shared", "threads", threads("shared", "one directory"),
                    "--threads 4 --shared --count 8000", "--threads 4 --shared --count 40000"),
        ClientSuite("raw-1", "raw_log", raw(1), "--count 1000", "--count 5000"),
        ClientSuite("durable-1", "durable", durable(1), "--count 300", "--count 2000"),
        ClientSuite("raw-4", "raw_log", raw(4), "--count 2000 --threads 4",
                    "--count 10000 --threads 4"),
        ClientSuite("durable-4", "durable", durable(4), "--count 800 --threads 4",
                    "--count 4000 --threads 4"),
        ClientSuite("data", "data", data, "--bytes 268435456 --count 4000",
                    "--bytes 1073741824 --count 20000"),
        ClientSuite("direct", "data", direct, "--direct --bytes 134217728 --count 1000",
                    "--direct --bytes 1073741824 --count 5000"),
        ClientSuite("large-directory", "large_directory", large, "--count 30000",
                    "--count 200000"),
        MillionSuite("million", "large_directory", huge, "", "--count 1000000"),
    ]  # fmt: skip


class MillionSuite(ClientSuite):
    """The large directory once more; only in the full run."""

    def wanted(self, context):
        return [] if context.quick else super().wanted(context)

    def run(self, filesystem, context):
        phases = {key.removesuffix("_million"): p for key, p in self.phases.items()}
        plain = ClientSuite(self.name, self.suite, phases, self.quick, self.full)
        for phase, measured in plain.run(filesystem, dataclasses.replace(context, phases=set())):
            yield phase + "_million", measured


def all_suites():
    from harness.life import Life  # it needs the classes above

    return [*client_suites(), Programs(), Sqlite(), Life()]
