"""The cost gate: what a thousand calls of a variant cost, and how much more than the baseline's.

A mean over cases, like a sum of money, is bounded by Student's t; groups of related cases count
as one each. Prices are today's, so replies from the ledger count like those of this run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

import numpy as np
from scipy.special import stdtrit

from pytest_ftgate.gate.drop import UNCHANGED
from pytest_ftgate.gate.numbers.resample import clustered_se
from pytest_ftgate.gate.risks import CONFIDENCE, FEWEST_GROUPS, MOST_MISSING
from pytest_ftgate.gate.side import Array, Side, aligned, unchanged, valued
from pytest_ftgate.gate.spent import beside, decided, verdict_on
from pytest_ftgate.gate.verdict import Check, Outcome, Verdict
from pytest_ftgate.gate.words import counted, usd
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.suite.margins import CostGate
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.prices import Tariff, price

__all__ = ["judge_cost", "measure_cost"]

#: More cases than this to settle a verdict is nothing to advise.
_MOST_NEEDED = 20_000


def judge_cost(suite: Suite, gate: CostGate, column: Column, baseline: Column) -> Verdict:
    """Judge what the calls of a variant cost.

    Args:
        suite: the suite, for the prices of its variants.
        gate: the gate.
        column: the variant's replies.
        baseline: the baseline's; the same column where the variant is the baseline.
    """
    checks = tuple(_checks(suite, gate, column, baseline))
    notes = _notes(column, suite.variants[column.variant].tariff)
    return verdict_on(suite, gate, column.variant, checks, notes)


def measure_cost(suite: Suite, gate: CostGate, column: Column) -> Iterator[Verdict]:
    """Yield what an ungated variant costs, where its price is known."""
    check = _mean(column, suite.variants[column.variant].tariff, 0.0)
    if check.n:
        yield beside(suite, gate, column.variant, check, f"{usd(check.after)} a thousand calls")


def _mean(column: Column, tariff: Tariff, limit: float) -> Check:
    """Hold the mean price of a thousand calls, in USD, to *limit*."""
    mine = _side(column, tariff)
    known = mine.where(mine.known)
    check = _bounded(known.values, np.ones(len(known)), known, len(mine), flat=_flat(tariff))
    return _outcome(replace(check, against="mean", limit=limit, after=known.mean), len(mine))


def _checks(suite: Suite, gate: CostGate, column: Column, baseline: Column) -> Iterator[Check]:
    tariff = suite.variants[column.variant].tariff
    if gate.max_usd_per_1k is not None:
        yield _mean(column, tariff, gate.max_usd_per_1k)
    if gate.max_rise is not None and column is not baseline:
        yield _rise(suite, column, baseline, gate.max_rise)


def _rise(suite: Suite, column: Column, baseline: Column, limit: float) -> Check:
    tariffs = [suite.variants[one.variant].tariff for one in (baseline, column)]
    before, after = aligned(_side(baseline, tariffs[0]), _side(column, tariffs[1]))
    known = before.known & after.known
    then, now = before.where(known), after.where(known)
    flat = all(_flat(tariff) for tariff in tariffs)
    check = _bounded(now.values, then.values, now, len(after), flat=flat)
    low, high = (None if one is None else one - 1.0 for one in (check.low, check.high))
    check = replace(
        check, against=baseline.variant, limit=limit, low=low, high=high,
        before=then.mean, after=now.mean, rise=now.mean / then.mean - 1.0 if then.mean else None,
    )  # fmt: skip
    if then.mean == 0.0 and len(then):
        note = f"{baseline.variant} costs nothing, so nothing can be told as a share of it"
        return replace(check, outcome=Outcome.INCONCLUSIVE, informative=False, note=note)
    if unchanged(before, after) and known.all():
        return replace(check, low=0.0, high=0.0, outcome=Outcome.PASSED, note=UNCHANGED)
    return _outcome(check, len(after))


def _side(column: Column, tariff: Tariff) -> Side:
    """Return the USD of a thousand calls by case; NaN where no reply tells what it took."""
    prices = [
        [float(one) for reply in row.replies if (one := price(tariff, reply.usage)) is not None]
        for row in column.rows.values()
    ]
    means = np.array([1000 * sum(own) / len(own) if own else np.nan for own in prices])
    return valued(column, means).where(column.weights > 0)


def _flat(tariff: Tariff) -> bool:
    return tariff.per_1k is not None


def _bounded(above: Array, below: Array, side: Side, cases: int, *, flat: bool) -> Check:
    """Bound the sum of *above* over that of *below*, by the spread that linearizing leaves.

    A flat price of a call has no spread: what a thousand calls cost is known, not estimated.
    """
    n, groups = len(side), np.arange(len(side)) if side.groups is None else side.groups
    units = np.unique(groups).size
    plain = Check(
        against="", outcome=Outcome.INCONCLUSIVE, limit=0.0, n=n, effective=units, after=0.0,
        missing=cases - n, unit="usd", method="t",
    )  # fmt: skip
    weights = np.ones(n) if side.weights is None else side.weights
    above, below = above * weights, below * weights
    if not n or not below.sum():
        return plain
    share = float(above.sum() / below.sum())
    if flat:
        return replace(plain, low=share, high=share)
    if units < FEWEST_GROUPS:
        what = "cases" if side.groups is None else "groups of related cases"
        return replace(plain, note=f"{units} {what}; at least {FEWEST_GROUPS} are needed")
    error = clustered_se((above - share * below) / below.mean(), groups)
    reach = float(stdtrit(units - 1.0, (1.0 + CONFIDENCE) / 2.0)) * error
    return replace(plain, low=share - reach, high=share + reach)


def _outcome(check: Check, cases: int) -> Check:
    # A flat price has no spread, and so is what it is however many replies are missing.
    if check.missing > MOST_MISSING * cases and check.low != check.high:
        return check
    check = replace(check, outcome=decided(check.low, check.high, check.limit))
    open_ = check.outcome is Outcome.INCONCLUSIVE
    return replace(check, needed=_more(check)) if open_ else check


def _more(check: Check) -> int | None:
    """Return how many further cases would settle it, if what was seen is the truth."""
    if check.low is None or check.high is None:
        return None
    seen, reach = (check.low + check.high) / 2.0, (check.high - check.low) / 2.0
    gap = abs(seen - check.limit)
    wanted = check.n * (reach / gap) ** 2 if gap else np.inf
    return ceil(wanted - check.n) if wanted < _MOST_NEEDED else None


def _notes(column: Column, tariff: Tariff) -> Iterator[str]:
    replies = [reply for row in column.rows.values() for reply in row.replies]
    untold = sum(price(tariff, reply.usage) is None for reply in replies)
    if untold:
        yield f"{untold} of {len(replies)} replies do not tell their tokens, and so no price"
    if column.missing:
        first = column.missing[0].missing[0]
        yield f"no reply to {counted(len(column.missing), 'case')}; first: {first}"
