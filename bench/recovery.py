#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# How long an image takes to recover, against the length of its live log, and against the size of
# the volume and the number of its files: two Markdown tables, medians of several runs, each on a
# fresh copy of the image with nothing of it in the host's cache. Other work on the machine shows in
# the time that passes, and less in the processor's.
#
#   bench/recovery.py [--build build/release] [--dir /tmp] [--runs 5]
import argparse
import os
import statistics
import subprocess
import tempfile


class Bench:
    def __init__(self, build, folder, runs):
        self.build, self.folder, self.runs = build, folder, runs

    def make(self, size, live_mib, files):
        image = os.path.join(self.folder, "image")
        if os.path.exists(image):
            os.unlink(image)
        run = lambda *command: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        run(f"{self.build}/bin/mkfs.rvmfs", "-E", "log_size=128M", image, size)
        run(f"{self.build}/bench/generate_image", "--files", str(files), "--live-log",
            str(live_mib), image)
        return image

    # Median fields of the rows that `recovery` prints.
    def measure(self, image):
        rows = []
        for _ in range(self.runs):
            copy = image + ".copy"
            subprocess.run(["cp", "--sparse=always", image, copy], check=True)
            out = subprocess.run([f"{self.build}/bench/recovery", copy], check=True,
                                 capture_output=True, text=True).stdout
            rows.append([field.strip() for field in out.strip().strip("|").split("|")])
            os.unlink(copy)
        inodes, _, transactions, pages = rows[0][:4]
        times = [statistics.median(float(row[i].split()[0]) for row in rows) for i in (4, 5)]
        return inodes, transactions, pages, *(f"{time:.0f} ms" for time in times)


def row(*fields):
    print("| " + " | ".join(str(field) for field in fields) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Tables of how long recovery takes")
    parser.add_argument("--build", default="build/release", help="folder of the programs")
    parser.add_argument("--dir", default=None, help="where the images lie (some 2 GiB)")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        bench = Bench(args.build, folder, args.runs)
        row("live log", "transactions", "pages written home", "time", "of a processor")
        row(*["---"] * 5)
        for live in (1, 4, 16, 64):
            _, *rest = bench.measure(bench.make("4G", live, 0))
            row(f"{live} MiB", *rest)
        print()
        row("volume", "inodes", "live log", "pages written home", "time", "of a processor")
        row(*["---"] * 6)
        for size, files in (("1G", 0), ("1G", 1_000_000), ("64G", 0), ("1T", 0), ("1T", 1_000_000)):
            inodes, _, *rest = bench.measure(bench.make(size, 4, files))
            row(size, inodes, "4 MiB", *rest)


main()
