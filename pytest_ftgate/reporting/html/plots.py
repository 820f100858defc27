"""Draw charts as SVG, in the colours and fonts of the page."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The colours of figures, by the name of their CSS variable.
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
_COLOUR_NAMES = {value: name for name, value in COLOURS.items()}
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_FONT = re.compile(r"(\d+(?:\.\d+)?)px")


def _svg_text(figure: Figure, name: str, description: str) -> str:
    """Return *figure*, drawn in COLOURS, as an ``<svg>`` element; *name* is unique in its page."""
    from matplotlib import rc_context

    raw = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        # The browser draws characters that are missing in the fonts here.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(raw, format="svg", metadata={"Date": None}, transparent=True)
    root = ET.fromstring(raw.getvalue())  # noqa: S314 - written in the line above
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{_SVG}style" or "metadata" in child.tag:
                parent.remove(child)
    for element in root.iter():
        _replace_style(element)
    _rename_ids(root, name)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.attrib |= {"class": "plot", "role": "img", "aria-label": description}
    ET.register_namespace("", _SVG.strip("{}"))
    return ET.tostring(root, encoding="unicode")


def _replace_style(element: ET.Element) -> None:
    """Replace the style of *element* by attributes, and its colours by CSS classes.

    The page's Content Security Policy forbids inline styles.
    """
    declared = dict(_declarations(element.attrib.pop("style", "")))
    classes = []
    for key in ("fill", "stroke"):
        colour = declared.get(key) or element.attrib.get(key, "")
        if colour in _COLOUR_NAMES:
            declared.pop(key, None)
            element.attrib.pop(key, None)
            classes.append(f"{key[0]}-{_COLOUR_NAMES[colour]}")
    font = _FONT.search(declared.pop("font", ""))
    if font:
        declared["font-size"] = font[1]
    element.attrib |= declared
    if classes:
        element.attrib["class"] = " ".join(classes)


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for declaration in filter(str.strip, style.split(";")):
        key, _, value = declaration.partition(":")
        yield key.strip(), value.strip()


def _rename_ids(root: ET.Element, name: str) -> None:
    """Prefix each id that is referred to with *name*, and remove the others."""
    text = ET.tostring(root, encoding="unicode")
    referenced = {
        *re.findall(r"url\(#([^)]+)\)", text),
        *re.findall(r'href="#([^"]+)"', text),
    }
    for element in root.iter():
        element_id = element.attrib.pop("id", None)
        if element_id in referenced:
            element.attrib["id"] = f"{name}-{element_id}"
        if _HREF in element.attrib:
            element.attrib["href"] = f"#{name}-{element.attrib.pop(_HREF)[1:]}"
        for key, value in element.attrib.items():
            if value.startswith("url(#"):
                element.attrib[key] = f"url(#{name}-{value[5:]}"


#: The colours of series, the most distinct first.
_SERIES_COLOURS = ("blue", "red", "green", "violet", "amber", "sky")
#: Width of a figure and height of a row, in inches.
_WIDTH = 7.2
_ROW_HEIGHT = 0.36


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A figure with its numbers as a table.

    Attributes:
        svg: markup that is safe to put into the page.
    """

    title: str
    caption: str
    svg: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


class Dot(NamedTuple):
    """A named value with its interval, and the value before, if compared."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    before: float | None = None
    colour: str = "blue"


class Band(NamedTuple):
    """A named line with its lower and upper bounds."""

    name: str
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def _figure(rows: int) -> tuple[Figure, Axes]:
    """Return an empty figure with the height for *rows*."""
    return _empty_figure(0.75 + _ROW_HEIGHT * max(rows, 2), "x")


def _empty_figure(height: float, grid: Literal["x", "y", "both"] = "both") -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(COLOURS["line"])
    axes.tick_params(colors=COLOURS["muted"], length=0, labelsize=10)
    axes.grid(axis=grid, color=COLOURS["line"], linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _label_rows(axes: Axes, names: Sequence[str], label: str) -> None:
    """Label the rows of *axes* from the top down, and its horizontal axis."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", colors=COLOURS["ink"], labelsize=11)
    axes.set_xlabel(label, color=COLOURS["muted"], fontsize=10)


_PERCENT_TICKS = (range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])


def _set_percent_axis(axes: Axes) -> None:
    axes.set_xlim(-2, 102)
    axes.set_xticks(*_PERCENT_TICKS)


def _label_point(
    axes: Axes, text: str, point: tuple[float, float], offset: tuple[int, int], colour: str
) -> None:
    """Write *text* beside *point*, *offset* in points away from it."""
    axes.annotate(
        text, point, xytext=offset, textcoords="offset points", fontsize=11,
        color=COLOURS[colour], annotation_clip=False,
    )  # fmt: skip


def draw_dots(
    name: str, description: str, rows: Sequence[Dot], *, minimum: float | None, margin: float | None
) -> str:
    """Return rates with their intervals, and the limits of the gate, all as shares.

    *description* is the alternative text, *margin* the lowest rate within the allowed drop.
    """
    figure, axes = _figure(len(rows))
    for y, row in enumerate(rows):
        colour = COLOURS[row.colour]
        if row.low is not None and row.high is not None:
            axes.plot([100 * row.low, 100 * row.high], [y, y], color=colour, linewidth=2.2)
        axes.plot([100 * row.value], [y], "o", color=colour, markersize=8)
    left = minimum is None or margin is None or minimum <= margin
    _draw_limit(axes, minimum, "minimum", "-", left=left)
    _draw_limit(axes, margin, "allowed drop", "--", left=not left)
    _label_rows(axes, [row.name for row in rows], "")
    _set_percent_axis(axes)
    return _svg_text(figure, name, description)


def _draw_limit(axes: Axes, value: float | None, label: str, style: str, *, left: bool) -> None:
    """Draw a limit as a vertical line, labelled on its left or right side."""
    if value is None:
        return
    axes.axvline(100 * value, color=COLOURS["red"], linewidth=1.2, linestyle=style)
    axes.annotate(
        label, (100 * value, -0.52), color=COLOURS["red"], fontsize=9, va="bottom",
        ha="right" if left else "left", xytext=(-4 if left else 4, 0), textcoords="offset points",
    )  # fmt: skip


def draw_pairs(name: str, description: str, rows: Sequence[Dot], label: str = "") -> str:
    """Return the values before and after of each row, joined by a line in the row's colour."""
    figure, axes = _figure(len(rows))
    for y, row in enumerate(rows):
        before = row.value if row.before is None else row.before
        colour = COLOURS[row.colour]
        axes.plot([100 * before, 100 * row.value], [y, y], color=colour, linewidth=2.2)
        axes.plot(
            [100 * before], [y], "o", color=colour, markerfacecolor=COLOURS["back"], markersize=8
        )
        axes.plot([100 * row.value], [y], "o", color=colour, markersize=8)
    _label_rows(axes, [row.name for row in rows], label or "○ before   ● now")
    _set_percent_axis(axes)
    return _svg_text(figure, name, description)


def draw_points(
    name: str, description: str, rows: Sequence[Dot], label: str, frontier: Sequence[str]
) -> str:
    """Return rates, as shares, over costs, with the frontier as a dashed line.

    *description* is the alternative text, *label* names the horizontal axis, and *before* of a
    row its cost. *frontier* has the names of the rows on the frontier.
    """
    figure, axes = _empty_figure(3.6)
    edge = sorted((row.before or 0.0, 100 * row.value) for row in rows if row.name in frontier)
    if len(edge) > 1:
        xs, ys = zip(*edge, strict=True)
        axes.step(xs, ys, where="post", color=COLOURS["muted"], linewidth=1.2, linestyle="--")
    for row in rows:
        colour = COLOURS["blue" if row.name in frontier else "muted"]
        point = (row.before or 0.0, 100 * row.value)
        if row.low is not None and row.high is not None:
            axes.plot([point[0]] * 2, [100 * row.low, 100 * row.high], color=colour, linewidth=1.6)
        axes.plot(*point, "o", color=colour, markersize=8)
        drop = 14 * sum(_labels_overlap(row, left, rows) for left in rows[: rows.index(row)])
        _label_point(axes, row.name, point, (8, 6 - drop), "ink")
    axes.set_ylim(-4, 104)
    axes.set_yticks(*_PERCENT_TICKS)
    axes.margins(x=0.15)
    axes.set_xlabel(label, color=COLOURS["muted"], fontsize=10)
    return _svg_text(figure, name, description)


def _labels_overlap(first: Dot, second: Dot, rows: Sequence[Dot]) -> bool:
    costs = [row.before or 0.0 for row in rows]
    distance = abs((first.before or 0.0) - (second.before or 0.0))
    is_near = distance <= 0.2 * (max(costs) - min(costs))
    return is_near and abs(first.value - second.value) < 0.06  # noqa: PLR2004 - a label's height


def draw_spreads(
    name: str, description: str, rows: Sequence[tuple[str, Sequence[float]]], label: str
) -> str:
    """Return box plots: 5th to 95th percentile as a line, middle half as a bar, and the median."""
    figure, axes = _figure(len(rows))
    highest = max((max(values) for _, values in rows), default=0.0)
    lowest = min((min(values) for _, values in rows), default=0.0)
    if lowest > 0 and highest > 30 * lowest:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.xaxis.set_major_formatter("{x:,.0f}")
    artists = axes.boxplot(
        [list(values) for _, values in rows], positions=range(len(rows)), orientation="horizontal",
        whis=(5, 95), showfliers=False, widths=0.42, patch_artist=True, showcaps=False,
    )  # fmt: skip
    for box in artists["boxes"]:
        box.set(facecolor=COLOURS["sky"], edgecolor=COLOURS["sky"])
    for line in artists["whiskers"]:
        line.set(color=COLOURS["blue"], linewidth=1.6)
    for line in artists["medians"]:
        line.set(color=COLOURS["ink"], linewidth=2)
    _label_rows(axes, [row[0] for row in rows], label)
    return _svg_text(figure, name, description)


def draw_lines(
    name: str,
    description: str,
    series: Sequence[tuple[str, Sequence[float | None]]],
    dates: Sequence[str],
) -> str:
    """Return shares over time, a line for each series, labelled at its end."""
    figure, axes = _empty_figure(3.2, "y")
    ends: list[float] = []
    for index, (label, values) in enumerate(series):
        colour = _SERIES_COLOURS[index % len(_SERIES_COLOURS)]
        points = [(x, 100 * y) for x, y in enumerate(values) if y is not None]
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, "o-", color=COLOURS[colour], linewidth=2, markersize=5)
        drop = 14 * sum(abs(ys[-1] - end) < 6 for end in ends)  # noqa: PLR2004 - points of the axis
        ends.append(ys[-1])
        _label_point(axes, label, (xs[-1], ys[-1]), (9, -3 - drop), colour)
    step = max(1, len(dates) // 8)
    axes.set_xticks(range(0, len(dates), step), dates[::step])
    axes.set_yticks(*_PERCENT_TICKS)
    axes.set_ylim(-4, 104)
    axes.margins(x=0.12)
    return _svg_text(figure, name, description)


def draw_bands(
    name: str, description: str, rows: Sequence[Band], volumes: Sequence[float], declared: float
) -> str:
    """Return costs over volumes on logarithmic axes, with the declared volume as a dashed line."""
    figure, axes = _empty_figure(3.8)
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=1.0)  # a free variant is at 0
    axes.axvline(declared, color=COLOURS["muted"], linewidth=1.2, linestyle="--")
    ends = [_decade(row.values[-1]) for row in rows]
    label_positions = _move_apart(ends, _MIN_LABEL_GAP * _decades(rows))
    for index, (row, position) in enumerate(zip(rows, label_positions, strict=True)):
        colour = _SERIES_COLOURS[index % len(_SERIES_COLOURS)]
        axes.fill_between(
            volumes, row.low, row.high, color=COLOURS[colour], alpha=0.15, linewidth=0
        )
        axes.plot(volumes, row.values, color=COLOURS[colour], linewidth=2)
        _label_point(axes, row.name, (volumes[-1], 10**position), (9, -3), colour)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("requests a day", color=COLOURS["muted"], fontsize=10)
    axes.margins(x=0.0)
    return _svg_text(figure, name, description)


#: The distance between two labels, as a share of the axis.
_MIN_LABEL_GAP = 0.07


def _decades(rows: Sequence[Band]) -> float:
    """Return the range of all values in powers of ten, at least 1."""
    values = [_decade(value) for row in rows for value in row.values]
    return max(1.0, max(values) - min(values))


def _decade(value: float) -> float:
    return math.log10(max(value, 1.0))


def _move_apart(positions: Sequence[float], gap: float) -> list[float]:
    """Return *positions*, moved upwards until each two of them are *gap* apart."""
    moved = [0.0] * len(positions)
    previous = -math.inf
    for index in sorted(range(len(positions)), key=lambda index: positions[index]):
        moved[index] = previous = max(positions[index], previous + gap)
    return moved
