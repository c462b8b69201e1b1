# SPDX-License-Identifier: BSD-2-Clause
#
# The life of a volume: formatting, mounting, unmounting, mounting again after kill -9, recovery,
# and the daemon's memory, against the size of the volume and the number of its files. Every
# measurement has images of its own, apart from those that the other suites use.
import contextlib
import os
import re
import subprocess
import time
from pathlib import Path

from harness.filesystems import IN_MEMORY, Failed, cpu_seconds, make_filesystem, run
from harness.workloads import Measurement, Phase, Suite, drop_caches

TIB = 1 << 40
SIZES = {"1g": 1 << 30, "1t": TIB}
FILES = {True: (20_000, 200_000), False: (100_000, 1_000_000, 10_000_000)}
MIB = 1 << 20
# Measured in one go, all or none.
EMPTY = {"mkfs_1g", "mkfs_1t", "mount_1g", "mount_1t", "memory_1t", "unmount_1t", "mount_killed",
         "mount_killed_busy"}  # fmt: skip


def milliseconds(begin):
    seconds = time.perf_counter() - begin
    return Measurement(seconds * 1000, 1, seconds)


def memory(filesystem):
    """What the daemon holds now, in MiB."""
    status = Path(f"/proc/{filesystem.pid}/status").read_text(encoding="ascii")
    return Measurement(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024, 1, 0.0)


def forget_image(filesystem):
    """The host has no pages of the image."""
    with open(filesystem.image, "rb") as image:
        os.fsync(image.fileno())
        os.posix_fadvise(image.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed_mount(filesystem, cold=True):
    if cold and filesystem.image.exists():
        forget_image(filesystem)
    begin = time.perf_counter()
    filesystem.mount()
    return milliseconds(begin)


def timed_unmount(filesystem):
    begin = time.perf_counter()
    filesystem.unmount()
    return milliseconds(begin)


def name_of(count):
    return f"{count // 1_000_000}m" if count >= 1_000_000 else f"{count // 1000}k"


class Life(Suite):
    name = "life"
    phases = {
        "mkfs_1g": Phase("mkfs, 1 GiB", "ms", "none"),
        "mkfs_1t": Phase("mkfs, 1 TiB", "ms", "mkfs"),
        "mount_1g": Phase("mount, 1 GiB, empty", "ms", "mount"),
        "mount_1t": Phase("mount, 1 TiB, empty", "ms", "mount"),
        "memory_1t": Phase("daemon memory after it", "MiB", "small_memory"),
        "unmount_1t": Phase("unmount, idle", "ms", "unmount"),
        "mount_killed": Phase("mount after kill -9 of an idle daemon", "ms", "mount"),
        "mount_killed_busy": Phase("mount after kill -9, 1,000 files fsynced", "ms", "none"),
        "recovery": Phase("mount after kill -9, log full (64 MiB)", "ms", "recovery"),
    }
    for count in sorted({*FILES[True], *FILES[False]}):
        tag, text = name_of(count), f"{count:,} files"
        phases[f"mount_{tag}"] = Phase(f"mount, {text}", "ms", "mount")
        phases[f"memory_{tag}"] = Phase(f"daemon memory after it, {text}", "MiB", "small_memory")
        phases[f"unmount_{tag}"] = Phase(f"unmount, {text}", "ms", "unmount")
        phases[f"find_{tag}"] = Phase(f"find with stat, cold, {text}", "s", "none")
        phases[f"walked_{tag}"] = Phase(f"daemon memory after it, {text} walked", "MiB", "memory")

    def __init__(self):
        self.images = {}  # number of files -> image, made once

    def run(self, filesystem, context):
        wanted = set(self.wanted(context))
        if wanted & EMPTY:
            yield from self.empty(filesystem, context)
        if filesystem.kind == "rvmfs":
            yield from self.recovered(filesystem, context, wanted)
            for count in FILES[context.quick]:
                if wanted & {f"{what}_{name_of(count)}" for what in
                             ("mount", "memory", "find", "walked", "unmount")}:  # fmt: skip
                    yield from self.filled(filesystem, context, count, wanted)

    @contextlib.contextmanager
    def another(self, filesystem, context, size):
        """One of the same kind with an image of its own."""
        other = make_filesystem(f"life-{filesystem.name}={filesystem.kind}", context.work,
                                filesystem.programs, size)  # fmt: skip
        other.options = filesystem.options
        other.nice = filesystem.nice
        other.quick_format = True
        context.others.append(other)
        try:
            yield other
        finally:
            other.clean_up()
            context.others.remove(other)

    def empty(self, filesystem, context):
        for tag, size in SIZES.items():
            with self.another(filesystem, context, size) as other:
                begin = time.perf_counter()
                other.make()
                if filesystem.kind not in IN_MEMORY:
                    yield f"mkfs_{tag}", milliseconds(begin)
                yield f"mount_{tag}", timed_mount(other)
                time.sleep(0.3)
                if tag != "1t":
                    continue
                if other.pid:
                    yield "memory_1t", memory(other)
                yield "unmount_1t", timed_unmount(other)
                if filesystem.kind == "rvmfs":
                    yield from self.killed(other)

    def killed(self, other):
        other.mount()
        time.sleep(2.5)  # a commit interval, and nothing more to do
        other.kill()
        yield "mount_killed", timed_mount(other)
        for i in range(1000):
            (other.mount_point / f"file-{i}").write_bytes(b"x" * 1000)
        folder = os.open(other.mount_point, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        other.kill()
        yield "mount_killed_busy", timed_mount(other)
        other.unmount()

    def recovered(self, filesystem, context, wanted):
        if "recovery" not in wanted:
            return
        with self.another(filesystem, context, TIB) as other:
            other.make()
            self.generate(other, "--full-log")
            yield "recovery", timed_mount(other, cold=False)
            other.unmount()

    def generate(self, other, *options):
        run(other.programs / "bench/generate_image", *options, str(other.image))

    def filled(self, filesystem, context, count, wanted):
        tag = name_of(count)
        with self.another(filesystem, context, TIB) as other:
            kept = self.images.get((filesystem.name, count))
            other.make()
            if kept:
                other.image.unlink()
                os.rename(kept, other.image)
            else:
                self.generate(other, "--files", str(count))
            yield f"mount_{tag}", timed_mount(other)
            yield f"memory_{tag}", memory(other)
            yield f"unmount_{tag}", timed_unmount(other)
            other.mount()
            if f"find_{tag}" in wanted or f"walked_{tag}" in wanted:
                yield f"find_{tag}", self.walk(other, count)
                yield f"walked_{tag}", memory(other)
            other.unmount()
            kept = context.work / f"kept-{filesystem.name}-{count}.img"
            os.rename(other.image, kept)
            self.images[filesystem.name, count] = kept

    @staticmethod
    def walk(other, count):
        drop_caches()
        daemon = cpu_seconds(other.pid)
        begin = time.perf_counter()
        command = ["find", str(other.mount_point), "-type", "f", "-size", "-1", "-printf", "x"]
        # Counted piece by piece: ten million letters are not kept.
        with subprocess.Popen(command, stdout=subprocess.PIPE) as find:
            try:
                seen = sum(len(part) for part in iter(lambda: find.stdout.read(MIB), b""))
            except BaseException:
                find.kill()
                raise
        seconds = time.perf_counter() - begin
        if find.returncode != 0 or seen != count:
            raise Failed(f"find saw {seen} of {count} files")
        return Measurement(seconds, 1, seconds, 0.0, cpu_seconds(other.pid) - daemon)
