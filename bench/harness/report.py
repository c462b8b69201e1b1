# SPDX-License-Identifier: BSD-2-Clause
#
# From measurements to Markdown: medians, ratios, targets met or missed, CPU time, messages.
#
# A ratio is taken within each round (the filesystems of a round were measured one right after the
# other), and the median of the rounds' ratios is what counts. It says how much better rvmfs is:
# above 1 is better, whether the unit is operations a second or seconds.
import statistics

# class of target -> [(text, kind of filesystem or phase, at least this ratio)]
# "phase:x" compares with another phase of rvmfs or of the host; "best:a,b" with the better one.
METADATA = [
    ("limit / 1.15", "limit", 1 / 1.15),
    ("default limit", "default-limit", 1.0),
    ("3 x fuse2fs", "fuse2fs", 3.0),
    ("2 x ntfs-3g", "ntfs-3g", 2.0),
]
TARGETS = {
    "none": [],
    "raw": [],
    "sqlite": [],
    "metadata": METADATA,
    "cached": METADATA[:2],
    "programs": METADATA,
    "flat": [*METADATA, ("0.9 x first tenth", "phase:first_tenth", 0.9)],
    "durable_1": [("4 x ext4", "ext4", 4.0), ("0.6 x raw append", "phase:raw_append_1", 0.6)],
    "durable_4": [("4 x ext4", "ext4", 4.0), ("0.5 x raw group", "phase:raw_append_4", 0.5)],
    "wal": [("2.5 x ext4", "ext4", 2.5)],
    "data": [("0.9 x better of ntfs-3g, limit", "best:ntfs-3g,limit", 0.9)],
    "direct": [("ext4 / 1.3", "ext4", 1 / 1.3)],
    # Absolute ones, in the unit of the phase; met if the median is at most that.
    "mkfs": [("50 ms", "at most", 50)],
    "mount": [("20 ms", "at most", 20)],
    "unmount": [("50 ms", "at most", 50)],
    "recovery": [("300 ms", "at most", 300)],
    "small_memory": [("16 MiB", "at most", 16)],
    # 256 MiB of metadata, and the daemon itself.
    "memory": [("256 + 16 MiB", "at most", 272)],
}
LOWER = ("s", "ms", "MiB")  # units of which less is better
DURABLE = ("durable_1", "durable_4", "wal", "sqlite")
RATIOS = ("limit", "default-limit", "ext4", "fuse2fs", "ntfs-3g")


class Results:
    """rounds[phase][filesystem] = [measurement or None, ...], one a round."""

    def __init__(self, phases, kinds, rounds):
        self.phases = phases  # name -> {"title", "unit", "target"}
        self.kinds = kinds  # filesystem -> kind
        self.rounds = rounds

    def values(self, phase, filesystem):
        return [m and m["value"] for m in self.rounds.get(phase, {}).get(filesystem, [])]

    def median(self, phase, filesystem):
        seen = [value for value in self.values(phase, filesystem) if value]
        return statistics.median(seen) if seen else None

    def subject(self):
        """The filesystem that is judged: the first rvmfs."""
        return next((name for name, kind in self.kinds.items() if kind == "rvmfs"), None)

    def of_kind(self, kind):
        return next((name for name, k in self.kinds.items() if k == kind), None)

    def ratio(self, phase, others, other_phase=None):
        """How much better the subject is than the best of the others."""
        lower = self.phases[phase]["unit"] in LOWER
        mine = self.values(phase, self.subject())
        theirs = [self.values(other_phase or phase, other) for other in others if other]
        ratios = []
        for i, value in enumerate(mine):
            rivals = [t[i] for t in theirs if i < len(t) and t[i]]
            if not value or not rivals:
                continue
            ratios.append(min(rivals) / value if lower else value / max(rivals))
        return statistics.median(ratios) if ratios else None

    def against(self, phase, opponent):
        if opponent.startswith("best:"):
            kinds = opponent.removeprefix("best:").split(",")
            return self.ratio(phase, [self.of_kind(kind) for kind in kinds])
        if opponent.startswith("phase:"):
            other = opponent.removeprefix("phase:")
            if phase.endswith("_million"):
                other += "_million"
            who = "host" if "raw_append" in other else self.subject()
            return self.ratio(phase, [who], other)
        return self.ratio(phase, [self.of_kind(opponent)])

    def verdicts(self, phase):
        """[(text, ratio, wanted)] of the targets that were measured."""
        seen = []
        for text, opponent, wanted in TARGETS[self.phases[phase]["target"]]:
            if opponent == "at most":
                value = self.median(phase, self.subject())
                if value is not None:
                    seen.append((text, wanted / value, 1.0))
                continue
            ratio = self.against(phase, opponent)
            if ratio is not None:
                seen.append((text, ratio, wanted))
        return seen


def short(value, unit):
    if value is None:
        return ""
    if unit == "s":
        return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"
    if unit in ("ms", "MiB"):
        return f"{value:,.1f} {unit}"
    if unit == "MiB/s":
        return f"{value:,.0f} MiB/s"
    if value >= 100_000:
        return f"{value / 1000:,.0f} k"
    if value >= 1000:
        return f"{value / 1000:.1f} k"
    return f"{value:.0f}"


def row(cells):
    return "| " + " | ".join(cells) + " |"


def head(cells, text_columns=1):
    align = ["---"] * text_columns + ["---:"] * (len(cells) - text_columns)
    return [row(cells), "|" + "|".join(align) + "|"]


def speed_table(results):
    names = [n for n in results.kinds if any(results.median(p, n) for p in results.phases)]
    lines = head(["workload", *names])
    for phase, about in results.phases.items():
        cells = [short(results.median(phase, name), about["unit"]) for name in names]
        lines.append(row([about["title"], *cells]))
    return lines


def kinds_that_compare(target, kinds):
    """What stores nothing is no measure of what has to be durable."""
    return [k for k in kinds if target not in DURABLE or k not in ("limit", "default-limit")]


def ratio_table(results):
    kinds = [k for k in RATIOS if results.of_kind(k)]
    lines = head(["workload", *[f"/ {kind}" for kind in kinds], "targets"])
    lines[1] = lines[1][:-5] + "---|"
    met = missed = 0
    for phase, about in results.phases.items():
        stored = kinds_that_compare(about["target"], kinds)
        ratios = [kind in stored and results.ratio(phase, [results.of_kind(kind)])
                  for kind in kinds]  # fmt: skip
        verdicts = results.verdicts(phase)
        if not any(ratios) and not verdicts:
            continue
        good = [v for v in verdicts if v[1] >= v[2]]
        bad = [v for v in verdicts if v[1] < v[2]]
        met += len(good)
        missed += len(bad)
        text = "; ".join(f"**missed** {t}: {r:.2f} of {w:.2f}" for t, r, w in bad)
        if verdicts and not bad:
            text = "met"
        shown = [f"{r:.2f}" if r else "" for r in ratios]
        lines.append(row([about["title"], *shown, text]))
    return lines, met, missed


def median_of(results, phase, name, key):
    seen = [m for m in results.rounds.get(phase, {}).get(name, []) if m and m["operations"]]
    if not seen:
        return None
    return statistics.median(m[key] / m["operations"] for m in seen)


def cpu_table(results):
    """Microseconds of CPU an operation: the daemon's + the client's (system calls included)."""
    names = [n for n in results.kinds if any(results.median(p, n) for p in results.phases)]
    lines = head(["workload", *names])
    for phase, about in results.phases.items():
        if about["unit"] in ("ms", "MiB"):
            continue
        cells = []
        for name in names:
            daemon = median_of(results, phase, name, "daemon")
            client = median_of(results, phase, name, "client")
            if daemon is None:
                cells.append("")
            elif about["unit"] == "s":
                cells.append(f"{daemon:.2f} + {client:.2f} s")
            else:
                cells.append(f"{daemon * 1e6:.1f} + {client * 1e6:.1f}")
        lines.append(row([about["title"], *cells]))
    return lines


def each(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def message_table(results):
    lines = head(["workload", "filesystem", "messages an operation", "switches an operation",
                  "of them"])  # fmt: skip
    found = False
    for phase, about in results.phases.items():
        for name in results.kinds:
            seen = [m for m in results.rounds.get(phase, {}).get(name, []) if m and m["messages"]]
            if not seen:
                continue
            found = True
            last = seen[-1]
            count = last["operations"]
            kinds = sorted(last["messages"].items(), key=lambda item: -item[1])
            text = ", ".join(f"{k} {each(v / count)}" for k, v in kinds[:6])
            total = sum(last["messages"].values()) / count
            switches = each(last["switches"] / count)
            lines.append(row([about["title"], name, each(total), switches, text]))
    return lines if found else []


def markdown(results, facts):
    lines = ["# Benchmark results", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", "## Speed", "", "Medians; operations a second where no unit stands.", ""]
    lines += speed_table(results)
    table, met, missed = ratio_table(results)
    if results.subject():
        lines += ["", f"## {results.subject()} against the others", ""]
        lines += ["Medians of the rounds' ratios; above 1 the subject is the faster one. "
                  f"Targets: {met} met, {missed} missed.", ""]  # fmt: skip
        lines += table
    lines += ["", "## CPU", ""]
    lines += ["Microseconds an operation (seconds where the workload is a program): daemon + "
              "client. The client's include what the kernel does for it; the kernel's own threads "
              "(loop devices, write-back) are not in.", ""]  # fmt: skip
    lines += cpu_table(results)
    messages = message_table(results)
    if messages:
        lines += ["", "## FUSE messages", "", *messages]
    return "\n".join(lines) + "\n"
