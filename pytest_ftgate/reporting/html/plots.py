"""Plots as SVG in the colours and fonts of the page."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "Band",
    "Dot",
    "Picture",
    "bands",
    "dots",
    "inlined",
    "lines",
    "pairs",
    "points",
    "spreads",
]

#: The colours that figures are drawn in, by the name that the page gives them.
COLOURS = {
    "ink": "#1a1c1f",
    "muted": "#5a6169",
    "line": "#d9dce0",
    "back": "#fefefe",
    "blue": "#0072b2",
    "red": "#d55e00",
    "green": "#009e73",
    "amber": "#e69f00",
    "violet": "#cc79a7",
    "sky": "#56b4e9",
}
_NAMES = {value: name for name, value in COLOURS.items()}
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_FONT = re.compile(r"(\d+(?:\.\d+)?)px")


def inlined(figure: Figure, name: str, told: str) -> str:
    """Return *figure* as an ``<svg>`` element.

    Args:
        figure: drawn in COLOURS.
        name: of the figure, unique in its page.
        told: what it shows, for those who do not see it.
    """
    from matplotlib import rc_context

    raw = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        # Names in scripts that the fonts here lack are drawn by the browser, in its own.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(raw, format="svg", metadata={"Date": None}, transparent=True)
    root = ET.fromstring(raw.getvalue())  # noqa: S314 - written in the line above
    for parent in list(root.iter()):
        for child in [one for one in parent if one.tag != f"{_SVG}style" and "metadata" in one.tag]:
            parent.remove(child)
        for child in [one for one in parent if one.tag == f"{_SVG}style"]:
            parent.remove(child)
    for element in root.iter():
        _plain(element)
    _name(root, name)
    for gone in ("width", "height", "version"):
        root.attrib.pop(gone, None)
    root.attrib |= {"class": "plot", "role": "img", "aria-label": told}
    ET.register_namespace("", _SVG.strip("{}"))
    return ET.tostring(root, encoding="unicode")


def _plain(element: ET.Element) -> None:
    """Turn the style of *element* into attributes and the classes of colours."""
    declared = dict(_declarations(element.attrib.pop("style", "")))
    classes = []
    for key in ("fill", "stroke"):
        colour = declared.get(key) or element.attrib.get(key, "")
        if colour in _NAMES:
            declared.pop(key, None)
            element.attrib.pop(key, None)
            classes.append(f"{key[0]}-{_NAMES[colour]}")
    font = _FONT.search(declared.pop("font", ""))
    if font:
        declared["font-size"] = font[1]
    element.attrib |= declared
    if classes:
        element.attrib["class"] = " ".join(classes)


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for one in filter(str.strip, style.split(";")):
        key, _, value = one.partition(":")
        yield key.strip(), value.strip()


def _name(root: ET.Element, name: str) -> None:
    """Keep only the ids that something refers to, under names of their own."""
    text = ET.tostring(root, encoding="unicode")
    wanted = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in wanted:
            element.attrib["id"] = f"{name}-{own}"
        if _HREF in element.attrib:
            element.attrib["href"] = f"#{name}-{element.attrib.pop(_HREF)[1:]}"
        for key, value in element.attrib.items():
            if value.startswith("url(#"):
                element.attrib[key] = f"url(#{name}-{value[5:]}"


#: In the order in which they are told apart best.
_SERIES = ("blue", "red", "green", "violet", "amber", "sky")
_WIDTH = 7.2
_ROW = 0.36


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure and the same as a table.

    Attributes:
        svg: safe to put into a page.
    """

    title: str
    caption: str
    svg: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


class Dot(NamedTuple):
    """A named value with its interval; *before* is what it is compared with."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    before: float | None = None
    colour: str = "blue"


class Band(NamedTuple):
    """A named line with the bounds around it."""

    name: str
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def _figure(rows: int, extra: float = 0.75) -> tuple[Figure, Axes]:
    """Return an empty figure for so many rows, without a frame."""
    return _empty(extra + _ROW * max(rows, 2))


def _empty(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(COLOURS["line"])
    axes.tick_params(colors=COLOURS["muted"], length=0, labelsize=10)
    axes.grid(axis="x", color=COLOURS["line"], linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _named(axes: Axes, names: Sequence[str], label: str) -> None:
    """Name the rows of *axes* from the top down, and its horizontal axis."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", colors=COLOURS["ink"], labelsize=11)
    axes.set_xlabel(label, color=COLOURS["muted"], fontsize=10)


def _percent(axes: Axes) -> None:
    axes.set_xlim(-2, 102)
    axes.set_xticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])


def dots(
    name: str, told: str, rows: Sequence[Dot], *, floor: float | None, margin: float | None
) -> str:
    """Return rates with their intervals, against a floor and a margin below the baseline.

    Args:
        name: of the figure.
        told: what it shows.
        rows: rates, as shares.
        floor: the least that will do, or None.
        margin: the least that the drop allows, or None.
    """
    figure, axes = _figure(len(rows))
    for at, row in enumerate(rows):
        _whisker(axes, at, row)
    left = floor is None or margin is None or floor <= margin
    _limit(axes, floor, "floor", "-", left=left)
    _limit(axes, margin, "allowed drop", "--", left=not left)
    _named(axes, [row.name for row in rows], "")
    _percent(axes)
    return inlined(figure, name, told)


def _limit(axes: Axes, value: float | None, words: str, style: str, *, left: bool) -> None:
    """Draw a line that must not be crossed, named on the side where it meets no other name."""
    if value is None:
        return
    axes.axvline(100 * value, color=COLOURS["red"], linewidth=1.2, linestyle=style)
    axes.annotate(
        words, (100 * value, -0.52), color=COLOURS["red"], fontsize=9, va="bottom",
        ha="right" if left else "left", xytext=(-4 if left else 4, 0), textcoords="offset points",
    )  # fmt: skip


def _whisker(axes: Axes, at: int, row: Dot) -> None:
    colour = COLOURS[row.colour]
    if row.low is not None and row.high is not None:
        axes.plot([100 * row.low, 100 * row.high], [at, at], color=colour, linewidth=2.2)
    axes.plot([100 * row.value], [at], "o", color=colour, markersize=8)


def pairs(name: str, told: str, rows: Sequence[Dot], label: str = "") -> str:
    """Return before and after of each row, joined in the row's colour."""
    figure, axes = _figure(len(rows))
    for at, row in enumerate(rows):
        before = row.value if row.before is None else row.before
        colour = COLOURS[row.colour]
        axes.plot([100 * before, 100 * row.value], [at, at], color=colour, linewidth=2.2)
        axes.plot(
            [100 * before], [at], "o", color=colour, markerfacecolor=COLOURS["back"], markersize=8
        )
        axes.plot([100 * row.value], [at], "o", color=colour, markersize=8)
    _named(axes, [row.name for row in rows], label or "○ before   ● now")
    _percent(axes)
    return inlined(figure, name, told)


def points(name: str, told: str, rows: Sequence[Dot], label: str, best: Sequence[str]) -> str:
    """Return rates against what they cost; those in *best* lie on the frontier, which is drawn.

    A row's *before* is its cost, on the horizontal axis.
    """
    figure, axes = _empty(3.6)
    axes.grid(axis="y", color=COLOURS["line"], linewidth=0.8)
    edge = sorted((row.before or 0.0, 100 * row.value) for row in rows if row.name in best)
    if len(edge) > 1:
        xs, ys = zip(*edge, strict=True)
        axes.step(xs, ys, where="post", color=COLOURS["muted"], linewidth=1.2, linestyle="--")
    for row in rows:
        colour = COLOURS["blue" if row.name in best else "muted"]
        at = (row.before or 0.0, 100 * row.value)
        if row.low is not None and row.high is not None:
            axes.plot([at[0]] * 2, [100 * row.low, 100 * row.high], color=colour, linewidth=1.6)
        axes.plot(*at, "o", color=colour, markersize=8)
        drop = 14 * sum(_near(row, other, rows) for other in rows[: rows.index(row)])
        axes.annotate(
            row.name, at, xytext=(8, 6 - drop), textcoords="offset points", fontsize=11,
            color=COLOURS["ink"],
        )  # fmt: skip
    axes.set_ylim(-4, 104)
    axes.set_yticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])
    axes.margins(x=0.15)
    axes.set_xlabel(label, color=COLOURS["muted"], fontsize=10)
    return inlined(figure, name, told)


def _near(row: Dot, other: Dot, rows: Sequence[Dot]) -> bool:
    """Tell whether the names of two points would lie on each other."""
    costs = [one.before or 0.0 for one in rows]
    apart = abs((row.before or 0.0) - (other.before or 0.0))
    return apart <= 0.2 * (max(costs) - min(costs)) and abs(row.value - other.value) < 0.06  # noqa: PLR2004


def spreads(name: str, told: str, rows: Sequence[tuple[str, Sequence[float]]], label: str) -> str:
    """Return how values spread: from 5 to 95 in 100 a line, the middle half a bar, the median."""
    figure, axes = _figure(len(rows))
    highest = max((max(values) for _, values in rows), default=0.0)
    least = min((min(values) for _, values in rows), default=0.0)
    if least > 0 and highest > 30 * least:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.xaxis.set_major_formatter("{x:,.0f}")
    drawn = axes.boxplot(
        [list(values) for _, values in rows], positions=range(len(rows)), orientation="horizontal",
        whis=(5, 95), showfliers=False, widths=0.42, patch_artist=True, showcaps=False,
    )  # fmt: skip
    for box in drawn["boxes"]:
        box.set(facecolor=COLOURS["sky"], edgecolor=COLOURS["sky"])
    for line in drawn["whiskers"]:
        line.set(color=COLOURS["blue"], linewidth=1.6)
    for line in drawn["medians"]:
        line.set(color=COLOURS["ink"], linewidth=2)
    _named(axes, [row[0] for row in rows], label)
    return inlined(figure, name, told)


def lines(
    name: str, told: str, series: Sequence[tuple[str, Sequence[float | None]]], at: Sequence[str]
) -> str:
    """Return shares as they have come along, a line for each name, named at its end."""
    figure, axes = _empty(3.2)
    axes.grid(visible=False, axis="x")
    axes.grid(axis="y", color=COLOURS["line"], linewidth=0.8)
    ends: list[float] = []
    for index, (words, values) in enumerate(series):
        colour = COLOURS[_SERIES[index % len(_SERIES)]]
        told_at = [(x, 100 * y) for x, y in enumerate(values) if y is not None]
        xs, ys = zip(*told_at, strict=True)
        axes.plot(xs, ys, "o-", color=colour, linewidth=2, markersize=5)
        drop = 14 * sum(abs(ys[-1] - end) < 6 for end in ends)  # noqa: PLR2004 - points of the axis
        ends.append(ys[-1])
        axes.annotate(
            words, (xs[-1], ys[-1]), xytext=(9, -3 - drop), textcoords="offset points",
            fontsize=11, color=colour,
        )  # fmt: skip
    step = max(1, len(at) // 8)
    axes.set_xticks(range(0, len(at), step), at[::step])
    axes.set_yticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])
    axes.set_ylim(-4, 104)
    axes.margins(x=0.12)
    return inlined(figure, name, told)


def bands(name: str, told: str, rows: Sequence[Band], at: Sequence[float], declared: float) -> str:
    """Return amounts by a volume, both growing by factors, and where the declared volume lies."""
    figure, axes = _empty(3.8)
    axes.grid(axis="y", color=COLOURS["line"], linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=1.0)  # what is free stands at 0
    axes.axvline(declared, color=COLOURS["muted"], linewidth=1.2, linestyle="--")
    places = _apart([_decade(row.values[-1]) for row in rows], _LEAST * _decades(rows))
    for index, (row, place) in enumerate(zip(rows, places, strict=True)):
        colour = COLOURS[_SERIES[index % len(_SERIES)]]
        axes.fill_between(at, row.low, row.high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(at, row.values, color=colour, linewidth=2)
        axes.annotate(
            row.name, (at[-1], 10**place), xytext=(9, -3), textcoords="offset points",
            fontsize=11, color=colour, annotation_clip=False,
        )  # fmt: skip
    axes.minorticks_off()
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("calls a day", color=COLOURS["muted"], fontsize=10)
    axes.margins(x=0.0)
    return inlined(figure, name, told)


#: Names keep at least this share of the axis between them.
_LEAST = 0.07


def _decades(rows: Sequence[Band]) -> float:
    values = [_decade(value) for row in rows for value in row.values]
    return max(1.0, max(values) - min(values))


def _decade(value: float) -> float:
    return math.log10(max(value, 1.0))


def _apart(places: Sequence[float], least: float) -> list[float]:
    """Return *places* moved upwards as little as keeps each two of them *least* apart."""
    moved = [0.0] * len(places)
    floor = -math.inf
    for index in sorted(range(len(places)), key=lambda one: places[one]):
        moved[index] = floor = max(places[index], floor + least)
    return moved
