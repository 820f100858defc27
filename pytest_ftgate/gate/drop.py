"""The check that a drop stays within a margin.

Rules and error rates: docs/statistics.md. It passes when one as large as the margin can be
ruled out, fails when there really is one, and is open otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil

import numpy as np

from pytest_ftgate.gate.numbers.counts import Pairs
from pytest_ftgate.gate.numbers.paired import p_drop, p_noninferior, pair, tango_interval
from pytest_ftgate.gate.numbers.power import (
    cases_needed,
    certifiable_margin,
    detectable_drop,
    fail_cases_needed,
)
from pytest_ftgate.gate.risks import (
    CONFIDENCE,
    FEWEST_GROUPS,
    MOST_MISSING,
    POWER,
    USUAL_DISCORDANCE,
    Levels,
)
from pytest_ftgate.gate.side import Side, aligned, unchanged
from pytest_ftgate.gate.verdict import Check, Outcome
from pytest_ftgate.gate.words import percent

__all__ = ["UNCHANGED", "Pairing", "discordance", "drop", "judged", "paired"]

#: Makes pairs of two aligned sides.
Pairing = Callable[[Side, Side], Pairs]

#: Said where both sides rest on the same calls and the same replies.
UNCHANGED = "unchanged: the same replies"


def judged(pairs: Pairs, margin: float, levels: Levels) -> Outcome:
    """Return what *pairs* show about a drop of *margin*."""
    if pairs.groups is not None and pairs.groups < FEWEST_GROUPS:
        return Outcome.INCONCLUSIVE
    if p_noninferior(pairs, margin) <= levels.miss:
        return Outcome.PASSED
    return Outcome.FAILED if p_drop(pairs) <= levels.alarm else Outcome.INCONCLUSIVE


def drop(  # noqa: PLR0913 - the rule's parameters, each by name
    before: Side,
    after: Side,
    *,
    against: str,
    margin: float,
    levels: Levels,
    chance: float = 0.0,
    pairing: Pairing | None = None,
) -> Check:
    """Compare two sides case by case.

    Args:
        before: what is compared with.
        after: the variant.
        against: what *before* is called in the report.
        margin: the largest drop allowed, as a share.
        levels: the risks that this check alone may take.
        chance: the rate that guessing reaches.
        pairing: how the cases are weighed together; by default each counts by its weight.
    """
    make = pairing or paired
    before, after = aligned(before, after)
    known = before.known & after.known
    n, missing = int(known.sum()), int((~known).sum())
    if n < 2:  # noqa: PLR2004 - one case shows nothing about a population
        note = f"{n} of {n + missing} cases can be compared"
        return Check(
            against=against, outcome=Outcome.INCONCLUSIVE, limit=margin, n=n,
            after=after.mean, before=before.mean, missing=missing, note=note,
        )  # fmt: skip
    pairs = make(before.where(known), after.where(known))
    check = replace(_described(pairs, against, margin, levels), missing=missing)
    # What is the same so far may still differ in what an earlier look has not seen.
    if levels.last and unchanged(before, after):
        return replace(check, outcome=Outcome.PASSED, note=UNCHANGED)
    if pairs.before - margin <= chance:
        note = f"{against} is at {percent(pairs.before)}, so a drop from it could not be seen"
        return replace(check, outcome=Outcome.INCONCLUSIVE, informative=False, note=note)
    if missing:
        return _with_missing(check, before, after, levels, make)
    return _settled(check, pairs)


def paired(before: Side, after: Side) -> Pairs:
    """Pair two aligned sides of known values."""
    return pair(
        before.values,
        after.values,
        before_repeats=before.repeats,
        after_repeats=after.repeats,
        groups=after.groups,
        weights=after.weights,
    )


def _described(pairs: Pairs, against: str, margin: float, levels: Levels) -> Check:
    low, high = tango_interval(pairs, CONFIDENCE)
    return Check(
        against=against,
        outcome=judged(pairs, margin, levels),
        limit=margin,
        n=int(pairs.n),
        before=pairs.before,
        after=pairs.after,
        effective=pairs.effective,
        low=low,
        high=high,
        gains=pairs.gains,
        losses=pairs.losses,
        p_pass=p_noninferior(pairs, margin),
        p_fail=p_drop(pairs),
        miss=levels.miss,
        alarm=levels.alarm,
        shared=levels.shared,
        discordance=discordance(pairs),
        detectable=_or_none(
            detectable_drop, pairs.effective, discordance(pairs), POWER, levels.alarm
        ),
    )


def _settled(check: Check, pairs: Pairs) -> Check:
    if check.outcome is Outcome.PASSED and (check.p_fail or 1.0) <= check.alarm:
        return replace(check, note="a real drop, smaller than the margin")
    if check.outcome is not Outcome.INCONCLUSIVE:
        return check
    if pairs.groups is not None and pairs.groups < FEWEST_GROUPS:
        note = f"{pairs.groups} groups of related cases; at least {FEWEST_GROUPS} are needed"
        return replace(check, note=note)
    least = _or_none(certifiable_margin, pairs.effective, discordance(pairs), POWER)
    return replace(check, certifiable=least, needed=_more(pairs, check))


def discordance(pairs: Pairs) -> float:
    """Return the share of cases on which the sides disagree, as far as so few can tell."""
    seen = (pairs.gains + pairs.losses) / pairs.n
    # Few cases say little about it: as if ten more had been seen that behave as usual.
    weight = 10.0
    return float((seen * pairs.effective + USUAL_DISCORDANCE * weight) / (pairs.effective + weight))


def _or_none(of: Callable[..., float], *numbers: float) -> float | None:
    """Return None where no drop or margin is small enough for so few cases."""
    try:
        return of(*numbers)
    except ValueError:
        return None


def _more(pairs: Pairs, check: Check) -> int | None:
    """Return how many further cases would settle the check if the truth is what was seen."""
    disagree, seen = discordance(pairs), max(0.0, -pairs.delta)
    try:
        if seen >= check.limit:
            wanted = fail_cases_needed(seen, max(disagree, seen), POWER, check.alarm)
        else:
            # Half of a small drop is usually noise, so planning on all of it would ask for too
            # much; but a check that is open with as many cases as that takes needs more.
            half = cases_needed(check.limit, disagree, POWER, drop=seen / 2)
            enough = half > pairs.effective
            wanted = half if enough else cases_needed(check.limit, disagree, POWER, drop=seen)
    except ValueError:
        return None
    return max(1, ceil((wanted - pairs.effective) * pairs.n / pairs.effective))


def _with_missing(check: Check, before: Side, after: Side, levels: Levels, make: Pairing) -> Check:
    """Judge again with every missing reply a loss, and a gain; a verdict must survive both."""
    check = replace(check, note=f"{check.missing} of {len(after)} cases brought no reply")
    if check.missing > MOST_MISSING * len(after):
        return replace(check, outcome=Outcome.INCONCLUSIVE)
    if _lopsided(before, after):
        note = f"{check.note}, far more on one side than on the other"
        return replace(check, outcome=Outcome.INCONCLUSIVE, note=note)
    outcomes = {
        judged(make(before.filled(1.0 - value), after.filled(value)), check.limit, levels)
        for value in (0.0, 1.0)
    }
    if outcomes == {check.outcome}:
        return check
    return replace(check, outcome=Outcome.INCONCLUSIVE, note=f"{check.note}; they could turn it")


def _lopsided(before: Side, after: Side) -> bool:
    from scipy.stats import fisher_exact  # rarely needed, and a second to import

    gone = [int((~one.known).sum()) for one in (before, after)]
    table = [[count, len(after) - count] for count in gone]
    return bool(fisher_exact(np.array(table)).pvalue < 0.01)  # noqa: PLR2004 - statistics.md 1.10
