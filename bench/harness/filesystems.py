# SPDX-License-Identifier: BSD-2-Clause
#
# The filesystems that are compared: how each is made, mounted and let go of. All of them live in
# image files in one folder, so on one host filesystem. What is started here is ended here, by its
# process number and its own mount point.
import contextlib
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

GIB = 1 << 30
PATIENCE_SECONDS = 60

libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    pass


def run(*command):
    """Runs to the end; a failure carries what was said."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)  # fmt: skip
    except FileNotFoundError:
        raise Failed(f"there is no {command[0]}; scripts/setup.sh --bench installs it") from None
    if done.returncode != 0:
        text = done.stdout.decode(errors="replace").strip()
        raise Failed(f"{' '.join(map(str, command))}: status {done.returncode}: {text}")
    return done.stdout.decode(errors="replace")


def cpu_seconds(pid):
    """CPU time of a whole process, in nanoseconds' precision (clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def raise_priority(pid, nice):
    """Ahead of other work on the machine; with autogroups the group's weight is what counts."""
    os.setpriority(os.PRIO_PROCESS, pid, nice)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice), encoding="ascii")


def settle(folder):
    """What is dirty is written back, so that nobody pays for the one before."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(fd)
        libc.syncfs(fd)
    finally:
        os.close(fd)
    time.sleep(0.1)


class Filesystem:
    """One filesystem under test. Use as: make, mount, ..., unmount."""

    def __init__(self, name, work, programs, image_bytes, options=""):
        self.name = name
        self.kind = name
        self.programs = programs  # the folder with bin/ and bench/
        self.options = options
        self.image = work / f"{name}.img"
        self.image_bytes = image_bytes
        self.mount_point = work / name
        self.daemon = None  # Popen of a FUSE daemon
        self.nice = 0
        self.quick_format = False  # as a user formats, even if the rest is done in the background

    @property
    def pid(self):
        return self.daemon.pid if self.daemon else 0

    def make(self):
        self.mount_point.mkdir(exist_ok=True)
        self.image.unlink(missing_ok=True)
        with open(self.image, "wb") as image:
            image.truncate(self.image_bytes)
        command = self.make_command()
        if command:
            run(*command)

    def make_command(self):
        return []

    def mount_command(self):
        """The daemon, in the foreground; None: the kernel mounts."""
        return None

    def mount(self):
        command = self.mount_command()
        if command is None:
            options = ["-o", "loop" + ("," + self.options if self.options else "")]
            run("mount", *options, str(self.image), str(self.mount_point))
            return
        # In a session of its own, as a daemon that went to the background.
        with open(self.image.with_suffix(".log"), "ab") as log:
            try:
                self.daemon = subprocess.Popen(
                    [str(part) for part in command],
                    stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
            except FileNotFoundError:
                raise Failed(f"there is no {command[0]}") from None
        if self.nice:
            raise_priority(self.pid, self.nice)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.answers():
            if self.daemon.poll() is not None:
                raise Failed(f"{self.name}: the daemon ended; see {log.name}")
            if time.monotonic() > deadline:
                raise Failed(f"{self.name}: the mount does not answer")
            time.sleep(0.0005)

    def answers(self):
        try:
            device = os.stat(self.mount_point).st_dev
            return device != os.stat(self.mount_point.parent).st_dev
        except OSError:
            return False

    def alive(self):
        """Still mounted and answering."""
        return self.answers() and (self.daemon is None or self.daemon.poll() is None)

    def unmount(self):
        """Returns when the image is free again."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while libc.umount2(os.fsencode(self.mount_point), 0) != 0:
            if ctypes.get_errno() == 22 or time.monotonic() > deadline:
                raise Failed(f"umount {self.mount_point}: errno {ctypes.get_errno()}")
            time.sleep(0.02)
        if self.daemon:
            self.daemon.wait(PATIENCE_SECONDS)
            self.daemon = None

    def kill(self):
        """kill -9, and the dead mount removed."""
        self.daemon.kill()
        self.daemon.wait()
        self.daemon = None
        libc.umount2(os.fsencode(self.mount_point), 2)  # MNT_DETACH

    def clean_up(self):
        """After anything, as often as wanted; leaves nothing behind."""
        while self.is_mounted():
            if libc.umount2(os.fsencode(self.mount_point), 0) != 0:
                libc.umount2(os.fsencode(self.mount_point), 2)
        if self.daemon:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.daemon.wait(10)
            if self.daemon.poll() is None:
                self.daemon.send_signal(signal.SIGKILL)
                self.daemon.wait()
            self.daemon = None
        self.image.unlink(missing_ok=True)

    def is_mounted(self):
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
            return any(line.split(" ")[1] == str(self.mount_point) for line in mounts)


class Rvmfs(Filesystem):
    program = "bin/rvmfs"

    def make_command(self):
        size = str(self.image_bytes)
        return [str(self.programs / "bin/mkfs.rvmfs"), "-q", "-f", str(self.image), size]

    def mount_command(self):
        options = ["-o", self.options] if self.options else []
        return [self.programs / self.program, "-f", *options, self.image, self.mount_point]


class Limit(Rvmfs):
    program = "bench/limit_fs"


class DefaultLimit(Filesystem):
    def mount_command(self):
        options = ["-o", self.options] if self.options else []
        return [self.programs / "bench/default_limit_fs", "-f", *options, self.mount_point]


class Ext4(Filesystem):
    def make_command(self):
        if self.quick_format:
            return ["mkfs.ext4", "-q", "-F", str(self.image)]
        # Nothing is left to be done in the background.
        background = "lazy_itable_init=0,lazy_journal_init=0"
        inodes = str(self.image_bytes // 8192)
        return ["mkfs.ext4", "-q", "-F", "-N", inodes, "-E", background, str(self.image)]


class Fuse2fs(Ext4):
    def mount_command(self):
        options = ["-o", self.options] if self.options else []
        return ["fuse2fs", self.image, self.mount_point, "-f", *options]


class Ntfs3g(Filesystem):
    def make_command(self):
        return ["mkntfs", "--quick", "--force", "--quiet", str(self.image)]

    def mount_command(self):
        options = "no_detach" + ("," + self.options if self.options else "")
        return ["ntfs-3g", "-o", options, self.image, self.mount_point]


class Xfs(Filesystem):
    def make_command(self):
        return ["mkfs.xfs", "-q", "-f", str(self.image)]


class Btrfs(Filesystem):
    def make_command(self):
        return ["mkfs.btrfs", "-q", "-f", str(self.image)]


KINDS = {
    "rvmfs": Rvmfs,
    "limit": Limit,
    "default-limit": DefaultLimit,
    "fuse2fs": Fuse2fs,
    "ntfs-3g": Ntfs3g,
    "ext4": Ext4,
    "xfs": Xfs,
    "btrfs": Btrfs,
}
IN_MEMORY = ("limit", "default-limit")


def make_filesystem(text, work, programs, image_bytes):
    """From 'kind', or 'name=kind:mount options' (several of a kind, with different options, or
    with programs of another build folder: 'name=kind@BUILD:options')."""
    name, _, rest = text.partition("=")
    kind, _, options = (rest or name).partition(":")
    kind, _, build = kind.partition("@")
    if kind not in KINDS:
        raise Failed(f"there is no filesystem '{kind}'; there are: {', '.join(KINDS)}")
    where = Path(build).resolve() if build else programs
    filesystem = KINDS[kind](name.partition(":")[0], work, where, image_bytes, options)
    filesystem.kind = kind
    return filesystem
