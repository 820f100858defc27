"""Draws the growth of a run, as `growth.py` printed it, into docs/pictures/growth.svg.

    python benchmarks/growth_picture.py

Both axes are logarithmic, so that what grows with the cases is a straight line. `run.py` draws the
picture again whenever it writes the figure into the document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from math import log10
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "growth.svg"
FIGURES = ROOT / "benchmarks" / "figures.json"
#: A line of the table: cases, then seconds, seconds of CPU and megabytes, sent and replayed.
ROW = re.compile(r" *([\d,]+) ((?: +[\d.]+){3}| {28})  ((?: *[\d.]+){3})  +[\d.]+$")
#: The columns that are drawn, by title: which of the three, and the ends of the axis.
PANELS = (("seconds of CPU", 1, (1.0, 1e3)), ("peak MB", 2, (1e2, 1e4)))
CASES = (100.0, 1e6)
WIDTH, HEIGHT, LEFT, TOP = 250, 200, 56, 44
HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 290" role="img">
<title>A run by the number of its cases: seconds of CPU and peak memory</title>
<style>
  svg { font: 13px system-ui, sans-serif; --ink: #24292f; --grid: #d0d7de;
        --sent: #0969da; --replayed: #bc4c00; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6edf3; --grid: #3d444d; --sent: #58a6ff; --replayed: #f0883e; } }
  text { fill: var(--ink); } .grid { stroke: var(--grid); }
  .sent { stroke: var(--sent); fill: var(--sent); }
  .replayed { stroke: var(--replayed); fill: var(--replayed); }
  polyline { stroke-width: 2.5; } polyline.sent, polyline.replayed { fill: none; }
  text.sent, text.replayed { stroke: none; }
</style>
"""

#: The cases and the value of each size.
Points = list[tuple[float, float]]


def read(printed: Sequence[str], side: str, column: int) -> Points:
    """Return one column of the table for ``sent`` or ``replayed``."""
    found = (ROW.match(line) for line in printed)
    rows = [(row[1], row[2 if side == "sent" else 3].split()) for row in found if row]
    return [(float(cases.replace(",", "")), float(taken[column])) for cases, taken in rows if taken]


def position(value: float, ends: tuple[float, float], length: int) -> float:
    """Return where *value* lies on a logarithmic axis of *length* pixels."""
    return length * log10(value / ends[0]) / log10(ends[1] / ends[0])


def decades(ends: tuple[float, float]) -> Iterator[float]:
    """Yield the powers of ten from one end of an axis to the other."""
    yield from (10.0**power for power in range(round(log10(ends[0])), round(log10(ends[1])) + 1))


def panel(printed: Sequence[str], number: int) -> Iterator[str]:
    """Yield the lines of one panel."""
    title, column, ends = PANELS[number]
    left = LEFT + number * (WIDTH + 70)
    yield f'<text x="{left}" y="{TOP - 22}">{title}</text>'
    for value in decades(ends):
        y = TOP + HEIGHT - position(value, ends, HEIGHT)
        yield f'<line class="grid" x1="{left}" x2="{left + WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,.0f}</text>'
    for cases in decades(CASES):
        x = left + position(cases, CASES, WIDTH)
        name = f"{cases / 1e6:.0f} M" if cases >= 1e6 else f"{cases:,.0f}"
        yield f'<text x="{x:.1f}" y="{TOP + HEIGHT + 20}" text-anchor="middle">{name}</text>'
    for side in ("sent", "replayed"):
        points = [
            f"{left + position(cases, CASES, WIDTH):.1f},"
            f"{TOP + HEIGHT - position(value, ends, HEIGHT):.1f}"
            for cases, value in read(printed, side, column)
        ]
        yield f'<polyline class="{side}" points="{" ".join(points)}"/>'
        yield from (
            f'<circle class="{side}" cx="{x}" cy="{y}" r="3"/>'
            for x, y in (point.split(",") for point in points)
        )


def picture(printed: Sequence[str]) -> str:
    """Return the picture of the table that `growth.py` printed, as SVG."""
    lines = [*panel(printed, 0), *panel(printed, 1)]
    foot = TOP + HEIGHT + 40
    lines += [
        f'<text class="{side}" x="{LEFT + 90 * number}" y="{foot}">{side}</text>'
        for number, side in enumerate(("sent", "replayed"))
    ]
    lines.append(f'<text x="{LEFT + 2 * WIDTH + 70}" y="{foot}" text-anchor="end">cases</text>')
    return "\n".join([HEAD.rstrip(), *lines, "</svg>", ""])


def draw() -> None:
    """Write the picture of the kept figure."""
    figures = json.loads(FIGURES.read_text("utf-8"))["figures"]
    PICTURE.write_text(picture(figures["growth"]["printed"]), "utf-8")


if __name__ == "__main__":
    draw()
