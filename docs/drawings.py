"""The drawing of docs/statistics.md: three changes with their intervals, and the limit."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from pytest_ftgate.gates.design import round_up_to_point
from pytest_ftgate.reporting.number_text import points
from pytest_ftgate.stats.paired import change_interval, paired_counts
from pytest_ftgate.stats.power import certifiable_margin

DOCS = Path(__file__).parent
#: The rows of the example: regressed, fixed and the verdict.
_ROW = re.compile(r"^\| (\d+) \| (\d+) \| [^|]+ \| in [^|]+ \| in [^|]+ \| (\w+):", re.MULTILINE)
_STYLE = """\
  svg { font: 13px system-ui, sans-serif; --ink: #24292f; --grid: #d0d7de;
        --passed: #1a7f37; --inconclusive: #9a6700; --failed: #cf222e; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6edf3; --grid: #3d444d;
          --passed: #3fb950; --inconclusive: #d29922; --failed: #f85149; } }
  text { fill: var(--ink); } .grid { stroke: var(--grid); }
  .limit { stroke: var(--ink); stroke-dasharray: 5 4; }
  .passed { stroke: var(--passed); fill: var(--passed); }
  .inconclusive { stroke: var(--inconclusive); fill: var(--inconclusive); }
  .failed { stroke: var(--failed); fill: var(--failed); } .interval { stroke-width: 3; }"""
_CASES, _LEFT, _WIDTH, _LOWEST, _HIGHEST = 200, 60, 520, -16, 6


def pictures() -> dict[str, str]:
    """Return the drawings by their files in docs/pictures."""
    return {"verdicts.svg": "\n".join(_verdicts()) + "\n"}


def _x(change: float) -> float:
    """Return the place of a change in points."""
    return round(_LEFT + _WIDTH * (change - _LOWEST) / (_HIGHEST - _LOWEST), 1)


def _verdicts() -> list[str]:
    limit = 100 * round_up_to_point(certifiable_margin(_CASES, 0.10))
    title = f"Three changes with their 95 % intervals, and the limit of {limit:.0f} points"
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 230" role="img">',
        f"<title>{title}</title>\n<style>\n{_STYLE}\n</style>",
        f'<text x="{_LEFT}" y="20">{title}</text>',
    ]
    for tick in range(-15, _HIGHEST, 5):
        lines.append(f'<line class="grid" x1="{_x(tick)}" x2="{_x(tick)}" y1="40" y2="190"/>')
        lines.append(
            f'<text x="{_x(tick)}" y="208" text-anchor="middle">{points(tick / 100)}</text>'
        )
    lines.append(f'<line class="limit" x1="{_x(-limit)}" x2="{_x(-limit)}" y1="40" y2="190"/>')
    lines.append(f'<text x="{_x(-limit)}" y="226" text-anchor="middle">limit</text>')
    page = (DOCS / "statistics.md").read_text("utf-8")
    for place, (regressed, fixed, verdict) in enumerate(_ROW.findall(page)):
        lines += _interval(int(regressed), int(fixed), verdict, 72 + 48 * place)
    return [*lines, "</svg>"]


def _interval(regressed: int, fixed: int, verdict: str, y: int) -> list[str]:
    before, after = np.ones(_CASES), np.ones(_CASES)
    before[:fixed] = 0
    after[_CASES - regressed :] = 0
    pairs = paired_counts(before, after)
    low, high = (_x(100 * end) for end in change_interval(pairs, 0.95))
    return [
        f'<line class="interval {verdict}" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>',
        f'<circle class="{verdict}" cx="{_x(100 * pairs.delta)}" cy="{y}" r="5"/>',
        f'<text x="{low}" y="{y - 12}">{verdict}</text>',
    ]
