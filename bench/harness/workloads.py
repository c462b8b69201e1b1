# SPDX-License-Identifier: BSD-2-Clause
#
# The workloads. A *suite* runs on one mounted filesystem and gives a measurement for each of its
# phases; run.py goes round the filesystems with it. Phases have a title, a unit and a class of
# target (report.py).
import json
import os
import resource
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
    unit: str  # "op/s", "MiB/s": higher is better; "s": lower is better
    target: str  # a class of report.TARGETS


@dataclass
class Context:
    programs: Path
    work: Path
    quick: bool
    phases: set  # which are wanted; empty: all
    messages: bool
    source: "Source" = None


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

    def __init__(self, name, suite, phases, quick, full, needs_root_cache=False):
        self.name = name
        self.suite = suite
        self.phases = phases
        self.quick = quick
        self.full = full
        self.on_host = suite == "raw_log"

    def run(self, filesystem, context):
        folder = (context.work if self.on_host else filesystem.mount_point) / "client"
        command = [str(context.programs / "bench/client"), self.suite, "--folder", str(folder)]
        command += (self.quick if context.quick else self.full).split()
        command += ["--phases", ",".join(self.wanted(context))]
        if not self.on_host and filesystem.pid:
            command += ["--daemon", str(filesystem.pid)]
            if context.messages:
                command.append("--messages")
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            raise Failed(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")
        for line in done.stdout.decode().splitlines():
            seen = json.loads(line)
            phase = self.phases.get(seen["phase"])
            if phase is None:
                continue
            value = seen["operations"] / seen["seconds"]
            yield seen["phase"], Measurement(
                value, seen["operations"], seen["seconds"], seen["client"], seen["daemon"],
                seen["switches"], seen.get("messages", {}),
            )  # fmt: skip


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


def timed(filesystem, command, operations=1, shell=False, cold=False, cwd=None):
    """Seconds of a program that must succeed."""
    if cold:
        drop_caches()
    daemon = cpu_seconds(filesystem.pid) if filesystem.pid else 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    done = subprocess.run(command, shell=shell, cwd=cwd, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise Failed(f"{command}: {done.stderr.decode(errors='replace').strip()}")
    client = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    spent = cpu_seconds(filesystem.pid) - daemon if filesystem.pid else 0
    return Measurement(seconds, operations, seconds, client, spent), done.stdout


class Programs(Suite):
    name = "programs"
    phases = {
        "cp_star": Phase("cp * dir, 5,000 small files", "s", "programs"),
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
        try:
            if "cp_star" in wanted:
                (top / "small").mkdir()
                yield "cp_star", timed(filesystem, f"cp * {top}/small", shell=True,
                                       cwd=source.small)[0]  # fmt: skip
            if wanted & {"tar_x", "find", "grep_r", "rm_rf"}:
                measured, _ = timed(filesystem, ["tar", "-C", str(top), "-xf", str(source.archive)])
                yield "tar_x", measured
            if "cp_r" in wanted:
                command = ["cp", "-r", str(source.tree), str(top / "copy")]
                yield "cp_r", timed(filesystem, command)[0]
            tree = str(top / "tree")
            if "find" in wanted:
                command = ["find", tree, "-type", "f", "-newer", "/proc/self"]
                yield "find", timed(filesystem, command, cold=True)[0]
            if "grep_r" in wanted:
                command = ["grep", "-r", "-c", "-e", "no such words", tree]
                command = " ".join(command[:4]) + f" 'no such words' {tree} > /dev/null; [ $? = 1 ]"
                yield "grep_r", timed(filesystem, command, shell=True, cold=True)[0]
            if "rm_rf" in wanted:
                yield "rm_rf", timed(filesystem, ["rm", "-rf", tree])[0]
            if wanted & {"git_clone", "git_status"}:
                clone = str(top / "clone")
                command = ["git", "clone", "-q", "--no-local", str(source.repository), clone]
                yield "git_clone", timed(filesystem, command)[0]
                command = ["git", "-C", clone, "status", "--porcelain"]
                measured, said = timed(filesystem, command, cold=True)
                if said:
                    raise Failed(f"{filesystem.name}: git status is not clean after a clone")
                yield "git_status", measured
        finally:
            shutil.rmtree(top, ignore_errors=True)


class Sqlite(Suite):
    name = "sqlite"
    phases = {
        "sqlite_wal": Phase("sqlite transactions, WAL", "op/s", "wal"),
        "sqlite_delete": Phase("sqlite transactions, DELETE journal", "op/s", "none"),
    }

    def run(self, filesystem, context):
        for phase in self.wanted(context):
            mode = phase.removeprefix("sqlite_")
            count = (200 if context.quick else 2000) // (1 if mode == "wal" else 4)
            folder = filesystem.mount_point / "sqlite"
            folder.mkdir()
            try:
                command = [sys.executable, str(HERE / "sqlite_client.py"), str(folder / "db"), mode]
                measured, said = timed(filesystem, [*command, str(count)], count)
                measured.seconds = float(said)
                measured.value = count / measured.seconds
                yield phase, measured
            finally:
                shutil.rmtree(folder, ignore_errors=True)


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
        "large_list_cold": metadata("large directory listed, cold, entries"),
        "large_unlink": metadata("large directory emptied"),
    }
    huge = {key + "_million": Phase(p.title.replace("a large directory", "a directory of a million"),
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
            f"create_fsync_{n}": Phase(f"create + 4 KiB + fsync, {n} threads", op, f"durable_{n}"),
            f"append_fsync_{n}": Phase(f"append 4 KiB + fsync, {n} threads", op, f"durable_{n}"),
        }

    def raw(n):
        return {f"raw_append_{n}": Phase(f"raw durable 4 KiB append, {n} threads", op, "none")}

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
        plain = ClientSuite(self.name, self.suite, {}, self.quick, self.full)
        plain.phases = {key.removesuffix("_million"): p for key, p in self.phases.items()}
        for phase, measured in plain.run(filesystem, context):
            yield phase + "_million", measured


def all_suites():
    return [*client_suites(), Programs(), Sqlite()]
