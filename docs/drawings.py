"""Drawings of the manual: a scale with intervals, bars, dots and lines, as SVG in both themes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

#: The width of a drawing, and the place and width of its scale, in pixels.
WIDTH, _LEFT, _SPAN, _TOP = 640, 150, 460, 40
_STYLE = """\
  svg { font: 13px system-ui, sans-serif; --ink: #24292f; --grid: #d0d7de; --soft: #8c959f;
        --passed: #1a7f37; --inconclusive: #9a6700; --failed: #cf222e; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6edf3; --grid: #3d444d; --soft: #7d8590;
          --passed: #3fb950; --inconclusive: #d29922; --failed: #f85149; } }
  text { fill: var(--ink); } .grid { stroke: var(--grid); }
  .limit { stroke: var(--ink); stroke-dasharray: 5 4; }
  .plain { stroke: var(--soft); fill: var(--soft); }
  .added { stroke: var(--failed); fill: none; stroke-dasharray: 4 3; }
  .passed { stroke: var(--passed); fill: var(--passed); }
  .inconclusive { stroke: var(--inconclusive); fill: var(--inconclusive); }
  .failed { stroke: var(--failed); fill: var(--failed); }
  .interval { stroke-width: 3; } .line { fill: none; stroke-width: 2; }"""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing over one scale from *low* to *high*, with *height* pixels below its title."""

    title: str
    low: float
    high: float
    height: int
    shapes: list[str] = field(default_factory=list)

    def x(self, value: float) -> float:
        """Return the place of *value* on the scale."""
        return round(_LEFT + _SPAN * (value - self.low) / (self.high - self.low), 1)

    def text(self, x: float, y: float, text: str, anchor: str = "start") -> None:
        """Write *text* at a place in pixels."""
        place = f'x="{x:g}" y="{_TOP + y:g}" text-anchor="{anchor}"'
        self.shapes.append(f"<text {place}>{escape(text)}</text>")

    def label(self, y: float, text: str) -> None:
        """Write what a row is about, left of the scale."""
        self.text(_LEFT - 12, y + 4, text, "end")

    def ticks(self, values: Iterable[float], text: Callable[[float], str]) -> None:
        """Draw the marks of the scale."""
        for value in values:
            self.vertical("grid", value)
            self.text(self.x(value), self.height + 18, text(value), "middle")

    def vertical(self, kind: str, value: float, text: str = "") -> None:
        """Draw a line across the drawing at *value*, with *text* below the marks."""
        x = self.x(value)
        place = f'x1="{x}" x2="{x}" y1="{_TOP}" y2="{_TOP + self.height}"'
        self.shapes.append(f'<line class="{kind}" {place}/>')
        if text:
            self.text(x, self.height + 36, text, "middle")

    def interval(self, y: float, ends: tuple[float, float], value: float, kind: str) -> None:
        """Draw an interval with the observed *value*."""
        low, high = (self.x(end) for end in ends)
        row = f'y1="{_TOP + y:g}" y2="{_TOP + y:g}"'
        self.shapes.append(f'<line class="interval {kind}" x1="{low}" x2="{high}" {row}/>')
        self.dot(y, value, kind)

    def dot(self, y: float, value: float, kind: str, radius: float = 5) -> None:
        """Draw a dot at *value*."""
        place = f'cx="{self.x(value)}" cy="{_TOP + y:g}" r="{radius:g}"'
        self.shapes.append(f'<circle class="{kind}" {place}/>')

    def bar(self, kind: str, ends: tuple[float, float], top: float, bottom: float) -> None:
        """Draw a bar between two values of the scale and two heights in pixels."""
        low, high = (self.x(end) for end in ends)
        size = f'width="{high - low:.1f}" height="{bottom - top:.1f}"'
        self.shapes.append(f'<rect class="{kind}" x="{low}" y="{_TOP + top:.1f}" {size}/>')

    def line(self, kind: str, points: Sequence[tuple[float, float]]) -> None:
        """Draw a line through pairs of a value of the scale and a height in pixels."""
        places = " ".join(f"{self.x(value)},{_TOP + y:.1f}" for value, y in points)
        self.shapes.append(f'<polyline class="line {kind}" points="{places}"/>')

    def __str__(self) -> str:
        height = _TOP + self.height + 46
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
        title = escape(self.title)
        style = f"<title>{title}</title>\n<style>\n{_STYLE}\n</style>"
        return "\n".join(
            [head, style, f'<text x="20" y="20">{title}</text>', *self.shapes, "</svg>\n"]
        )
