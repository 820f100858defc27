"""The runs of agents as a table: how often they succeed, and what they take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ftgate.gates.design import MAX_MISSING_SHARE
from pytest_ftgate.gates.figure import Figure, RunRow
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.reporting.number_text import (
    RUN_AMOUNTS,
    level_span,
    percent,
    quantity,
    signed_percent,
    usd,
)
from pytest_ftgate.reporting.tables import TextTable, table_lines
from pytest_ftgate.reporting.text import shorten

#: The most columns of the name of a skill, and the amount below which a mean has a decimal.
_MAX_SKILL, _ONE_DECIMAL = 24, 100


def run_lines(verdict: Verdict, indent: int = 2) -> Iterator[str]:
    """Yield the lines of the table of an agent's runs, if *verdict* has one."""
    if verdict.runs:
        yield from table_lines(run_table(verdict.runs), indent)


def run_table(rows: Sequence[RunRow]) -> TextTable:
    """Return a table of *rows*: of shares the interval of each side, of amounts the change."""
    if not any(row.before for row in rows):
        cells = [[_name(row), _cell(row.after, with_interval=True, row=row)] for row in rows]
        return TextTable(["runs", "value (95 % CI)"], cells, (1,))
    body = [
        [
            _name(row),
            *(
                _cell(one, with_interval=row.rise is None, row=row)
                for one in (row.before, row.after)
            ),
            _rise_cell(row.rise),
        ]
        for row in rows
    ]
    return TextTable(
        ["runs", "before (95 % CI)", "after (95 % CI)", "change (95 % CI)"], body, (1, 2)
    )


def _name(row: RunRow) -> str:
    if row.skill:
        return f"used {shorten(row.skill, _MAX_SKILL)}"
    return RUN_AMOUNTS.get(row.name, "mean score" if row.name == "score" else row.name)


def _cell(figure: Figure | None, *, with_interval: bool, row: RunRow) -> str:
    if figure is None:
        return "not known"
    if row.skill:
        return f"{round(figure.value * figure.n):,} of {quantity(figure.n, 'run')}"
    ends = _span(figure, row.name) if with_interval and not _is_partial(row) else ""
    # Often it is the failed runs that state nothing.
    stated = f", {figure.n:,} of {quantity(figure.n + figure.missing, 'run')}"
    runs = stated if figure.missing and _is_partial(row) else ""
    return f"{_value(figure.value, row.name)}{f' ({ends})' if ends else ''}{runs}"


def _is_partial(row: RunRow) -> bool:
    """Return True if more runs of a side lack an amount than may."""
    sides = [one for one in (row.before, row.after) if one and row.name in RUN_AMOUNTS]
    return any(one.missing > MAX_MISSING_SHARE * (one.n + one.missing) for one in sides)


def _span(figure: Figure, name: str) -> str:
    if figure.unit == "share":
        return level_span(figure.low, figure.high).removesuffix(" %")
    if figure.low is None or figure.high is None:
        return ""
    return " to ".join(_value(end, name).removesuffix(" USD") for end in (figure.low, figure.high))


def _value(value: float, name: str) -> str:
    if name not in RUN_AMOUNTS:
        return percent(value)
    if name.startswith("usd"):
        return usd(value)
    return f"{value:,.1f}" if value < _ONE_DECIMAL else f"{value:,.0f}"


def _rise_cell(rise: Figure | None) -> str:
    if rise is None:
        return ""
    if rise.low is None or rise.high is None:
        return signed_percent(rise.value)
    ends = (signed_percent(end).removesuffix(" %") for end in (rise.low, rise.high))
    return f"{signed_percent(rise.value)} ({' to '.join(ends)})"
