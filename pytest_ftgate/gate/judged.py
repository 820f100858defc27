"""Checks of what a judge graded: open where it is not qualified, corrected by what people said.

Two ways, docs/statistics.md. Where people labelled a hundred of these very replies, the judge's
mean is corrected by its mean error on them (prediction-powered, two-phase). Elsewhere its limits
are moved by how much of a true change it shows: sensitivity plus specificity less one, each taken
at the end of its interval that makes the check harder to pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pytest_ftgate.gate.drop import UNCHANGED, drop
from pytest_ftgate.gate.examined import Examined
from pytest_ftgate.gate.floor import floor
from pytest_ftgate.gate.judging import FEWEST_LABELS, Judging
from pytest_ftgate.gate.numbers.resample import Estimate, two_phase_mean
from pytest_ftgate.gate.risks import CONFIDENCE, Levels
from pytest_ftgate.gate.side import Array, Side, aligned
from pytest_ftgate.gate.verdict import Check, Outcome
from pytest_ftgate.gate.words import percent, points

__all__ = ["judged_drop", "judged_floor"]

# Drops ------------------------------------------------------------------------------------------


def judged_drop(  # noqa: PLR0913 - the rule's parameters, each by name
    judging: Judging,
    before: Side,
    after: Side,
    *,
    against: str,
    margin: float,
    levels: Levels,
    chance: float = 0.0,
) -> Check:
    """Compare two sides as *drop* does, corrected by labels where there are any."""
    if judging.compares and against == judging.baseline:
        before, after = aligned(before, after)
        before = replace(before, values=1.0 - after.values)
    plain = drop(before, after, against=against, margin=margin, levels=levels, chance=chance)
    if not judging.judges or judging.fault or plain.note == UNCHANGED or not plain.informative:
        return plain
    if against == judging.baseline:
        made = _by_labels(plain, before, after, judging, levels)
        if made:
            return made
    shows = judging.shows
    if shows is None:
        return plain
    seen, least = shows
    if least <= 0:
        return replace(plain, outcome=Outcome.INCONCLUSIVE, note=_BLIND)
    held = drop(before, after, against=against, margin=margin * least, levels=levels)
    return _enlarged(held, margin, judging.judges[0], seen, least)


_BLIND = "labels cannot rule out that the judge shows nothing of a true change"


def _enlarged(check: Check, margin: float, judge: Examined, seen: float, least: float) -> Check:
    """Return a check of grades as one of what they stand for."""
    told = f"the judge shows {percent(seen)} of a true change, at least {percent(least)}"
    note = f"{told}; the margin was held to that"
    return replace(
        check,
        limit=margin,
        before=_true_rate(check.before or 0.0, judge),
        after=_true_rate(check.after, judge),
        low=_within((check.low or 0.0) / seen, -1.0),
        high=_within((check.high or 0.0) / seen, -1.0),
        certifiable=_larger(check.certifiable, least),
        detectable=_larger(check.detectable, least),
        method="judge",
        note=f"{check.note}; {note}" if check.note else note,
    )


def _larger(share: float | None, least: float) -> float | None:
    return None if share is None or share >= least else share / least


def _within(value: float, low: float) -> float:
    return min(1.0, max(low, value))


def _true_rate(rate: float, judge: Examined) -> float:
    """Return what share is truly good where the judge calls a share of *rate* good."""
    if judge.sensitivity is None or judge.specificity is None:
        return rate
    good, bad = judge.sensitivity.value, judge.specificity.value
    return _within((rate + bad - 1) / (good + bad - 1), 0.0)


def _by_labels(
    plain: Check, before: Side, after: Side, judging: Judging, levels: Levels
) -> Check | None:
    """Return the check by the two-phase estimate; None where it has too little to go by."""
    before, after = aligned(before, after)
    known = before.known & after.known
    was, now = before.where(known), after.where(known)
    seen: Array = now.values - was.values
    made = _estimated(plain, now, seen, judging.changes)
    if made is None:
        return None
    estimate, count = made
    then = _estimated(plain, was, was.values, judging.said_before)
    rate = _within(then[0].mean if then else plain.before or 0.0, 0.0)
    p_pass, p_fail = estimate.p_above(-plain.limit), estimate.p_below(0.0)
    low, high = estimate.interval(CONFIDENCE)
    told = f"the judge alone saw {points(float(np.mean(seen)))} points"
    return replace(
        plain,
        outcome=_outcome(p_pass, p_fail, levels),
        before=rate,
        after=_within(rate + estimate.mean, 0.0),
        low=_within(low, -1.0),
        high=_within(high, -1.0),
        p_pass=p_pass,
        p_fail=p_fail,
        method="labels",
        needed=None,
        certifiable=None,
        note=f"corrected by {count} labels of these replies: {told}",
    )


def _estimated(
    plain: Check, side: Side, values: Array, labels: Mapping[str, float]
) -> tuple[Estimate, int] | None:
    """Return the mean of *values*, corrected by *labels*, and how many these are; None if few."""
    at = [index for index, key in enumerate(side.keys) if key in labels]
    whole = side.groups is None and side.weights is None and not plain.missing
    if len(at) < FEWEST_LABELS or not whole:
        return None
    return two_phase_mean(values, [labels[side.keys[index]] for index in at], at), len(at)


def _outcome(p_pass: float, p_fail: float, levels: Levels) -> Outcome:
    if p_pass <= levels.miss:
        return Outcome.PASSED
    return Outcome.FAILED if p_fail <= levels.alarm else Outcome.INCONCLUSIVE


# Floors -----------------------------------------------------------------------------------------


def judged_floor(judging: Judging, after: Side, *, least: float, levels: Levels) -> Check:
    """Hold a rate to a floor as *floor* does, corrected by labels where there are any."""
    plain = floor(after, least=least, levels=levels)
    if not judging.judges or judging.fault:
        return plain
    made = _floor_by_labels(plain, after, judging.said, levels)
    if made or judging.shows is None:
        return made or plain
    return _moved_floor(plain, after, judging.judges[0], levels)


def _moved_floor(plain: Check, after: Side, judge: Examined, levels: Levels) -> Check:
    good, bad = judge.sensitivity, judge.specificity
    if good is None or bad is None:
        return plain
    least = plain.limit
    seen = good.value + bad.value - 1
    # What the judge must say for the floor to hold for certain, and to be missed for certain.
    hard, easy = (
        _within(least * g + (1 - least) * (1 - b), 0.0)
        for g, b in ((good.high, bad.low), (good.low, bad.high))
    )
    held, missed = (floor(after, least=one, levels=levels) for one in (hard, easy))
    outcome = Outcome.INCONCLUSIVE
    if held.outcome is Outcome.PASSED:
        outcome = Outcome.PASSED
    elif missed.outcome is Outcome.FAILED:
        outcome = Outcome.FAILED
    told = f"of good replies the judge finds {percent(good.value)}, of bad {percent(bad.value)}"
    return replace(
        plain,
        outcome=outcome,
        after=_true_rate(plain.after, judge),
        low=_within(((plain.low or 0.0) + bad.value - 1) / seen, 0.0),
        high=_within(((plain.high or 0.0) + bad.value - 1) / seen, 0.0),
        needed=held.needed if outcome is Outcome.INCONCLUSIVE else None,
        method="judge",
        note=f"{told}; it calls {percent(plain.after)} good, {percent(hard)} would hold the floor",
    )


def _floor_by_labels(
    plain: Check, after: Side, said: Mapping[str, float], levels: Levels
) -> Check | None:
    now = after.where(after.known)
    made = _estimated(plain, now, now.values, said)
    if made is None:
        return None
    estimate, count = made
    low, high = estimate.interval(CONFIDENCE)
    p_pass, p_fail = estimate.p_above(plain.limit), estimate.p_below(plain.limit)
    told = f"the judge alone calls {percent(plain.after)} good"
    return replace(
        plain,
        outcome=_outcome(p_pass, p_fail, levels),
        after=_within(estimate.mean, 0.0),
        low=_within(low, 0.0),
        high=_within(high, 0.0),
        method="labels",
        needed=None,
        note=f"corrected by {count} labels of these replies: {told}",
    )
