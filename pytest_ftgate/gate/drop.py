"""The check that a drop stays within a margin.

Rules and error rates: docs/statistics.md. It passes when one as large as the margin can be
ruled out, fails when there really is one, and is open otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil

import numpy as np

from pytest_ftgate.gate.paired import Pairs, p_drop, p_noninferior, pair, tango_interval
from pytest_ftgate.gate.power import (
    cases_needed,
    certifiable_margin,
    detectable_drop,
    fail_cases_needed,
)
from pytest_ftgate.gate.side import Cell, Side
from pytest_ftgate.gate.verdict import Check, Outcome
from pytest_ftgate.gate.words import percent

__all__ = [
    "ALARM",
    "CONFIDENCE",
    "FEWEST_GROUPS",
    "MISS",
    "MOST_MISSING",
    "POWER",
    "UNCHANGED",
    "Pairing",
    "drop",
    "judged",
    "mean_of",
    "paired",
]

#: Makes pairs of the named cases of two sides.
Pairing = Callable[[Side, Side, Sequence[str]], Pairs]

#: Said where both sides rest on the same calls and the same replies.
UNCHANGED = "unchanged: the same replies"
#: The risk of passing a drop as large as the margin.
MISS = 0.05
#: The risk, shared by all drop checks of a suite, of failing a variant that dropped nothing.
ALARM = 0.01
#: More unanswered cases than this leave a verdict open.
MOST_MISSING = 0.05
#: Fewer groups of related cases than this show nothing.
FEWEST_GROUPS = 10
#: The chance with which "9 times in 10" is meant.
POWER = 0.9
#: Of the intervals that are printed.
CONFIDENCE = 0.95
#: Replies of the same model disagree on about this share of the cases where nothing is known.
_USUAL_DISCORDANCE = 0.10


def judged(pairs: Pairs, margin: float, alarm: float) -> Outcome:
    """Return what *pairs* show about a drop of *margin*."""
    if pairs.groups is not None and pairs.groups < FEWEST_GROUPS:
        return Outcome.INCONCLUSIVE
    if p_noninferior(pairs, margin) <= MISS:
        return Outcome.PASSED
    return Outcome.FAILED if p_drop(pairs) <= alarm else Outcome.INCONCLUSIVE


def drop(  # noqa: PLR0913 - the rule's parameters, each by name
    before: Side,
    after: Side,
    *,
    against: str,
    margin: float,
    alarm: float,
    chance: float = 0.0,
    pairing: Pairing | None = None,
) -> Check:
    """Compare two sides case by case.

    Args:
        before: what is compared with.
        after: the variant.
        against: what *before* is called in the report.
        margin: the largest drop allowed, as a share.
        alarm: the risk of failing without a drop, for this check alone.
        chance: the rate that guessing reaches.
        pairing: how the cases are weighed together; by default each counts the same.
    """
    make = pairing or paired
    both = [key for key in after if key in before]
    known = [k for k in both if before[k].value is not None and after[k].value is not None]
    missing = len(both) - len(known)
    if len(known) < 2:  # noqa: PLR2004 - one case shows nothing about a population
        note = f"{len(known)} of {len(both)} cases can be compared"
        return Check(
            against=against, outcome=Outcome.INCONCLUSIVE, limit=margin, n=len(known),
            after=mean_of(after), before=mean_of(before), missing=missing, note=note,
        )  # fmt: skip
    pairs = make(before, after, known)
    check = replace(_described(pairs, against, margin, alarm), missing=missing)
    if all(before[key].rests_on == after[key].rests_on for key in both):
        return replace(check, outcome=Outcome.PASSED, note=UNCHANGED)
    if pairs.before - margin <= chance:
        note = f"{against} is at {percent(pairs.before)}, so a drop from it could not be seen"
        return replace(check, outcome=Outcome.INCONCLUSIVE, informative=False, note=note)
    if missing:
        return _with_missing(check, before, after, both, make)
    return _settled(check, pairs)


def mean_of(side: Side) -> float:
    """Return the mean of the cases that brought a reply; 0 for none."""
    values = [cell.value for cell in side.values() if cell.value is not None]
    return sum(values) / len(values) if values else 0.0


def paired(before: Side, after: Side, keys: Sequence[str]) -> Pairs:
    """Pair the cases *keys* of two sides, each counting the same."""
    b, a = [before[key] for key in keys], [after[key] for key in keys]
    grouped = any(cell.group is not None for cell in a)
    # A case without a group stands for itself.
    groups = [cell.group or f"\0{key}" for key, cell in zip(keys, a, strict=True)]
    return pair(
        [cell.value or 0.0 for cell in b],
        [cell.value or 0.0 for cell in a],
        before_repeats=[cell.repeats for cell in b],
        after_repeats=[cell.repeats for cell in a],
        groups=groups if grouped else None,
    )


def _described(pairs: Pairs, against: str, margin: float, alarm: float) -> Check:
    low, high = tango_interval(pairs, CONFIDENCE)
    return Check(
        against=against,
        outcome=judged(pairs, margin, alarm),
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
        alarm=alarm,
        detectable=_or_none(detectable_drop, pairs.effective, _discordance(pairs), POWER, alarm),
    )


def _settled(check: Check, pairs: Pairs) -> Check:
    if check.outcome is Outcome.PASSED and (check.p_fail or 1.0) <= check.alarm:
        return replace(check, note="a real drop, smaller than the margin")
    if check.outcome is not Outcome.INCONCLUSIVE:
        return check
    if pairs.groups is not None and pairs.groups < FEWEST_GROUPS:
        note = f"{pairs.groups} groups of related cases; at least {FEWEST_GROUPS} are needed"
        return replace(check, note=note)
    least = _or_none(certifiable_margin, pairs.effective, _discordance(pairs), POWER)
    return replace(check, certifiable=least, needed=_more(pairs, check))


def _discordance(pairs: Pairs) -> float:
    seen = (pairs.gains + pairs.losses) / pairs.n
    # Few cases say little about it: as if ten more had been seen that behave as usual.
    weight = 10.0
    return float(
        (seen * pairs.effective + _USUAL_DISCORDANCE * weight) / (pairs.effective + weight)
    )


def _or_none(of: Callable[..., float], *numbers: float) -> float | None:
    """Return None where no drop or margin is small enough for so few cases."""
    try:
        return of(*numbers)
    except ValueError:
        return None


def _more(pairs: Pairs, check: Check) -> int | None:
    """Return how many further cases would settle the check if the truth is what was seen."""
    discordance, seen = _discordance(pairs), -pairs.delta
    try:
        if seen >= check.limit:
            wanted = fail_cases_needed(seen, max(discordance, seen), POWER, check.alarm)
        else:
            # Half of a small drop is usually noise; planning on all of it would ask for too much.
            wanted = cases_needed(check.limit, discordance, POWER, drop=max(0.0, seen / 2))
    except ValueError:
        return None
    return max(1, ceil((wanted - pairs.effective) * pairs.n / pairs.effective))


def _with_missing(check: Check, before: Side, after: Side, keys: list[str], make: Pairing) -> Check:
    """Judge again with every missing reply a loss, and a gain; a verdict must survive both."""
    missing = check.missing
    check = replace(check, note=f"{missing} of {len(keys)} cases brought no reply")
    if missing > MOST_MISSING * len(keys):
        return replace(check, outcome=Outcome.INCONCLUSIVE)
    if _lopsided(before, after, keys):
        note = f"{check.note}, far more on one side than on the other"
        return replace(check, outcome=Outcome.INCONCLUSIVE, note=note)
    outcomes = {
        judged(
            make(_filled(before, 1.0 - value), _filled(after, value), keys),
            check.limit,
            check.alarm,
        )
        for value in (0.0, 1.0)
    }
    if outcomes == {check.outcome}:
        return check
    return replace(check, outcome=Outcome.INCONCLUSIVE, note=f"{check.note}; they could turn it")


def _filled(side: Side, value: float) -> Side:
    return {
        key: Cell(value, 1, cell.rests_on, cell.group) if cell.value is None else cell
        for key, cell in side.items()
    }


def _lopsided(before: Side, after: Side, keys: list[str]) -> bool:
    from scipy.stats import fisher_exact  # rarely needed, and a second to import

    gone = [sum(side[key].value is None for key in keys) for side in (before, after)]
    table = [[count, len(keys) - count] for count in gone]
    return bool(fisher_exact(np.array(table)).pvalue < 0.01)  # noqa: PLR2004 - statistics.md 1.10
