"""What a run would ask, and what its gates could show: printed before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ftgate.gate.certain import Certain
from pytest_ftgate.gate.words import points
from pytest_ftgate.plan import Estimate
from pytest_ftgate.report.tables import grid

__all__ = ["planned"]


def planned(
    estimates: Sequence[tuple[Estimate, Sequence[Certain]]], problems: Sequence[str]
) -> Iterator[str]:
    """Yield the lines of the plan.

    Args:
        estimates: for each variant what it would ask, and what its gates could show.
        problems: why variants cannot be asked at all.
    """
    rows = [
        [
            estimate.variant,
            f"{estimate.calls:,}",
            f"{estimate.kept:,}",
            f"{estimate.calls - estimate.kept:,}",
            f"{estimate.tokens / 1000:,.0f} k",
            "\n".join(_told(one) for one in certain),
        ]
        for estimate, certain in estimates
    ]
    headers = ["variant", "calls", "in ledger", "to ask", "tokens", "can certify"]
    yield from (f"  {line}" for line in grid(rows, headers, right=(1, 2, 3, 4)).split("\n"))
    yield from (f"  {problem}" for problem in problems)
    yield "  A call that variants share is counted once, where it is first needed."
    yield "  Nothing was asked. No prices are known to this version, so no cost is shown."


def _told(certain: Certain) -> str:
    if certain.margin is None:
        return f"{certain.gate}: a floor"
    if certain.least is None:
        return f"{certain.gate}: nothing with {certain.cases} cases"
    short = f", asked {points(-certain.margin)}" if certain.least > certain.margin else ""
    return f"{certain.gate} {points(-certain.least)}{short}"
