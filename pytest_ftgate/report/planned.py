"""What a run would ask, and what its gates could show: printed before anything is spent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pytest_ftgate.gate.certain import Certain
from pytest_ftgate.gate.words import percent, points
from pytest_ftgate.plan.estimate import Estimate
from pytest_ftgate.plan.leaks import Leak
from pytest_ftgate.report.tables import grid

__all__ = ["leak_lines", "planned", "power_lines"]


def planned(estimates: Sequence[Estimate], problems: Sequence[str]) -> Iterator[str]:
    """Yield the lines on what would be asked.

    Args:
        estimates: for each variant what it would ask.
        problems: why variants cannot be asked at all.
    """
    rows = [
        [
            estimate.variant,
            f"{estimate.calls:,}",
            f"{estimate.kept:,}",
            f"{estimate.calls - estimate.kept:,}",
            f"{estimate.tokens / 1000:,.0f} k",
        ]
        for estimate in estimates
    ]
    headers = ["variant", "calls", "in ledger", "to ask", "tokens"]
    yield from (f"  {line}" for line in grid(rows, headers, right=(1, 2, 3, 4)).split("\n"))
    yield from (f"  {problem}" for problem in problems)
    yield "  A call that variants share is counted once, where it is first needed."
    yield "  Nothing was asked. No prices are known to this version, so no cost is shown."


def leak_lines(leaks: Iterable[Leak]) -> Iterator[str]:
    """Yield a line for each variant that was trained on cases of its suite."""
    for one in leaks:
        verb = "is" if one.leaked == 1 else "are"
        count = f"{one.leaked:,} of {one.cases:,} case{'s' * (one.cases != 1)} {verb} in {one.file}"
        first = f"{'' if one.leaked == 1 else 'as '}{one.case} (line {one.line})"
        yield f"  {one.variant}: {count}, {first}: what a model has seen it need not know"


def power_lines(gates: Sequence[Certain]) -> Iterator[str]:
    """Yield the lines on what the gates could show, and what is missing."""
    rows = [
        [
            f"{one.gate}[{one.variant}]",
            f"{one.cases:,}",
            "" if one.margin is None else points(-one.margin),
            *_drop_cells(one),
            _missing(one),
        ]
        for one in gates
    ]
    headers = ["gate", "cases", "allowed", "certifies", "disagree", "unchanged passes", "missing"]
    yield from (f"  {line}" for line in grid(rows, headers, right=(1, 2, 3, 4, 5, 6)).split("\n"))
    yield "  certifies: the smallest drop that an unchanged variant is cleared of 9 times in 10."
    yield "  disagree: cases on which two sides differ; measured where a * stands, else usual."
    yield "  missing: more cases for an unchanged variant to pass 9 times in 10 (a floor: one"
    yield "  that is truly 5 points above it)."


def _missing(one: Certain) -> str:
    if not one.missing:
        return ""
    return f"+{one.missing:,}" + (f" or repeats: {one.repeats}" if one.repeats else "")


def _drop_cells(one: Certain) -> list[str]:
    if one.margin is None:
        return [f"floor {percent(one.floor or 0.0)}", "", ""]
    if one.discordance is None:
        return ["nothing", "", "baseline at chance"]
    least = "nothing" if one.least is None else points(-one.least)
    star = "*" if one.measured else ""
    return [least, f"{percent(one.discordance)}{star}", percent(one.chance or 0.0)]
