"""The ladder as the reader of a terminal sees it: table, one recommendation, reasons, money."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pytest_ftgate.advise.advice import Advice
from pytest_ftgate.advise.parts import Debt, Money
from pytest_ftgate.report.quote import visible
from pytest_ftgate.report.rungs import (
    Table,
    conditions,
    crossings,
    indebted,
    legend,
    months,
    paid,
    quality,
    recommended,
    taken,
    watched,
)
from pytest_ftgate.report.tables import grid

__all__ = ["debt_lines", "ladder_lines"]

_WIDTH = 80
#: So many volumes are told in a terminal; a plot tells all.
_COLUMNS = 5


def ladder_lines(advice: Advice, *, full: bool = False) -> Iterator[str]:
    """Yield the lines of one ladder.

    Args:
        advice: what is advised.
        full: tell the conditions and the money by volume as well.
    """
    yield f"  {advice.suite}: the ladder, least effort first"
    yield ""
    yield from _grid(quality(advice))
    yield from _wrapped(legend(advice))
    yield ""
    yield from _grid(taken(advice))
    yield ""
    yield from _advised(advice)
    if full:
        yield from _conditions(advice)
    if advice.money is not None:
        yield from _money(advice, advice.money, full=full)
    for told in watched(advice):
        yield from _wrapped(visible(told))
    yield from debt_lines(advice.debt)


def debt_lines(debt: Debt) -> Iterator[str]:
    """Yield the paragraph on what the evaluation itself lacks; nothing where it lacks nothing."""
    yield from _wrapped(visible(indebted(debt)))


def _grid(table: Table) -> list[str]:
    laid = grid(table.rows, table.headers, right=table.right)
    return [f"  {line}".rstrip() for line in laid.split("\n")]


def _advised(advice: Advice) -> Iterator[str]:
    head, told, rest = recommended(advice)
    yield from _wrapped(f"{head}{told.upper()}{visible(rest)}")
    for reason in advice.reasons:
        yield from _wrapped(f"- {visible(reason.told)}", 4)
    if advice.confirmation is not None:
        yield from _wrapped(f"- held-out cases: {visible(advice.confirmation.told)}", 4)
    for note in advice.notes:
        yield from _wrapped(f"note: {visible(note)}")


def _conditions(advice: Advice) -> Iterator[str]:
    if advice.conditions:
        yield ""
        yield "  for and against fine-tuning (* needed)"
    for name, holds, told in conditions(advice):
        head = f"  {name:<13}{holds:<10}"
        yield from textwrap.wrap(
            visible(told), _WIDTH, initial_indent=head, subsequent_indent=" " * len(head),
            break_on_hyphens=False,
        )  # fmt: skip


def _money(advice: Advice, money: Money, *, full: bool) -> Iterator[str]:
    yield ""
    if money.series:
        yield from _grid(months(money, _COLUMNS))
        yield f"  calls a day; {money.calls_per_day:,.0f} are declared"
    if full and money.break_even:
        yield ""
        yield from _grid(crossings(money))
    for told in paid(advice, money, full=full):
        yield from _wrapped(told)


def _wrapped(text: str, indent: int = 2) -> list[str]:
    blank = " " * indent
    return textwrap.wrap(
        text, _WIDTH, initial_indent=blank, subsequent_indent=f"{blank}  ", break_on_hyphens=False
    )
