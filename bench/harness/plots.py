# SPDX-License-Identifier: BSD-2-Clause
#
# Plots as SVG, written by hand so that no package is needed: a row for each workload, a dot for each
# filesystem, a logarithmic axis (the filesystems are factors apart, not percents).
import math
from html import escape

from harness.filesystems import IN_MEMORY

WIDTH = 860
LEFT = 300  # room for the names of the workloads
RIGHT = 24
TOP = 76
ROW = 24
RADIUS = 5.5
COLOURS = {
    "rvmfs": "#d62728",
    "limit": "#111111",
    "default-limit": "#9a9a9a",
    "ext4": "#1f77b4",
    "xfs": "#17a2b8",
    "btrfs": "#7fb3e6",
    "fuse2fs": "#2ca02c",
    "ntfs-3g": "#e08a00",
    "host": "#8c564b",
}
MORE_COLOURS = ("#9467bd", "#e377c2", "#bcbd22", "#5e3c99")

# name of the file -> title, unit of its axis, which targets (report.TARGETS) its workloads have
PLOTS = {
    "metadata": ("Metadata, operations a second", "op/s", ("metadata", "flat")),
    "durable": ("Durable, operations a second", "op/s", ("durable_1", "durable_4", "wal", "raw",
                                                      "sqlite")),
    "programs": ("Programs, seconds (less is better)", "s", ("programs",)),
    "sequential": ("Sequential data, MiB a second", "MiB/s", ("data", "direct", "none")),
    "random": ("Random data, operations a second", "op/s", ("data", "direct")),
    "life": ("Formatting and mounting, milliseconds (less is better)", "ms",
             ("mkfs", "mount", "unmount", "recovery", "none")),  # fmt: skip
}


def short(value):
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g} {letter}"
    return f"{value:g}"


class Axis:
    """Whole decades around all values."""

    def __init__(self, values):
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)

    def at(self, value):
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def ticks(self):
        for decade in range(self.low, self.high + 1):
            for step in (1, 2, 5) if decade < self.high else (1,):
                yield step * 10.0**decade, step == 1


def text(x, y, content, size=12, anchor="start", colour="#222", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{colour}" font-weight="{weight}">{escape(content)}</text>')  # fmt: skip


def colours_of(names, kinds):
    chosen, more = {}, list(MORE_COLOURS)
    for name in names:
        colour = COLOURS.get(kinds[name])
        if colour is None or colour in chosen.values():
            colour = more.pop(0) if more else "#555"
        chosen[name] = colour
    return chosen


def legend(names, colours):
    x = 14
    for name in names:
        yield f'<circle cx="{x:.1f}" cy="46" r="{RADIUS}" fill="{colours[name]}"/>'
        yield text(x + 10, 50, name)
        x += 30 + 7.2 * len(name)


def dot_plot(title, rows, names, kinds):
    """rows: [(workload, {filesystem: value})]."""
    axis = Axis([value for _, values in rows for value in values.values()])
    colours = colours_of(names, kinds)
    bottom = TOP + ROW * len(rows)
    height = bottom + 30
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
           f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">']  # fmt: skip
    out.append(f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>')
    out.append(text(14, 24, title, 16, weight="bold"))
    out += legend(names, colours)
    for value, strong in axis.ticks():
        x = axis.at(value)
        grey = "#c8c8c8" if strong else "#ececec"
        out.append(f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom}" '
                   f'stroke="{grey}"/>')  # fmt: skip
        if strong:
            out.append(text(x, bottom + 18, short(value), 11, "middle", "#555"))
    for i, (workload, values) in enumerate(rows):
        y = TOP + ROW * i + ROW / 2
        out.append(text(LEFT - 12, y + 4, workload, 12, "end"))
        out.append(f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="#f2f2f2"/>')
        # The subject last, so that nothing covers it.
        for name in reversed(names):
            if name in values:
                out.append(f'<circle cx="{axis.at(values[name]):.1f}" cy="{y}" r="{RADIUS}" '
                           f'fill="{colours[name]}" fill-opacity="0.85"/>')  # fmt: skip
    out.append("</svg>\n")
    return "\n".join(out)


def rows_of(results, unit, targets):
    for phase, about in results.phases.items():
        if about["unit"] != unit or about["target"] not in targets:
            continue
        # What stores nothing would only stretch the axis here.
        durable = about["target"].startswith(("durable", "wal", "sqlite", "raw"))
        names = [n for n, kind in results.kinds.items() if not (durable and kind in IN_MEMORY)]
        values = {name: results.median(phase, name) for name in names}
        values = {name: value for name, value in values.items() if value}
        if values:
            yield about["title"], values


def write(results, folder):
    """One file for each plot that has anything to show."""
    for name, (title, unit, targets) in PLOTS.items():
        rows = list(rows_of(results, unit, targets))
        if not rows:
            continue
        seen = [n for n in results.kinds if any(n in values for _, values in rows)]
        svg = dot_plot(title, rows, seen, results.kinds)
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
