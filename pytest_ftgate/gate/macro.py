"""The check of macro-F1, which is no mean over cases: bounds by paired bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from pytest_ftgate.gate.numbers.resample import bootstrap_bounds
from pytest_ftgate.gate.risks import (
    CONFIDENCE,
    FEWEST_FOR_F1,
    FEWEST_GROUPS,
    MOST_MISSING,
    Levels,
)
from pytest_ftgate.gate.side import Array
from pytest_ftgate.gate.verdict import Check, Outcome
from pytest_ftgate.gate.words import percent
from pytest_ftgate.score.metrics import Guess, macro_f1

__all__ = ["macro_drop", "macro_floor"]

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
        rates = [_rate(one) for one in (then, now)]
        return replace(check, against=against, limit=margin, before=rates[0], after=rates[1])

    known = before.known & after.known
    check = judged(before.where(known), after.where(known))
    worst = judged(before.filled(right=_RIGHT), after.filled(right=_WRONG))
    best = judged(before.filled(right=_WRONG), after.filled(right=_RIGHT))
    check = _with_missing(check, len(known), int((~known).sum()), (worst, best))
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
        return replace(check, against="floor", limit=least, after=_rate(now))

    check = judged(after.where(after.known))
    others = [judged(after.filled(right=right)) for right in (_WRONG, _RIGHT)]
    return _with_missing(check, len(after.keys), int((~after.known).sum()), others)


def _rate(guess: Guess) -> float:
    return float(macro_f1(guess, np.ones((1, len(guess.keys))))[0]) if guess.keys else 0.0


def _with_missing(check: Check, cases: int, missing: int, others: Iterable[Check]) -> Check:
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
