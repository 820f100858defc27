"""Checks: minimum, drop, macro-F1 and point thresholds.

Rules and error rates: docs/statistics.md. A drop check passes when a drop as large as the limit can
be ruled out, fails when there is a real drop, and is inconclusive otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import ceil

import numpy as np

from pytest_ftgate.gates.levels import (
    CONFIDENCE,
    FEWEST_FOR_F1,
    FEWEST_GROUPS,
    MOST_MISSING,
    POWER,
    USUAL_DISCORDANCE,
    Levels,
)
from pytest_ftgate.gates.samples import Array, Side, aligned, unchanged
from pytest_ftgate.gates.units import percent
from pytest_ftgate.gates.verdict import Check, Outcome
from pytest_ftgate.scoring.classification import Guess, macro_f1
from pytest_ftgate.stats.paired import Pairs, p_drop, p_noninferior, pair, tango_interval
from pytest_ftgate.stats.power import (
    cases_needed,
    certifiable_margin,
    detectable_drop,
    fail_cases_needed,
    flip_rate,
    floor_cases_needed,
    point_rule_pass,
)
from pytest_ftgate.stats.proportions import binomial_sf, clopper_pearson, lower_bound, upper_bound
from pytest_ftgate.stats.resampling import bootstrap_bounds

__all__ = [
    "UNCHANGED",
    "Pairing",
    "discordance",
    "drop",
    "flips_by_chance",
    "floor",
    "judged",
    "macro_drop",
    "macro_floor",
    "paired",
    "point",
]

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
        return _drop_with_missing(check, before, after, levels, make)
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
    return replace(check, certifiable=least, needed=_more_for_drop(pairs, check))


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


def _more_for_drop(pairs: Pairs, check: Check) -> int | None:
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


def _drop_with_missing(
    check: Check, before: Side, after: Side, levels: Levels, make: Pairing
) -> Check:
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


#: A rate that sits on its floor takes more cases than anybody has; so many times the square of
#: what one standard deviation is to the distance is some 20,000 of them.
_NEVER = 2_400


def floor(after: Side, *, least: float, levels: Levels | None = None) -> Check:
    """Hold the variant's rate against a floor, by exact one-sided bounds.

    With groups the unit is the group's mean; unequal weights count as so many fewer cases
    (Kish's design effect).
    """
    levels = levels or Levels()
    rate, n = _weighted_rate(after.where(after.known))
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
        return replace(check, needed=_more_for_minimum(check))
    return check


def _weighted_rate(known: Side) -> tuple[float, float]:
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


def _more_for_minimum(check: Check) -> int | None:
    gap = check.after - check.limit
    if gap <= 0 or check.after * (1 - check.after) / gap**2 > _NEVER:
        return None
    try:
        wanted = floor_cases_needed(check.limit, check.after, POWER, check.miss)
    except ValueError:
        return None
    return max(1, round(wanted - check.effective))


_SEED = 0
_RIGHT, _WRONG = True, False


def macro_drop(
    before: Guess, after: Guess, *, against: str, margin: float, levels: Levels
) -> Check:
    """Compare the macro-F1 of two sides on the cases that both have."""
    before, after = before.among(after), after.among(before)

    def judged(then: Guess, now: Guess) -> Check:
        def change(counts: Array) -> Array:
            return macro_f1(now, counts) - macro_f1(then, counts)

        check = _bounded(change, now, margin=-margin, zero=0.0, levels=levels)
        rates = [_macro_rate(one) for one in (then, now)]
        return replace(check, against=against, limit=margin, before=rates[0], after=rates[1])

    known = before.known & after.known
    check = judged(before.where(known), after.where(known))
    worst = judged(before.filled(right=_RIGHT), after.filled(right=_WRONG))
    best = judged(before.filled(right=_WRONG), after.filled(right=_RIGHT))
    check = _macro_with_missing(check, len(known), int((~known).sum()), (worst, best))
    if check.before is not None and check.before - margin <= 1 / len(after.labels):
        note = f"{against} is at {percent(check.before)}, so a drop from it could not be seen"
        return replace(check, outcome=Outcome.INCONCLUSIVE, informative=False, note=note)
    return check


def macro_floor(after: Guess, *, least: float, levels: Levels) -> Check:
    """Hold the macro-F1 of one side against a floor."""

    def judged(now: Guess) -> Check:
        check = _bounded(
            lambda counts: macro_f1(now, counts), now, margin=least, zero=least, levels=levels
        )
        return replace(check, against="floor", limit=least, after=_macro_rate(now))

    check = judged(after.where(after.known))
    others = [judged(after.filled(right=right)) for right in (_WRONG, _RIGHT)]
    return _macro_with_missing(check, len(after.keys), int((~after.known).sum()), others)


def _macro_rate(guess: Guess) -> float:
    return float(macro_f1(guess, np.ones((1, len(guess.keys))))[0]) if guess.keys else 0.0


def _macro_with_missing(check: Check, cases: int, missing: int, others: Iterable[Check]) -> Check:
    """Let a verdict stand where no missing reply could turn it."""
    if not missing:
        return check
    check = replace(check, missing=missing, note=f"{missing} of {cases} cases brought no reply")
    outcomes = {one.outcome for one in others}
    if missing > MOST_MISSING * cases or outcomes != {check.outcome}:
        return replace(check, outcome=Outcome.INCONCLUSIVE)
    return check


def _bounded(
    of: Callable[[Array], Array], guess: Guess, *, margin: float, zero: float, levels: Levels
) -> Check:
    """Pass where the lower bound reaches *margin*, fail where the upper one is below *zero*."""
    n, note = len(guess.keys), _too_few(guess)
    plain = Check(
        against="", outcome=Outcome.INCONCLUSIVE, limit=margin, n=n, effective=n, after=0.0,
        miss=levels.miss, alarm=levels.alarm, shared=levels.shared, method="bootstrap", note=note,
    )  # fmt: skip
    if not n:
        return plain

    def bounds(alpha: float) -> tuple[float, float]:
        rng = np.random.default_rng(_SEED)
        found = bootstrap_bounds(of, n, rng=rng, alpha=alpha, groups=guess.groups)
        return found.lower, found.upper

    low, high = bounds((1.0 - CONFIDENCE) / 2.0)
    if note:
        return replace(plain, low=low, high=high)
    passed, failed = bounds(levels.miss)[0] > margin, bounds(levels.alarm)[1] < zero
    decided = Outcome.PASSED if passed else (Outcome.FAILED if failed else Outcome.INCONCLUSIVE)
    return replace(plain, outcome=decided, low=low, high=high)


def _too_few(guess: Guess) -> str:
    if len(guess.keys) < FEWEST_FOR_F1:
        return f"macro-F1 needs at least {FEWEST_FOR_F1} cases for its bounds to hold"
    groups = len(guess.keys) if guess.groups is None else len(set(guess.groups.tolist()))
    if groups < FEWEST_GROUPS:
        return f"{groups} groups of related cases; at least {FEWEST_GROUPS} are needed"
    return ""


_SLACK = 1e-9


def point(check: Check) -> Check:
    """Return *check* as a plain threshold on what was seen decides it, and how often that flips."""
    if check.missing > MOST_MISSING * (check.n + check.missing) or check.effective < 1:
        return check
    if check.before is None:
        held = check.after >= check.limit - _SLACK
    else:
        held = check.after - check.before >= -check.limit - _SLACK
    told = f"plain threshold: {flips_by_chance(check):.0%} of pairs of runs like this one disagree"
    outcome = Outcome.PASSED if held else Outcome.FAILED
    note = f"{check.note}; {told}".removeprefix("; ")
    return replace(check, outcome=outcome, method="point", note=note)


def flips_by_chance(check: Check) -> float:
    """Return how often two runs with as many cases, and rates as they were seen, disagree."""
    if check.before is None:
        wanted = ceil(check.limit * check.effective - _SLACK)
        return flip_rate(float(binomial_sf(wanted - 1.0, round(check.effective), check.after)))
    drop = check.before - check.after
    discordance = max(check.discordance or 0.0, abs(drop))
    return flip_rate(point_rule_pass(check.effective, discordance, drop, check.limit))
