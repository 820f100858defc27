"""Draw task accuracy and general skills by step, from the log of a training with gates.

    python train.py narrow --gates 10 --out /tmp/gated
    python curve.py /tmp/gated/log-narrow.json -o curve.svg

The bands are the 95 % intervals of the changes. The picture follows the light or dark of the page.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 320, 48, 36, 150, 40
GATES = {"accuracy": "task accuracy", "forgetting": "general skills"}
STYLE = """
  svg { font: 13px system-ui, sans-serif; --ink: #24292f; --grid: #d0d7de;
        --accuracy: #0969da; --forgetting: #bc4c00; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6edf3; --grid: #3d444d; --accuracy: #58a6ff; --forgetting: #f0883e; } }
  text { fill: var(--ink); } .grid { stroke: var(--grid); }
  .accuracy { stroke: var(--accuracy); fill: var(--accuracy); }
  .forgetting { stroke: var(--forgetting); fill: var(--forgetting); }
  polyline.accuracy, polyline.forgetting { fill: none; stroke-width: 2.5; }
  polygon { opacity: 0.18; stroke: none; }
  circle { stroke: none; } text.accuracy, text.forgetting { stroke: none; }
"""


class Point(NamedTuple):
    """One gate at one step; shares from 0 to 1."""

    step: int
    before: float
    after: float
    low: float
    high: float


def read_points(log: dict[str, object], gate: str, variant: str) -> list[Point]:
    """Return what the log of a trainer has on one gate, by step."""
    prefix = f"ftgate/{gate}/{variant}"
    rows = [row for row in log["log_history"] if f"{prefix}/after" in row]
    return [
        Point(
            row["step"], *(row[f"{prefix}/{name}"] for name in ("before", "after", "low", "high"))
        )
        for row in rows
    ]


def variant_of(log: dict[str, object]) -> str:
    """Return the variant that was trained."""
    names = [name for row in log["log_history"] for name in row]
    name = next(name for name in names if name.startswith("ftgate/accuracy/"))
    return name.split("/")[2]


def x_of(step: int, last: int) -> float:
    """Return where a step stands in the picture."""
    return LEFT + (WIDTH - LEFT - RIGHT) * step / last


def y_of(share: float) -> float:
    """Return where a share stands in the picture."""
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(1.0, max(0.0, share)))


def path_of(pairs: Sequence[tuple[float, float]]) -> str:
    """Return coordinates as SVG writes them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)


def draw_axes(steps: Sequence[int], last: int) -> list[str]:
    """Draw the grid with its labels."""
    parts = []
    for percent in range(0, 101, 25):
        y = y_of(percent / 100)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{percent}%</text>')
    for step in (0, *steps):
        x = x_of(step, last)
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [*parts, f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">step</text>']


def draw_gate(gate: str, points: list[Point], last: int) -> list[str]:
    """Draw the curve of one gate from the base on, with its band and its name."""
    first, end = points[0], points[-1]
    curve = [(0, first.before), *((point.step, point.after) for point in points)]
    line = [(x_of(step, last), y_of(share)) for step, share in curve]
    edges = [(0, first.before, first.before)]
    edges += [(p.step, p.before + p.low, p.before + p.high) for p in points]
    band = [(x_of(step, last), y_of(low)) for step, low, _ in edges]
    band += [(x_of(step, last), y_of(high)) for step, _, high in reversed(edges)]
    x, y = x_of(end.step, last) + 10, y_of(end.after) + 4
    name = f"{GATES[gate]} {end.after:.0%}"
    label = f'<text class="{gate}" x="{x:.1f}" y="{y:.1f}">{name}</text>'
    return [
        f'<polygon class="{gate}" points="{path_of(band)}"/>',
        f'<polyline class="{gate}" points="{path_of(line)}"/>',
        *(f'<circle class="{gate}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in line),
        label,
    ]


def draw(log: dict[str, object]) -> str:
    """Return the picture of a log."""
    variant = variant_of(log)
    curves = {gate: read_points(log, gate, variant) for gate in GATES}
    steps = sorted({point.step for points in curves.values() for point in points})
    last = steps[-1]
    title = f"{variant} while it is trained: shares of right answers, by step"
    parts = [f'<text x="{LEFT}" y="20">{title}</text>', *draw_axes(steps, last)]
    for gate, points in curves.items():
        parts += draw_gate(gate, points, last)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    return "\n".join(
        [head, f"<title>{title}</title>", f"<style>{STYLE}</style>", *parts, "</svg>\n"]
    )


def main() -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(description="Draw a training with gates.")
    parser.add_argument("log", type=Path, help="log-narrow.json, as train.py --gates writes it")
    parser.add_argument("-o", dest="out", type=Path, default=Path("curve.svg"))
    args = parser.parse_args()
    args.out.write_text(draw(json.loads(args.log.read_text("utf-8"))), "utf-8")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
