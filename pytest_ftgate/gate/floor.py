"""The check that a rate holds a floor, by exact one-sided binomial bounds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from pytest_ftgate.gate.drop import ALARM, CONFIDENCE, MISS, MOST_MISSING, POWER, mean_of
from pytest_ftgate.gate.power import floor_cases_needed
from pytest_ftgate.gate.proportion import clopper_pearson, lower_bound, upper_bound
from pytest_ftgate.gate.side import Side
from pytest_ftgate.gate.verdict import Check, Outcome

__all__ = ["floor"]


def floor(after: Side, *, least: float) -> Check:
    """Hold the variant's rate against a floor, by exact one-sided bounds."""
    values = _units(after)
    n, right = len(values), sum(values)
    missing = sum(cell.value is None for cell in after.values())
    if n < 2:  # noqa: PLR2004 - as for a drop
        note = f"{n} of {len(after)} cases brought a reply"
        return Check(
            against="floor", outcome=Outcome.INCONCLUSIVE, limit=least, n=n,
            after=mean_of(after), missing=missing, note=note,
        )  # fmt: skip
    low, high = clopper_pearson(right, n, CONFIDENCE)
    check = Check(
        against="floor",
        outcome=_floor_outcome(right, n, missing, least),
        limit=least,
        n=n,
        effective=n,
        after=right / n,
        low=float(low),
        high=float(high),
        missing=missing,
        note=f"{missing} of {len(after)} cases brought no reply" if missing else "",
    )
    if check.outcome is Outcome.INCONCLUSIVE:
        return replace(check, needed=_more_for_floor(check))
    return check


def _units(side: Side) -> list[float]:
    """Return what counts as one: a case, or the mean of a group of related ones."""
    groups: dict[str, list[float]] = defaultdict(list)
    for key, cell in side.items():
        if cell.value is not None:
            # A case without a group stands for itself.
            groups[cell.group or f"\0{key}"].append(cell.value)
    return [sum(values) / len(values) for values in groups.values()]


def _floor_outcome(right: float, n: int, missing: int, least: float) -> Outcome:
    if missing > MOST_MISSING * (n + missing):
        return Outcome.INCONCLUSIVE
    # A missing reply counts against a pass and against a fail.
    if lower_bound(right, n + missing, MISS) >= least:
        return Outcome.PASSED
    below = upper_bound(right + missing, n + missing, ALARM) < least
    return Outcome.FAILED if below else Outcome.INCONCLUSIVE


def _more_for_floor(check: Check) -> int | None:
    try:
        return max(1, floor_cases_needed(check.limit, check.after, POWER, MISS) - check.n)
    except ValueError:
        return None
