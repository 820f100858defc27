"""The check that a rate holds a floor, by exact one-sided binomial bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pytest_ftgate.gate.numbers.power import floor_cases_needed
from pytest_ftgate.gate.numbers.proportion import clopper_pearson, lower_bound, upper_bound
from pytest_ftgate.gate.risks import CONFIDENCE, MOST_MISSING, POWER, Levels
from pytest_ftgate.gate.side import Array, Side
from pytest_ftgate.gate.verdict import Check, Outcome

__all__ = ["floor"]

#: A rate that sits on its floor takes more cases than anybody has; so many times the square of
#: what one standard deviation is to the distance is some 20,000 of them.
_NEVER = 2_400


def floor(after: Side, *, least: float, levels: Levels | None = None) -> Check:
    """Hold the variant's rate against a floor, by exact one-sided bounds.

    With groups the unit is the group's mean; unequal weights count as so many fewer cases
    (Kish's design effect).
    """
    levels = levels or Levels()
    rate, n = _rate(after.where(after.known))
    missing = int((~after.known).sum())
    if n < 2:  # noqa: PLR2004 - as for a drop
        note = f"{len(after) - missing} of {len(after)} cases brought a reply"
        note += "; they are one group of related cases" if len(after) - missing > 1 else ""
        return Check(
            against="floor", outcome=Outcome.INCONCLUSIVE, limit=least, n=len(after) - missing,
            after=after.mean, missing=missing, note=note,
        )  # fmt: skip
    low, high = clopper_pearson(rate * n, n, CONFIDENCE)
    check = Check(
        against="floor",
        outcome=_outcome(rate, n, missing / len(after), least, levels),
        limit=least,
        n=len(after) - missing,
        effective=n,
        after=rate,
        low=float(low),
        high=float(high),
        miss=levels.miss,
        alarm=levels.alarm,
        missing=missing,
        note=f"{missing} of {len(after)} cases brought no reply" if missing else "",
    )
    if check.outcome is Outcome.INCONCLUSIVE:
        return replace(check, needed=_more(check))
    return check


def _rate(known: Side) -> tuple[float, float]:
    """Return the rate, and the number of units that it rests on."""
    values, weights = known.values, known.weights
    if not len(known):
        return 0.0, 0.0
    weights = np.ones_like(values) if weights is None else weights
    if known.groups is not None:
        values, weights = _by_group(known.groups, values, weights)
    units = float(weights.sum() ** 2 / np.sum(weights**2))
    # Equal weights are a plain count, which rounding must not touch.
    units = float(values.size) if np.ptp(weights) == 0 else units
    return float(np.average(values, weights=weights)), units


def _by_group(groups: object, values: Array, weights: Array) -> tuple[Array, Array]:
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    sizes, sums = np.bincount(codes), np.bincount(codes, weights)
    return np.bincount(codes, values * weights) / sums, sums / sizes


def _outcome(rate: float, n: float, gone: float, least: float, levels: Levels) -> Outcome:
    """Judge n units of which a share *gone* of all brought no reply."""
    if gone > MOST_MISSING:
        return Outcome.INCONCLUSIVE
    # A missing reply counts against a pass and against a fail.
    every, right = n / (1.0 - gone), rate * n
    if lower_bound(right, every, levels.miss) >= least:
        return Outcome.PASSED
    below = upper_bound(right + every - n, every, levels.alarm) < least
    return Outcome.FAILED if below else Outcome.INCONCLUSIVE


def _more(check: Check) -> int | None:
    gap = check.after - check.limit
    if gap <= 0 or check.after * (1 - check.after) / gap**2 > _NEVER:
        return None
    try:
        wanted = floor_cases_needed(check.limit, check.after, POWER, check.miss)
    except ValueError:
        return None
    return max(1, round(wanted - check.effective))
